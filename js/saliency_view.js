import { iconButton, painter, panel, sliderHelp } from "./panel.js";
import { combobox } from "./pickers.js";
import { faithfulnessBars, sanityCheck } from "./saliency_checks.js";
import { HELP, clickSection, methodSection, slidersOfAll, viewSection } from "./saliency_controls.js";
import { saliencyPanes } from "./saliency_panes.js";
import { duration, el, follow, keepHeight, put, search, tell } from "./shared.js";

/**
 * @typedef {import("./shared.js").Model} Model
 * @typedef {import("./panel.js").Panel} Panel
 * @typedef {import("./saliency_panes.js").SaliencyFrame} SaliencyFrame
 * @typedef {import("./saliency_controls.js").Method} Method
 * @typedef {{index: number, label: string, probability: number | null}} Class
 */

/** How many maps fit side by side. */
const MOST = 4;

/** @type {[string, string][]} */
const KEYS = [
  ["1 – 9", "a method"], ["c", "compare"], ["Esc", "cancel"], ["← ↑ → ↓", "on a picture: the next value"],
  ["Enter", "on a picture: a click"],
];

/**
 * Which methods are shown after a click on one.
 * @param {string[]} shown @param {string} name @param {boolean} comparing
 * @returns {string[]} the first is the widget's `method`, the rest its `compare`
 */
export function chosen(shown, name, comparing) {
  if (!comparing) return [name];
  if (!shown.includes(name)) return shown.length < MOST ? [...shown, name] : shown;
  return shown.length > 1 ? shown.filter((each) => each !== name) : shown;
}

/**
 * The classes that answer a query: without one the likeliest and then all, otherwise the best answers.
 * @param {string} query @param {string[]} labels @param {[number, string, number][]} top
 * @returns {Class[]}
 */
export function classes(query, labels, top) {
  const likely = new Map(top.map(([index, , probability]) => [index, probability]));
  const all = labels.map((label, index) => ({ index, label, probability: likely.get(index) ?? null }));
  if (query.trim()) return search(query, all, ({ label, index }) => `${label} ${index}`);
  const first = top.map(([index, label, probability]) => ({ index, label, probability }));
  return [...first, ...all.filter(({ index }) => !likely.has(index))];
}

/** A probability, as short as can be. @param {number | null | undefined} share */
export function chance(share) {
  return share == null ? "" : share < 0.005 ? "< 0.01" : share.toFixed(2);
}

/** What is being worked on, in words. @param {Pick<SaliencyFrame, "doing" | "done" | "total" | "left">} frame */
export function progressText({ doing, done, total, left }) {
  const wait = duration(left);
  return [total ? `${doing} ${done} of ${total}` : doing, wait && `${wait} to go`].filter(Boolean).join(" · ");
}

/** The state as the chip says it. @param {string} state */
export function stateText(state) {
  return { running: "computing", finished: "ready", stopped: "cancelled" }[state] ?? state;
}

/** The methods to click on. @param {Panel} panel */
function methodChips({ model, signal, complain }) {
  const /** @type {Method[]} */ methods = model.get("methods");
  let comparing = false;
  const shown = () => [model.get("method"), ...model.get("compare")];
  /** @param {string[]} names */
  const set = ([method, ...compare]) => {
    put(model, { method, compare });
  };
  /** @param {number} index */
  const press = (index) => {
    if (!methods[index]) return;
    const before = shown(), after = chosen(before, methods[index].name, comparing);
    const full = after === before && before.length === MOST;
    complain(full ? "Four maps fit side by side: click on one of theirs first, to take it away." : "");
    set(after);
  };
  const chips = methods.map(({ label, sentence }, index) =>
    el("button", { type: "button", text: label, title: sentence, onclick: () => press(index) }));
  const compare = () => {
    comparing = !comparing;
    if (!comparing) set([model.get("method")]);
    show();
  };
  const button = iconButton("compare", "Compare", { onclick: compare, title: "Several methods side by side" });
  // All lie on one place, the longest of them high: no sentence moves what is below.
  const HOW = "Click on methods to show them side by side, up to four.";
  const said = [...methods.map(({ sentence }) => sentence), HOW].map((text) => el("p", { class: "hint", text }));
  const show = () => {
    const now = shown();
    comparing ||= now.length > 1;
    methods.forEach(({ name }, index) => chips[index].setAttribute("aria-pressed", String(now.includes(name))));
    button.setAttribute("aria-pressed", String(comparing));
    const at = comparing ? methods.length : methods.findIndex(({ name }) => name === now[0]);
    said.forEach((sentence, index) => sentence.classList.toggle("kept", index !== at));
  };
  follow(model, signal, ["method", "compare"], show);
  const group = el("div", { class: "methods", role: "group", "aria-label": "Method" }, ...chips);
  const line = el("div", { class: "said" }, button, el("div", { class: "stack" }, ...said));
  return { parts: [group, line], press, compare };
}

/** What is explained, once the classes are known. @param {Panel} panel */
function target(panel) {
  const root = el("div", { class: "explained" });
  let outdated = new AbortController();
  follow(panel.model, panel.signal, ["labels"], () => {
    outdated.abort();
    outdated = new AbortController();
    panel.signal.addEventListener("abort", () => outdated.abort());
    root.replaceChildren(targetPicker({ ...panel, signal: outdated.signal }));
  });
  return root;
}

