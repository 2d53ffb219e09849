import { choice, section, select, slider, toggle } from "./controls.js";
import { easel, PAINT_KEYS } from "./easel.js";
import { formulaField } from "./formula.js";
import { channelTiles, tilePager } from "./grid.js";
import { HISTORY_KEYS, historyStrip } from "./history.js";
import { INPUT_HELP, pictureInput } from "./inputs.js";
import { fetchedOriginal } from "./original.js";
import { panel } from "./panel.js";
import { channelPicker, layerPicker } from "./pickers.js";
import { painter, picture } from "./pictures.js";
import { realPatches } from "./real_patches.js";
import { el, follow, labelled, put } from "./shared.js";
import { moreTerms, termRows } from "./terms.js";
import { RUN_KEYS, standing, transport } from "./transport.js";
import { zoomable } from "./zoom.js";

/**
 * @import { Context, Panel } from "./panel.js"
 * @import { Header, Named } from "./shared.js"
 */

const SLIDERS = [
  "lr", "steps", "jitter", "rotation", "octaves", "octave_scale", "zoom", "turn", "side", "tiles", "tile", "updates", "rate",
  "weight_noise", "seconds",
];
const DREAM = ["lr", "jitter", "rotation"], SCALES = ["octaves", "octave_scale"], VISUALISE = ["rate", "weight_noise"], LOOP = ["zoom", "turn"];
/** Seconds that a run has when it is to go by time. */
const TIME = 10;
/** @type {[string, string, string][]} */
const SAVES = [
  ["Film (MP4)", ".mp4", "video/mp4"], ["Film (GIF)", ".gif", "image/gif"],
  ["Run, to go on with later", ".nbvis", "application/octet-stream"],
];

/** @type {Named[]} */
const KEYS = [...RUN_KEYS, ...PAINT_KEYS, ...HISTORY_KEYS, ["← →", "on a slider: less or more"], ["Tab", "in the formula: the first completion"]];

const HELP = {
  Draw: "Dream: in a photograph, from coarse to fine. Visualise: out of noise alone. Channels: many of a layer at once.",
  Formula: "What is to grow, as text: layers, channels, classes, with weights.",
  Mix: "From the first term alone to the second alone.",
  Layer: "Where the selected term looks: early layers know edges and textures, late ones parts of things.",
  Part: "What grows: whatever the whole layer sees, or what one of its channels sees.",
  Class: "A class of the network, by its label.",
  Start: "What the dream begins with.",
  Length: "A run takes so many steps, or as many as there is time for.",
  "Keep dreaming": "Each dream goes on from the one before, enlarged and turned, until this is off again.",
  "Made of": "What is optimised: waves without colour casts, waves as strong as in photographs, bare pixels, or see-through.",
  Recipe: "The settings of this panel, or a published recipe with all of its own.",
};
const named = labelled(HELP);

/** What is to grow. @param {Panel} panel */
function objective(panel) {
  const { model } = panel, pick = (/** @type {string} */ name) => put(model, { layer: name, channel: null });
  const which = el("div", {}, ...channelPicker(panel, named("Part"), "Whole layer"));
  const above = el("div", {}, formulaField(panel, named("Formula")), ...termRows(panel, named("Mix")));
  const more = el("div", {}, ...moreTerms(panel, named("Class")));
  // A grid is of a layer's channels, each by itself.
  follow(panel, ["mode"], () => { for (const part of [above, which, more]) part.hidden = model.get("mode") === "grid"; });
  return section("Objective", above, layerPicker(panel, named("Layer"), pick), which, more);
}

/**
 * How long a run is: in steps, or in seconds.
 * @param {Panel} panel @param {string} steps the slider of them @param {string[]} endless the trait while which it goes by steps alone
 */
function lengthOfRun(panel, steps, ...endless) {
  const { model } = panel, timed = () => model.get("seconds") !== null;
  const by = choice(named("Length"), [["steps", "Steps"], ["seconds", "Seconds"]],
    () => (timed() ? "seconds" : "steps"), (value) => put(model, { seconds: value === "steps" ? null : model.get("seconds") ?? TIME }));
  const [counted, time] = [slider(panel, steps), slider(panel, "seconds")];
  follow(panel, ["seconds", ...endless], () => {
    const fixed = endless.some((name) => model.get(name));
    by.show();
    by.root.hidden = fixed;
    counted.hidden = timed() && !fixed;
    time.hidden = !timed() || fixed;
  });
  return el("div", {}, by.root, counted, time);
}

