import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { paintedWords } from "../../js/easel.js";
import {
  brushed, feathered, gradientFilled, gradientOfKey, inverted, middleRectangle, nudgedRectangle, paintedShare, paintSize,
  rectangleFilled, softness, spanned, strokes, tinted, unpainted,
} from "../../js/paint.js";

const SIZE = { height: 20, width: 30 };
const at = (layer, x, y) => layer.data[y * layer.width + x];
const dab = (x, y, radius) => ({ x, y, radius });
const painted = (...lines) => {
  const layer = unpainted(SIZE);
  for (const [from, to] of lines) brushed(layer, from, to, false);
  return layer;
};

test("paint has a picture's pixels, but for a large one, whose shape it has", () => {
  assert.deepEqual(paintSize([20, 30]), SIZE);
  assert.deepEqual(paintSize([3000, 1500]), { height: 1024, width: 512 });
  assert.deepEqual(paintSize([5000, 1]), { height: 1024, width: 1 });
});

test("a brush is full in its middle and has a soft edge", () => {
  assert.deepEqual([0, 0.5, 1, 1.5].map(softness), [1, 1, 0, 0]);
  assert.equal(softness(0.75), 0.5);
  const layer = painted([dab(10, 8, 4), dab(10, 8, 4)]);
  assert.equal(at(layer, 10, 8), 255);
  assert.ok(at(layer, 12, 8) < 255 && at(layer, 12, 8) > at(layer, 13, 8) && at(layer, 13, 8) > 0);
  assert.equal(at(layer, 15, 8), 0);
  assert.equal(at(layer, 8, 10), at(layer, 11, 10)); // left and right of the middle
});

test("a line in many strokes leaves what a line in one stroke leaves", () => {
  const once = painted([dab(4, 5, 3), dab(24, 15, 3)]);
  const often = painted(...[0, 1, 2, 3].map((step) =>
    [dab(4 + 5 * step, 5 + 2.5 * step, 3), dab(9 + 5 * step, 7.5 + 2.5 * step, 3)]));
  assert.deepEqual(often.data, once.data);
  assert.equal(at(once, 14, 10), 255);
  assert.equal(at(once, 24, 5), 0);
});

test("a pen that is pressed harder draws wider", () => {
  const layer = painted([dab(3, 10, 1), dab(27, 10, 8)]);
  const high = (x) => [...Array(20).keys()].filter((y) => at(layer, x, y)).length;
  assert.ok(high(3) <= 3 && high(25) >= 13 && high(15) > high(8));
});

test("a brush that leaves the picture paints what is inside of it", () => {
  const layer = painted([dab(-2, -2, 5), dab(-2, -2, 5)], [dab(31, 30, 3), dab(60, 60, 3)]);
  assert.ok(at(layer, 0, 0) > 0);
  assert.equal(at(layer, 29, 19), 0);
});

test("the eraser takes off what the brush put on, and nothing becomes less than nothing", () => {
  const layer = painted([dab(10, 8, 4), dab(20, 8, 4)]);
  brushed(layer, dab(10, 8, 4), dab(20, 8, 4), true);
  assert.equal(at(layer, 15, 8), 0);
  const edge = Math.max(...layer.data); // where both are soft, something is left
  assert.ok(edge > 0 && edge <= 128);
  brushed(layer, dab(15, 8, 30), dab(15, 8, 30), true);
  assert.ok(layer.data.every((value) => value === 0));
});

test("a gradient goes from full where the drag begins to nothing where it ends", () => {
  const layer = unpainted(SIZE);
  gradientFilled(layer, { x: 5.5, y: 3 }, { x: 25.5, y: 3 });
  assert.deepEqual([0, 5, 15, 25, 29].map((x) => at(layer, x, 12)), [255, 255, 128, 0, 0]);
  gradientFilled(layer, { x: 0, y: 10.5 }, { x: 0, y: 0.5 });
  assert.deepEqual([0, 5, 10, 19].map((y) => at(layer, 7, y)), [0, 128, 255, 255]);
  gradientFilled(layer, { x: 4, y: 4 }, { x: 4, y: 4 });
  assert.ok(layer.data.every((value) => value === 255));
});

test("a rectangle fills whole pixels, as far as there is picture", () => {
  const layer = unpainted(SIZE);
  rectangleFilled(layer, { left: 27.2, top: 17.6, width: 50, height: 50 }, 255);
  assert.equal(layer.data.filter(Boolean).length, 3 * 2);
  rectangleFilled(layer, { left: -5, top: -5, width: 100, height: 100 }, 7);
  assert.ok(layer.data.every((value) => value === 7));
});

