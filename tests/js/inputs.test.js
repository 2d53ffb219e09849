import assert from "node:assert/strict";
import { test } from "node:test";

import { refusal } from "../../js/camera.js";
import { timeText } from "../../js/film.js";
import { newestWaits, reduced, reducedText } from "../../js/inputs.js";
import { shortened } from "../../js/picture_list.js";

test("a picture goes as it is unless it is too large to be sent or to be worked on", () => {
  assert.equal(reduced(3024, 4032, 5e6), null);
  assert.equal(reduced(4096, 4096, 8e6), null);
  assert.deepEqual(reduced(6000, 8000, 5e6), [3072, 4096]);
  assert.deepEqual(reduced(3024, 4032, 12e6), [3024, 4032]);
  assert.deepEqual(reduced(1, 90_000, 10), [1, 4096]);
});

test("what the browser did to a picture", () => {
  const scaled = "The browser scaled the picture from 6,000 × 8,000 to 3,072 × 4,096 pixels before it was sent, as a JPEG.";
  assert.equal(reducedText([6000, 8000], [3072, 4096]), scaled);
  assert.equal(reducedText([3, 4], [3, 4]), "The browser compressed the file, which is too large to be sent, as a JPEG.");
});

test("a long name keeps its beginning and its end", () => {
  assert.equal(shortened("cat.png"), "cat.png");
  assert.equal(shortened("a".repeat(50) + "-last-of-many.png"), "a".repeat(20) + "…st-of-many.png".slice(-15));
  assert.ok(shortened("b".repeat(500)).length <= 36);
});

test("while one is under way the newest waits, and those between are never begun", async () => {
  const begun = [], ends = [];
  const ask = newestWaits((given) => new Promise((resolve) => { begun.push(given); ends.push(resolve); }));
  const over = [1, 2, 3, 4].map((given) => ask(given));
  assert.deepEqual(begun, [1]);
  await Promise.all([over[1], over[2]]); // they are dropped at once
  ends[0]();
  await over[0];
  assert.deepEqual(begun, [1, 4]);
  ends[1]();
  await over[3];
  const next = ask(5);
  assert.deepEqual(begun, [1, 4, 5]);
  ends[2]();
  await next;
});

test("a time in a video", () => {
  assert.deepEqual([0, 0.3, 9.96, 61.25, 3600].map(timeText), ["0:00.0", "0:00.3", "0:09.9", "1:01.2", "60:00.0"]);
});

test("why there is no picture of the camera", () => {
  assert.match(refusal({ name: "NotAllowedError", message: "" }), /was not allowed to use the camera/);
  assert.match(refusal({ name: "NotFoundError", message: "" }), /There is no camera/);
  assert.equal(refusal({ name: "OddError", message: "It smokes" }), "The camera cannot be used: It smokes.");
});
