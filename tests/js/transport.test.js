import assert from "node:assert/strict";
import { test } from "node:test";

import { rateText, logScale, standing } from "../../js/transport.js";

const header = { state: "running", step: 12, total: 40, octave: 2, octaves: 4, round: 1, rounds: 1, left: 3.2 };

test("where a run stands", () => {
  assert.equal(standing(header), "octave 2 of 4 · step 12 of 40 · 3 s to go");
  assert.equal(standing({ ...header, octaves: 1 }), "step 12 of 40 · 3 s to go");
  const finished = { ...header, state: "finished", step: 40, octave: 4, left: 0 };
  assert.equal(standing(finished), "octave 4 of 4 · step 40 of 40");
  assert.equal(standing({ ...header, state: "paused", left: null }), "octave 2 of 4 · step 12 of 40");
  assert.equal(standing({ ...header, state: "ready", step: 0 }), "ready to play");
  assert.equal(standing({ ...header, step: 0 }), "starting");
});

test("where a run of several rounds stands, with an end and without", () => {
  const loop = { ...header, round: 3, rounds: null, step: 137, total: null, left: null };
  assert.equal(standing(loop), "round 3 · octave 2 of 4 · step 137");
  assert.equal(standing({ ...loop, octaves: 1 }), "round 3 · step 137");
  const ending = { ...loop, rounds: 3, total: 160, left: 61 };
  assert.equal(standing(ending), "round 3 of 3 · octave 2 of 4 · step 137 of 160 · 61 s to go");
});

test("the chip gives the speed only while it runs", () => {
  assert.equal(rateText({ state: "running", rate: 11.83 }), "11.8 steps/s");
  assert.equal(rateText({ state: "running", rate: null }), "");
  assert.equal(rateText({ state: "paused", rate: 11.83 }), "");
});

test("losses lie on a log axis that reaches down to the tolerance", () => {
  const { points, range, level } = logScale([[0, 10], [5, 0.1], [9, 0]], 0.01);
  assert.deepEqual(points, [[0, 1], [5, -1], [9, -2]]);
  assert.deepEqual([range, level], [[-2, 1], -2]);
});

test("a log axis without a tolerance, and one without anything above zero", () => {
  assert.deepEqual(logScale([[0, 100], [1, 1]], 0), { points: [[0, 2], [1, 0]], range: [0, 2], level: null });
  assert.deepEqual(logScale([], 0).range, [0, 0]);
});