test("inverting twice changes nothing, and the shares of both are the whole", () => {
  const layer = painted([dab(10, 8, 4), dab(20, 8, 4)]), before = layer.data.slice(), share = paintedShare(layer);
  inverted(layer);
  assert.ok(Math.abs(paintedShare(layer) + share - 1) < 1e-12 && share > 0.05 && share < 0.5);
  inverted(layer);
  assert.deepEqual(layer.data, before);
});

test("feathering softens an edge as a Gaussian does, and leaves the border of the picture as it is", () => {
  const layer = unpainted({ height: 40, width: 60 }), radius = 4;
  rectangleFilled(layer, { left: 0, top: 0, width: 30, height: 40 }, 255);
  feathered(layer, radius);
  const erf = (x) => { // the integral of the Gaussian, by small steps
    let sum = 0;
    for (let z = 0; z < Math.abs(x); z += 1e-3) sum += Math.exp(-z * z) * 1e-3;
    return Math.sign(x) * 2 / Math.sqrt(Math.PI) * sum;
  };
  for (let x = 20; x < 40; x++) {
    const wanted = 127.5 * (1 - erf((x + 0.5 - 30) / (radius * Math.SQRT2)));
    assert.ok(Math.abs(at(layer, x, 0) - wanted) <= 1.5, `${x}: ${at(layer, x, 0)} is not ${wanted}`);
  }
  assert.deepEqual([at(layer, 0, 0), at(layer, 59, 39)], [255, 0]);
  const row = [...layer.data.slice(0, 60)];
  for (let y = 0; y < 40; y++) assert.deepEqual([...layer.data.slice(60 * y, 60 * (y + 1))], row);
});

test("layers of paint are laid over each other", () => {
  const one = { height: 1, width: 3, data: Uint8Array.of(255, 255, 0) };
  const two = { height: 1, width: 3, data: Uint8Array.of(0, 255, 0) };
  const pixels = tinted([
    { layer: one, color: [200, 0, 0], opacity: 0.5 }, { layer: two, color: [0, 100, 0], opacity: 0.5 },
  ], one);
  assert.deepEqual([...pixels.slice(0, 4)], [200, 0, 0, 128]);
  assert.deepEqual([...pixels.slice(8)], [0, 0, 0, 0]);
  const [red, green, , opacity] = pixels.slice(4, 8);
  assert.ok(Math.abs(red - 200 / 3) <= 1 && Math.abs(green - 200 / 3) <= 1 && Math.abs(opacity - 191) <= 1);
});

test("the arrow keys move a rectangle, with Shift they resize it, and it never leaves the picture", () => {
  const box = middleRectangle(SIZE);
  assert.deepEqual(box, { left: 11.25, top: 7.5, width: 7.5, height: 5 });
  assert.deepEqual(nudgedRectangle(box, "ArrowRight", false, SIZE), { ...box, left: 12.25 });
  assert.deepEqual(nudgedRectangle(box, "ArrowUp", true, SIZE), { ...box, height: 4 });
  assert.equal(nudgedRectangle(box, "x", false, SIZE), null);
  let moved = box, grown = box, shrunk = box;
  for (let press = 0; press < 50; press++) {
    moved = nudgedRectangle(moved, "ArrowDown", false, SIZE);
    grown = nudgedRectangle(grown, "ArrowRight", true, SIZE);
    shrunk = nudgedRectangle(shrunk, "ArrowLeft", true, SIZE);
  }
  assert.deepEqual([moved.top, moved.height], [15, 5]);
  assert.deepEqual([grown.left, grown.width], [11.25, 18.75]);
  assert.equal(shrunk.width, 1);
});

test("an arrow key fills a gradient from its side, and Enter everything", () => {
  const layer = unpainted(SIZE), filled = (key) => gradientFilled(layer, ...gradientOfKey(key, SIZE));
  filled("ArrowLeft");
  assert.deepEqual([at(layer, 0, 0), at(layer, 29, 19), at(layer, 15, 3)], [251, 4, 123]);
  filled("ArrowDown");
  assert.deepEqual([at(layer, 0, 0), at(layer, 29, 19), at(layer, 0, 10)], [6, 249, 134]);
  filled("Enter");
  assert.ok(layer.data.every((each) => each === 255));
  assert.equal(gradientOfKey("x", SIZE), null);
});

