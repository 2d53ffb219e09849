import { button, choice, colormapSelect, section, select, slider, toggle, viewSelect } from "./controls.js";
import { channelPicker, layerPicker } from "./pickers.js";
import { el, follow, labelled, put } from "./shared.js";

/**
 * @import { Panel } from "./panel.js"
 * @typedef {{name: string, label: string, sentence: string, place: string, sliders: string[]}} Method `place` is where
 *   its maps live: "anywhere", "images" or "grid"
 */

/** Views that paint a map with its own colours. */
const UNCOLORED = ["raw", "grey", "histogram"];

/** @type {[string, string][]} */
const OVERLAYS = [
  ["none", "None"], ["blend", "Blended"], ["active", "Picture where high"], ["inactive", "Picture where low"],
];

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
const named = labelled(HELP);

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
export function viewSection(panel) {
  const { model } = panel;
  const /** @type {{name: string, sentence: string}[]} */ views = model.get("views");
  const hint = el("p", { class: "hint" }), opacity = slider(panel, "opacity");
  const colormap = colormapSelect(panel, named("Colour map"));
  const overlay = select(panel, "overlay", named("Overlay"), () => [["", OVERLAYS]]);
  const locked = toggle(panel, "locked", named("Lock limits"), "same for all maps");
  follow(panel, ["view", "overlay"], () => {
    const view = model.get("view"), chart = view === "histogram";
    hint.textContent = views.find(({ name }) => name === view)?.sentence ?? "";
    opacity.hidden = chart || model.get("overlay") !== "blend";
    colormap.hidden = UNCOLORED.includes(view);
    overlay.hidden = locked.hidden = chart;
  });
  return section("Map", viewSelect(panel, named("View")), hint, overlay, opacity, colormap, locked);
}

/** What the shown methods are asked. @param {Panel} panel */
export function methodSection(panel) {
  const { model } = panel, /** @type {Method[]} */ methods = model.get("methods");
  const layer = layerPicker(panel, named("Layer"), (name) => put(model, { layer: name, channel: null }));
  const live = (/** @type {string} */ name) => put(model, { place: name });
  const place = layerPicker(panel, named("Map lives in"), live, "place", "the picture");
  const names = slidersOfAll(methods), sliders = names.map((name) => slider(panel, name));
  // Room for what the most demanding method needs, so that a change of method moves nothing.
  const most = Math.max(...methods.map((method) => method.sliders.length + Number(method.place !== "images")));
  const root = section("Method", el("div", { class: "rows", style: `--rows: ${most}` }, layer, place, ...sliders));
  follow(panel, ["method", "compare", "click", "layers"], () => {
    const shown = [model.get("method"), ...model.get("compare")], click = model.get("click");
    const places = methods.filter(({ name }) => shown.includes(name)).map((method) => method.place);
    const has = slidersOf(methods, shown, click), some = model.get("layers").length > 0;
    layer.hidden = !some || (click !== "unit" && !places.includes("grid"));
    place.hidden = !some || !places.includes("anywhere");
    names.forEach((name, index) => { sliders[index].hidden = !has.includes(name); });
    root.hidden = !most && layer.hidden;
  });
  return root;
}

/** What a click on a picture does. @param {Panel} panel */
export function clickSection(panel) {
  const { model, request } = panel, [title, help] = named("A click on a picture");
  const what = choice([title, help], [["look", "Look"], ["occlude", "Occlude here"], ["unit", "Explain the unit"]],
    () => model.get("click"), (value) => put(model, { click: value }));
  const channel = el("div", {}, ...channelPicker(panel, named("Channel"), "Strongest")), count = el("span", {});
  const covered = el("div", { class: "covered" }, count, button("Uncover", () => request({ type: "uncover" })));
  follow(panel, ["click", "covered", "layers"], () => {
    const squares = model.get("covered").length;
    what.show();
    what.group.children[2].toggleAttribute("hidden", !model.get("layers").length);
    channel.hidden = model.get("click") !== "unit";
    covered.hidden = !squares;
    count.textContent = `${squares} square${squares === 1 ? " is" : "s are"} covered.`;
  });
  return el("section", {}, el("h4", { text: title, title: help }), what.group, channel, covered);
}
