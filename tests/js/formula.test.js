import assert from "node:assert/strict";
import { test } from "node:test";

import { completed, pointed } from "../../js/formula.js";
import { tileFrom } from "../../js/grid.js";
import { between, colorOf, mixOf } from "../../js/terms.js";

test("a layer that is completed is followed by the bracket of its channel, where none stands", () => {
  assert.deepEqual(completed("2*lay", { start: 2, end: 5 }, "layer3"), ["2*layer3[", 9]);
  assert.deepEqual(completed("lay[12]", { start: 0, end: 3 }, "layer3"), ["layer3[12]", 6]);
  assert.deepEqual(completed("activity(lay)", { start: 9, end: 12 }, "layer3"), ["activity(layer3)", 15]);
  assert.deepEqual(completed("log", { start: 0, end: 3 }, "logit["), ["logit[", 6]);
  assert.deepEqual(completed("logit[tab] + 1", { start: 6, end: 9 }, "tabby"), ["logit[tabby] + 1", 11]);
});

test("what is wrong in a formula is shown between what is before and after it, at its end as a gap", () => {
  assert.deepEqual(pointed("a[1] + b[2]", { reason: "", start: 7, length: 1 }), ["a[1] + ", "b", "[2]"]);
  assert.deepEqual(pointed("a[1] +", { reason: "", start: 6, length: 0 }), ["a[1] +", " ", ""]);
});

test("between two terms what they weigh together stays", () => {
  assert.deepEqual(between([1, 0.6], 0.25), [1.2, 0.4]);
  assert.deepEqual(between([0, 0], 0.5), [0.5, 0.5]);
  for (const place of [0, 0.3, 1]) assert.equal(mixOf(between([3, 1], place)).toFixed(4), place.toFixed(4));
});

test("colours come again after the sixth term", () => {
  assert.equal(colorOf(0), "term-0");
  assert.equal(colorOf(7), "term-1");
});

test("arrows lead from tile to tile and stop at the edge", () => {
  assert.equal(tileFrom("ArrowRight", 2, 3, 5), 3);
  assert.equal(tileFrom("ArrowDown", 1, 3, 5), 4);
  assert.equal(tileFrom("ArrowDown", 2, 3, 5), 2);
  assert.equal(tileFrom("ArrowLeft", 0, 3, 5), 0);
  assert.equal(tileFrom("Home", 3, 3, 5), 3);
});
