import { choice, colormapSelect, section, select, slider, toggle, track, viewSelect } from "./controls.js";
import { fieldText, sizeText } from "./explorer_moves.js";
import { healthBar, nameText } from "./layer_list.js";
import { chance, el, follow, labelled, put } from "./shared.js";

/**
 * @import { ExplorerLayer } from "./explorer_moves.js"
 * @import { Panel } from "./panel.js"
 * @typedef {{index: number, label: string, probability: number}} Likely
 * @typedef {{name: string, label: string, sentence: string}} Way how a signal is sent back
 */

/** @type {[string, string][]} */
export const OVERLAYS = [["none", "None"], ["active", "Input where active"], ["inactive", "Input where inactive"]];

export const HELP = {
  Show: "Activations: what each channel answers to the picture. Gradients: what comes back to each channel.",
  Large: "Which picture stands in the middle: all channels, the chosen one, or what is sent back.",
  "Colour map": "Which colours stand for low and high values.",
  Scale: "Whether a colour means the same value in the whole layer, or each channel has all colours.",
  "Sent back": "How a signal goes back from the chosen channel to the picture.",
  From: "What is sent back: the whole channel, weighted by its own activations, or its chosen place alone.",
  "Freeze origin": "The signal goes on beginning where it does when another layer or channel is chosen.",
  View: "Which number of each pixel is shown of what is sent back.",
  Overlay: "Where the input is seen through the channel and what is sent back.",
};
const named = labelled(HELP);

/** Boxes of a layer's row: its name and kind, its size and what it sees, and how many of its channels are dead. */
export function explorerItem() {
  const name = el("code", {}), kind = el("span", { class: "kind" }), size = el("span", { class: "quiet" });
  const field = el("span", { class: "quiet" }), health = healthBar();
  const root = el("li", { role: "option" }, name, size, kind, field, health.root);
  const show = (/** @type {ExplorerLayer} */ row) => {
    name.textContent = nameText(row.name);
    // The name of a class breaks before its capitals.
    const broken = row.kind.replace(/(?<=[a-z\d])(?=[A-Z])/g, "\u200b");
    const calls = row.calls > 1 ? `${row.calls} calls` : "", dead = row.dead ? `${row.dead} dead` : "";
    kind.textContent = [broken, calls, dead].filter(Boolean).join(", ");
    size.textContent = sizeText(row.shape, row.pictures);
    field.textContent = fieldText(row.field);
    health.root.hidden = row.dead === null;
    health.show(row.shape[0], 0, row.dead ?? 0);
  };
  return { root, show };
}

/**
 * A choice of few that follows its trait.
 * @param {Panel} panel @param {string} name @param {keyof typeof HELP} label @param {[string, string][]} choices
 */
export function traitChoice(panel, name, label, choices) {
  const { model } = panel, set = (/** @type {string} */ to) => put(model, { [name]: to });
  const which = choice(named(label), choices, () => model.get(name), set);
  follow(panel, [name], which.show);
  return which;
}

/** What the channels show. @param {Panel} panel */
export function showsChoice(panel) {
  return traitChoice(panel, "shows", "Show", [["activations", "Activations"], ["gradients", "Gradients"]]).group;
}

/** Which picture is large. @param {() => string} now @param {(to: string) => void} set */
export function largeChoice(now, set) {
  return choice(named("Large"), [["layer", "All channels"], ["channel", "Channel"], ["back", "Sent back"]], now, set);
}

/** How a signal is sent back, each way with its sentence. @param {Panel} panel */
export function backChoice(panel) {
  const /** @type {Way[]} */ ways = panel.model.get("backs");
  const { group } = traitChoice(panel, "back", "Sent back", ways.map(({ name, label }) => [name, label]));
  ways.forEach(({ sentence }, at) => group.children[at].setAttribute("title", sentence));
  return group;
}

/** How the channels are painted, and what is sent back how. @param {Panel} panel */
export function explorerControls(panel) {
  const scale = traitChoice(panel, "scale", "Scale", [["layer", "Layer"], ["channel", "Channel"]]);
  const from = traitChoice(panel, "seed", "From", [["map", "Channel"], ["place", "One place"]]);
  return [
    section("Channels", colormapSelect(panel, named("Colour map")), scale.root, slider(panel, "boost"),
      slider(panel, "gamma")),
    section("What is sent back", from.root, toggle(panel, "frozen", named("Freeze origin"), "it stays where it is"),
      viewSelect(panel, named("View")), select(panel, "overlay", named("Overlay"), () => [["", OVERLAYS]])),
  ];
}

/** The likeliest classes, which can be put away. @param {Panel} panel */
export function likelyClasses(panel) {
  const { model } = panel, body = el("tbody", {});
  const table = el("table", { class: "bars", "aria-label": "Likeliest classes" }, body);
  const root = el("details", { class: "likeliest", open: true }, el("summary", { text: "Likeliest classes" }), table);
  follow(panel, ["top"], () => {
    const /** @type {Likely[]} */ top = model.get("top");
    root.hidden = !top.length;
    body.replaceChildren(...top.map(({ label, probability }) => el("tr", {},
      el("th", { scope: "row", text: label, title: label }), el("td", {}, track(probability)),
      el("td", { class: "number", text: chance(probability) }))));
  });
  return { root, toggle: () => { root.open = !root.open; } };
}
