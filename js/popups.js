import { el } from "./shared.js";

// What opens below a button: a menu, and a text to read.

/** Moves what would stick out of the panel on its left back into it. @param {HTMLElement} box */
function fit(box) {
  box.style.translate = "";
  const panel = /** @type {Element} */ (box.closest(".nbvis"));
  const out = panel.getBoundingClientRect().left + 8 - box.getBoundingClientRect().left;
  if (out > 0) box.style.translate = `${out}px`;
}

/**
 * A button and what hangs below it; Escape, a click elsewhere and leaving it with Tab close it.
 * @param {HTMLElement} button @param {HTMLElement} box @param {AbortSignal} signal
 * @param {() => void} enter gives the focus to what opened
 */
function hanging(button, box, signal, enter) {
  /** @param {boolean} open */
  const show = (open) => {
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
 * A button that opens a text.
 * @param {string} label @param {string} name @param {AbortSignal} signal @param {Node[]} content
 */
export function popup(label, name, signal, ...content) {
  const named = { role: "dialog", "aria-label": name, tabindex: 0, hidden: true };
  const box = el("div", { class: "popup text", ...named }, ...content);
  const button = el("button", { type: "button", class: "round", text: label, "aria-label": name, title: name,
    "aria-haspopup": "dialog", "aria-expanded": "false" });
  return hanging(button, box, signal, () => box.focus()).root;
}

/**
 * A button that opens a menu.
 * @param {string} label @param {string} help @param {AbortSignal} signal
 * @param {[string, () => void][]} choices what each is called and does
 */
export function menu(label, help, signal, choices) {
  const items = choices.map(([text, act]) =>
    el("button", { type: "button", role: "menuitem", tabindex: -1, text, onclick: () => { parts.close(); act(); } }));
  const box = el("div", { class: "popup", role: "menu", "aria-label": label, hidden: true }, ...items);
  const button = el("button", { type: "button", class: "menu", text: label, title: help, "aria-haspopup": "menu",
    "aria-expanded": "false" });
  const parts = hanging(button, box, signal, () => items[0].focus());
  parts.root.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const at = items.indexOf(/** @type {any} */ (event.target)), last = items.length - 1;
    const to = { ArrowDown: at === last ? 0 : at + 1, ArrowUp: at > 0 ? at - 1 : last, Home: 0, End: last }[event.key];
    if (to === undefined || (box.hidden && !event.key.startsWith("Arrow"))) return;
    event.preventDefault();
    if (box.hidden) parts.show(true);
    items[to].focus();
  });
  return parts.root;
}