/** How a visualisation is drawn. @param {Panel} panel */
function visualisation(panel) {
  const { model } = panel, size = slider(panel, "side");
  const many = [slider(panel, "tiles"), slider(panel, "tile")];
  const sliders = [lengthOfRun(panel, "updates"), ...VISUALISE.map((name) => slider(panel, name))];
  const made = select(panel, "parameter", named("Made of"), () => [["", Object.entries(model.get("_parameters"))]]);
  const presets = () => model.get("_presets").map((/** @type {string} */ name) => [name, name || "this panel's"]);
  const preset = select(panel, "preset", named("Recipe"), () => [["", presets()]]);
  follow(panel, ["preset", "mode"], () => {
    const single = model.get("mode") === "visualise";
    for (const part of [made, ...sliders]) part.hidden = single && model.get("preset");
    for (const part of many) part.hidden = single;
    size.hidden = preset.hidden = !single;
  });
  return [section("Picture", made, size, ...many), section("Steps", preset, ...sliders)];
}

/** How a dream goes on when it is over. @param {Panel} panel */
function loop(panel) {
  const endless = toggle(panel, "endless", named("Keep dreaming"), "from what is there");
  const moves = LOOP.map((name) => slider(panel, name));
  follow(panel, ["endless"], () => { for (const each of moves) each.hidden = !panel.model.get("endless"); });
  return section("Loop", endless, ...moves);
}

/** What grows, how, and from what. @param {Panel} panel */
function inspector(panel) {
  const { model } = panel;
  const start = choice(named("Start"), [["image", "Photograph"], ["noise", "Noise"]],
    () => model.get("start"), (value) => put(model, { start: value }));
  follow(panel, ["start", "starts"], () => {
    start.show();
    start.root.hidden = model.get("starts").length < 2;
  });
  const mode = choice(named("Draw"), [["dream", "Dream"], ["visualise", "Visualise"], ["grid", "Channels"]],
    () => model.get("mode"), (value) => put(model, { mode: value }));
  const sliders = (/** @type {string[]} */ names) => names.map((name) => slider(panel, name));
  const long = lengthOfRun(panel, "steps", "endless");
  const dream = [section("Steps", long, ...sliders(DREAM)), section("Scales", ...sliders(SCALES), start.root), loop(panel)];
  const visualise = visualisation(panel);
  follow(panel, ["mode"], () => {
    mode.show();
    for (const part of dream) part.hidden = model.get("mode") !== "dream";
    for (const part of visualise) part.hidden = model.get("mode") === "dream";
  });
  const verdict = el("p", { class: "note good verdict", "aria-live": "polite" });
  follow(panel, ["verdict"], () => {
    verdict.textContent = model.get("verdict");
    verdict.hidden = !model.get("verdict");
  });
  return el("div", { class: "inspector" }, mode.root, objective(panel), ...dream, ...visualise, verdict, panel.sentences);
}

/** What the picture shows, in words. @param {Panel["model"]} model */
function whatIsDrawn(model) {
  if (model.get("mode") === "grid") return `Channels of ${model.get("layer")}`;
  return `${model.get("mode") === "dream" ? "Dream" : "Visualisation"} of ${model.get("expression")}`;
}

/** Draws a view and returns its undo. @param {Context} context */
function render(context) {
  const help = { ...INPUT_HELP, ...HELP };
  const words = { title: "DreamCanvas", file: "dream", keys: KEYS, help, sliders: SLIDERS, saves: SAVES };
  return panel(context, words, (panel) => {
    const { model, signal } = panel, screen = picture(signal, 1), bar = transport(panel);
    const paint = painter(panel, (/** @type {Header} */ header, [shown]) => {
      screen.show(shown);
      screen.canvas.setAttribute("aria-label", `${whatIsDrawn(model)}, ${standing(header)}`);
      Object.assign(screen.canvas.dataset, { frame: header.frame, rev: header.rev, format: header.format });
    });
    follow(panel, ["size"], () => screen.reshape(model.get("size")));
    zoomable(screen);
    screen.sheet.append(channelTiles(panel));
    const painting = easel(panel, screen), before = historyStrip(panel, screen), real = realPatches(panel);
    const original = fetchedOriginal(panel, ["mode", "start"],
      () => model.get("mode") === "dream" && model.get("start") === "image");
    const stage = el("div", { class: "drawing" }, painting.root, tilePager(panel));
    // Below what is clicked to play, so that nothing moves when it appears.
    const below = el("div", { class: "below" }, before, real);
    return {
      inside: [pictureInput(panel), el("div", { class: "body" }, stage, bar.root, below, inspector(panel))],
      keys: { ...bar.keys, ...painting.keys }, compared: { original, places: () => [screen] },
      show: (/** @type {Header} */ header, buffers) => {
        bar.show(header);
        if (header.format) paint(header, buffers);
      },
    };
  });
}

export default { render };
