import { answerBars, maskMap } from "./dropout_answers.js";
import { dropoutPictures, sampleStrip } from "./dropout_pictures.js";
import { painter, panel, sliderHelp } from "./panel.js";
import { choice, layerPicker, toggle } from "./pickers.js";
import { duration, el, follow, newId, put, slider, tell } from "./shared.js";
import { logScale, rateText, transport } from "./transport.js";

/**
 * @typedef {import("./panel.js").Panel} Panel
 * @typedef {import("./pickers.js").Layer} Layer
 * @typedef {import("./dropout_pictures.js").InversionFrame} InversionFrame
 */

const SLIDERS = ["lr", "tolerance", "steps", "samples"];

/** @type {[string, string][]} */
const KEYS = [
  ["Space", "play or pause"], [".", "one step"], ["r", "restart"], ["n", "new mask"],
  ["← →", "on a slider: less or more; on the strip: the next picture"],
];

/** @type {Record<string, string>} */
const HELP = {
  Layer: "Which layer is to answer as if dropout had acted, without dropout.",
  Probability: "How likely a unit is dropped: as the network has it, or as the slider says.",
  "Sweep of p": "Which of the sweep's pictures is large.",
  Mask: "Which units are dropped: another draw, or one mask over growing p.",
  Bounds: "Whether pixels have to stay between black and white.",
};

/** A label with what it is for. @param {string} label @returns {[string, string]} */
const named = (label) => [label, HELP[label]];

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

/** @type {import("./transport.js").Readings} */
const LOSSES = {
  value: "Loss",
  number: (/** @type {InversionFrame} */ { loss, shown }) => loss[shown] ?? null,
  standing: inversionStanding,
  // A run ends long before the steps it may take, so the newest one is the end of the axis.
  plot: (/** @type {InversionFrame} */ { curve, tolerance }) =>
    ({ ...logScale(curve, tolerance), total: (curve[curve.length - 1]?.[0] ?? 0) + 1 }),
};

/** The layer to answer as with dropout, and the offer to insert some where none acts. @param {Panel} panel */
function layerSection({ model, signal }) {
  const layers = () => /** @type {Layer[]} */ (model.get("layers"));
  let wanted = "";
  const reasonOf = (/** @type {string} */ name) => layers().find(([known]) => known === name)?.[3] ?? "";
  /** @param {string} name */
  const pick = (name) => {
    const reached = !reasonOf(name), inserted = model.get("insert");
    wanted = reached || inserted ? "" : name;  // what is inserted goes where the layer goes
    if (!wanted) {
      put(model, { layer: name, insert: inserted && !reached });
    }
    show();
  };
  const offered = () => wanted || (model.get("insert") ? "" : model.get("layer"));
  const insert = () => tell(model, { type: "insert", layer: offered() });
  const why = el("span", {}), button = el("button", { type: "button", text: "Insert dropout here", onclick: insert });
  const offer = el("div", { class: "note offer", role: "status" }, why, button);
  const inserted = el("p", { class: "hint", text: "Inserted for the noisy pass only; the network is not edited." });
  const show = () => {
    const name = offered(), reason = reasonOf(name), none = !model.get("layer");
    offer.hidden = !reason && !none;
    button.hidden = !reason;
    why.replaceChildren(...(reason ? [el("code", { text: name }), `: ${reason}.`]
      : ["This network has no dropout. Pick a layer, and it can be inserted there."]));
    inserted.hidden = !model.get("insert");
  };
  follow(model, signal, ["layer", "insert"], () => { wanted = ""; show(); });
  return [layerPicker(model, signal, named("Layer"), pick), inserted, offer];
}

/** With which probability units are dropped: one, the network's own, or a sweep. @param {Panel} panel */
function probability({ model, signal }) {
  let last = model.get("p") ?? 0.3;
  const which = choice(named("Probability"), [["own", "Network's own"], ["set", "Set p"]],
    () => (model.get("p") === null ? "own" : "set"),
    (value) => put(model, { p: value === "own" ? null : last }));
  const one = slider(model, signal, "p");
  const id = newId();
  const oninput = () => put(model, { sample: Number(range.value) });
  const range = el("input", { type: "range", id, min: 0, step: 1, oninput }), shown = el("output", { for: id });
  const swept = el("div", { class: "row" },
    el("label", { for: id, text: "Sweep of p", title: HELP["Sweep of p"] }), range,
    el("span", { class: "amount" }, shown, el("span", { class: "unit" })));
  const /** @type {(number | null)[]} */ levels = [];
  const point = () => {
    const most = Math.max(levels.length - 1, 1), row = model.get("sample"), level = String(levels[row] ?? "");
    Object.assign(range, { max: most, value: row });
    range.style.setProperty("--at", `${(100 * row) / most}%`);
    range.setAttribute("aria-valuetext", `p ${level}`);
    shown.textContent = level;
  };
  follow(model, signal, ["sample"], point);
  follow(model, signal, ["p", "sweep", "insert", "layer"], () => {
    last = model.get("p") ?? last;
    which.show();
    which.root.hidden = model.get("sweep") || model.get("insert") || !model.get("layer");
    one.hidden = model.get("sweep") || model.get("p") === null;
    swept.hidden = !model.get("sweep");
  });
  /** @param {InversionFrame} frame */
  const show = (frame) => { levels.splice(0, Infinity, ...frame.levels); point(); };
  return { parts: [which.root, one, swept], show };
}

