import assert from "node:assert/strict";
import { test } from "node:test";

import { channelCount, shapeText } from "../../js/pickers.js";

test("layers have channels and shapes", () => {
  const layers = [{ name: "stem", kind: "Conv2d", shape: [32, 14, 20] }, { name: "fc", kind: "Linear", shape: [1000] }];
  assert.deepEqual(["stem", "fc", "none"].map((name) => channelCount(layers, name)), [32, 1000, 0]);
  assert.equal(shapeText([32, 14, 20]), "32 × 14 × 20");
});
