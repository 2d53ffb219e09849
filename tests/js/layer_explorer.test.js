import assert from "node:assert/strict";
import test from "node:test";

import { pixelsIn } from "../../js/explorer_ahead.js";
import { BINDINGS, TOLD, bound } from "../../js/explorer_keys.js";
import {
  WHOLE, carriedAcross, cellBox, channelAt, cycled, fieldBox, fieldText, laneBoxes, mapSize, moved, sizeText, tileBox,
} from "../../js/explorer_moves.js";
import { onItsWay } from "../../js/explorer_panes.js";
import explorer, { pageWords } from "../../js/layer_explorer.js";
import { nameText } from "../../js/layer_list.js";

// Eleven channels of 3 × 5, four in a row: the last row has three.
const grid = { first: 0, last: 11, rows: 3, columns: 4, tile: [3, 5], padding: 1, size: [11, 23] };

test("a channel's tile is found again at each of its pixels", () => {
  for (let channel = 0; channel < 11; channel++) {
    const { left, top, width, height } = tileBox(grid, channel);
    for (const [down, across] of [[0.01, 0.01], [0.99, 0.99]]) {
      const pixel = { row: Math.floor((top + down * height) * 11), column: Math.floor((left + across * width) * 23) };
      assert.equal(channelAt(grid, pixel), channel);
    }
  }
});

test("a click on the line between two tiles is the tile's before it, and one after the last tile is nobody's", () => {
  assert.equal(channelAt(grid, { row: 3, column: 5 }), 0);
  assert.equal(channelAt(grid, { row: 4, column: 6 }), 5);
  assert.equal(channelAt(grid, { row: 10, column: 20 }), null);
  assert.equal(tileBox(grid, 11), null);
});

test("a tile is cut out of its picture to the pixel, also where the picture is large", () => {
  for (let channel = 0; channel < 11; channel++) {
    const [left, top, width, height] = pixelsIn(tileBox(grid, channel), { width: 23, height: 11 });
    assert.deepEqual([width, height], [5, 3]);
    assert.equal(channelAt(grid, { row: top, column: left }), channel);
    assert.deepEqual([left % 6, top % 4], [0, 0]);
  }
  const wide = { ...grid, first: 0, last: 2048, rows: 32, columns: 64, tile: [7, 7], size: [255, 511] };
  assert.deepEqual(pixelsIn(tileBox(wide, 2047), { width: 511, height: 255 }), [504, 248, 7, 7]);
});

test("the tiles of a later page begin with its first channel", () => {
  const later = { ...grid, first: 1024, last: 1035 };
  assert.equal(tileBox(later, 3), null);
  assert.deepEqual(tileBox(later, 1029), tileBox(grid, 5));
  assert.equal(channelAt(later, { row: 4, column: 6 }), 1029);
});

test("keys lead from tile to tile, from row to row, and up out of the top one", () => {
  assert.equal(moved(5, [0, 1], grid, 11), 6);
  assert.equal(moved(3, [0, 1], grid, 11), 4);
  assert.equal(moved(4, [0, -1], grid, 11), 3);
  assert.equal(moved(5, [1, 0], grid, 11), 9);
  assert.equal(moved(5, [-1, 0], grid, 11), 1);
  assert.equal(moved(1, [-1, 0], grid, 11), null);
  assert.equal(moved(0, [0, -1], grid, 11), 0);
  assert.equal(moved(7, [1, 0], grid, 11), 10);
  assert.equal(moved(6, [-3, 0], grid, 11), 2);
  assert.equal(moved(9, [0, 3], grid, 11), 10);
});

test("keys lead on to the next page and up to the one before", () => {
  assert.equal(moved(10, [0, 1], grid, 2000), 11);
  assert.equal(moved(1024, [-1, 0], { ...grid, first: 1024, last: 1035 }, 1035), 1020);
});

test("a value follows another one round and round", () => {
  assert.equal(cycled([0, 0.3, 1], 0.3, 1), 1);
  assert.equal(cycled([0, 0.3, 1], 1, 1), 0);
  assert.equal(cycled(["off", "gradient"], "off", -1), "gradient");
  assert.equal(cycled([1, 0.7], 0.42, 1), 1);
});

test("a layer's channels have rows and columns, one of each where it has none", () => {
  assert.deepEqual(mapSize({ shape: [80, 14, 10] }), { height: 14, width: 10 });
  assert.deepEqual(mapSize({ shape: [80, 9] }), { height: 1, width: 9 });
  assert.deepEqual(mapSize({ shape: [1000] }), { height: 1, width: 1 });
  assert.deepEqual(mapSize(undefined), { height: 1, width: 1 });
});