/** What is drawn: another mask, or the same one over all p. @param {Panel} panel */
function maskButtons({ model, signal, expect }) {
  const fresh = () => { expect(); tell(model, { type: "resample" }); };
  const again = el("button", { type: "button", text: "New mask", onclick: fresh, title: "Drop other units (n)" });
  const sweep = el("button", { type: "button", text: "Sweep p", title: "The same mask, growing with p",
    onclick: () => put(model, { sweep: !model.get("sweep") }) });
  const number = el("span", { class: "quiet" }), hint = el("p", { class: "hint" });
  follow(model, signal, ["seed", "sweep"], () => {
    const on = model.get("sweep");
    number.textContent = `seed ${model.get("seed")}`;
    sweep.setAttribute("aria-pressed", String(on));
    hint.textContent = on
      ? "One picture for each p, with the same mask: a higher p drops the same units and more. Press again to end."
      : "The mask stays when p moves: a higher p drops the same units and more.";
  });
  const row = el("div", { class: "row wide" }, el("span", { text: "Mask", title: HELP.Mask }),
    el("div", { class: "buttons" }, again, sweep, number));
  return { parts: [row, hint], fresh };
}

/** How the picture is sought. @param {Panel} panel */
function stepSection({ model, signal }) {
  const [lr, tolerance, steps, samples] = SLIDERS.map((name) => slider(model, signal, name));
  follow(model, signal, ["sweep"], () => { samples.hidden = model.get("sweep"); });
  return el("section", {}, el("h4", { text: "Steps" }), lr, tolerance, steps, samples,
    toggle(model, signal, "bounded", named("Bounds"), "pixels stay in [0, 1]"));
}

/** Draws a view and returns its undo. @param {import("./panel.js").Context} context */
function render(context) {
  const { model } = context;
  const help = [...Object.entries(HELP), ...sliderHelp(model, ["p", ...SLIDERS])];
  const words = { title: "DropoutInverter", file: "inversion", keys: KEYS, help };
  return panel(context, words, (panel) => {
    const { signal, expect } = panel, bar = transport(model, signal, expect, LOSSES);
    const pictures = dropoutPictures(panel), strip = sampleStrip(panel), mask = maskMap(panel);
    const p = probability(panel), masks = maskButtons(panel), answers = answerBars(panel);
    const intro = el("p", { class: "intro", text: INTRO });
    // What came in a frame that a newer one overtook is painted with that one.
    const /** @type {(ArrayBuffer | ArrayBufferView | undefined)[]} */ waiting = [];
    const paint = painter(panel, (/** @type {InversionFrame} */ frame, shown) => {
      shown.forEach((bitmap, at) => { if (bitmap) delete waiting[at]; });
      pictures.show(frame, shown.slice(0, 3));
      mask.show(frame, shown[3]);
      strip.show(frame, shown.slice(4));
    });
    const noise = el("section", {}, el("h4", { text: "Noise" }), ...layerSection(panel), ...p.parts, ...masks.parts);
    const inspector = el("div", { class: "inspector" }, noise, stepSection(panel));
    const told = el("div", { class: "told" }, intro, answers.root, mask.root, panel.sentences);
    return {
      inside: [pictures.root, strip.root, el("div", { class: "body" }, bar.root, inspector, told)],
      keys: { " ": bar.toggle, ".": bar.step, r: bar.restart, n: masks.fresh },
      hear: (/** @type {InversionFrame} */ frame, /** @type {any[]} */ buffers) => {
        if (frame.type !== "frame") return;
        panel.chip(frame.state, frame.state, rateText(frame), inversionStanding(frame));
        bar.show(frame);
        p.show(frame);
        answers.show(frame);
        intro.hidden = frame.step > 0;
        if (!frame.format) return;
        const { original, corrupted, difference, mask, strip = [] } = frame.pictures;
        [original, corrupted, difference, mask, ...strip].forEach((at, place) => {
          if (at !== undefined) waiting[place] = buffers[at];
        });
        paint(frame, Array.from({ length: 4 + frame.levels.length }, (_, place) => waiting[place]));
      },
    };
  });
}

export default { render };
