import { button, choice, counter, row, section, slider, toggle } from "./controls.js";
import { INPUT_HELP, pictureInput } from "./inputs.js";
import { answerBars, maskMap } from "./dropout_answers.js";
import { dropoutPictures, sampleStrip } from "./dropout_pictures.js";
import { panel } from "./panel.js";
import { layerPicker } from "./pickers.js";
import { painter } from "./pictures.js";
import { duration, el, follow, labelled, newId, put, tell } from "./shared.js";
import { RUN_KEYS, logScale, transport } from "./transport.js";

/**
 * @import { InversionFrame } from "./dropout_pictures.js"
 * @import { Context, Panel } from "./panel.js"
 * @import { Layer } from "./pickers.js"
 * @import { Named } from "./shared.js"
 * @import { Readings } from "./transport.js"
 */

const SLIDERS = ["lr", "tolerance", "steps", "samples"];

/** @type {Named[]} */
const KEYS = [
  ...RUN_KEYS, ["n", "new mask"], ["← →", "on a slider: less or more; on the strip: the next picture"],
];

const HELP = {
  Layer: "Which layer is to answer as if dropout had acted, without dropout.",
  Probability: "How likely a unit is dropped: as the network has it, or as the slider says.",
  "Sweep of p": "Which of the sweep's pictures is large.",
  Mask: "Which units are dropped: another draw, or one mask over growing p.",
  Bounds: "Whether pixels have to stay between black and white.",
};
const named = labelled(HELP);

const INTRO = "One pass with dropout changes the activation of the layer. Play changes the picture until the network "
  + "gives that activation without dropout: the corrupted picture is what dropout amounts to.";

/** Where an inversion stands, in words. @param {InversionFrame} frame */
export function inversionStanding({ state, step, total, left, converged }) {
  if (!step) return state === "running" ? "starting" : "ready to play";
  const rows = converged.length, arrived = converged.filter(Boolean).length;
  const within = rows > 1 ? `${arrived} of ${rows} done` : arrived ? "tolerance reached" : "";
  const wait = state === "running" && arrived < rows ? duration(left) : "";
  return [`step ${step} of ${total}`, within, wait && `at most ${wait} to go`].filter(Boolean).join(" · ");
}

/** @type {Readings} */
const LOSSES = {
  value: "Loss",
  number: (/** @type {InversionFrame} */ { loss, shown }) => loss[shown] ?? null,
  standing: inversionStanding,
  // A run ends long before the steps it may take, so the newest one is the end of the axis.
  plot: (/** @type {InversionFrame} */ { curve, tolerance }) =>
    ({ ...logScale(curve, tolerance), total: (curve[curve.length - 1]?.[0] ?? 0) + 1 }),
};

/** The layer to answer as with dropout, and the offer to insert some where none acts. @param {Panel} panel */
function layerRows(panel) {
  const { model } = panel;
  let wanted = "";
  const reasonOf = (/** @type {string} */ name) =>
    model.get("layers").find((/** @type {Layer} */ layer) => layer.name === name)?.reason ?? "";
  const pick = (/** @type {string} */ name) => {
    const reached = !reasonOf(name), inserted = model.get("insert");
    wanted = reached || inserted ? "" : name;  // what is inserted goes where the layer goes
    if (!wanted) put(model, { layer: name, insert: inserted && !reached });
    show();
  };
  const offered = () => wanted || (model.get("insert") ? "" : model.get("layer"));
  const insert = button("Insert dropout here", () => tell(model, { type: "insert", layer: offered() }));
  const why = el("span", {}), offer = el("div", { class: "note offer", role: "status" }, why, insert);
  const inserted = el("p", { class: "hint", text: "Inserted for the noisy pass only; the network is not edited." });
  const show = () => {
    const name = offered(), reason = reasonOf(name), none = !model.get("layer");
    offer.hidden = !reason && !none;
    insert.hidden = !reason;
    why.replaceChildren(...(reason ? [el("code", { text: name }), `: ${reason}.`]
      : ["This network has no dropout. Pick a layer, and it can be inserted there."]));
    inserted.hidden = !model.get("insert");
  };
  follow(panel, ["layer", "insert"], () => { wanted = ""; show(); });
  return [layerPicker(panel, named("Layer"), pick), inserted, offer];
}

