import { paneFigure, unseen } from "./panes.js";
import { gallery } from "./pictures.js";
import { carried, pointing, reader, square } from "./pointing.js";
import { el, follow, tell } from "./shared.js";

/**
 * @import { Panel } from "./panel.js"
 * @import { Pane } from "./panes.js"
 * @import { Pixel } from "./pointing.js"
 * @typedef {{
 *   type: "frame", frame: number, format: "" | "png", state: string, doing: string, done: number, total: number,
 *   left: number | null, panes: Pane[], film: number[], outdated: boolean,
 * }} SaliencyFrame
 */

/** @type {Record<string, string>} */
const HINTS = {
  look: "Point at a picture to read its values.",
  occlude: "Click on a picture to cover a square of it, or to uncover it again.",
  unit: "Click on a picture to explain the unit of the layer there.",
};

/** The pictures side by side, and the line that reads them. @param {Panel} panel */
export function saliencyPanes(panel) {
  const { model } = panel, root = el("div", { class: "panes" });
  const readout = el("output", { class: "readout", "aria-live": "polite" });
  /** @type {{place: number} & Pixel | null} */ let at = null;
  const make = (/** @type {number} */ place) =>
    saliencyPane(panel, (pixel) => point(place, pixel), () => press(place));
  const { parts, fit } = gallery(root, make);
  const paneAt = (/** @type {number} */ place) => /** @type {Pane} */ (parts[place].pane());
  // A histogram is a chart of its own: no place in it is one in a picture.
  const apart = (/** @type {number} */ one, /** @type {number} */ other) =>
    model.get("view") === "histogram" && one !== other;
  const mark = () => parts.forEach((part, place) =>
    part.point(at && !apart(place, at.place) ? carried(at, paneAt(at.place), paneAt(place)) : null));
  const read = reader(panel, (text) => { if (at) readout.replaceChildren(el("b", { text: text.title }), text.value); });
  const hint = () => { if (!at) readout.textContent = HINTS[model.get("click")] ?? ""; };
  const point = (/** @type {number} */ place, /** @type {Pixel | null} */ pixel) => {
    if (!pixel && at?.place !== place) return; // one picture loses the focus after the next one has the mouse
    at = pixel && { place, ...pixel };
    mark();
    if (at) read(paneAt(place), at);
    else hint();
  };
  const press = (/** @type {number} */ place) => {
    if (!at || apart(place, 0) || model.get("click") === "look") return;
    tell(model, { type: "click", ...carried(at, paneAt(place), paneAt(0)) });
  };
  follow(panel, ["click", "window"], () => { hint(); mark(); });
  /** @param {SaliencyFrame} frame @param {(ImageBitmap | null)[]} pictures one a pane */
  const show = (frame, pictures) => {
    const { panes } = frame, before = at && paneAt(at.place);
    fit(panes.length);
    root.dataset.panes = String(panes.length);
    parts.forEach((part, place) => part.show(panes[place], pictures[place], frame));
    if (at && before) point(at.place, at.place < panes.length ? carried(at, before, panes[at.place]) : null);
  };
  /** Those to decode. @param {SaliencyFrame} frame @param {any[]} buffers */
  const pictures = ({ panes }, buffers) => unseen(panes, buffers, (_, place) => parts[place]);
  const compared = {
    original: { now: () => parts[0]?.place.now() ?? null },
    places: () => (model.get("view") === "histogram" ? [] : parts.slice(1).map(({ place }) => place)),
  };
  return { root, readout, pictures, show, compared };
}

/**
 * One picture, and where one points at it.
 * @param {Panel} panel @param {(pixel: Pixel | null) => void} point @param {() => void} press
 */
function saliencyPane({ model, signal }, point, press) {
  /** @type {Pixel | null} */ let pixel = null;
  const of = (/** @type {Pane} */ { key, title }) => key === "input" ? title : `${title} of ${model.get("expression")}`;
  const part = paneFigure(signal, 6, of), now = () => /** @type {Pane} */ (part.pane());
  pointing(part.canvas, () => ({ ...now(), pixel }), point, press);
  /** Shows where one points. @param {Pixel | null} next */
  const mark = (next) => {
    pixel = next;
    const covers = model.get("click") === "occlude", side = covers ? model.get("window") : 1;
    part.mark.root.classList.toggle("covers", covers);
    const box = part.painted() && next && square(next, side, now());
    part.mark.show(box);
    part.reveal(box);
  };
  return { ...part, point: mark };
}
