import { button } from "./controls.js";

/**
 * @import { Picture } from "./pictures.js"
 * @import { Box } from "./pointing.js"
 * @typedef {{scale: number, left: number, top: number}} Seen how many times larger than whole a picture is, and where
 * what is seen of it begins, as shares of the picture
 * @typedef {[number, number]} Pair across and down
 */

// A picture magnified in its place: by Ctrl and the wheel, by pinching, by keys; moved by dragging or the arrow keys.

/** @type {Seen} */
export const ALL = { scale: 1, left: 0, top: 0 };

/** How large one pixel of a picture becomes at most, points of the screen, and how large any picture may become. */
const PIXEL = 48, SCALE = 4;
/** How much larger a picture becomes by a key, and how far an arrow key moves it, as a share of what is seen. */
const GROWTH = 1.5, SHIFT = 0.2;
/** Points that a pointer moves before it drags. */
const SLACK = 4;

/** @type {Record<string, Pair>} */
const SHIFTS = { ArrowUp: [0, SHIFT], ArrowDown: [0, -SHIFT], ArrowLeft: [SHIFT, 0], ArrowRight: [-SHIFT, 0] };
/** @type {Record<string, number>} */
const FACTORS = { "+": GROWTH, "=": GROWTH, "-": 1 / GROWTH, "−": 1 / GROWTH };

/** Moved so that no more than the picture is seen. @param {Seen} seen @returns {Seen} */
function kept({ scale, left, top }) {
  const inside = (/** @type {number} */ begin) => Math.min(Math.max(begin, 0), 1 - 1 / scale);
  return { scale, left: inside(left), top: inside(top) };
}

/**
 * What is seen of a picture that becomes larger or smaller around a place.
 * @param {Seen} seen @param {number} factor @param {Pair} at shares of what is seen; what is there stays there
 * @param {number} most how large it may become
 */
export function magnified({ scale, left, top }, factor, [across, down], most) {
  const next = Math.min(Math.max(scale * factor, 1), most);
  const begin = (/** @type {number} */ first, /** @type {number} */ share) => first + share / scale - share / next;
  return kept({ scale: next, left: begin(left, across), top: begin(top, down) });
}

/** What is seen of a picture that is moved. @param {Seen} seen @param {Pair} way shares of what is seen */
export function shifted({ scale, left, top }, [across, down]) {
  return kept({ scale, left: left - across / scale, top: top - down / scale });
}

/**
 * What is seen of a picture once a part of it is in sight, moved no further than it takes.
 * @param {Seen} seen @param {Box} box
 */
export function revealed({ scale, left, top }, box) {
  const begin = (/** @type {number} */ first, /** @type {number} */ from, /** @type {number} */ size) =>
    Math.min(Math.max(first, from + size - 1 / scale), from);
  return kept({ scale, left: begin(left, box.left, box.width), top: begin(top, box.top, box.height) });
}

/**
 * How much larger a turn of the wheel makes a picture; a pinch on a touchpad is many small ones.
 * @param {Pick<WheelEvent, "deltaY" | "deltaMode">} event
 */
export function turned({ deltaY, deltaMode }) {
  const points = deltaY * (deltaMode ? 16 : 1);
  return Math.exp(-Math.min(Math.max(points, -40), 40) / 100);
}

/**
 * Lets a picture be magnified.
 * @param {Picture} place @param {boolean} [arrows] whether the arrow keys move it: not where they mean something else
 * @returns {(box: Box | null | false) => void} brings a part of it into sight, while it has the focus
 */
