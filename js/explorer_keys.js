/**
 * @import { Named } from "./shared.js"
 * @typedef {{
 *   move(way: [number, number]): void, layer(way: number): void, back(way: number): void, view(way: number): void,
 *   colormap(way: number): void, overlay(way: number): void, shows(): void, freeze(): void, gamma(): void,
 *   boost(): void, zoom(): void, labels(): void, turn(way: number): void, reset(): void, passport(): void,
 *   part(way: number): void, framing(way: number): void,
 * }} Acts what keys do
 * @typedef {{shown: string, what: string, keys: Record<string, (acts: Acts) => void>}} Binding
 */

/** How many steps a key with Shift is. */
const FAR = 3;

/** @type {Record<string, [number, number]>} rows and columns */
const MOVES = { i: [-1, 0], k: [1, 0], j: [0, -1], l: [0, 1] };
/** @type {Record<string, string>} */
const LIKE = { ArrowUp: "i", ArrowDown: "k", ArrowLeft: "j", ArrowRight: "l" };

/**
 * One key leads back and one leads on.
 * @param {string} before @param {string} after @param {"layer" | "turn" | "back" | "view" | "colormap" | "overlay" | "part"} name
 * @param {number} far
 */
function ways(before, after, name, far) {
  const back = (/** @type {Acts} */ acts) => acts[name](-far), on = (/** @type {Acts} */ acts) => acts[name](far);
  return { [before]: back, [after]: on };
}

/** A key leads on, and back with Shift. @param {string} key @param {"back" | "view" | "colormap" | "overlay" | "part"} name */
function loop(key, name) {
  return ways(key.toUpperCase(), key, name, 1);
}

/** Moves to another channel. @param {string[]} keys @param {number} far */
function moves(keys, far) {
  return Object.fromEntries(keys.map((key) => {
    const [rows, columns] = MOVES[LIKE[key] ?? key.toLowerCase()];
    return [key, (/** @type {Acts} */ acts) => acts.move([rows * far, columns * far])];
  }));
}

/** The keys of the Deep Visualization Toolbox, which the help and the panel both go by. @type {Binding[]} */
export const BINDINGS = [
  { shown: "← ↑ → ↓", what: "another channel; up from the top row: the layers", keys: moves(Object.keys(LIKE), 1) },
  { shown: "j i l k", what: "the same: left, up, right, down", keys: moves(["j", "i", "l", "k"], 1) },
  { shown: "J I L K", what: "three steps", keys: moves(["J", "I", "L", "K"], FAR) },
  { shown: "u o", what: "the layer before, the next one", keys: ways("u", "o", "layer", 1) },
  { shown: "U O", what: "three layers", keys: ways("U", "O", "layer", FAR) },
  { shown: "[ ]", what: "the page before, the next page", keys: ways("[", "]", "turn", 1) },
  { shown: "z", what: "large: all channels, the channel, what is sent back", keys: { z: (acts) => acts.zoom() } },
  { shown: "a", what: "activations or gradients", keys: { a: (acts) => acts.shows() } },
  { shown: "b B", what: "how it is sent back: on, back", keys: loop("b", "back") },
  { shown: "d", what: "freeze the origin", keys: { d: (acts) => acts.freeze() } },
  { shown: "n N", what: "the view of what is sent back: on, back", keys: loop("n", "view") },
  { shown: "y Y", what: "the overlay: on, back", keys: loop("y", "overlay") },
  { shown: "m M", what: "the colour map: on, back", keys: loop("m", "colormap") },
  { shown: "t", what: "gamma: 1, 0.7, 0.5, 0.3", keys: { t: (acts) => acts.gamma() } },
  { shown: "T", what: "boost: 0, 0.3, 0.5, 0.8, 1", keys: { T: (acts) => acts.boost() } },
  { shown: "8", what: "the likeliest classes on and off", keys: { 8: (acts) => acts.labels() } },
  { shown: "9", what: "the passport on and off", keys: { 9: (acts) => acts.passport() } },
  { shown: "s S", what: "what of the passport: all, or one part: on, back", keys: loop("s", "part") },
  { shown: "0", what: "the picture whole, cropped or stretched", keys: { 0: (acts) => acts.framing(1) } },
  { shown: "Esc", what: "back to the beginning", keys: { Escape: (acts) => acts.reset() } },
];

/** The bindings as the help has them. @type {Named[]} */
export const TOLD = [
  ...BINDINGS.map(({ shown, what }) => /** @type {Named} */ ([shown, what])),
  ["Enter", "on a picture: choose that place; in the list: go to the channels"],
];

/** What each key does. @param {Acts} acts @returns {Record<string, () => void>} */
export function bound(acts) {
  const all = BINDINGS.flatMap(({ keys }) => Object.entries(keys));
  return Object.fromEntries(all.map(([key, act]) => [key, () => act(acts)]));
}
