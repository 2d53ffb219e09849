import assert from "node:assert/strict";
import { test } from "node:test";

import { bytes, curvePoints, duration, match, position, search, short, typed, valueAt } from "../../js/shared.js";

const control = { label: "", unit: "", help: "", low: 0, high: 10, log: false, whole: false };

test("bytes honours a view's offset and length, and accepts a bare buffer", () => {
  const buffer = Uint8Array.of(9, 9, 1, 2, 3, 9).buffer;
  assert.deepEqual([...bytes(new DataView(buffer, 2, 3))], [1, 2, 3]);
  assert.deepEqual([...bytes(new Uint8Array(buffer, 1, 2))], [9, 1]);
  assert.deepEqual([...bytes(buffer)], [9, 9, 1, 2, 3, 9]);
});

test("short writes numbers as a reader would", () => {
  const written = [0, 0.02, 0.25, 3.914, 11.83, 123.4, -73.61, 1e-5, 2.5e7].map(short);
  assert.deepEqual(written, ["0.00", "0.0200", "0.25", "3.91", "11.8", "123", "-73.6", "1.00e-5", "2.50e+7"]);
  assert.deepEqual([null, NaN, Infinity].map(short), ["–", "–", "–"]);
});

test("typed gives a tiny number an exponent, and none none", () => {
  assert.deepEqual([0.02, 0, 0.0000056, 10000, null].map(typed), ["0.02", "0", "5.6e-6", "10000", ""]);
});

test("typed gives four digits of what is not whole", () => {
  const given = [0.1234567, 1 / 3, 1.23456789e-7, 33.3333333, 12345, 0.30000000000000004];
  assert.deepEqual(given.map(typed), ["0.1235", "0.3333", "1.235e-7", "33.33", "12345", "0.3"]);
});

test("duration says how long to wait", () => {
  assert.deepEqual([0.3, 1.4, 89, 120, 7200].map(duration), ["under a second", "1 s", "89 s", "2 min", "2.0 h"]);
  assert.equal(duration(null), "");
});

test("a slider's place and value are each other's inverse", () => {
  const log = { ...control, low: 0.001, high: 0.5, log: true };
  for (const value of [0.001, 0.02, 0.13, 0.5]) assert.equal(valueAt(position(value, log), log), value);
  for (const value of [0, 2.5, 10]) assert.equal(valueAt(position(value, control), control), value);
  const count = { ...control, low: 1, high: 200, log: true, whole: true };
  for (const value of [1, 2, 10, 137, 200]) assert.equal(valueAt(position(value, count), count), value);
});

test("what lies outside a slider stays at its end", () => {
  assert.equal(position(-5, control), 0);
  assert.equal(position(50, control), 1);
});

test("equal ways on a log slider are equal ratios", () => {
  const log = { ...control, low: 0.01, high: 1, log: true };
  assert.equal(valueAt(0.5, log), 0.1);
});

test("a curve fills its box, upwards", () => {
  assert.equal(curvePoints([[0, 1], [1, 3], [4, 2]], 5, 100, 10), "0.0,10.0 25.0,0.0 100.0,5.0");
});

test("a curve in a given range leaves the rest of its box empty", () => {
  assert.equal(curvePoints([[0, 1], [1, 3]], 2, 100, 10, [1, 5]), "0.0,10.0 100.0,5.0");
});

test("a flat curve and a single point are drawn, not divided by zero", () => {
  assert.equal(curvePoints([[0, 2], [1, 2]], 2, 10, 10), "0.0,10.0 10.0,10.0");
  assert.equal(curvePoints([[0, 2]], 1, 10, 10), "0.0,10.0");
});

test("match prefers the whole, the beginning, a word, a part, and letters in order", () => {
  const texts = ["blocks.9", "blocks.9.conv", "_blocks.9", "myblocks.9", "big locks.19", "stem"];
  assert.deepEqual(texts.map((text) => match("blocks.9", text)), [5, 4, 3, 2, 1, 0]);
});

test("search gives the best first, short names before long ones, and everything for nothing", () => {
  const names = ["layer10.conv", "layer1.0.conv1", "layer1", "fc"];
  assert.deepEqual(search("layer1", names, (name) => name), ["layer1", "layer10.conv", "layer1.0.conv1"]);
  assert.deepEqual(search("  ", names, (name) => name), names);
  assert.deepEqual(search("zzz", names, (name) => name), []);
});

test("search goes by the length of the name where the text has more than the name", () => {
  const rows = [{ name: "head.padding", kind: "Pad" }, { name: "head", kind: "StaticConvolution" }];
  const found = search("head", rows, ({ name, kind }) => `${name} ${kind}`, ({ name }) => name);
  assert.deepEqual(found.map(({ name }) => name), ["head", "head.padding"]);
});
