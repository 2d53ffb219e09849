import { el } from "./shared.js";

// What opens below a button: a menu, and a text to read.

/** Moves what would stick out of the panel on a side back into it. @param {HTMLElement} box */
function fit(box) {
  box.style.translate = "";
  const panel = /** @type {Element} */ (box.closest(".nbvis")).getBoundingClientRect(), own = box.getBoundingClientRect();
  const right = Math.max(0, panel.left + 8 - own.left), left = Math.max(0, own.right + 8 - panel.right);
  if (right || left) box.style.translate = `${right - left}px`;
}

/**
 * A button and what hangs below it; Escape, a click elsewhere and leaving it with Tab close it.
 * @param {HTMLElement} button @param {HTMLElement} box @param {AbortSignal} signal
 * @param {() => void} enter gives the focus to what opened
 */
function hanging(button, box, signal, enter) {
  const show = (/** @type {boolean} */ open) => {
    box.hidden = !open;
    button.setAttribute("aria-expanded", String(open));
    if (open) { fit(box); enter(); }
  };
  const close = () => { if (!box.hidden) { button.focus(); show(false); } };
  const root = el("div", { class: "holder", onkeydown: (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Escape" && !box.hidden) { event.stopPropagation(); close(); }
  } }, button, box);
  const within = (/** @type {EventTarget | null} */ target) => root.contains(/** @type {Node | null} */ (target));
  button.addEventListener("click", () => show(Boolean(box.hidden)));
  root.addEventListener("focusout", (/** @type {FocusEvent} */ { relatedTarget }) => {
    if (relatedTarget && !within(relatedTarget)) show(false);
  });
  // In a shadow root the event's target, seen from the document, is all of the panel.
  const elsewhere = (/** @type {Event} */ event) => { if (!event.composedPath().includes(root)) show(false); };
  document.addEventListener("pointerdown", elsewhere, { signal });
  return { root, show, close };
}

/**
 * A button that opens a text, and what opens and closes it otherwise.
 * @param {string} label @param {string} name @param {AbortSignal} signal @param {Node[]} content
 */
export function popup(label, name, signal, ...content) {
  const named = { role: "dialog", "aria-label": name, tabindex: 0, hidden: true };
  const box = el("div", { class: "popup text", ...named }, ...content);
  const button = el("button", { type: "button", class: "round", text: label, "aria-label": name, title: name,
    "aria-haspopup": "dialog", "aria-expanded": "false" });
  const { root, show, close } = hanging(button, box, signal, () => box.focus());
  return { root, toggle: () => (box.hidden ? show(true) : close()) };
}

/**
 * A button that opens a menu.
 * @typedef {[text: string, act: () => void, aside?: string]} Item what it is called and does, and a word on it
 * @param {string} label @param {string} help @param {AbortSignal} signal @param {Item[]} choices
 * @param {[string, Item[]][]} [groups] more of them, below headings
 */
export function menu(label, help, signal, choices, groups = []) {
  const make = (/** @type {Item} */ [text, act, aside = ""]) =>
    el("button", { type: "button", role: "menuitem", tabindex: -1, onclick: () => { parts.close(); act(); } }, text,
      ...(aside ? [el("span", { class: "aside", text: aside })] : []));
  const grouped = groups.map(([name, own]) => el("div", { role: "group", "aria-label": name },
    el("h4", { text: name, "aria-hidden": "true" }), ...own.map(make)));
  const box = el("div", { class: "popup", role: "menu", "aria-label": label || help, hidden: true },
    ...choices.map(make), ...grouped);
  const items = /** @type {HTMLElement[]} */ ([...box.querySelectorAll("button")]);
  const opener = el("button", { type: "button", class: "menu", text: label, title: help, "aria-haspopup": "menu",
    "aria-expanded": "false" });
  const parts = hanging(opener, box, signal, () => items[0].focus());
  parts.root.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const at = items.indexOf(/** @type {any} */ (event.target)), last = items.length - 1;
    const to = { ArrowDown: at === last ? 0 : at + 1, ArrowUp: at > 0 ? at - 1 : last, Home: 0, End: last }[event.key];
    if (to === undefined || (box.hidden && !event.key.startsWith("Arrow"))) return;
    event.preventDefault();
    if (box.hidden) parts.show(true);
    items[to].focus();
  });
  return { root: parts.root, opener };
}
