import { button } from "./controls.js";
import { ask, follow } from "./shared.js";

/**
 * @import { Panel } from "./panel.js"
 * @import { Picture } from "./pictures.js"
 * @typedef {{
 *   now(): ImageBitmap | null, fetch?(): Promise<void>, known?(call: (there: boolean) => void): void,
 * }} Original the picture that was given, how it comes where it is not there yet, and what tells then, with each
 * other one, whether there is one
 * @typedef {{original: Original, places(): Picture[]}} Compared the pictures that it is seen in the place of
 */

// Hold to see the picture that was given in the place of what was made of it.

/** Milliseconds after which a press is a hold, which ends when it is let go; a shorter one lasts until the next. */
const HOLD = 400;

const HOLD_HELP = "Hold to see the original in the place of the pictures (g); a click keeps it there until the next";

/** A button to hold, and what holding its key does. @param {Panel} panel @param {Compared} compared */
export function holdForOriginal({ signal, complain }, { original, places }) {
  let held = false, began = 0;
  const set = async (/** @type {boolean} */ next) => {
    if (held === next || act.hidden) return;
    held = next;
    act.setAttribute("aria-pressed", String(held));
    try {
      if (held && !original.now()) await original.fetch?.();
    } catch (error) {
      complain(`There is no original to show: ${/** @type {Error} */ (error).message}`);
      return set(false);
    }
    for (const place of places()) place.instead(held ? original.now : null);
  };
  const act = button("Original", () => {}, { class: "hold", title: HOLD_HELP, "aria-pressed": "false" });
  act.addEventListener("pointerdown", (/** @type {PointerEvent} */ { pointerId, button: which }) => {
    if (which) return; // not the left button
    act.setPointerCapture(pointerId);
    began = held ? -Infinity : performance.now(); // the press after a click ends it, however short it is
    set(true);
  });
  act.addEventListener("lostpointercapture", () => { if (performance.now() - began >= HOLD) set(false); });
  act.addEventListener("contextmenu", (/** @type {Event} */ event) => event.preventDefault());
  // A key or a screen reader presses without a pointer.
  act.addEventListener("click", (/** @type {MouseEvent} */ { detail }) => { if (!detail) set(!held); });
  window.addEventListener("keyup", ({ key }) => { if (key === "g") set(false); }, { signal });
  window.addEventListener("blur", () => set(false), { signal });
  original.known?.((there) => {
    set(false); // what was held was the one before
    act.hidden = !there;
  });
  return { button: act, hold: () => set(true) };
}

/**
 * The picture that was given, where no frame has it: the kernel is asked for it once.
 * @param {Panel} panel @param {string[]} traits those by which it is told whether what is shown was made of it
 * @param {() => boolean} made whether it was @returns {Original}
 */
export function fetchedOriginal({ model, signal }, traits, made) {
  /** @type {ImageBitmap | null} */ let bitmap = null;
  const forget = () => { bitmap?.close(); bitmap = null; };
  follow({ model, signal }, ["_pictures_taken"], forget);
  signal.addEventListener("abort", forget);
  const fetch = async () => {
    const taken = model.get("_pictures_taken"), { data } = await ask(model, { type: "original" });
    const found = await createImageBitmap(new Blob([/** @type {any} */ (data)], { type: "image/png" }));
    if (signal.aborted || taken !== model.get("_pictures_taken")) return found.close();
    forget();
    bitmap = found;
  };
  const there = () => model.get("picture") !== "none" && made();
  const known = (/** @type {(there: boolean) => void} */ call) =>
    follow({ model, signal }, ["picture", "_pictures_taken", ...traits], () => call(there()));
  return { now: () => bitmap, fetch, known };
}
