import { painter, panel, picture, sliderHelp } from "./panel.js";
import { channelPicker, choice, layerPicker } from "./pickers.js";
import { el, follow, put, slider } from "./shared.js";
import { rateText, standing, transport } from "./transport.js";

/** @typedef {import("./shared.js").Header} Header */

const SLIDERS = ["lr", "steps", "jitter", "rotation", "octaves", "octave_scale"];

/** @type {[string, string][]} */
const KEYS = [
  ["Space", "play or pause"], [".", "one step"], ["r", "restart"], ["← →", "on a slider: less or more"],
];

/** @type {Record<string, string>} */
const HELP = {
  Layer: "Where the dream looks: early layers know edges and textures, late ones parts of things.",
  "Dream of": "What grows: whatever the whole layer sees, or what one of its channels sees.",
  Start: "What the dream begins with.",
};

/** A label with what it is for. @param {string} label @returns {[string, string]} */
const named = (label) => [label, HELP[label]];

/** Draws a view and returns its undo. @param {import("./panel.js").Context} context */
function render(context) {
  const { model } = context;
  const help = [...Object.entries(HELP), ...sliderHelp(model, SLIDERS)];
  const words = { title: "DreamCanvas", file: "dream", keys: KEYS, help };
  return panel(context, words, (panel) => {
    const { signal, expect } = panel;
    const screen = picture(signal, 1), bar = transport(model, signal, expect);
    const paint = painter(panel, (/** @type {Header} */ header, [shown]) => {
      screen.show(shown);
      screen.canvas.setAttribute("aria-label", `Dream of ${model.get("expression")}, ${standing(header)}`);
      Object.assign(screen.canvas.dataset, { frame: header.frame, rev: header.rev, format: header.format });
    });
    follow(model, signal, ["size"], () => screen.reshape(model.get("size")));
    const expression = el("code", { class: "expression" });
    follow(model, signal, ["expression"], () => { expression.textContent = model.get("expression"); });
    const start = choice(named("Start"), [["image", "Photograph"], ["noise", "Noise"]],
      () => model.get("start"), (value) => put(model, { start: value }));
    follow(model, signal, ["start", "starts"], () => {
      start.show();
      start.root.hidden = model.get("starts").length < 2;
    });
    /** @param {string} name */
    const pick = (name) => put(model, { layer: name, channel: null });
    /** @param {string} title @param {Node[]} rows */
    const section = (title, ...rows) => el("section", {}, el("h4", { text: title }), ...rows);
    const sliders = SLIDERS.map((name) => slider(model, signal, name));
    const inspector = el("div", { class: "inspector" },
      section("Objective", layerPicker(model, signal, named("Layer"), pick),
        ...channelPicker(model, signal, named("Dream of"), "Whole layer"), expression),
      section("Steps", ...sliders.slice(0, 4)),
      section("Scales", ...sliders.slice(4), start.root),
      panel.sentences);
    return {
      inside: [el("div", { class: "body" }, screen.root, bar.root, inspector)],
      keys: { " ": bar.toggle, ".": bar.step, r: bar.restart },
      hear: (content, buffers) => {
        if (content.type !== "frame") return;
        panel.chip(content.state, content.state, rateText(content), standing(content));
        bar.show(content);
        if (content.format) paint(content, buffers);
      },
    };
  });
}

export default { render };
