import { sharedPaint } from "./kernel_paint.js";
import { paintedShare, strokes, tinted } from "./paint.js";
import { el } from "./shared.js";
import { colorOf } from "./terms.js";

/**
 * @import { Tool } from "./brush_bar.js"
 * @import { Dab, Layer, Rectangle } from "./paint.js"
 * @import { Panel } from "./panel.js"
 * @import { Picture } from "./pictures.js"
 * @typedef {{on: boolean, tool: Tool, brush: number, box: Rectangle | null}} State whether it is painted, with what, the
 * size of the brush in pixels, and the rectangle that is not filled yet
 * @typedef {ReturnType<typeof paintSheet>} Painted
 */

// The paint over a picture: a layer for each term of the objective, seen while it is painted.

/** How strong the paint of the term that is painted looks, and that of the others. */
const STRONG = 0.65, WEAK = 0.35;

/**
 * The layers of paint, and what can be done to that of the selected term.
 * @param {Panel} panel @param {() => void} show called when something has changed
 */
export function paintSheet(panel, show) {
  const shared = sharedPaint(panel, (term) => { kept.forget(term ?? undefined); show(); });
  const kept = strokes((term) => ({ term, data: shared.layers()[term]?.data.slice() ?? null }));
  const term = () => /** @type {number} */ (panel.model.get("term"));
  const sent = (/** @type {number} */ at) => { shared.painted(at); show(); };
  return {
    term, sent, size: shared.size, layers: shared.layers, opened: shared.opened, keep: kept.keep,
    /** How much of the picture each has. */
    shares: () => shared.layers().map((layer) => (layer ? paintedShare(layer) : 0)),
    standing: () => {
      const { height, width } = shared.size();
      return { most: Math.ceil(Math.max(height, width) / 2), term: term(), painted: Boolean(shared.layers()[term()]),
        ...kept.can() };
    },
    /** Changes the paint in one go. @param {(layer: Layer) => void} change */
    act(change) {
      const at = term();
      kept.keep(at);
      change(shared.opened(at));
      sent(at);
    },
    clear() {
      if (!shared.layers()[term()]) return;
      kept.keep(term());
      shared.put(term(), null);
      sent(term());
    },
    /** Goes back a stroke, or on again. @param {"undo" | "redo"} way */
    back(way) {
      const found = kept[way]();
      if (!found) return;
      shared.put(found.term, found.data);
      sent(found.term);
    },
  };
}

/**
 * What is seen of the paint: itself, the brush, and the rectangle that is not filled yet.
 * @param {Panel} panel @param {Picture} screen @param {State} state @param {Painted} painted
 */
export function paintOverlay({ root }, screen, state, painted) {
  const overlay = el("canvas", { class: "paint", "aria-hidden": "true" });
  const tip = el("i", { class: "tip", hidden: true }), frame = el("i", { class: "box", hidden: true });
  const withoutBrush = () => state.tool === "fill" || state.tool === "rectangle";
  const draw = () => {
    const size = painted.size(), own = painted.term();
    const all = painted.layers().flatMap((layer, at) => (layer ? [{ layer, at }] : []));
    const layers = all.sort((one, other) => Number(one.at === own) - Number(other.at === own)).map(({ layer, at }) =>
      ({ layer, color: termColor(root, at), opacity: at === own ? STRONG : WEAK }));
    Object.assign(overlay, size);
    overlay.getContext("2d").putImageData(new ImageData(tinted(layers, size), size.width, size.height), 0, 0);
  };
  const show = () => {
    if (state.on && !overlay.isConnected) screen.sheet.append(overlay, frame, tip);
    if (!state.on) for (const each of [overlay, frame, tip]) each.remove();
    if (withoutBrush()) tip.hidden = true;
    frame.hidden = !state.box;
    if (state.box) lay(frame, state.box, painted.size());
  };
  /** Where the brush is, null for nowhere. @param {Dab | null} dab */
  const hover = (dab) => {
    tip.hidden = !dab || withoutBrush();
    if (!dab) return;
    const { x, y, radius } = dab;
    lay(tip, { left: x - radius, top: y - radius, width: 2 * radius, height: 2 * radius }, painted.size());
  };
  return { draw, show, hover };
}

/** The colour of a term: red, green, blue, 0 to 255. @param {HTMLElement} root @param {number} term */
function termColor(root, term) {
  const color = getComputedStyle(root).getPropertyValue(`--nbvis-${colorOf(term)}`).trim();
  return [1, 3, 5].map((from) => parseInt(color.slice(from, from + 2), 16));
}

/**
 * Lays an element over a part of the picture.
 * @param {HTMLElement} part @param {Rectangle} box @param {{width: number, height: number}} size
 */
function lay(part, { left, top, width, height }, size) {
  const share = (/** @type {number} */ value, /** @type {number} */ of) => `${(100 * value) / of}%`;
  Object.assign(part.style, { left: share(left, size.width), top: share(top, size.height),
    width: share(width, size.width), height: share(height, size.height) });
}
