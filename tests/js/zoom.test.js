import assert from "node:assert/strict";
import { test } from "node:test";

import { ALL, magnified, revealed, shifted, turned } from "../../js/zoom.js";

/** The place of the picture that is at shares of what is seen. */
const under = ({ scale, left, top }, [across, down]) => [left + across / scale, top + down / scale];
const near = (found, wanted) => found.forEach((value, at) => assert.ok(Math.abs(value - wanted[at]) < 1e-12, `${found}`));

test("what is under the pointer stays there while a picture becomes larger and smaller", () => {
  const at = [0.3, 0.8], one = magnified(ALL, 3, at, 20), two = magnified(one, 2.5, at, 20);
  assert.equal(two.scale, 7.5);
  near(under(one, at), at);
  near(under(two, at), at);
  near(under(magnified(two, 0.6, at, 20), at), at);
});

test("a picture never becomes smaller than its place or larger than the most, and fills its place", () => {
  assert.deepEqual(magnified(ALL, 0.5, [0.2, 0.2], 9), ALL);
  assert.equal(magnified(ALL, 100, [0, 1], 9).scale, 9);
  const corner = magnified(ALL, 4, [1, 1], 9);
  assert.deepEqual(corner, { scale: 4, left: 0.75, top: 0.75 });
  assert.deepEqual(magnified(corner, 0.25, [0, 0], 9), ALL);
  assert.deepEqual(magnified(corner, 0.5, [0, 0], 9), { scale: 2, left: 0.5, top: 0.5 });
});

test("a picture that is dragged follows the hand, as far as there is something of it", () => {
  const middle = { scale: 4, left: 0.5, top: 0.25 };
  assert.deepEqual(shifted(middle, [0.4, -0.2]), { scale: 4, left: 0.4, top: 0.3 });
  assert.deepEqual(shifted(middle, [9, -9]), { scale: 4, left: 0, top: 0.75 });
  assert.deepEqual(shifted(ALL, [0.4, 0.2]), ALL);
});

test("what is pointed at comes into sight, moved no further than it takes", () => {
  const seen = { scale: 4, left: 0.5, top: 0.5 }, pixel = { width: 0.01, height: 0.02 };
  assert.deepEqual(revealed(seen, { ...pixel, left: 0.6, top: 0.7 }), seen);
  assert.deepEqual(revealed(seen, { ...pixel, left: 0.25, top: 0.7 }), { scale: 4, left: 0.25, top: 0.5 });
  near([revealed(seen, { ...pixel, left: 0.8, top: 0.9 })].flatMap(({ left, top }) => [left, top]), [0.56, 0.67]);
  assert.deepEqual(revealed(seen, { width: 1, height: 1, left: 0, top: 0 }), { scale: 4, left: 0, top: 0 });
});

test("the wheel makes a picture larger upwards, as much for a notch in lines as in pixels, and little for a pinch", () => {
  assert.ok(turned({ deltaY: -100, deltaMode: 0 }) > 1.4 && turned({ deltaY: 100, deltaMode: 0 }) < 0.7);
  assert.equal(turned({ deltaY: -3, deltaMode: 1 }), turned({ deltaY: -100, deltaMode: 0 }));
  assert.ok(Math.abs(turned({ deltaY: -2, deltaMode: 0 }) - 1.02) < 0.001);
  assert.equal(turned({ deltaY: 7, deltaMode: 0 }) * turned({ deltaY: -7, deltaMode: 0 }), 1);
});
