import { el } from "./shared.js";

// A panel and the page around it: whose the keys are, where the focus goes, which theme, and what is told aloud.

/** Milliseconds from one word on how far a run is to the next. */
const PAUSE = 10_000;

/** Whether a colour is dark. @param {ArrayLike<number>} color red, green and blue, 0 to 255 */
export function isDark(color) {
  return 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2] < 128;
}

/**
 * Whether a page says that its theme is dark: JupyterLab's and VS Code's say so on the body, Colab's on the root.
 * @param {{jpThemeLight?: string, vscodeThemeKind?: string}} body @param {string | null} root
 * @returns {boolean | null} null if it says nothing
 */
export function toldDark({ jpThemeLight, vscodeThemeKind }, root) {
  if (jpThemeLight) return jpThemeLight === "false";
  if (vscodeThemeKind) return ["vscode-dark", "vscode-high-contrast"].includes(vscodeThemeKind);
  return root === "dark" || root === "light" ? root === "dark" : null;
}

/** A CSS colour of any kind as red, green, blue and opacity, 0 to 255. @param {string} color */
function rgba(color) {
  const context = el("canvas", { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
  context.fillStyle = color;
  context.fillRect(0, 0, 1, 1);
  return context.getImageData(0, 0, 1, 1).data;
}

/** What an element lies in, from the inside out, also out of a shadow root. @param {Element} element */
function* around(element) {
  const outer = (/** @type {Element} */ at) => at.parentElement ?? /** @type {ShadowRoot} */ (at.getRootNode()).host;
  for (let at = outer(element); at; at = outer(at)) yield at;
}

/** Whether the colour behind an element is dark, null if everything around it is clear. @param {Element} element */
function darkAround(element) {
  for (const each of around(element)) {
    const color = rgba(getComputedStyle(each).backgroundColor);
    if (color[3] > 127) return isDark(color);
  }
  return null;
}

/**
 * Keeps the panel's class "dark" in step with what the page says, else with the colour around the panel, else with the
 * system.
 * @param {HTMLElement} root @param {AbortSignal} signal
 */
export function theme(root, signal) {
  const system = matchMedia("(prefers-color-scheme: dark)"), { body, documentElement } = document;
  const apply = () => {
    const told = toldDark(body.dataset, documentElement.getAttribute("theme"));
    root.classList.toggle("dark", told ?? darkAround(root) ?? system.matches);
  };
  system.addEventListener("change", apply, { signal });
  document.addEventListener("transitionend", apply, { signal });
  const watcher = new MutationObserver(apply);
  for (const each of [body, documentElement]) watcher.observe(each, { attributes: true });
  const placed = new ResizeObserver(apply); // a host may draw the view before it puts it on the page
  placed.observe(root);
  signal.addEventListener("abort", () => { watcher.disconnect(); placed.disconnect(); });
}

/**
 * Lets only the keys with Ctrl or Meta out of the panel, but for undo where there is what can be undone: to the page
 * around it, plain ones are commands.
 * @param {HTMLElement} root @param {AbortSignal} signal
 */
export function keepKeys(root, signal) {
  const undoes = (/** @type {KeyboardEvent} */ { key }) => root.matches(".paints, .remembers") && key.toLowerCase() === "z";
  const ours = (/** @type {KeyboardEvent} */ event) => (!event.ctrlKey && !event.metaKey) || undoes(event);
  root.addEventListener("keydown", (event) => { if (ours(event)) event.stopPropagation(); });
  // Notebook 7 hears a key before the panel does, unless what has the focus bears this attribute.
  window.addEventListener("keydown", (event) => {
    const focused = /** @type {Element} */ (event.composedPath()[0]);
    if (root.contains(focused)) focused.toggleAttribute("data-lm-suppress-shortcuts", ours(event));
  }, { capture: true, signal });
}

/**
 * Takes the focus over from a part that goes, as a button does that has done its work: without it the page would get
 * the next key.
 * @param {HTMLElement} root
 */
export function keepFocus(root) {
  root.addEventListener("focusout", ({ target, relatedTarget }) => {
    const gone = !(/** @type {HTMLElement} */ (target).checkVisibility({ visibilityProperty: true }));
    if (gone && !relatedTarget && root.isConnected) root.focus({ preventScroll: true });
  });
}

/**
 * Tells those who do not see when the state changes and, while something runs, now and then how far it is.
 * @param {string} title
 */
export function announcer(title) {
  const root = el("div", { class: "unseen", role: "status" });
  let last = "", at = 0;
  const say = (/** @type {string} */ state, /** @type {string} */ standing) => {
    const now = performance.now(), goesOn = state === last;
    if (goesOn && (!standing || now - at < PAUSE)) return;
    [last, at] = [state, now];
    root.textContent = [`${title}: ${state}`, standing].filter(Boolean).join(", ");
  };
  return { root, say };
}

/**
 * Hides and shows the sentence before a view that it is as it was saved.
 * @param {HTMLElement} host @returns {(hidden: boolean) => void}
 */
export function savedSentence(host) {
  const before = (/** @type {Element} */ each) => each.compareDocumentPosition(host) & Node.DOCUMENT_POSITION_FOLLOWING;
  return (hidden) => {
    const nearest = [...document.querySelectorAll(".nbvis-saved")].filter(before).pop();
    nearest?.toggleAttribute("hidden", hidden);
  };
}
