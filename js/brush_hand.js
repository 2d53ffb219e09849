/**
 * @import { Dab } from "./paint.js"
 * @import { Picture } from "./pictures.js"
 * @typedef {{
 *   begin(dab: Dab, erases: boolean): void, move(dabs: Dab[]): void, end(): void, revert(): void,
 *   hover(dab: Dab | null): void,
 * }} Hand what it does; `revert`: what it has begun was no painting; `hover`: where the brush is, null for nowhere
 */

// The mouse, pen or finger that paints on a picture.

/** Which button of a pen is its eraser. */
const PEN_ERASER = 5;

/**
 * Follows whoever paints.
 * @param {Picture} place @param {() => boolean} paints whether it is painted at all
 * @param {() => {width: number, height: number, brush: number}} now the paint's size and the brush's, pixels
 * @param {Hand} hand
 */
export function brushHand({ sheet, canvas }, paints, now, hand) {
  /** @type {number | null} */ let held = null;
  const dabAt = (/** @type {PointerEvent} */ { clientX, clientY, pointerType, pressure }) => {
    const box = canvas.getBoundingClientRect(), { width, height, brush } = now();
    const press = pointerType === "pen" && pressure ? Math.max(pressure, 0.1) : 1;
    return { x: (clientX - box.left) / box.width * width, y: (clientY - box.top) / box.height * height,
      radius: brush / 2 * press };
  };
  sheet.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => {
    if (!paints()) return;
    if (held !== null) { // a second finger means the picture
      held = null;
      return hand.revert();
    }
    if (!event.isPrimary || (event.button && event.button !== PEN_ERASER)) return;
    event.preventDefault(); // no selection
    canvas.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    held = event.pointerId;
    hand.begin(dabAt(event), event.button === PEN_ERASER);
  });
  sheet.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => {
    if (!paints()) return;
    hand.hover(event.pointerType === "touch" ? null : dabAt(event));
    if (event.pointerId !== held) return;
    const all = event.getCoalescedEvents?.() ?? [];
    hand.move((all.length ? all : [event]).map(dabAt));
  });
  for (const ends of ["pointerup", "pointercancel"]) {
    sheet.addEventListener(ends, (/** @type {PointerEvent} */ { pointerId }) => {
      if (pointerId !== held) return;
      held = null;
      hand.end();
    });
  }
  sheet.addEventListener("pointerleave", () => hand.hover(null));
  // Two dabs in one place are no wish to see the whole picture.
  sheet.addEventListener("dblclick", (/** @type {Event} */ event) => { if (paints()) event.stopPropagation(); });
}
