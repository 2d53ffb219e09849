import { button, fill } from "./controls.js";
import { icon } from "./icons.js";
import { el } from "./shared.js";
import { colorOf } from "./terms.js";

/**
 * @typedef {"brush" | "erase" | "fill" | "rectangle"} Tool
 * @typedef {{
 *   toggle(): void, use(tool: Tool): void, resize(size: number): void, invert(): void, feather(radius: number): void,
 *   clear(): void, undo(): void, redo(): void,
 * }} Acts what its buttons do
 * @typedef {{
 *   on: boolean, tool: Tool, size: number, most: number, term: number, painted: boolean, undo: boolean, redo: boolean,
 * }} Standing whether it is painted, with what, the size of the brush and its largest, pixels; the term, whether it has
 * paint, and whether there is something to undo and to do again
 */

// The bar of brushes on a picture: one button until it is painted.

/** @type {[Tool, string, string][]} */
const TOOLS = [
  ["brush", "Brush", "Paint where the objective may change the picture (b)"],
  ["erase", "Erase", "Take paint off (e)"],
  ["fill", "Fill", "Drag for a gradient, from full where you begin to nothing where you end, or press an arrow key; "
    + "a click or Enter paints everything (l)"],
  ["rectangle", "Rectangle", "Drag a rectangle, or move it with the arrow keys and fill it with Enter (m)"],
];

const PAINT = "Paint a mask on the picture: where the objective may change it (b)";
const FEATHER = "Soften the edges of the paint by a Gaussian of so many pixels";
const CLEAR = "Take all paint off: the objective may change the whole picture again";
/** The largest radius to feather by, pixels. */
const SOFTEST = 64;

/** The bar. @param {Acts} acts */
export function brushBar(acts) {
  const paint = el("button", { type: "button", onclick: acts.toggle, title: PAINT }, icon("brush"),
    el("span", { text: "Paint" }));
  const tools = TOOLS.map(([name, text, title]) => button(text, () => acts.use(name), { title }));
  const size = brushSize(acts.resize), feather = featherField(acts.feather);
  const swatch = el("i", { class: "swatch" });
  const marked = (/** @type {string} */ name, /** @type {string} */ title, /** @type {() => void} */ onclick) =>
    el("button", { type: "button", class: "mark-only", "aria-label": title, title, onclick }, icon(name));
  const undo = marked("undo", "Undo (Ctrl+Z)", acts.undo), redo = marked("redo", "Redo (Ctrl+Shift+Z)", acts.redo);
  const clear = button("Clear", acts.clear, { title: CLEAR });
  const invert = button("Invert", acts.invert, { title: "Paint what is bare and bare what is painted" });
  const rest = el("div", { class: "rest" }, el("span", { class: "group", role: "group", "aria-label": "Tool" }, ...tools),
    undo, redo, el("span", { class: "group" }, swatch, ...size.parts), invert, clear,
    el("span", { class: "group" }, ...feather.parts));
  const root = el("div", { class: "brushes", role: "toolbar", "aria-label": "Mask" }, paint, rest);
  const able = (/** @type {HTMLElement} */ each, /** @type {boolean} */ can) =>
    each.setAttribute("aria-disabled", String(!can));
  const show = (/** @type {Standing} */ now) => {
    rest.hidden = !now.on;
    paint.setAttribute("aria-pressed", String(now.on));
    tools.forEach((each, at) => each.setAttribute("aria-pressed", String(TOOLS[at][0] === now.tool)));
    swatch.className = `swatch ${colorOf(now.term)}`;
    size.show(now.size, now.most);
    able(undo, now.undo);
    able(redo, now.redo);
    for (const each of [clear, feather.act]) able(each, now.painted);
  };
  return { root, show };
}

/** The slider of the brush's size. @param {(size: number) => void} set */
function brushSize(set) {
  const range = el("input", { type: "range", min: 1, step: 1, "aria-label": "Brush size",
    title: "Size of the brush ([ and ])", oninput: () => set(Number(range.value)) });
  const amount = el("output", {});
  const show = (/** @type {number} */ size, /** @type {number} */ most) => {
    Object.assign(range, { max: most, value: size });
    fill(range, (size - 1) / Math.max(most - 1, 1));
    range.setAttribute("aria-valuetext", amount.textContent = `${size} px`);
  };
  return { parts: [range, amount], show };
}

/** The button that feathers, and its radius. @param {(radius: number) => void} feather */
function featherField(feather) {
  const inside = () => Math.min(Math.max(Math.round(Number(field.value)) || 1, 1), SOFTEST);
  const field = el("input", { type: "number", class: "value", min: 1, max: SOFTEST, value: 4,
    "aria-label": "Radius to feather by, pixels", onchange: () => { field.value = inside(); } });
  const act = button("Feather", () => feather(inside()), { title: FEATHER });
  return { act, parts: [act, field, el("span", { text: "px" })] };
}