/** With which probability units are dropped: one, the network's own, or a sweep. @param {Panel} panel */
function probability(panel) {
  const { model } = panel, one = slider(panel, "p"), id = newId();
  let last = model.get("p") ?? 0.3;
  const which = choice(named("Probability"), [["own", "Network's own"], ["set", "Set p"]],
    () => (model.get("p") === null ? "own" : "set"),
    (value) => put(model, { p: value === "own" ? null : last }));
  const [text, title] = named("Sweep of p"), shown = el("output", { for: id });
  const swept = counter(el("label", { for: id, text, title }), shown, { id }, (row) => put(model, { sample: row }));
  const /** @type {(number | null)[]} */ levels = [];
  const point = () => {
    const row = model.get("sample");
    shown.textContent = String(levels[row] ?? "");
    swept.show(row, Math.max(levels.length - 1, 1));
    swept.range.setAttribute("aria-valuetext", `p ${shown.textContent}`);
  };
  follow(panel, ["sample"], point);
  follow(panel, ["p", "sweep", "insert", "layer"], () => {
    last = model.get("p") ?? last;
    which.show();
    which.root.hidden = model.get("sweep") || model.get("insert") || !model.get("layer");
    one.hidden = model.get("sweep") || model.get("p") === null;
    swept.root.hidden = !model.get("sweep");
  });
  const show = (/** @type {InversionFrame} */ frame) => { levels.splice(0, Infinity, ...frame.levels); point(); };
  return { parts: [which.root, one, swept.root], show };
}

/** What is drawn: another mask, or the same one over all p. @param {Panel} panel */
function maskRows(panel) {
  const { model, request } = panel, fresh = () => request({ type: "resample" });
  const sweep = button("Sweep p", () => put(model, { sweep: !model.get("sweep") }),
    { title: "The same mask, growing with p" });
  const number = el("span", { class: "quiet" }), hint = el("p", { class: "hint" });
  follow(panel, ["seed", "sweep"], () => {
    const on = model.get("sweep");
    number.textContent = `seed ${model.get("seed")}`;
    sweep.setAttribute("aria-pressed", String(on));
    hint.textContent = on
      ? "One picture for each p, with the same mask: a higher p drops the same units and more. Press again to end."
      : "The mask stays when p moves: a higher p drops the same units and more.";
  });
  const again = button("New mask", fresh, { title: "Drop other units (n)" });
  return { parts: [row(named("Mask"), "", el("div", { class: "buttons" }, again, sweep, number)), hint], fresh };
}

/** How the picture is sought. @param {Panel} panel */
function stepSection(panel) {
  const [lr, tolerance, steps, samples] = SLIDERS.map((name) => slider(panel, name));
  follow(panel, ["sweep"], () => { samples.hidden = panel.model.get("sweep"); });
  return section("Steps", lr, tolerance, steps, samples,
    toggle(panel, "bounded", named("Bounds"), "pixels stay in [0, 1]"));
}

/**
 * Paints frames; what came in one that a newer one overtook is painted with that one.
 * @param {Panel} panel @param {{show(frame: InversionFrame, shown: any): void}[]} parts pictures, mask and strip
 */
function inversionPainter(panel, [pictures, mask, strip]) {
  const /** @type {(ArrayBuffer | ArrayBufferView | undefined)[]} */ waiting = [];
  const paint = painter(panel, (/** @type {InversionFrame} */ frame, shown) => {
    shown.forEach((bitmap, at) => { if (bitmap) delete waiting[at]; });
    pictures.show(frame, shown.slice(0, 3));
    mask.show(frame, shown[3]);
    strip.show(frame, shown.slice(4));
  });
  return (/** @type {InversionFrame} */ frame, /** @type {any[]} */ buffers) => {
    const { original, corrupted, difference, mask, strip = [] } = frame.pictures;
    [original, corrupted, difference, mask, ...strip].forEach((at, place) => {
      if (at !== undefined) waiting[place] = buffers[at];
    });
    paint(frame, Array.from({ length: 4 + frame.levels.length }, (_, place) => waiting[place]));
  };
}

/** Draws a view and returns its undo. @param {Context} context */
function render(context) {
  const help = { ...INPUT_HELP, ...HELP };
  const words = { title: "DropoutInverter", file: "inversion", keys: KEYS, help, sliders: ["p", ...SLIDERS] };
  return panel(context, words, (panel) => {
    const bar = transport(panel, LOSSES), pictures = dropoutPictures(panel), strip = sampleStrip(panel);
    const mask = maskMap(panel), p = probability(panel), masks = maskRows(panel), answers = answerBars(panel);
    const paint = inversionPainter(panel, [pictures, mask, strip]), intro = el("p", { class: "intro", text: INTRO });
    const inspector = el("div", { class: "inspector" },
      section("Noise", ...layerRows(panel), ...p.parts, ...masks.parts), stepSection(panel));
    const told = el("div", { class: "told" }, intro, answers.root, mask.root, panel.sentences);
    return {
      inside: [pictureInput(panel), pictures.root, strip.root, el("div", { class: "body" }, bar.root, inspector, told)],
      keys: { ...bar.keys, n: masks.fresh }, compared: pictures.compared,
      show: (/** @type {InversionFrame} */ frame, buffers) => {
        for (const part of [bar, p, answers]) part.show(frame);
        intro.hidden = frame.step > 0;
        if (frame.format) paint(frame, buffers);
      },
    };
  });
}

export default { render };
