import { button, fill, numberField } from "./controls.js";
import { combobox } from "./pickers.js";
import { el, follow, newId, position, put, search, typed, valueAt } from "./shared.js";

/**
 * @import { Control, Named } from "./shared.js"
 * @import { Panel } from "./panel.js"
 * @typedef {{text: string, label: string, masked: boolean}} Term
 */

// The terms of an objective: a row for each, with its colour, what it says, and how much it weighs.

/** Whether a weight is more or less; the field beside the slider takes any. @type {Control} */
const WEIGHT = { label: "Weight", low: -2, high: 2, unit: "", log: false, whole: false, help: "" };

/** How many colours there are. */
const COLORS = 6;

/** The class of a term's colour. @param {number} at */
export function colorOf(at) {
  return `term-${at % COLORS}`;
}

/**
 * The weights of two terms at a place between them: what they weigh together stays.
 * @param {[number, number]} weights @param {number} place 0 for the first alone, 1 for the second
 * @returns {[number, number]}
 */
export function between([first, second], place) {
  const whole = Math.abs(first) + Math.abs(second) || 1, round = (/** @type {number} */ each) => Number(each.toFixed(4));
  return [round(whole * (1 - place)), round(whole * place)];
}

/** Where two weights stand between their terms. @param {[number, number]} weights */
export function mixOf([first, second]) {
  return Math.abs(second) / (Math.abs(first) + Math.abs(second) || 1);
}

/** A slider that is not a trait's. @param {Record<string, any>} attributes @param {(value: number) => void} set */
function plainSlider(attributes, set) {
  const range = el("input", { type: "range", min: 0, max: 1, step: 0.01, ...attributes,
    oninput: () => set(Number(range.value)) });
  const show = (/** @type {number} */ share) => {
    range.value = share;
    fill(range, share);
  };
  return { range, show };
}

/** A term in pieces, so that a line that is too short for it ends between them. @param {string} term */
function inPieces(term) {
  return term.split(/(?<=[.( ])|(?=\[)/).flatMap((piece) => [piece, el("wbr", {})]);
}

/** One row. @param {Panel} panel @param {number} at */
function termRow({ model, signal, request }, at) {
  const set = (/** @type {number} */ weight) =>
    put(model, { weights: model.get("weights").map((/** @type {number} */ each, /** @type {number} */ k) =>
      (k === at ? weight : each)) });
  const text = el("code", {}), label = el("span", { class: "quiet" });
  const pick = el("button", { type: "button", class: "term-name", onclick: () => put(model, { term: at }) },
    el("i", { class: `swatch ${colorOf(at)}` }), el("span", {}, text, label));
  const slide = plainSlider({}, (share) => set(valueAt(share, WEIGHT)));
  const field = numberField(`Weight of term ${at + 1}, value`, signal, (value) => {
    if (value !== null) set(value);
  });
  const remove = button("×", () => request({ type: "remove", term: at }), { class: "round small" });
  const root = el("div", { class: "term" }, pick, slide.range, el("span", { class: "amount" }, field), remove);
  const show = () => {
    const /** @type {Term[]} */ terms = model.get("_terms"), term = terms[at], weight = model.get("weights")[at];
    if (!term || weight === undefined) return;
    text.replaceChildren(...inPieces(term.text));
    label.textContent = [term.label, term.masked ? "painted" : ""].filter(Boolean).join(" · ");
    pick.title = `${term.text}: the layer and channel below, and the brush, are this term's`;
    pick.setAttribute("aria-pressed", String(model.get("term") === at));
    slide.show(position(weight, WEIGHT));
    slide.range.setAttribute("aria-label", `Weight of ${term.text}`);
    slide.range.setAttribute("aria-valuetext", typed(weight));
    field.value = typed(weight);
    remove.title = `Leave out ${term.text}`;
    remove.setAttribute("aria-label", remove.title);
    remove.hidden = terms.length < 2;
    root.classList.toggle("alone", terms.length < 2);
  };
  return { root, show };
}

/** All rows, and where two terms stand between each other. @param {Panel} panel @param {Named} mixed */
export function termRows(panel, mixed) {
  const { model } = panel, list = el("div", { class: "terms", role: "group", "aria-label": "Terms of the objective" });
  const /** @type {ReturnType<typeof termRow>[]} */ parts = [], id = newId();
  const mix = plainSlider({ id, title: mixed[1] }, (place) => put(model, { weights: between(model.get("weights"), place) }));
  const said = el("output", { class: "amount" });
  const mixing = el("div", { class: "row" }, el("label", { for: id, text: mixed[0], title: mixed[1] }), mix.range, said);
  follow(panel, ["_terms", "weights", "term"], () => {
    const count = model.get("_terms").length, weights = model.get("weights");
    while (parts.length < count) list.append(parts[parts.push(termRow(panel, parts.length)) - 1].root);
    for (const part of parts.splice(count)) part.root.remove();
    for (const part of parts) part.show();
    mixing.hidden = count !== 2 || Math.min(...weights) < 0;
    if (mixing.hidden) return;
    mix.show(mixOf(weights));
    said.textContent = `${Math.round(100 * mixOf(weights))} %`;
    mix.range.setAttribute("aria-valuetext", `${said.textContent} of the second term`);
  });
  return [list, mixing];
}

/** What another term can be about. @param {Panel} panel @param {Named} named of the list of classes */
export function moreTerms(panel, named) {
  const { model, request, signal } = panel, labels = () => /** @type {string[]} */ (model.get("labels"));
  const rows = () => labels().map((label, index) => ({ label, index }));
  const close = () => { picker.root.hidden = true; classes.setAttribute("aria-expanded", "false"); };
  const picker = combobox({
    named, list: "Classes", placeholder: "Search a class", shown: () => "", aside: () => "",
    rows: (query) => search(query, rows(), ({ label }) => label).slice(0, 100),
    cells: ({ label, index }) => [el("b", { text: label }), el("span", { text: `${index}` })],
    isNow: () => false,
    pick: ({ index }) => { request({ type: "add", what: "class", index }); close(); },
    count: (found, query) => (query ? `${found} of ${labels().length}` : `${labels().length} classes`),
    none: "No class answers",
  });
  picker.root.hidden = true;
  const classes = button("+ Class", () => {
    picker.root.hidden = !picker.root.hidden;
    classes.setAttribute("aria-expanded", String(!picker.root.hidden));
    if (!picker.root.hidden) picker.root.querySelector("input")?.focus();
  }, { "aria-expanded": "false", title: "Add a class, found by its label" });
  /** @type {HTMLInputElement} */
  const file = el("input", { type: "file", accept: "image/*", hidden: true, onchange: async () => {
    const [chosen] = file.files ?? [];
    if (!chosen) return;
    const data = await chosen.arrayBuffer();
    if (!signal.aborted) model.send({ type: "guide", name: chosen.name }, undefined, [data]);
    file.value = "";
  } });
  const buttons = el("div", { class: "more-terms" },
    button("+ Layer or channel", () => request({ type: "add", what: "unit" }), {
      title: "Add a channel of the same layer; pick another below" }),
    classes, button("+ Picture", () => file.click(), {
      title: "Add a second picture: what the layer sees in it is to be seen here" }), file);
  follow(panel, ["labels"], () => { classes.hidden = !labels().length; });
  return [buttons, picker.root];
}
