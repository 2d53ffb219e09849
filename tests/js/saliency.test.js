import assert from "node:assert/strict";
import { test } from "node:test";

import { areaText, barShare, filmCaptions } from "../../js/saliency_checks.js";
import { carried, pixelAt, reader, square } from "../../js/pointing.js";
import { limitText, zeroAt } from "../../js/panes.js";
import { slidersOf } from "../../js/saliency_controls.js";
import { progressText, stateText } from "../../js/progress.js";
import view, { chosen, classes } from "../../js/saliency_view.js";
import { chance } from "../../js/shared.js";

const labels = ["tench", "measuring cup", "cup", "espresso", "cucumber"];
const top = [{ index: 3, label: "espresso", probability: 0.94 }, { index: 2, label: "cup", probability: 0.02 }];

test("a click on a method shows it alone, or beside others while they are compared", () => {
  assert.deepEqual(chosen(["gradient"], "grad_cam", false), ["grad_cam"]);
  assert.deepEqual(chosen(["gradient", "occlusion"], "occlusion", false), ["occlusion"]);
  assert.deepEqual(chosen(["gradient"], "grad_cam", true), ["gradient", "grad_cam"]);
  assert.deepEqual(chosen(["gradient", "grad_cam"], "gradient", true), ["grad_cam"]);
});

test("there is always one method, and never more than four", () => {
  const four = ["a", "b", "c", "d"];
  assert.equal(chosen(four, "e", true), four);
  assert.deepEqual(chosen(["a"], "a", true), ["a"]);
});

test("only the sliders that matter, each once and in the panel's order", () => {
  const methods = [
    ["gradient", []], ["smoothgrad", ["samples", "noise"]], ["occlusion", ["window", "stride"]],
  ].map(([name, sliders]) => ({ name, sliders, label: "", sentence: "", place: "images" }));
  assert.deepEqual(slidersOf(methods, ["gradient"], "look"), []);
  assert.deepEqual(slidersOf(methods, ["occlusion", "smoothgrad"], "look"), ["samples", "noise", "window", "stride"]);
  assert.deepEqual(slidersOf(methods, ["gradient"], "occlude"), ["window"]);
});

test("without a query the likeliest classes come first, each once, then the rest", () => {
  const found = classes("", labels, top);
  assert.deepEqual(found.map(({ index }) => index), [3, 2, 0, 1, 4]);
  assert.deepEqual(found.map(({ probability }) => probability), [0.94, 0.02, null, null, null]);
});

test("a query finds classes by name, whole words first, and by number", () => {
  assert.deepEqual(classes("cup", labels, top).map(({ label }) => label), ["cup", "measuring cup"]);
  assert.equal(classes("cup", labels, top)[0].probability, 0.02);
  assert.deepEqual(classes("4", labels, top).map(({ label }) => label), ["cucumber"]);
  assert.deepEqual(classes("zebra", labels, top), []);
});

test("a probability that is not nothing is not written as nothing", () => {
  assert.deepEqual([0.9431, 0.005, 0.0049, null, undefined].map(chance), ["0.94", "0.01", "< 0.01", "", ""]);
});

test("how far the work is", () => {
  const work = { doing: "Occlusion", done: 210, total: 784, left: 6.2 };
  assert.equal(progressText(work), "Occlusion 210 of 784 · 6 s to go");
  assert.equal(progressText({ doing: "Gradient", done: 0, total: 0, left: null }), "Gradient");
});

test("the chip speaks of maps", () => {
  const states = ["running", "finished", "stopped", "error"];
  assert.deepEqual(states.map(stateText), ["computing", "ready", "cancelled", "error"]);
});

test("a place in a picture is a pixel inside it", () => {
  const size = { width: 20, height: 10 };
  assert.deepEqual(pixelAt(0.5, 0.5, size), { row: 5, column: 10 });
  assert.deepEqual(pixelAt(1, -0.1, size), { row: 0, column: 19 });
});

test("a pixel is found again in a picture of another size, and back", () => {
  const image = { width: 224, height: 112 }, grid = { width: 14, height: 7 };
  assert.deepEqual(carried({ row: 111, column: 17 }, image, grid), { row: 6, column: 1 });
  assert.deepEqual(carried({ row: 6, column: 1 }, grid, image), { row: 104, column: 24 });
  assert.deepEqual(carried({ row: 3, column: 5 }, image, image), { row: 3, column: 5 });
});

