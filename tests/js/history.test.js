import assert from "node:assert/strict";
import test from "node:test";

import { branches, pointFrom } from "../../js/history.js";

const point = (/** @type {number} */ id, /** @type {number | null} */ parent) => ({ id, parent, label: "", place: "", again: false });
// 0 – 1 – 2, from 1 also 3 – 5, from 2 also 4
const POINTS = [point(0, null), point(1, 0), point(2, 1), point(3, 1), point(4, 2), point(5, 3), point(6, 2)];

test("a branch is a row of its own, and each point stands right of the one that it came from", () => {
  const spots = branches(POINTS), at = (/** @type {number} */ id) => Object.values(spots.get(id) ?? {});
  assert.deepEqual([0, 1, 2, 3, 4, 5, 6].map(at), [[0, 0], [1, 0], [2, 0], [2, 1], [3, 0], [3, 1], [3, 2]]);
});

test("what came from a point that is forgotten begins a row", () => {
  assert.deepEqual([...branches([point(7, 3), point(8, 7)]).values()], [{ column: 0, row: 0 }, { column: 1, row: 0 }]);
});

test("arrow keys lead to the point before and after, and to the nearest in the next row", () => {
  const spots = branches(POINTS), to = (/** @type {string} */ key, /** @type {number} */ id) => pointFrom(key, id, POINTS, spots);
  assert.equal(to("ArrowRight", 1), 2);
  assert.equal(to("ArrowLeft", 3), 1);
  assert.equal(to("ArrowLeft", 0), 0);
  assert.equal(to("ArrowDown", 2), 3);
  assert.equal(to("ArrowUp", 5), 4);
  assert.equal(to("ArrowDown", 6), 6);
  assert.deepEqual([to("Home", 5), to("End", 5), to("x", 5)], [0, 6, 5]);
});
