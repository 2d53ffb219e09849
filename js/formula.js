import { row } from "./controls.js";
import { ask, el, follow, newId, put } from "./shared.js";

/**
 * @import { Named } from "./shared.js"
 * @import { Panel } from "./panel.js"
 * @typedef {{reason: string, start: number, length: number}} Wrong where a formula says nothing, and why
 * @typedef {{start: number, end: number, candidates: string[], error: Wrong | null}} Answer
 */

// A field for a formula: it says what could stand at the cursor, and points at what is wrong.

/** How many candidates are shown at a time. */
const SHOWN_AT_MOST = 8;

/**
 * A text with a candidate in the place of what it completes, and where the cursor stands then.
 * @param {string} text @param {{start: number, end: number}} place @param {string} candidate
 * @returns {[string, number]}
 */
export function completed(text, { start, end }, candidate) {
  const opened = /[([]$/.test(candidate), rest = text.slice(end);
  // A layer is followed by a channel, unless it stands in a function's brackets.
  const more = opened || /^\s*[[(]/.test(rest) || /\(\s*$/.test(text.slice(0, start)) || inBrackets(text, start) ? "" : "[";
  const placed = text.slice(0, start) + candidate + more;
  return [placed + rest, placed.length];
}

/** Whether a place lies between square brackets. @param {string} text @param {number} place */
function inBrackets(text, place) {
  const before = text.slice(0, place);
  return before.lastIndexOf("[") > before.lastIndexOf("]");
}

/** The text before, in and after what is wrong; a place behind the end is shown as a gap. */
export function pointed(/** @type {string} */ text, /** @type {Wrong} */ { start, length }) {
  const end = Math.max(start + 1, start + length);
  return [text.slice(0, start), text.slice(start, end) || " ", text.slice(end)];
}

/** The list of candidates below the field. @param {HTMLInputElement} field @param {(text: string) => void} take */
function candidateList(field, take) {
  /** @type {string[]} */ let shown = [];
  let active = -1;
  const list = el("ul", { id: `${field.id}-list`, role: "listbox", "aria-label": "Completions" });
  const root = el("div", { class: "options", hidden: true }, list);
  const mark = (/** @type {number} */ at) => {
    active = Math.min(Math.max(at, -1), shown.length - 1);
    [...list.children].forEach((each, index) => each.setAttribute("aria-selected", String(index === active)));
    list.children[active]?.scrollIntoView({ block: "nearest" });
    if (active < 0) field.removeAttribute("aria-activedescendant");
    else field.setAttribute("aria-activedescendant", `${field.id}-${active}`);
  };
  const show = (/** @type {string[]} */ candidates) => {
    shown = candidates.slice(0, SHOWN_AT_MOST);
    list.replaceChildren(...shown.map((text, at) => el("li", {
      id: `${field.id}-${at}`, role: "option",
      onpointerdown: (/** @type {Event} */ event) => { event.preventDefault(); take(text); },
    }, el("code", { text }))));
    root.hidden = !shown.length;
    field.setAttribute("aria-expanded", String(!root.hidden));
    mark(-1);
  };
  const move = (/** @type {number} */ way) => mark(active < 0 && way < 0 ? shown.length - 1 : active + way);
  return { root, show, move, first: () => shown[Math.max(active, 0)], marked: () => shown[active], open: () => !root.hidden };
}

/** The objective as text. @param {Panel} panel @param {Named} named */
export function formulaField(panel, named) {
  const { model, signal } = panel, id = newId();
  let asked = 0, typing = false, /** @type {Answer | null} */ answer = null;
  const wrong = el("p", { class: "wrong", role: "status", hidden: true });
  /** @type {HTMLInputElement} */
  const field = el("input", {
    type: "text", id, class: "formula", role: "combobox", title: named[1], autocomplete: "off", spellcheck: "false",
    "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": `${id}-list`,
    oninput: () => { typing = true; look(); }, onclick: () => look(), onblur: () => leave(),
    onkeydown: (/** @type {KeyboardEvent} */ event) => hear(event),
  });
  const take = (/** @type {string} */ text) => {
    if (!answer) return;
    const [now, cursor] = completed(field.value, answer, text);
    typing = true;
    field.value = now;
    field.setSelectionRange(cursor, cursor);
    look();
  };
  const list = candidateList(field, take);
  const point = (/** @type {Wrong | null} */ error) => {
    wrong.hidden = !error;
    field.setAttribute("aria-invalid", String(Boolean(error)));
    if (!error) return wrong.replaceChildren();
    const [before, it, after] = pointed(field.value, error);
    wrong.replaceChildren(el("code", {}, before, el("mark", { text: it }), after), el("span", { text: error.reason }));
  };
  const question = () => ({ type: "formula", text: field.value, cursor: field.selectionStart ?? field.value.length });
  /** Asks what could stand here; an answer to what has been typed on since is none. */
  const look = async () => {
    const own = ++asked;
    const found = await ask(model, question()).then(({ text }) => /** @type {Answer} */ (JSON.parse(text)), () => null);
    if (own !== asked || !found || signal.aborted) return null;
    answer = found;
    // While one types, what is missing at the end is only not there yet.
    const unfinished = found.error && found.error.start + found.error.length >= (field.selectionStart ?? 0);
    if (typing) point(unfinished ? null : found.error);
    const alone = found.candidates.length === 1 && found.candidates[0] === field.value.slice(found.start, found.end);
    list.show(typing && !alone ? found.candidates : []);
    return found;
  };
  const commit = async () => {
    const found = await look();
    list.show([]);
    if (!found) return;
    point(found.error);
    if (found.error) {
      field.setSelectionRange(found.error.start, found.error.start + Math.max(1, found.error.length));
      return;
    }
    typing = false;
    put(model, { formula: field.value });
  };
  const leave = () => {
    list.show([]);
    if (typing && field.value !== model.get("formula")) commit();
  };
  const hear = (/** @type {KeyboardEvent} */ event) => {
    const way = { ArrowDown: 1, ArrowUp: -1 }[event.key], open = list.open();
    if (way) { event.preventDefault(); if (open) list.move(way); else { typing = true; look(); } }
    else if (event.key === "Tab" && !event.shiftKey && open) { event.preventDefault(); take(list.first()); }
    else if (event.key === "Enter") { event.preventDefault(); if (open && list.marked()) take(list.marked()); else commit(); }
    else if (event.key === "Escape" && (open || typing)) {
      event.stopPropagation();
      if (open) list.show([]);
      else { typing = false; show(); }
    }
  };
  const show = () => {
    if (typing) return;
    field.value = model.get("formula");
    field.title = field.value || named[1];
    field.placeholder = model.get("formula") ? "" : "layer[0] + 0.5*layer[1]";
    point(null);
  };
  follow(panel, ["formula"], show);
  return el("div", { class: "formula-row" }, row(named, id, el("div", { class: "combobox" }, field, list.root)), wrong);
}