test("a square lies around its pixel, and inside the picture", () => {
  const size = { width: 100, height: 50 };
  assert.deepEqual(square({ row: 20, column: 50 }, 10, size), { left: 0.45, top: 0.3, width: 0.1, height: 0.2 });
  assert.deepEqual(square({ row: 0, column: 99 }, 10, size), { left: 0.9, top: 0, width: 0.1, height: 0.2 });
  assert.deepEqual(square({ row: 9, column: 9 }, 80, size), { left: 0, top: 0, width: 0.8, height: 1 });
});

test("one question is on its way at a time, and the last place is what is read", async () => {
  const /** @type {any[]} */ asked = [], said = [], heard = new Set();
  const model = {
    send: (question) => asked.push(question),
    on: (_, call) => heard.add(call),
    off: (_, call) => heard.delete(call),
  };
  const answer = async (reply) => {
    for (const call of heard) call({ type: "reply", id: asked.at(-1).id, ...reply }, []);
    await new Promise((resolve) => setImmediate(resolve));
  };
  const { signal } = new AbortController();
  const read = reader({ model, signal }, ({ title, value }) => said.push(`${title} ${value}`));
  const pane = { key: "gradient", title: "Gradient", picture: 1 };
  for (const column of [1, 2, 3, 4]) read(pane, { row: 0, column });
  assert.deepEqual(asked.map(({ column }) => column), [1]);
  await answer({ text: "1.0" });
  assert.deepEqual(asked.map(({ pane, column }) => [pane, column]), [["gradient", 1], ["gradient", 4]]);
  await answer({ error: "no map" });
  assert.deepEqual(said, ["Gradient 1.0", "Gradient no map"]);
  read({ ...pane, picture: -1 }, { row: 0, column: 5 }); // nothing is there to be read
  assert.equal(asked.length, 2);
  assert.equal(heard.size, 0);
});

test("zero is marked on a colour bar where there is room for it", () => {
  assert.equal(zeroAt(-1, 1), 0.5);
  assert.deepEqual([zeroAt(0, 1), zeroAt(-1, 0), zeroAt(1, 2), zeroAt(-1, 100)], [null, null, null, null]);
  assert.deepEqual([0, 0.0213, -1.7].map(limitText), ["0", "0.0213", "−1.70"]);
});

test("the largest area fills its bar", () => {
  const bars = [{ insertion: 0.4, deletion: 0.1 }, { insertion: 0.2, deletion: 0.05 }];
  assert.deepEqual([0.4, 0.1, 0].map((value) => barShare(value, bars)), [1, 0.25, 0]);
  assert.equal(barShare(0, [{ insertion: 0, deletion: 0 }]), 0);
  assert.equal(barShare(null, bars), 0);
});

test("probabilities have as many digits each, other scores as they come", () => {
  const shares = [{ insertion: 0.4, deletion: 0.1 }], scores = [{ insertion: 14.2, deletion: 0.1 }];
  assert.deepEqual([areaText(0.4, shares), areaText(0.061, shares)], ["0.400", "0.061"]);
  assert.deepEqual([areaText(14.2, scores), areaText(0.1, scores), areaText(null, shares)], ["14.2", "0.10", "–"]);
});

test("the film begins with the map as trained where there is a picture of it", () => {
  const stages = [{ layer: "fc", correlation: 0.5 }, { layer: "stem", correlation: -0.02 }];
  const rows = [{ layer: "fc", text: "ρ 0.50" }, { layer: "stem", text: "ρ −0.02" }];
  assert.deepEqual(filmCaptions(stages, 2), rows);
  assert.deepEqual(filmCaptions(stages, 3), [{ layer: "", text: "as trained" }, ...rows]);
  assert.deepEqual(filmCaptions([{ layer: "fc", correlation: null }], 1), [{ layer: "fc", text: "ρ –" }]);
});

test("the module gives anywidget what it asks for", () => {
  assert.deepEqual(Object.keys(view), ["render"]);
});
