import { ask } from "./shared.js";

/**
 * @import { View } from "./shared.js"
 * @typedef {{row: number, column: number}} Pixel
 * @typedef {{width: number, height: number}} Size pixels
 * @typedef {{left: number, top: number, width: number, height: number}} Box shares of a picture, 0 to 1
 */

// Pointing at a pixel of a picture, with the mouse or the arrow keys, and reading its value.

/** @type {Record<string, [number, number]>} rows and columns */
const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

/** The pixel at a place of a picture. @param {number} across 0 to 1 @param {number} down 0 to 1 @param {Size} size */
export function pixelAt(across, down, { width, height }) {
  const inside = (/** @type {number} */ value, /** @type {number} */ count) =>
    Math.min(Math.max(Math.floor(value * count), 0), count - 1);
  return { row: inside(down, height), column: inside(across, width) };
}

/** The same place in a picture of another size. @param {Pixel} pixel @param {Size} from @param {Size} to */
export function carried({ row, column }, from, to) {
  return pixelAt((column + 0.5) / from.width, (row + 0.5) / from.height, to);
}

/**
 * The square of a side around a pixel, moved to lie inside the picture.
 * @param {Pixel} pixel @param {number} side pixels @param {Size} size @returns {Box}
 */
export function square({ row, column }, side, { width, height }) {
  const begin = (/** @type {number} */ at, /** @type {number} */ count) =>
    Math.min(Math.max(at - Math.floor(side / 2), 0), Math.max(count - side, 0));
  return {
    left: begin(column, width) / width, top: begin(row, height) / height,
    width: Math.min(side / width, 1), height: Math.min(side / height, 1),
  };
}

/**
 * Tells which pixel of a picture the pointer is at, null for none, and when it is clicked on.
 * @param {HTMLCanvasElement} canvas @param {() => Size} now
 * @param {(pixel: Pixel | null) => void} point @param {() => void} press
 */
export function hovering(canvas, now, point, press) {
  const follows = (/** @type {MouseEvent} */ event) => {
    const box = canvas.getBoundingClientRect();
    point(pixelAt((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height, now()));
  };
  /** @type {PointerEvent | null} */ let last = null;
  for (const moves of /** @type {const} */ (["pointerdown", "pointermove"])) {
    canvas.addEventListener(moves, (event) => { last = event; follows(event); });
  }
  canvas.addEventListener("pointerleave", ({ pointerType }) => {
    if (pointerType === "mouse") last = null;
    point(null);
  });
  canvas.addEventListener("blur", () => point(null));
  // A finger has left before its tap counts as a click, and a click knows its place less exactly than the pointer.
  canvas.addEventListener("click", (event) => { follows(last ?? event); press(); });
}

/**
 * Tells the same, also as the arrow keys and Enter do it.
 * @param {HTMLCanvasElement} canvas @param {() => Size & {pixel: Pixel | null}} now where the arrow keys set out from
 * @param {(pixel: Pixel | null) => void} point @param {() => void} press
 */
export function pointing(canvas, now, point, press) {
  hovering(canvas, now, point, press);
  canvas.addEventListener("keydown", (event) => {
    const way = ARROWS[event.key], far = event.shiftKey ? 10 : 1;
    if (event.key === "Enter") press();
    if (!way) return;
    event.preventDefault();
    const size = now(), { row, column } = size.pixel ?? pixelAt(0.5, 0.5, size);
    const on = { row: row + far * way[0], column: column + far * way[1] };
    point(carried(on, size, size)); // back inside
  });
}

/**
 * Asks for the value at a pixel: one question at a time, and then for the newest place.
 * @param {View} view @param {(text: {title: string, value: string}) => void} show
 */
export function reader({ model, signal }, show) {
  /** @typedef {{key: string, title: string, picture: number}} Readable */
  /** @type {[Readable, Pixel] | null} */ let next = null;
  let busy = false;
  return async (/** @type {Readable} */ pane, /** @type {Pixel} */ { row, column }) => {
    next = pane.picture < 0 ? null : [pane, { row, column }];
    if (busy) return;
    busy = true;
    while (next && !signal.aborted) {
      const [{ key, title }, pixel] = next;
      next = null;
      try {
        show({ title, value: (await ask(model, { type: "value", pane: key, ...pixel })).text });
      } catch (error) {
        show({ title, value: /** @type {Error} */ (error).message });
      }
    }
    busy = false;
  };
}
