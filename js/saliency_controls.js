import { channelPicker, choice, layerPicker, select, toggle } from "./pickers.js";
import { el, follow, put, slider, tell } from "./shared.js";

/**
 * @typedef {import("./panel.js").Panel} Panel
 * @typedef {{name: string, label: string, sentence: string, place: string, sliders: string[]}} Method `place` is where
 *   its maps live: "anywhere", "images" or "grid"
 */

/** Views that paint a map with its own colours. */
const UNCOLORED = ["raw", "grey", "histogram"];

/** @type {[string, string][]} */
const OVERLAYS = [
  ["none", "None"], ["blend", "Blended"], ["active", "Picture where high"], ["inactive", "Picture where low"],
];

/** @type {Record<string, string>} */
export const HELP = {
  Target: "What is explained: the class that the network finds likeliest, or any other one.",
  View: "Which number of each pixel is shown.",
  Overlay: "How the map and the picture are laid over each other.",
  "Colour map": "Which colours stand for low and high values.",
  "Lock limits": "Whether one colour means the same value in all maps.",
  Layer: "Which layer the class activation map is taken at, or the unit that is explained.",
  "Map lives in": "Where the map is taken: at the pixels of the picture, or at a layer.",
  "A click on a picture": "Reads a value, covers a square of the picture, or explains a unit of the layer.",
  Channel: "Which unit at the place of a click is explained: the strongest, or that of one channel.",
};

/** A label with what it is for. @param {string} label @returns {[string, string]} */
const named = (label) => [label, HELP[label]];

/** The sliders of all methods, in the panel's order. @param {Method[]} methods */
export function slidersOfAll(methods) {
  return [...new Set(methods.flatMap(({ sliders }) => sliders))];
}

/**
 * The sliders that the shown methods and the mouse need, in the panel's order.
 * @param {Method[]} methods @param {string[]} shown @param {string} click
 */
export function slidersOf(methods, shown, click) {
  const had = slidersOfAll(methods.filter(({ name }) => shown.includes(name)));
  return slidersOfAll(methods).filter((name) => had.includes(name) || (name === "window" && click === "occlude"));
}

/** How the maps are painted. @param {Panel} panel */
export function viewSection({ model, signal }) {
  const /** @type {[string, string, string][]} */ views = model.get("views");
  const kinds = views.map(([name, label]) => /** @type {[string, string]} */ ([name, label]));
  const /** @type {string[]} */ colormaps = model.get("colormaps");
  const hint = el("p", { class: "hint" }), opacity = slider(model, signal, "opacity");
  const colormap = select(model, signal, "colormap", named("Colour map"), [["", [["auto", "automatic"],
    ...colormaps.filter((name) => name !== "auto").map((name) => /** @type {[string, string]} */ ([name, name]))]]]);
  const overlay = select(model, signal, "overlay", named("Overlay"), [["", OVERLAYS]]);
  const locked = toggle(model, signal, "locked", named("Lock limits"), "same for all maps");
  follow(model, signal, ["view", "overlay"], () => {
    const view = model.get("view"), chart = view === "histogram";
    hint.textContent = views.find(([name]) => name === view)?.[2] ?? "";
    opacity.hidden = chart || model.get("overlay") !== "blend";
    colormap.hidden = UNCOLORED.includes(view);
    overlay.hidden = locked.hidden = chart;
  });
  return el("section", {}, el("h4", { text: "Map" }),
    select(model, signal, "view", named("View"), [["", kinds.slice(0, 4)], ["As in the toolbox", kinds.slice(4)]]),
    hint, overlay, opacity, colormap, locked);
}

/** What the shown methods are asked. @param {Panel} panel */
export function methodSection({ model, signal }) {
  const /** @type {Method[]} */ methods = model.get("methods");
  const layer = layerPicker(model, signal, named("Layer"), (name) => {
    put(model, { layer: name, channel: null });
  });
  const place = layerPicker(model, signal, named("Map lives in"), (name) => {
    put(model, { place: name });
  }, "place", "the picture");
  const names = slidersOfAll(methods), sliders = names.map((name) => slider(model, signal, name));
  // Room for what the most demanding method needs, so that a change of method moves nothing.
  const most = Math.max(...methods.map((method) => method.sliders.length + Number(method.place !== "images")));
  const rows = el("div", { class: "rows", style: `--rows: ${most}` }, layer, place, ...sliders);
  const root = el("section", {}, el("h4", { text: "Method" }), rows);
  follow(model, signal, ["method", "compare", "click", "layers"], () => {
    const shown = [model.get("method"), ...model.get("compare")], click = model.get("click");
    const places = methods.filter(({ name }) => shown.includes(name)).map((method) => method.place);
    const has = slidersOf(methods, shown, click);
    const some = model.get("layers").length > 0;
    layer.hidden = !some || (click !== "unit" && !places.includes("grid"));
    place.hidden = !some || !places.includes("anywhere");
    names.forEach((name, index) => { sliders[index].hidden = !has.includes(name); });
    root.hidden = !most && layer.hidden;
  });
  return root;
}

/** What a click on a picture does. @param {Panel} panel */
export function clickSection({ model, signal, expect }) {
  /** @type {[string, string][]} */
  const choices = [["look", "Look"], ["occlude", "Occlude here"], ["unit", "Explain the unit"]];
  const what = choice(named("A click on a picture"), choices,
    () => model.get("click"), (value) => put(model, { click: value }));
  const channel = el("div", {}, ...channelPicker(model, signal, named("Channel"), "Strongest"));
  const count = el("span", {});
  const onclick = () => { expect(); tell(model, { type: "uncover" }); };
  const uncover = el("button", { type: "button", text: "Uncover", onclick });
  const covered = el("div", { class: "covered" }, count, uncover);
  follow(model, signal, ["click", "covered", "layers"], () => {
    const squares = model.get("covered").length;
    what.show();
    what.group.children[2].toggleAttribute("hidden", !model.get("layers").length);
    channel.hidden = model.get("click") !== "unit";
    covered.hidden = !squares;
    count.textContent = `${squares} square${squares === 1 ? " is" : "s are"} covered.`;
  });
  const heading = el("h4", { text: "A click on a picture", title: HELP["A click on a picture"] });
  return el("section", {}, heading, what.group, channel, covered);
}
