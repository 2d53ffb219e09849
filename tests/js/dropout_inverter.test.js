import assert from "node:assert/strict";
import { test } from "node:test";

import { answerText, droppedText } from "../../js/dropout_answers.js";
import inverter, { inversionStanding } from "../../js/dropout_inverter.js";
import { factorText, likeliest, rangeText, rowTexts } from "../../js/dropout_pictures.js";

const answers = [
  { label: "espresso", clean: 0.94, noisy: 0.26, corrupted: 0.26 },
  { label: "consomme", clean: 0.01, noisy: 0.4, corrupted: 0.33 },
];
const frame = { state: "running", step: 250, total: 1000, left: 12, converged: [false], loss: [2.38], levels: [0.3] };

test("the module gives anywidget what it asks for", () => {
  assert.deepEqual(Object.keys(inverter), ["render"]);
});

test("the likeliest class of each pass", () => {
  assert.equal(likeliest(answers, "clean"), "espresso 0.94");
  assert.equal(likeliest(answers, "corrupted"), "consomme 0.33");
  assert.equal(likeliest([], "clean"), "");
});

test("a difference has its factor and its range, with a minus sign", () => {
  assert.deepEqual([1, 2.3, 47, 1234.5].map(factorText), ["× 1", "× 2.3", "× 47", "× 1235"]);
  assert.equal(rangeText(-0.22, 0.22), "−0.22 … 0.22");
});

test("a row of the strip says which it is, and when it is done", () => {
  const rows = { loss: [0.2, 0.004], converged: [false, true], levels: [0.1, 0.2] };
  assert.deepEqual(rowTexts(rows, 0, false), ["sample 1", "0.20"]);
  assert.deepEqual(rowTexts(rows, 1, true), ["p 0.2", "0.0040 ✓"]);
});

test("where an inversion stands", () => {
  assert.equal(inversionStanding({ ...frame, state: "ready", step: 0, converged: [] }), "ready to play");
  assert.equal(inversionStanding({ ...frame, step: 0, converged: [] }), "starting");
  assert.equal(inversionStanding(frame), "step 250 of 1000 · at most 12 s to go");
  const some = { ...frame, converged: [true, false, true] };
  assert.equal(inversionStanding(some), "step 250 of 1000 · 2 of 3 done · at most 12 s to go");
  assert.equal(inversionStanding({ ...frame, converged: [true] }), "step 250 of 1000 · tolerance reached");
  assert.equal(inversionStanding({ ...frame, state: "finished" }), "step 250 of 1000");
});

test("how much was dropped", () => {
  assert.equal(droppedText({ total: 80, dropped: 24, what: "channels" }), "30 % of the 80 channels were dropped at ");
  assert.equal(droppedText({ total: 1280, dropped: 64 }), "5.0 % of the 1,280 units were dropped at ");
  assert.equal(droppedText({ total: 1280, dropped: 0 }), "0 % of the 1,280 units were dropped at ");
  assert.equal(droppedText({}), "");
});

test("the corrupted picture does what dropout did, or says what else", () => {
  assert.equal(answerText(answers, true), "Without dropout, the corrupted picture gives the noisy answer: consomme.");
  assert.equal(answerText(answers, false), "");
  assert.equal(answerText([], true), "");
  assert.equal(answerText(answers.slice(0, 1), true), "Dropout changes no answer here: it is espresso each time.");
  const apart = [answers[0], { ...answers[1], corrupted: 0.2 }];
  assert.equal(answerText(apart, true), "With dropout it was consomme; the corrupted picture, without, is espresso.");
});
