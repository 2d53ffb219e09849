import assert from "node:assert/strict";
import test from "node:test";

import { heights, outline, readBars, span, total } from "../../js/activation_bars.js";
import { caption, hasPage, pageText } from "../../js/activation_channels.js";
import { trouble } from "../../js/activation_layers.js";
import { zoomed } from "../../js/activation_matrix.js";
import { byteText, progressWords, standing } from "../../js/activation_stats.js";

const bars = { low: 0, width: 1, zeros: 4, counts: [0, 3, 0, 1, 0] };

test("bins are read from a buffer wherever it begins, of each channel the zeros first", () => {
  const numbers = new Float64Array([4, 1, 2, 0, 3, 5]), padded = new Uint8Array(8 * 6 + 3);
  padded.set(new Uint8Array(numbers.buffer), 3);
  const view = new DataView(padded.buffer, 3);
  const axis = { low: -1, high: 1, bins: 2, buffer: 0 };
  assert.deepEqual(readBars([axis], [view]), [
    [{ low: -1, width: 1, zeros: 4, counts: [1, 2] }], [{ low: -1, width: 1, zeros: 0, counts: [3, 5] }],
  ]);
  assert.equal(readBars([axis, { ...axis, buffer: 1 }], [view, view])[1].length, 2);
});

test("an axis ends where the bins that hold something do", () => {
  assert.deepEqual(span([bars]), [1, 4]);
  assert.deepEqual(span([bars, { ...bars, low: 3 }]), [1, 7]);
  assert.deepEqual(span([{ ...bars, counts: [0, 0] }]), [0, 1]);
  assert.equal(total(bars), 8);
});

test("heights are densities, so that histograms of other totals and bins compare", () => {
  const wide = { low: 0, width: 2, zeros: 8, counts: [6, 2] };
  const [now, before] = heights([bars, wide], false);
  assert.deepEqual(now, [0, 1, 0, 1 / 3, 0]);
  assert.deepEqual(before, [0.5, 1 / 6]);
  assert.deepEqual(heights([bars], true)[0][3], Math.log(2) / Math.log(4));
});

test("bars are drawn between the ends of the axis, the smallest still seen", () => {
  assert.equal(outline(bars, [0, 1, 0, 0.001, 0], [1, 4]), "M7.00 40V2.00H38.00V40ZM69.00 40V39.20H100.00V40Z");
});

test("a zoom keeps its cell where it is and stays inside", () => {
  assert.deepEqual(zoomed([0, 0, 100], { row: 50, column: 50 }, 0.5, 100), [25, 25, 50]);
  assert.deepEqual(zoomed([0, 0, 100], { row: 0, column: 99 }, 0.5, 100), [0, 50, 50]);
  assert.deepEqual(zoomed([25, 25, 50], { row: 10, column: 10 }, 2, 100), []);
  assert.deepEqual(zoomed([10, 20, 5], { row: 2, column: 2 }, 0.5, 100)[2], 4);
});

test("what is said", () => {
  const collected = { images: 1500, over: false, working: true, pausing: false, rate: 40, to_go: 80, nbytes: 2.5e6 };
  assert.equal(progressWords(collected), "1,500 images · 80 s to go · 2.50 MB of memory");
  assert.equal(standing(collected, "running"), "collecting");
  assert.equal(standing({ ...collected, working: false }, "finished"), "paused");
  const pausing = { ...collected, working: false, pausing: true };
  assert.deepEqual(["running", "finished"].map((state) => standing(pausing, state)), ["pausing", "pausing"]);
  assert.equal(progressWords(pausing), "Pausing after this batch…");
  assert.equal(standing({ ...collected, working: false, over: true }, "finished"), "complete");
  assert.equal(standing({ ...collected, working: false, images: 0 }, "finished"), "ready");
  assert.equal(standing(collected, "error"), "error");
  assert.equal(byteText(300), "1 kB");
  const row = { channel: 3, dead: true, saturated: false, text: "100 %" };
  assert.deepEqual([caption(row), caption({ ...row, dead: false })], ["dead", "100 %"]);
  assert.equal(pageText({ first: 24, channels: Array(24).fill(row), of: 60 }), "25 – 48 of 60");
  assert.equal(pageText({ first: 0, channels: [row], of: 1 }), "1 channel");
  assert.equal(pageText({ first: 0, channels: [], of: 0 }), "no channel answers");
  const layer = { name: "1", kind: "ReLU", channels: 9, known: true, dead: 0, saturated: 2 };
  assert.deepEqual([trouble(layer), trouble({ ...layer, dead: 1 }), trouble({ ...layer, known: false })],
    ["2 saturated", "1 dead", ""]);
});

test("pages are turned as far as the channels go, however many stand on one", () => {
  const ways = (/** @type {number} */ first, /** @type {number} */ shown, /** @type {number} */ of) =>
    [-1, 1].map((way) => hasPage({ first, channels: Array(shown), of }, way));
  assert.deepEqual([ways(0, 24, 60), ways(24, 24, 60), ways(48, 12, 60)], [[false, true], [true, true], [true, false]]);
  assert.deepEqual([ways(0, 7, 7), ways(0, 0, 0), ways(0, 50, 51)], [[false, false], [false, false], [false, true]]);
});
