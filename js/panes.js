import { figure } from "./pictures.js";
import { el, short } from "./shared.js";

/**
 * @import { Picture } from "./pictures.js"
 * @import { Box } from "./pointing.js"
 * @typedef {{
 *   key: string, title: string, sub: string, layer: string, width: number, height: number, picture: number,
 *   image: number, bar: [number, number] | null, colors: string[], note: string, stale: boolean,
 * }} Pane `picture` is an index into the buffers, -1 for none, and `image` the picture's own number, 0 for none; `colors`
 * go from one end of `bar` to the other; a stale one answers the question before
 * @typedef {{frame: number, format: "" | "png", state: string, panes: Pane[]}} PaneFrame
 */

// What widgets that answer with pictures show of each: its title, its numbers, its colours, and marks on it.

/** A number beside a colour bar. @param {number} value */
export function limitText(value) {
  return value === 0 ? "0" : short(value).replaceAll("-", "−");
}

/**
 * Where zero lies on a colour bar, 0 to 1; null if it is outside or where an end's number stands.
 * @param {number} low @param {number} high
 */
export function zeroAt(low, high) {
  const share = -low / (high - low);
  return share > 0.2 && share < 0.8 ? share : null;
}

/** The colours of a map, with the values at their ends and zero where there is room for it. */
function colorBar() {
  const colors = el("i", {}), limits = ["low", "zero", "high"].map((name) => el("span", { class: name }));
  const root = el("div", { class: "scale" }, colors, ...limits);
  /** @param {Pane} pane */
  const show = ({ bar, colors: shades }) => {
    root.classList.toggle("kept", !bar);
    if (!bar) return;
    const [low, high] = bar, zero = zeroAt(low, high);
    colors.style.background = `linear-gradient(90deg, ${shades.join(", ")})`;
    limits.forEach((node, index) => { node.textContent = [limitText(low), "0", limitText(high)][index]; });
    limits[1].hidden = zero === null;
    limits[1].style.left = `${100 * (zero ?? 0)}%`;
  };
  return { root, show };
}

/** Something that is drawn over a picture. @param {Picture} place @param {string} name a class */
export function spot({ sheet }, name) {
  const root = el("i", { class: name, hidden: true });
  sheet.append(root);
  const show = (/** @type {Box | null | false} */ box) => {
    root.hidden = !box;
    for (const [side, share] of Object.entries(box || {})) root.style.setProperty(side, `${100 * share}%`);
  };
  return { root, show };
}

/**
 * The buffers with pictures that are not on the screen.
 * @param {Pane[]} panes @param {any[]} buffers
 * @param {(pane: Pane, at: number) => {shows(next: Pane): boolean} | undefined} figureOf where a pane is shown
 */
export function unseen(panes, buffers, figureOf) {
  return panes.map((pane, at) => (figureOf(pane, at)?.shows(pane) ? undefined : buffers[pane.picture]));
}

/**
 * One picture with its title, its numbers and its colours.
 * @param {AbortSignal} signal @param {number} sharp see `picture`
 * @param {(pane: Pane) => string} label what it is called
 */
export function paneFigure(signal, sharp, label) {
  /** @type {Pane | null} */ let pane = null;
  /** @type {PaneFrame} */ let last;
  const { root, place, title, sub, instead, reveal } = figure(signal, 1, sharp, false), { canvas } = place;
  const scale = colorBar(), mark = spot(place, "mark");
  root.append(scale.root);
  /** Whether its picture is on the screen, and need not be decoded and painted again. @param {Pane} next */
  const shows = (next) => next.image > 0 && next.image === pane?.image && instead.hidden;
  /** @param {Pane} next @param {ImageBitmap | null} bitmap none if it shows it already @param {PaneFrame} frame */
  const show = (next, bitmap, frame) => {
    const painted = Boolean(bitmap) || shows(next);
    last = frame;
    // It was on the screen when the frame came. What has taken its place since is newer, as the next frame will be.
    if (!painted && next.picture >= 0) return;
    pane = next;
    root.dataset.key = next.key;
    root.classList.toggle("stale", next.stale);
    root.classList.toggle("empty", !painted);
    place.reshape([next.height, next.width]);
    if (bitmap || !painted) place.show(bitmap);
    instead.hidden = painted;
    instead.textContent = next.note || (frame.state === "running" ? "computing …" : "not computed");
    const of = next.layer ? [el("span", { class: "of" }, " · ", el("code", { text: next.layer }))] : [];
    title.replaceChildren(next.title, ...of);
    sub.textContent = next.sub;
    scale.show(next);
    canvas.setAttribute("aria-label", `${label(next)}${painted ? "" : `, ${instead.textContent}`}`);
    Object.assign(canvas.dataset, { frame: frame.frame, format: frame.format, pane: next.key });
  };
  /** Shows what the next frame will show, as far as it is known here. @param {Pane} next @param {ImageBitmap} bitmap */
  const ahead = (next, bitmap) => show(next, bitmap, last);
  const focus = () => canvas.focus();
  return { root, place, canvas, mark, reveal, pane: () => pane, painted: () => instead.hidden, focus, shows, show, ahead };
}
