import assert from "node:assert/strict";
import test from "node:test";

import { correlationText } from "../../js/correlates.js";
import { bound } from "../../js/explorer_keys.js";
import { instead } from "../../js/explorer_passport.js";

test("what is not there yet is on its way, or nobody makes it", () => {
  assert.equal(instead("running"), "computing …");
  assert.equal(instead("stopped"), "not computed");
});

test("a correlation has a proper minus", () => {
  assert.deepEqual([0.626, -0.5, 1].map(correlationText), ["0.63", "−0.50", "1.00"]);
});

test("keys fold the passport, and walk over its parts both ways", () => {
  const done = [];
  const acts = { passport: () => done.push("fold"), part: (way) => done.push(way) };
  for (const key of ["9", "s", "S"]) bound(/** @type {any} */ (acts))[key]();
  assert.deepEqual(done, ["fold", 1, -1]);
});
