import { button } from "./controls.js";
import { picture } from "./pictures.js";
import { pointing, reader } from "./pointing.js";
import { ask, el, follow, put } from "./shared.js";

/**
 * @import { Panel } from "./panel.js"
 * @import { Pixel } from "./pointing.js"
 * @typedef {{key: string, rows: number, total: number, zoom: number[], spot: number[] | null}} Matrix `key` is another
 * one for another picture, empty for none; `zoom` the first row, the first column and the side; `spot` the row and the
 * column of the chosen channel, -1 where that is outside
 */

/** Cells below which the matrix grows no further. */
const LEAST = 4;

/**
 * A square of a matrix half or twice as wide, around one of its cells.
 * @param {number[]} zoom first row, first column, side @param {Pixel} at a cell of that square
 * @param {number} factor @param {number} total channels @returns {number[]} empty for all
 */
export function zoomed([top, left, side], { row, column }, factor, total) {
  const next = Math.max(Math.min(Math.round(side * factor), total), Math.min(LEAST, total));
  if (next >= total) return [];
  const begin = (/** @type {number} */ first, /** @type {number} */ at) => {
    const share = (at + 0.5) / side;
    return Math.min(Math.max(Math.round(first + at + 0.5 - share * next), 0), total - next);
  };
  return [begin(top, row), begin(left, column), next];
}

/** Fetches a picture of what is shown. @param {Panel} panel @param {"patches" | "images" | "matrix"} which */
export async function fetched({ model }, which) {
  const { data } = await ask(model, { type: "picture", which });
  return data.length ? createImageBitmap(new Blob([/** @type {any} */ (data)], { type: "image/png" })) : null;
}

const HINT = "Point at the matrix to read it, click to zoom in.";

/** What is drawn over the matrix: the chosen channel's lines, and the cell that is pointed at. */
function marks() {
  const across = el("i", { class: "line row-line" }), down = el("i", { class: "line column-line" });
  const cell = el("i", { class: "cell", hidden: true });
  /** @param {Matrix} matrix @param {Pixel | null} at */
  const show = ({ rows, spot }, at) => {
    const side = 100 / Math.max(rows, 1), [row, column] = spot ?? [-1, -1], [width, height] = [`${side}%`, `${side}%`];
    cell.hidden = !at;
    if (at) Object.assign(cell.style, { left: `${at.column * side}%`, top: `${at.row * side}%`, width, height });
    across.hidden = row < 0;
    down.hidden = column < 0;
    across.style.top = `${(row + 0.5) * side}%`;
    down.style.left = `${(column + 0.5) * side}%`;
  };
  return { parts: [across, down, cell], show };
}

/** Buttons that show less of the matrix, or more. @param {Panel} panel @param {(factor: number) => void} zoom */
function zoomButtons({ model }, zoom) {
  const out = button("−", () => zoom(2), { class: "round", "aria-label": "Zoom out", title: "Zoom out" });
  const into = button("+", () => zoom(0.5), { class: "round", "aria-label": "Zoom in", title: "Zoom in" });
  const all = button("All", () => put(model, { zoom: [] }), { title: "All channels" });
  /** @param {Matrix} matrix */
  const show = ({ zoom: [, , side], total }) => {
    out.disabled = all.disabled = side >= total;
    into.disabled = side <= Math.min(LEAST, total);
  };
  return { root: el("span", { class: "zoom" }, out, into, all), show };
}

/** What the matrix is of, in words above it. @param {Panel} panel @param {HTMLElement} canvas */
function matrixTitle(panel, canvas) {
  const title = el("h4", {});
  follow(panel, ["values"], () => {
    const weights = panel.model.get("values") === "weights";
    title.textContent = weights ? "Weights, clustered" : "Correlation, clustered";
    canvas.setAttribute("aria-label", `Correlation of the channels' ${weights ? "weights" : "activations"}, clustered`);
  });
  return title;
}

/** The matrix's own picture, fetched when it is another one. @param {Panel} panel @param {ReturnType<typeof picture>} place */
function matrixPicture(panel, { canvas, show }) {
  let shown = "";
  return async (/** @type {string} */ key) => {
    if (key === shown) return;
    shown = key;
    canvas.dataset.key = "";
    const bitmap = key ? await fetched(panel, "matrix") : null;
    if (panel.signal.aborted || key !== shown) return bitmap?.close();
    show(bitmap);
    canvas.dataset.key = key;
  };
}

/** How the channels go together, in an order that shows clusters. @param {Panel} panel */
export function correlationMatrix(panel) {
  const place = picture(panel.signal, 1, 1.5), { canvas } = place, over = marks(), draw = matrixPicture(panel, place);
  const instead = el("p", { class: "instead" });
  const readout = el("output", { class: "readout", "aria-live": "polite", text: HINT });
  /** @type {Matrix} */ let now = { key: "", rows: 0, total: 0, zoom: [0, 0, 0], spot: null };
  /** @type {Pixel | null} */ let at = null;
  place.root.append(...over.parts, instead);
  const zoom = (/** @type {number} */ factor) => {
    if (!now.rows) return;
    const middle = { row: Math.floor(now.rows / 2), column: Math.floor(now.rows / 2) };
    put(panel.model, { zoom: zoomed(now.zoom, at ?? spotOf(now) ?? middle, factor, now.total) });
  };
  const tools = zoomButtons(panel, zoom), read = reader(panel, (text) => { if (at) readout.textContent = text.value; });
  const point = (/** @type {Pixel | null} */ pixel) => {
    at = now.rows && pixel && pixel.row < now.rows && pixel.column < now.rows ? pixel : null;
    over.show(now, at);
    if (at) read({ key: "matrix", title: "", picture: 0 }, at);
    else readout.textContent = HINT;
  };
  pointing(canvas, () => ({ width: now.rows, height: now.rows, pixel: at }), point, () => { if (at) zoom(0.5); });
  canvas.addEventListener("keydown", (/** @type {KeyboardEvent} */ { key }) => {
    if (key === "+" || key === "-") zoom(key === "+" ? 0.5 : 2);
  });
  /** @param {Matrix} next @param {string} waiting what stands there while there is none */
  const show = (next, waiting) => {
    now = next;
    if (at && (at.row >= next.rows || at.column >= next.rows)) point(null);
    over.show(next, at);
    tools.show(next);
    instead.hidden = Boolean(next.key);
    instead.textContent = waiting;
    return draw(next.key);
  };
  const colors = el("div", { class: "ends" }, el("span", { text: "−1" }), el("i", {}), el("span", { text: "1" }));
  const heading = el("div", { class: "heading" }, matrixTitle(panel, canvas), tools.root);
  return { root: el("section", { class: "matrix" }, heading, place.root, colors, readout), show };
}

/** @param {Matrix} matrix @returns {Pixel | null} */
function spotOf({ spot }) {
  return spot && spot[0] >= 0 && spot[1] >= 0 ? { row: spot[0], column: spot[1] } : null;
}
