/**
 * @typedef {{width: number, height: number, data: Uint8Array}} Layer a mask: 0 to 255 for each pixel, row by row
 * @typedef {{x: number, y: number, radius: number}} Dab where a brush is, in pixels, and how large
 * @typedef {{left: number, top: number, width: number, height: number}} Rectangle pixels
 * @typedef {{term: number, data: Uint8Array | null}} Kept a term's paint at some time, null for none
 */

// Paint: masks as bytes, and what a brush and the buttons do to them.

/** How many pixels of paint a picture has on its longer side at most: a mask is soft, and each stroke is sent. */
const FINEST = 1024;

/** How many strokes can be undone. */
const STROKES = 24;

/** The size of the paint on a picture. @param {[number, number]} size height and width of the picture */
export function paintSize([height, width]) {
  const scale = Math.min(1, FINEST / Math.max(height, width));
  return { height: Math.max(1, Math.round(height * scale)), width: Math.max(1, Math.round(width * scale)) };
}

/** A layer without paint. @param {{height: number, width: number}} size @returns {Layer} */
export function unpainted({ height, width }) {
  return { height, width, data: new Uint8Array(height * width) };
}

/** How much paint a soft round brush gives at a distance from its middle, 0 to 1. @param {number} far 1 at its edge */
export function softness(far) {
  const inwards = Math.min(Math.max(2 * (1 - far), 0), 1);
  return inwards * inwards * (3 - 2 * inwards);
}

/**
 * Draws a line with a soft round brush: each pixel gets what the nearest place of the line gives, so that a slow hand
 * leaves the same as a quick one.
 * @param {Layer} layer @param {Dab} from @param {Dab} to @param {boolean} erases takes paint off instead
 */
export function brushed({ width, height, data }, from, to, erases) {
  const most = Math.max(from.radius, to.radius), [across, down] = [to.x - from.x, to.y - from.y];
  const length = across * across + down * down;
  const begin = (/** @type {number} */ one, /** @type {number} */ other) =>
    Math.max(Math.floor(Math.min(one, other) - most), 0);
  const end = (/** @type {number} */ one, /** @type {number} */ other, /** @type {number} */ count) =>
    Math.min(Math.ceil(Math.max(one, other) + most), count);
  const [left, right, low] = [begin(from.x, to.x), end(from.x, to.x, width), end(from.y, to.y, height)];
  for (let row = begin(from.y, to.y); row < low; row++) {
    for (let column = left; column < right; column++) {
      const [x, y] = [column + 0.5 - from.x, row + 0.5 - from.y];
      const along = length ? Math.min(Math.max((x * across + y * down) / length, 0), 1) : 0;
      const radius = Math.max(from.radius + along * (to.radius - from.radius), 0.5);
      const paint = Math.round(255 * softness(Math.hypot(x - along * across, y - along * down) / radius));
      const at = row * width + column;
      data[at] = erases ? Math.min(data[at], 255 - paint) : Math.max(data[at], paint);
    }
  }
}

/**
 * Fills all of a layer: full where a drag begins, none where it ends, evenly between; full everywhere without a drag.
 * @param {Layer} layer @param {{x: number, y: number}} from @param {{x: number, y: number}} to
 */
export function gradientFilled({ width, height, data }, from, to) {
  const [across, down] = [to.x - from.x, to.y - from.y], length = across * across + down * down;
  for (let at = 0; at < data.length; at++) {
    const [x, y] = [(at % width) + 0.5 - from.x, Math.floor(at / width) + 0.5 - from.y];
    const along = length ? (x * across + y * down) / length : 0;
    data[at] = Math.round(255 * (1 - Math.min(Math.max(along, 0), 1)));
  }
}

/** Gives the pixels of a rectangle a value. @param {Layer} layer @param {Rectangle} box @param {number} value */
export function rectangleFilled({ width, height, data }, box, value) {
  const columns = [box.left, box.left + box.width].map((each) => Math.min(Math.max(Math.round(each), 0), width));
  const rows = [box.top, box.top + box.height].map((each) => Math.min(Math.max(Math.round(each), 0), height));
  for (let row = rows[0]; row < rows[1]; row++) data.fill(value, row * width + columns[0], row * width + columns[1]);
}

/** Paints what is bare and bares what is painted. @param {Layer} layer */
export function inverted({ data }) {
  for (let at = 0; at < data.length; at++) data[at] = 255 - data[at];
}

/** Softens all edges by a Gaussian. @param {Layer} layer @param {number} radius its standard deviation, pixels */
export function feathered(layer, radius) {
  const reach = Math.ceil(3 * radius), { width, height } = layer;
  const weights = Array.from({ length: 2 * reach + 1 }, (_, at) => Math.exp(-0.5 * ((at - reach) / radius) ** 2));
  const total = weights.reduce((sum, each) => sum + each), kernel = weights.map((each) => each / total);
  const rows = smeared(Float32Array.from(layer.data), kernel, height, width, 1);
  const both = smeared(rows, kernel, width, height, width);
  for (let at = 0; at < both.length; at++) layer.data[at] = Math.round(both[at]);
}

