import assert from "node:assert/strict";
import { test } from "node:test";

import { unpacked } from "../../js/pictures.js";

/** What Python sends of a table of colours and rows of numbers, `first` bytes into a message. */
function packed(colors, rows, first = 0) {
  const width = rows[0].length, each = colors.length > 256 ? 2 : 1;
  const data = new DataView(new ArrayBuffer(first + 16 + 4 * colors.length + each * width * rows.length), first);
  [0, width, rows.length, colors.length].forEach((value, at) => data.setUint32(4 * at, value, true));
  colors.flat().forEach((value, at) => data.setUint8(16 + at, value));
  const put = each === 2 ? (at, value) => data.setUint16(at, value, true) : (at, value) => data.setUint8(at, value);
  rows.flat().forEach((value, at) => put(16 + 4 * colors.length + each * at, value));
  return new Uint8Array(data.buffer, first);
}

for (const count of [2, 256, 257, 510]) {
  const colors = Array.from({ length: count }, (_, at) => [at % 256, at >> 8, 7, at ? 255 : 0]), last = count - 1;
  for (const first of [0, 3]) {
    test(`a picture of ${count} colours has the pixels that were sent, ${first} bytes into the message`, () => {
      const rows = [[0, 1, last], [last, 0, 1]], { width, height, pixels } = unpacked(packed(colors, rows, first));
      assert.deepEqual([width, height], [3, 2]);
      assert.deepEqual([...pixels], rows.flat().flatMap((at) => colors[at]));
    });
  }
}
