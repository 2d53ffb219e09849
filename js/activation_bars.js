import { bytes, el, short } from "./shared.js";

/**
 * @typedef {{low: number, high: number, bins: number, buffer: number}} Axis where the bins of a histogram lie, and which
 * buffer holds those of its channels
 * @typedef {{low: number, width: number, zeros: number, counts: number[]}} Bars a histogram, what is exactly 0 apart
 */

// Histograms of channels, drawn as paths.

/** The size of a histogram's box; it is stretched to its place. */
const WIDTH = 100, HEIGHT = 40;
/** How far right the bins begin: left of it stands the bar of the zeros. */
const APART = 7;

/**
 * The histograms of a page: of each channel those now and, if there are any, those before.
 * @param {Axis[]} axes @param {(ArrayBuffer | ArrayBufferView)[]} buffers @returns {Bars[][]}
 */
export function readBars(axes, buffers) {
  const /** @type {Bars[][]} */ found = [];
  for (const { low, high, bins, buffer } of axes) {
    const numbers = new Float64Array(bytes(buffers[buffer]).slice().buffer);
    for (let at = 0; at * (bins + 1) < numbers.length; at += 1) {
      const [zeros, ...counts] = numbers.subarray(at * (bins + 1), (at + 1) * (bins + 1));
      (found[at] ??= []).push({ low, width: (high - low) / bins, zeros, counts });
    }
  }
  return found;
}

/** How many values there are. @param {Bars} bars */
export function total({ zeros, counts }) {
  return counts.reduce((sum, count) => sum + count, zeros);
}

/**
 * The ends of the bins that hold something; zero and one where none does.
 * @param {Bars[]} several @returns {[number, number]}
 */
export function span(several) {
  let from = Infinity, to = -Infinity;
  for (const { low, width, counts } of several) {
    counts.forEach((count, bin) => {
      if (!count) return;
      from = Math.min(from, low + bin * width);
      to = Math.max(to, low + (bin + 1) * width);
    });
  }
  return from < to ? [from, to] : [0, 1];
}

/**
 * How high the bars of histograms are, 0 to 1: as densities, so that those of other totals and bins compare.
 * @param {Bars[]} several @param {boolean} log
 */
export function heights(several, log) {
  const [first] = several;
  const sized = several.map((each) => {
    const scale = (total(first) * first.width) / (Math.max(total(each), 1) * each.width);
    return each.counts.map((count) => (log ? Math.log1p(count * scale) : count * scale));
  });
  const most = Math.max(...sized.flat(), Number.MIN_VALUE);
  return sized.map((each) => each.map((height) => height / most));
}

/**
 * The outline of bars in a box of 100 by 40, downwards.
 * @param {Bars} bars @param {number[]} high 0 to 1 each @param {[number, number]} between the ends of the axis
 */
export function outline({ low, width }, high, [from, to]) {
  const across = (/** @type {number} */ value) =>
    (APART + ((value - from) / (to - from)) * (WIDTH - APART)).toFixed(2);
  return high.map((height, bin) => {
    const left = low + bin * width;
    if (!height || left + width <= from || left >= to) return "";
    const up = (HEIGHT - Math.max(height * (HEIGHT - 2), 0.8)).toFixed(2);
    return `M${across(left)} ${HEIGHT}V${up}H${across(left + width)}V${HEIGHT}Z`;
  }).join("");
}

/** A histogram with the bar of its zeros apart. */
export function histogram() {
  const zero = el("path", { class: "zero" }), bars = el("path", { class: "now" }), old = el("path", { class: "before" });
  const ground = el("path", { class: "ground", d: `M0 ${HEIGHT}H${WIDTH}` });
  const root = el("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    ground, zero, bars, old);
  root.classList.add("histogram");
  /** @param {Bars[]} several now and before @param {[number, number]} between @param {boolean} log */
  const show = (several, between, log) => {
    const high = several.length ? heights(several, log) : [], [now] = several;
    const share = now ? now.zeros / Math.max(total(now), 1) : 0;
    const up = share ? HEIGHT - Math.max(share * (HEIGHT - 2), 0.8) : HEIGHT;
    zero.setAttribute("d", share ? `M0 ${HEIGHT}V${up.toFixed(2)}H${APART - 3}V${HEIGHT}Z` : "");
    bars.setAttribute("d", now ? outline(now, high[0], between) : "");
    old.setAttribute("d", several[1] ? outline(several[1], high[1], between) : "");
  };
  return { root, show };
}

/** A place on an axis in words. @param {number} value */
export function axisText(value) {
  return value === 0 ? "0" : short(value).replaceAll("-", "−");
}
