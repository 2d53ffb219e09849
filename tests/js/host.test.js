import assert from "node:assert/strict";
import { test } from "node:test";

import { isDark, toldDark } from "../../js/host.js";

test("isDark weighs the colours as the eye does", () => {
  const colors = [[17, 17, 17], [255, 255, 255], [255, 255, 0], [0, 0, 255]];
  assert.deepEqual(colors.map(isDark), [true, false, false, true]);
});

test("JupyterLab, VS Code and Colab say which theme they have, others say nothing", () => {
  assert.equal(toldDark({ jpThemeLight: "true" }, null), false);
  assert.equal(toldDark({ jpThemeLight: "false" }, null), true);
  const kinds = ["vscode-light", "vscode-dark", "vscode-high-contrast", "vscode-high-contrast-light"];
  assert.deepEqual(kinds.map((vscodeThemeKind) => toldDark({ vscodeThemeKind }, null)), [false, true, true, false]);
  assert.deepEqual(["dark", "light", "", null].map((theme) => toldDark({}, theme)), [true, false, null, null]);
});