test("two corners span a rectangle, whichever comes first", () => {
  const wanted = { left: 2, top: 3, width: 6, height: 4 };
  assert.deepEqual(spanned({ x: 8, y: 3 }, { x: 2, y: 7 }), wanted);
  assert.deepEqual(spanned({ x: 2, y: 7 }, { x: 8, y: 3 }), wanted);
});

/** Two terms whose paint is one byte, and what was kept of them. */
function twoTerms() {
  const values = [null, null];
  const now = (term) => ({ term, data: values[term] === null ? null : Uint8Array.of(values[term]) });
  const kept = strokes(now);
  const paint = (term, value) => { kept.keep(term); values[term] = value; };
  const take = (found) => { if (found) values[found.term] = found.data && found.data[0]; return values.slice(); };
  return { kept, paint, undo: () => take(kept.undo()), redo: () => take(kept.redo()) };
}

test("what was painted is undone stroke by stroke and done again, each in its own term", () => {
  const { kept, paint, undo, redo } = twoTerms();
  paint(0, 10);
  paint(1, 20);
  paint(0, 30);
  assert.deepEqual(undo(), [10, 20]);
  assert.deepEqual(undo(), [10, null]);
  assert.deepEqual(redo(), [10, 20]);
  assert.deepEqual(redo(), [30, 20]);
  assert.deepEqual(redo(), [30, 20]);
  undo();
  paint(1, 40);
  assert.deepEqual(kept.can(), { undo: true, redo: false });
  assert.deepEqual([undo(), undo(), undo(), undo()].at(-1), [null, null]);
  assert.deepEqual(kept.can(), { undo: false, redo: true });
});

test("only so many strokes are kept, and none of a term that somebody else has painted", () => {
  const { kept, paint, undo } = twoTerms();
  for (let value = 1; value <= 100; value++) paint(0, value);
  let undone = 0;
  while (kept.can().undo) { undo(); undone++; }
  assert.equal(undone, 24);
  const other = twoTerms();
  other.paint(0, 10);
  other.paint(1, 20);
  other.kept.forget(0);
  assert.deepEqual([other.undo(), other.undo()], [[10, null], [10, null]]);
});

test("a line says which terms are painted, how much of the picture that is, and what stays as it is", () => {
  assert.equal(paintedWords(["a[1]", "b[2]"], [], null), "");
  assert.equal(paintedWords(["a[1]", "b[2]"], [], 1), "No paint for b[2]: it grows in the whole picture.");
  assert.equal(paintedWords(["a[1]", "b[2]"], [0.372], 0),
    "a[1] grows only where it is painted, 37 % of the picture.");
  assert.equal(paintedWords(["a[1]"], [0.001], 0),
    "a[1] grows only where it is painted, less than 1 % of the picture. The rest stays as it is.");
});

/** How a colour looks to people without one kind of cone, after Viénot, Brettel and Mollon 1999; linear light. */
const SIGHTS = {
  all: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
  "no red": [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
  "no green": [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
};

/** Lightness and the two axes of colour, CIE 1976. */
function lab(hex, sight) {
  const light = [1, 3, 5].map((from) => parseInt(hex.slice(from, from + 2), 16) / 255)
    .map((value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const seen = sight.map((row) => row.reduce((sum, weight, at) => sum + weight * light[at], 0));
  const [x, y, z] = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    .map((row) => row.reduce((sum, weight, at) => sum + weight * seen[at], 0))
    .map((value, at) => Math.max(value, 0) / [0.9505, 1, 1.089][at])
    .map((value) => value > 0.008856 ? Math.cbrt(value) : 7.787 * value + 16 / 116);
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

for (const [theme, rule] of [["light", /^\.nbvis \{[^}]*\}/m], ["dark", /^\.nbvis\.dark[^{]*\{[^}]*\}/m]]) {
  test(`the terms' colours of the ${theme} theme can be told apart, also by the colour-blind`, () => {
    const [tokens] = readFileSync(new URL("../../js/shared.css", import.meta.url), "utf8").match(rule);
    const colors = [0, 1, 2, 3, 4, 5].map((term) => tokens.match(new RegExp(`--nbvis-term-${term}: (#[0-9a-f]{6})`))[1]);
    for (const [name, sight] of Object.entries(SIGHTS)) {
      const seen = colors.map((color) => lab(color, sight));
      seen.forEach((one, at) => seen.slice(0, at).forEach((other, before) => {
        const apart = Math.hypot(...one.map((value, axis) => value - other[axis]));
        assert.ok(apart > 30, `${name}: ${colors[at]} and ${colors[before]} are ${apart.toFixed(1)} apart`);
      }));
    }
  });
}