/** A class to search, or what else there is. @param {Panel} panel */
function targetPicker({ model, signal }) {
  const labels = () => /** @type {string[]} */ (model.get("labels"));
  const top = () => /** @type {[number, string, number][]} */ (model.get("top"));
  const isNow = (/** @type {Class} */ { index, label }) =>
    model.get("target") === null ? label === model.get("expression") : index === model.get("target");
  const code = el("code", { class: "expression" });
  const said = el("div", { class: "row wide target" }, el("span", { text: "Target", title: HELP.Target }), code);
  const picker = combobox({
    label: "Target", help: HELP.Target, list: "Classes", placeholder: "Pick a class",
    shown: () => model.get("expression"),
    aside: () => chance(classes("", [], top()).find(isNow)?.probability),
    rows: (query) => classes(query, labels(), top()),
    cells: ({ index, label, probability }) => {
      const style = `--share: ${(100 * (probability ?? 0)).toFixed(1)}%`;
      const likely = () => el("span", { class: "likely", style, text: chance(probability) });
      return [el("b", { text: label }), probability === null ? el("span", { text: `class ${index}` }) : likely()];
    },
    isNow,
    pick: ({ index }) => put(model, { target: index }),
    count: (found, query) => (query ? `${found} of ${labels().length}` : `${labels().length} classes`),
    none: "No class answers",
  });
  follow(model, signal, ["target", "expression", "top"], picker.show);
  picker.root.classList.add("target");
  // A network is shown before it is known whether it has classes.
  follow(model, signal, ["expression", "labels"], () => {
    code.textContent = model.get("expression");
    said.hidden = labels().length > 0;
    picker.root.hidden = !said.hidden;
  });
  return el("div", {}, said, picker.root);
}

/** How far the work is, and a way to end it. @param {Panel} panel */
function progress({ model, expect }) {
  const cancel = () => { expect(); tell(model, { type: "cancel" }); };
  const words = el("span", { class: "words" }), bar = el("i", {});
  const track = el("div", { class: "track", role: "progressbar", "aria-label": "Progress", "aria-valuemin": 0 }, bar);
  const working = el("div", { class: "working kept" }, words, track,
    el("button", { type: "button", text: "Cancel", onclick: cancel }));
  const play = () => { expect(); tell(model, { type: "play" }); };
  const again = el("button", { type: "button", hidden: true, onclick: play });
  let busy = false, timer = 0;
  // What is done at once shows no progress.
  const later = () => { timer = window.setTimeout(() => { working.classList.toggle("kept", !busy); }, 300); };
  /** @param {SaliencyFrame} frame */
  const show = (frame) => {
    const before = busy;
    busy = frame.state === "running";
    if (busy && !before) later();
    if (!busy) { clearTimeout(timer); working.classList.add("kept"); }
    again.hidden = frame.state !== "stopped" && frame.state !== "error" && !frame.outdated;
    again.textContent = frame.outdated ? "Compute again" : frame.state === "error" ? "Try again" : "Compute";
    words.textContent = progressText(frame);
    bar.style.width = `${(100 * frame.done) / Math.max(frame.total, 1)}%`;
    track.setAttribute("aria-valuemax", String(Math.max(frame.total, 1)));
    track.setAttribute("aria-valuenow", String(frame.done));
  };
  return { parts: [working, again], show, cancel: () => { if (busy) cancel(); } };
}

/** Draws a view and returns its undo. @param {import("./panel.js").Context} context */
function render(context) {
  const { model } = context;
  const /** @type {Method[]} */ methods = model.get("methods");
  const sentences = methods.map(({ label, sentence }) => /** @type {[string, string]} */ ([label, sentence]));
  const help = [...sentences, ...Object.entries(HELP), ...sliderHelp(model, slidersOfAll(methods))];
  const words = { title: "SaliencyView", file: "saliency", keys: KEYS, help };
  return panel(context, words, (panel) => {
    const { signal } = panel, chips = methodChips(panel), panes = saliencyPanes(panel), work = progress(panel);
    const check = sanityCheck(panel), doctor = el("p", { class: "preprocessing" });
    follow(model, signal, ["preprocessing", "preprocessing_fit"], () => {
      doctor.textContent = model.get("preprocessing");
      doctor.className = `preprocessing ${model.get("preprocessing_fit")}`;
      doctor.classList.toggle("note", model.get("preprocessing_fit") === "poor");
      doctor.hidden = !model.get("preprocessing");
    });
    const paint = painter(panel, (/** @type {SaliencyFrame} */ frame, pictures) => {
      const [{ width, height }] = frame.panes;
      panes.show(frame, pictures.slice(0, frame.panes.length));
      check.show(pictures.slice(frame.panes.length), width / height);
    });
    const body = el("div", { class: "body" },
      el("div", { class: "seen" }, panes.root, el("div", { class: "line" }, panes.readout, ...work.parts), doctor),
      el("div", { class: "inspector" }, viewSection(panel), methodSection(panel), clickSection(panel), panel.sentences),
      el("div", { class: "checks" }, faithfulnessBars(panel), check.root));
    keepHeight(body, signal);
    return {
      inside: [el("div", { class: "toolbar" }, ...chips.parts, target(panel)), body],
      keys: {
        c: chips.compare, Escape: work.cancel,
        ...Object.fromEntries(methods.map((_, index) => [`${index + 1}`, () => chips.press(index)])),
      },
      hear: (/** @type {SaliencyFrame} */ frame, buffers) => {
        if (frame.type !== "frame") return;
        panel.chip(frame.state, stateText(frame.state), "", frame.state === "running" ? progressText(frame) : "");
        work.show(frame);
        if (!frame.format) return tell(model, { type: "drawn", view: panel.view, frame: frame.frame });
        paint(frame, [...frame.panes.map((pane) => pane.picture), ...frame.film].map((at) => buffers[at]));
      },
    };
  });
}

export default { render };
