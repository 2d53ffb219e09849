import assert from "node:assert/strict";
import { test } from "node:test";

import canvas from "../../js/dream_canvas.js";

test("the module gives anywidget what it asks for", () => {
  assert.deepEqual(Object.keys(canvas), ["render"]);
});