test("a unit is a cell of its channel, and is found from the picture", () => {
  assert.deepEqual(cellBox([1, 3], { width: 4, height: 2 }), { left: 0.75, top: 0.5, width: 0.25, height: 0.5 });
  const there = carriedAcross({ row: 200, column: 10 }, { width: 224, height: 224 }, { width: 7, height: 7 });
  assert.deepEqual(there, { row: 6, column: 0 });
});

test("a map of one picture of a pair, or of both at once, is found from the pictures side by side", () => {
  const pair = { width: 32, height: 12 }, map = { width: 8, height: 6 }, both = [[0, 0.5], [0.5, 1]];
  const at = (column, lanes) => carriedAcross({ row: 11, column }, pair, map, WHOLE, lanes)?.column;
  assert.deepEqual([0, 15, 16, 31].map((column) => at(column, both)), [0, 7, 0, 7]);
  assert.deepEqual([0, 15, 16, 31].map((column) => at(column, [[0.5, 1]])), [undefined, undefined, 0, 7]);
  assert.deepEqual(carriedAcross({ row: 0, column: 4 }, map, pair, [[0.5, 1]]), { row: 1, column: 25 });
  const cell = { left: 0.5, top: 0, width: 0.25, height: 1 };
  assert.deepEqual(laneBoxes(cell, WHOLE), [cell]);
  assert.deepEqual(laneBoxes(cell, both).map(({ left, width }) => [left, width]), [[0.25, 0.125], [0.75, 0.125]]);
});

test("of a receptive field that sticks out of the picture the part within is drawn", () => {
  const size = { width: 100, height: 50 };
  assert.deepEqual(fieldBox([-10, 20, 25, 130], size), { left: 0.2, top: 0, width: 0.8, height: 0.5 });
  assert.deepEqual(fieldBox([0, 0, 50, 100], size), { left: 0, top: 0, width: 1, height: 1 });
});

test("sizes are short", () => {
  assert.equal(sizeText([80, 14, 14]), "80 × 14²");
  assert.equal(sizeText([80, 14, 7]), "80 × 14 × 7");
  assert.equal(sizeText([80, 49]), "80 × 49");
  assert.equal(sizeText([1000]), "1000");
  assert.equal(sizeText([80, 14, 28], 2), "2 × 80 × 14²");
  assert.equal(sizeText([1000, 1, 2], 2), "2 × 1000");
  assert.equal(fieldText([11, 11]), "sees 11 px");
  assert.equal(fieldText([3, 5]), "sees 3 × 5 px");
  assert.equal(fieldText(null), "sees all");
  assert.equal(nameText("blocks.0.conv"), "blocks.\u200b0.\u200bconv");
});

test("a page says which channels it has", () => {
  assert.equal(pageWords({ first: 1024, last: 1280 }, 1280), "channels 1,024 – 1,279 of 1,280");
});

test("the help tells every key that does something, and no two do different things", () => {
  const keys = BINDINGS.flatMap(({ keys }) => Object.keys(keys));
  assert.equal(new Set(keys).size, keys.length);
  const told = BINDINGS.map(({ shown }) => shown).join(" ").split(" ");
  const spelt = { ArrowUp: "↑", ArrowDown: "↓", ArrowLeft: "←", ArrowRight: "→", Escape: "Esc" };
  assert.deepEqual(keys.map((key) => spelt[key] ?? key).sort(), told.sort());
  assert.deepEqual(TOLD.slice(0, BINDINGS.length).map(([shown]) => shown), BINDINGS.map(({ shown }) => shown));
});

test("keys do what the toolbox's do", () => {
  const done = [];
  const acts = new Proxy({}, { get: (_, name) => (...given) => done.push([name, ...given]) });
  const keys = bound(acts);
  for (const key of ["ArrowLeft", "k", "I", "u", "O", "b", "B", "N", "t", "T", "8", "Escape"]) keys[key]();
  assert.deepEqual(done, [
    ["move", [0, -1]], ["move", [1, 0]], ["move", [-3, 0]], ["layer", -1], ["layer", 3], ["back", 1], ["back", -1],
    ["view", -1], ["gamma"], ["boost"], ["labels"], ["reset"],
  ]);
});

test("a picture stays only while the next one is on its way", () => {
  const pane = { key: "back", picture: -1, note: "" }, frame = { state: "running", panes: [pane] };
  assert.equal(onItsWay(pane, frame), true);
  assert.equal(onItsWay({ ...pane, picture: 3 }, frame), false);
  assert.equal(onItsWay({ ...pane, note: "Nothing is sent back." }, frame), false);
  assert.equal(onItsWay(pane, { ...frame, state: "stopped" }), false);
  assert.equal(onItsWay(pane, { ...frame, panes: [] }), false); // there is to be none
});

test("the module offers what anywidget calls", () => {
  assert.equal(typeof explorer.render, "function");
});