/**
 * Weighs what lies around each value of every line; beyond the ends it goes on as it ends.
 * @param {Float32Array} values @param {number[]} kernel @param {number} lines @param {number} length of each
 * @param {number} stride from one value of a line to the next
 */
function smeared(values, kernel, lines, length, stride) {
  const found = new Float32Array(values.length), reach = (kernel.length - 1) / 2;
  const between = stride === 1 ? length : 1;
  for (let line = 0; line < lines; line++) {
    for (let at = 0; at < length; at++) {
      let sum = 0;
      for (let step = -reach; step <= reach; step++) {
        const near = Math.min(Math.max(at + step, 0), length - 1);
        sum += kernel[step + reach] * values[line * between + near * stride];
      }
      found[line * between + at * stride] = sum;
    }
  }
  return found;
}

/** How much of a picture is painted, 0 to 1. @param {Layer} layer */
export function paintedShare({ data }) {
  return data.reduce((sum, each) => sum + each, 0) / (255 * data.length);
}

/**
 * Layers of paint laid over each other, as red, green, blue and opacity.
 * @param {{layer: Layer, color: number[], opacity: number}[]} layers the lowest first; colours 0 to 255, opacity 0 to 1
 * @param {{height: number, width: number}} size
 */
export function tinted(layers, { height, width }) {
  const pixels = new Uint8ClampedArray(4 * height * width);
  for (const { layer: { data }, color: [red, green, blue], opacity } of layers) {
    for (let at = 0; at < data.length; at++) {
      if (!data[at]) continue;
      const to = 4 * at, own = opacity * data[at] / 255, below = (pixels[to + 3] / 255) * (1 - own), all = own + below;
      pixels[to] = (red * own + pixels[to] * below) / all;
      pixels[to + 1] = (green * own + pixels[to + 1] * below) / all;
      pixels[to + 2] = (blue * own + pixels[to + 2] * below) / all;
      pixels[to + 3] = 255 * all;
    }
  }
  return pixels;
}

/** @type {Record<string, [number, number]>} across and down */
const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** A rectangle in the middle of a picture, for the keyboard to begin with. @param {{height: number, width: number}} size */
export function middleRectangle({ height, width }) {
  return { left: width * 3 / 8, top: height * 3 / 8, width: width / 4, height: height / 4 };
}

/**
 * A rectangle that an arrow key has moved, or made larger or smaller, within the picture; null for another key.
 * @param {Rectangle} box @param {string} key @param {boolean} resizes @param {{height: number, width: number}} size
 */
export function nudgedRectangle({ left, top, width, height }, key, resizes, size) {
  if (!(key in WAYS)) return null;
  const [across, down] = WAYS[key], step = Math.max(1, Math.max(size.width, size.height) / 40);
  const inside = (/** @type {number} */ value, /** @type {number} */ low, /** @type {number} */ high) =>
    Math.min(Math.max(value, low), high);
  if (!resizes) {
    return { left: inside(left + across * step, 0, size.width - width),
      top: inside(top + down * step, 0, size.height - height), width, height };
  }
  return { left, top, width: inside(width + across * step, 1, size.width - left),
    height: inside(height + down * step, 1, size.height - top) };
}

/**
 * Where a gradient begins and ends that a key fills: an arrow from the side that it points to, Enter everything; null
 * for another key.
 * @param {string} key @param {{height: number, width: number}} size
 * @returns {[{x: number, y: number}, {x: number, y: number}] | null}
 */
export function gradientOfKey(key, { height, width }) {
  if (key !== "Enter" && !(key in WAYS)) return null;
  const [across, down] = WAYS[key] ?? [0, 0];
  const at = (/** @type {1 | -1} */ end) => ({ x: width * (1 + end * across) / 2, y: height * (1 + end * down) / 2 });
  return [at(1), at(-1)];
}

/** The rectangle between two corners. @param {{x: number, y: number}} one @param {{x: number, y: number}} other */
export function spanned(one, other) {
  return { left: Math.min(one.x, other.x), top: Math.min(one.y, other.y),
    width: Math.abs(one.x - other.x), height: Math.abs(one.y - other.y) };
}

/**
 * What was painted before, to go back to and on again; only so much is kept.
 * @param {(term: number) => Kept} now a term's paint as it is
 */
export function strokes(now) {
  /** @type {Kept[]} */ let past = [];
  /** @type {Kept[]} */ let future = [];
  const swapped = (/** @type {Kept[]} */ from, /** @type {Kept[]} */ to) => {
    const found = from.pop();
    if (found) to.push(now(found.term));
    return found ?? null;
  };
  return {
    /** Keeps a term's paint before it changes. @param {number} term */
    keep(term) {
      past = [...past, now(term)].slice(-STROKES);
      future = [];
    },
    undo: () => swapped(past, future),
    redo: () => swapped(future, past),
    /** Drops what was kept of a term that somebody else has painted, or of all. @param {number} [term] */
    forget(term) {
      past = past.filter((each) => term !== undefined && each.term !== term);
      future = future.filter((each) => term !== undefined && each.term !== term);
    },
    can: () => ({ undo: past.length > 0, redo: future.length > 0 }),
  };
}