export function zoomable({ root, sheet, canvas, now }, arrows = true) {
  let seen = ALL;
  const back = button("", () => { set(ALL); canvas.focus(); },
    { class: "whole-again", title: "Back to the whole picture (0)", hidden: true });
  const set = (/** @type {Seen} */ next) => {
    seen = next;
    const { scale, left, top } = seen, share = (/** @type {number} */ part) => `${100 * part * scale}%`;
    Object.assign(sheet.style, { left: share(-left), top: share(-top), width: share(1), height: share(1) });
    root.classList.toggle("magnified", scale > 1);
    back.hidden = scale === 1;
    back.textContent = `× ${Number(scale.toPrecision(2))}`;
    back.setAttribute("aria-label", `${back.textContent}, back to the whole picture`);
  };
  const most = () => Math.max(SCALE, (PIXEL * (now()?.width ?? 0)) / root.clientWidth);
  const zoom = (/** @type {number} */ factor, /** @type {Pair} */ at = [0.5, 0.5]) => {
    if (now()) set(magnified(seen, factor, at, most()));
  };
  const move = (/** @type {Pair} */ way) => set(shifted(seen, way));
  const whole = () => seen.scale === 1;
  root.append(back);
  root.classList.add("zooms");
  canvas.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.key in FACTORS) zoom(FACTORS[event.key]);
    else if (event.key === "0" && !whole()) set(ALL);
    else if (arrows && event.key in SHIFTS && !whole()) move(SHIFTS[event.key]);
    else return;
    event.preventDefault();
  });
  root.addEventListener("wheel", (/** @type {WheelEvent} */ event) => {
    if (!event.ctrlKey && !event.metaKey) return; // the page's
    event.preventDefault();
    zoom(turned(event), shareOf(root, event));
  }, { passive: false });
  root.addEventListener("dblclick", () => set(ALL));
  hands(root, { zoom, move, whole });
  return (box) => { if (box && !whole() && canvas.matches(":focus")) set(revealed(seen, box)); };
}

/**
 * Where in an element a pointer is, as shares of it.
 * @param {HTMLElement} root @param {{clientX: number, clientY: number}} pointer @returns {Pair}
 */
function shareOf(root, { clientX, clientY }) {
  const box = root.getBoundingClientRect();
  return [(clientX - box.left) / box.width, (clientY - box.top) / box.height];
}

/**
 * Dragging with one pointer, pinching with two.
 * @param {HTMLElement} root
 * @param {{zoom(factor: number, at: Pair): void, move(way: Pair): void, whole(): boolean}} acts
 */
function hands(root, { zoom, move, whole }) {
  /** @type {Map<number, PointerEvent>} */ const down = new Map();
  let dragged = false;
  /** Their middle, and how far they are apart. */
  const held = () => {
    const places = [...down.values()].slice(0, 2).map((each) => shareOf(root, each));
    const [first, last = first] = places, { width, height } = root.getBoundingClientRect();
    const middle = /** @type {Pair} */ ([(first[0] + last[0]) / 2, (first[1] + last[1]) / 2]);
    return { middle, apart: Math.hypot((last[0] - first[0]) * width, (last[1] - first[1]) * height) };
  };
  root.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    if (!down.size) dragged = false;
    down.set(event.pointerId, event);
  });
  root.addEventListener("pointermove", (event) => {
    const from = down.get(event.pointerId);
    if (!event.buttons) down.delete(event.pointerId); // it was let go elsewhere
    if (!from || !event.buttons) return;
    const far = Math.hypot(event.clientX - from.clientX, event.clientY - from.clientY);
    if (down.size === 1 && root.matches(".painting")) return void down.set(event.pointerId, event); // it paints
    if (down.size === 1 && (whole() || (!dragged && far < SLACK))) return;
    const before = held();
    down.set(event.pointerId, event);
    const { middle, apart } = held();
    if (!dragged) root.setPointerCapture(event.pointerId);
    dragged = true;
    if (before.apart && apart) zoom(apart / before.apart, before.middle);
    move([middle[0] - before.middle[0], middle[1] - before.middle[1]]);
  });
  for (const ends of /** @type {const} */ (["pointerup", "pointercancel"])) {
    root.addEventListener(ends, ({ pointerId }) => down.delete(pointerId));
  }
  // What ends a drag is no click on the picture.
  root.addEventListener("click", (event) => {
    if (dragged) event.stopPropagation();
    dragged = false;
  }, { capture: true });
}
