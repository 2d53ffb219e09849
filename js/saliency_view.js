import { button, row } from "./controls.js";
import { iconButton } from "./icons.js";
import { INPUT_HELP, pictureInput } from "./inputs.js";
import { panel } from "./panel.js";
import { combobox } from "./pickers.js";
import { painter } from "./pictures.js";
import { progress, progressText, stateText } from "./progress.js";
import { faithfulnessBars, sanityCheck } from "./saliency_checks.js";
import { HELP, clickSection, methodSection, slidersOfAll, viewSection } from "./saliency_controls.js";
import { saliencyPanes } from "./saliency_panes.js";
import { chance, el, follow, keepHeight, put, search, tell } from "./shared.js";

/**
 * @import { Context, Panel } from "./panel.js"
 * @import { Method } from "./saliency_controls.js"
 * @import { SaliencyFrame } from "./saliency_panes.js"
 * @import { Named } from "./shared.js"
 * @typedef {{index: number, label: string, probability: number | null}} Class
 */

/** How many maps fit side by side. */
const MOST = 4;

/** @type {Named[]} */
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
 * @param {string} query @param {string[]} labels @param {Class[]} top
 * @returns {Class[]}
 */
export function classes(query, labels, top) {
  const likely = new Map(top.map(({ index, probability }) => [index, probability]));
  const all = labels.map((label, index) => ({ index, label, probability: likely.get(index) ?? null }));
  if (query.trim()) return search(query, all, ({ label, index }) => `${label} ${index}`);
  return [...top, ...all.filter(({ index }) => !likely.has(index))];
}

/** The methods to click on. @param {Panel} panel */
function methodChips(panel) {
  const { model, complain } = panel, /** @type {Method[]} */ methods = model.get("methods");
  let comparing = false;
  const shown = () => [model.get("method"), ...model.get("compare")];
  /** @param {string[]} names */
  const set = ([method, ...compare]) => put(model, { method, compare });
  const press = (/** @type {number} */ index) => {
    if (!methods[index]) return;
    const before = shown(), after = chosen(before, methods[index].name, comparing);
    const full = after === before && before.length === MOST;
    complain(full ? "Four maps fit side by side: click on one of theirs first, to take it away." : "");
    set(after);
  };
  const chips = methods.map(({ label, sentence }, index) => button(label, () => press(index), { title: sentence }));
  const compare = () => {
    comparing = !comparing;
    if (!comparing) set([model.get("method")]);
    show();
  };
  const several = iconButton("compare", "Compare", compare, "Several methods side by side");
  const say = sentenceStack([...methods.map(({ sentence }) => sentence), HOW]);
  const show = () => {
    const now = shown();
    comparing ||= now.length > 1;
    methods.forEach(({ name }, index) => chips[index].setAttribute("aria-pressed", String(now.includes(name))));
    several.setAttribute("aria-pressed", String(comparing));
    say.show(comparing ? methods.length : methods.findIndex(({ name }) => name === now[0]));
  };
  follow(panel, ["method", "compare"], show);
  const group = el("div", { class: "methods", role: "group", "aria-label": "Method" }, ...chips);
  return { parts: [group, el("div", { class: "said" }, several, say.root)], press, compare };
}

const HOW = "Click on methods to show them side by side, up to four.";

/** Sentences on one place, the longest of them high, so that none moves what is below. @param {string[]} texts */
function sentenceStack(texts) {
  const parts = texts.map((text) => el("p", { class: "hint", text }));
  /** @param {number} at */
  const show = (at) => parts.forEach((part, index) => part.classList.toggle("kept", index !== at));
  return { root: el("div", { class: "stack" }, ...parts), show };
}

/** What is explained: a class to search, or what else there is. @param {Panel} panel */
function target(panel) {
  const { model } = panel;
  const labels = () => /** @type {string[]} */ (model.get("labels"));
  const top = () => /** @type {Class[]} */ (model.get("top"));
  const isNow = (/** @type {Class} */ { index, label }) =>
    model.get("target") === null ? label === model.get("expression") : index === model.get("target");
  const /** @type {Named} */ named = ["Target", HELP.Target], code = el("code", { class: "expression" });
  const picker = combobox({
    named, list: "Classes", placeholder: "Pick a class",
    shown: () => model.get("expression"),
    aside: () => chance(top().find(isNow)?.probability),
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
  const said = row(named, "", code);
  for (const each of [said, picker.root]) each.classList.add("target");
  // A network is shown before it is known whether it has classes.
  follow(panel, ["target", "expression", "top", "labels"], () => {
    picker.show();
    code.textContent = model.get("expression");
    said.hidden = labels().length > 0;
    picker.root.hidden = !said.hidden;
  });
  return el("div", { class: "explained" }, el("div", {}, said, picker.root));
}

/** What the network really sees, and whether something else fits it. @param {Panel} panel */
function preprocessing(panel) {
  const { model } = panel, root = el("p", {});
  follow(panel, ["preprocessing", "preprocessing_fit"], () => {
    root.textContent = model.get("preprocessing");
    root.className = `preprocessing ${model.get("preprocessing_fit")}`;
    root.classList.toggle("note", model.get("preprocessing_fit") === "poor");
    root.hidden = !model.get("preprocessing");
  });
  return root;
}

/** Draws a view and returns its undo. @param {Context} context */
function render(context) {
  const /** @type {Method[]} */ methods = context.model.get("methods");
  const sentences = Object.fromEntries(methods.map(({ label, sentence }) => [label, sentence]));
  const help = { ...INPUT_HELP, ...sentences, ...HELP };
  const words = { title: "SaliencyView", file: "saliency", keys: KEYS, help, sliders: slidersOfAll(methods) };
  return panel(context, words, (panel) => {
    const { model, signal, view } = panel, chips = methodChips(panel), panes = saliencyPanes(panel);
    const work = progress(panel), check = sanityCheck(panel);
    const paint = painter(panel, (/** @type {SaliencyFrame} */ frame, pictures) => {
      const [{ width, height }] = frame.panes;
      panes.show(frame, pictures.slice(0, frame.panes.length));
      check.show(pictures.slice(frame.panes.length), width / height);
    });
    const body = el("div", { class: "body" },
      el("div", { class: "seen" }, panes.root, el("div", { class: "line" }, panes.readout, ...work.parts),
        preprocessing(panel)),
      el("div", { class: "inspector" }, viewSection(panel), methodSection(panel), clickSection(panel), panel.sentences),
      el("div", { class: "checks" }, faithfulnessBars(panel), check.root));
    keepHeight(body, signal);
    return {
      inside: [pictureInput(panel, true), el("div", { class: "toolbar" }, ...chips.parts, target(panel)), body],
      keys: {
        c: chips.compare, Escape: work.cancel,
        ...Object.fromEntries(methods.map((_, index) => [`${index + 1}`, () => chips.press(index)])),
      },
      compared: panes.compared,
      show: (/** @type {SaliencyFrame} */ frame, buffers) => {
        panel.chip(frame.state, stateText(frame.state), "", frame.state === "running" ? progressText(frame) : "");
        work.show(frame);
        if (!frame.format) return tell(model, { type: "drawn", view, frame: frame.frame });
        paint(frame, [...panes.pictures(frame, buffers), ...frame.film.map((at) => buffers[at])]);
      },
    };
  });
}

export default { render };
