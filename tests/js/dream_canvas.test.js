import assert from "node:assert/strict";
import { test } from "node:test";

import canvas, { channelCount, chipText, shapeText, standing } from "../../js/dream_canvas.js";

const header = { state: "running", step: 12, total: 40, octave: 2, octaves: 4, left: 3.2 };

test("where a run stands", () => {
  assert.equal(standing(header), "octave 2 of 4 · step 12 of 40 · 3 s to go");
  assert.equal(standing({ ...header, octaves: 1 }), "step 12 of 40 · 3 s to go");
  const finished = { ...header, state: "finished", step: 40, octave: 4, left: 0 };
  assert.equal(standing(finished), "octave 4 of 4 · step 40 of 40");
  assert.equal(standing({ ...header, state: "paused", left: null }), "octave 2 of 4 · step 12 of 40");
  assert.equal(standing({ ...header, state: "ready", step: 0 }), "ready to play");
  assert.equal(standing({ ...header, step: 0 }), "starting");
});

test("the chip gives the speed only while it runs", () => {
  assert.equal(chipText("running", 11.83), "running · 11.8 steps/s");
  assert.equal(chipText("running", null), "running");
  assert.equal(chipText("paused", 11.83), "paused");
});

test("layers have channels and shapes", () => {
  const layers = [["stem", "Conv2d", [32, 14, 20]], ["fc", "Linear", [1000]]];
  assert.deepEqual(["stem", "fc", "none"].map((name) => channelCount(layers, name)), [32, 1000, 0]);
  assert.equal(shapeText([32, 14, 20]), "32 × 14 × 20");
});

test("the module gives anywidget what it asks for", () => {
  assert.deepEqual(Object.keys(canvas), ["render"]);
});
