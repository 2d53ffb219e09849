import { pixelAt } from "./pointing.js";

/**
 * @import { Box, Pixel, Size } from "./pointing.js"
 * @typedef {{
 *   name: string, kind: string, shape: number[], field: [number, number] | null, calls: number, dead: number | null,
 *   pictures: number,
 * }} ExplorerLayer `field`: how many pixels a unit sees, null where all of them or more than is known; `dead`: how many
 * of its channels are, null where that is not known; `pictures`: of a pair, that stand side by side in its channels
 * @typedef {[number, number]} Lane from where to where across the picture a map lies, 0 to 1
 * @typedef {{
 *   first: number, last: number, rows: number, columns: number, tile: [number, number], padding: number,
 *   size: [number, number],
 * }} Grid of the picture of a layer: channels `first` to `last` − 1, `size` and `tile` as height and width in pixels
 */

// Where the channels of a layer are in the picture of them all, and which way a key leads from one to the next.

/**
 * Where a channel's tile is, null if it is not shown.
 * @param {Grid} grid @param {number} channel @returns {Box | null}
 */
export function tileBox({ first, last, columns, tile: [high, wide], padding, size: [height, width] }, channel) {
  if (channel < first || channel >= last) return null;
  const row = Math.floor((channel - first) / columns), column = (channel - first) % columns;
  return {
    left: (column * (wide + padding)) / width, top: (row * (high + padding)) / height,
    width: wide / width, height: high / height,
  };
}

/**
 * The channel at a pixel, null where there is none; the lines below a tile and to its right are its own.
 * @param {Grid} grid @param {Pixel} pixel
 */
export function channelAt({ first, last, columns, tile: [high, wide], padding }, { row, column }) {
  const channel = first + Math.floor(row / (high + padding)) * columns + Math.floor(column / (wide + padding));
  return channel < last ? channel : null;
}

/**
 * The channel that lies some rows and columns on; to the side that goes on in the next row.
 * @param {number} channel @param {[number, number]} way rows and columns
 * @param {Grid} grid @param {number} count channels
 * @returns {number | null} null above the top row
 */
export function moved(channel, [rows, columns], grid, count) {
  if (rows < 0 && channel < grid.columns) return null;
  const to = channel + rows * grid.columns + columns;
  if (to >= 0) return Math.min(to, count - 1);
  return rows ? channel % grid.columns : 0;
}

/**
 * The value after the one that is chosen, round and round; the first one where that is none of them.
 * @template T @param {T[]} values @param {T} now @param {number} way 1 on, −1 back @returns {T}
 */
export function cycled(values, now, way) {
  const at = values.indexOf(now);
  return at < 0 ? values[0] : values[(at + way + values.length) % values.length];
}

/** Rows and columns of a layer's channels. @param {Pick<ExplorerLayer, "shape"> | undefined} layer @returns {Size} */
export function mapSize(layer) {
  const [, ...rest] = layer?.shape ?? [];
  return rest.length > 1 ? { height: rest[0], width: rest[1] } : { height: 1, width: rest[0] ?? 1 };
}

/** A unit's place as a box in its channel. @param {number[]} place row and column @param {Size} size @returns {Box} */
export function cellBox([row, column], { width, height }) {
  return { left: column / width, top: row / height, width: 1 / width, height: 1 / height };
}

/**
 * What of a receptive field lies in the picture.
 * @param {number[]} field its edges, pixels @param {Size} size @returns {Box}
 */
export function fieldBox([top, left, bottom, right], { width, height }) {
  const share = (/** @type {number} */ at, /** @type {number} */ count) => Math.min(Math.max(at / count, 0), 1);
  const high = share(top, height), start = share(left, width);
  return { left: start, top: high, width: share(right, width) - start, height: share(bottom, height) - high };
}

/** Where the pictures themselves lie. @type {Lane[]} */
export const WHOLE = [[0, 1]];

/**
 * The same place in another picture; null where it has none.
 * @param {Pixel} pixel @param {Size} from @param {Size} to
 * @param {Lane[]} [start] where the picture that it is in lies @param {Lane[]} [end] where the other one does
 * @returns {Pixel | null}
 */
export function carriedAcross(pixel, from, to, [[left, right]] = WHOLE, end = WHOLE) {
  const at = left + ((right - left) * (pixel.column + 0.5)) / from.width;
  const lane = end.find(([start, stop]) => start <= at && at < stop);
  if (!lane) return null;
  return pixelAt((at - lane[0]) / (lane[1] - lane[0]), (pixel.row + 0.5) / from.height, to);
}

/**
 * A box of a map in the picture, once for each place where the map lies.
 * @param {Box} box @param {Lane[]} lanes
 */
export function laneBoxes(box, lanes) {
  return lanes.map(([left, right]) => ({
    ...box, left: left + (right - left) * box.left, width: (right - left) * box.width,
  }));
}

/**
 * A layer's channels and their size, short: squares are written as such.
 * @param {number[]} shape @param {number} [pictures] that stand side by side in it
 */
export function sizeText([channels, height, all], pictures = 1) {
  const width = all && all / pictures, twice = pictures > 1 ? `${pictures} × ` : "";
  if (height === undefined || (pictures > 1 && height === 1 && width === 1)) return `${twice}${channels}`;
  return `${twice}${channels} × ${height === width ? `${height}²` : [height, width].filter(Boolean).join(" × ")}`;
}

/** How much of the picture a unit sees, short. @param {[number, number] | null} field */
export function fieldText(field) {
  if (!field) return "sees all";
  return `sees ${field[0] === field[1] ? field[0] : field.join(" × ")} px`;
}
