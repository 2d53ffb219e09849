import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

const FOLDER = new URL("../../js/", import.meta.url);
const IMPORT = /^import {[\w\s,]*} from "\.\/(\w+)\.js";\n/;

/** A module with those that it imports before it, each once and without its imports, as a widget gets them. */
function joined(name, texts = new Map()) {
  if (texts.has(name)) return "";
  let text = readFileSync(new URL(`${name}.js`, FOLDER), "utf8");
  for (let found; (found = IMPORT.exec(text)); text = text.slice(found[0].length)) joined(found[1], texts);
  texts.set(name, text);
  return [...texts.values()].join("");
}

/** The module that a text is; none whose top-level names are not all different. */
function loaded(text) {
  return import(`data:text/javascript;base64,${Buffer.from(text).toString("base64")}`);
}

const widgets = readdirSync(FOLDER).filter((name) => name.endsWith(".js")).map((name) => name.slice(0, -3))
  .filter((name) => readFileSync(new URL(`${name}.js`, FOLDER), "utf8").includes("export default"));

test("there are five widgets", () => {
  assert.deepEqual(widgets, ["activation_stats", "dream_canvas", "dropout_inverter", "layer_explorer", "saliency_view"]);
});

for (const name of widgets) {
  test(`the modules of ${name} have no top-level name twice`, async () => {
    const text = joined(name);
    assert.equal(typeof (await loaded(text)).default.render, "function");
    await assert.rejects(loaded(`${text}\nfunction el() {}`), /'el' has already been declared/);
  });
}
