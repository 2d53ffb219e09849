import { picture } from "./panel.js";
import { ask, el, follow, short, tell } from "./shared.js";

/**
 * @typedef {import("./panel.js").Panel} Panel
 * @typedef {{
 *   key: string, title: string, sub: string, layer: string, width: number, height: number, picture: number,
 *   bar: [number, number] | null, colors: string[], note: string, stale: boolean,
 * }} Pane `picture` is an index into the buffers, -1 for none; `colors` go from one end of `bar` to the other; a stale
 * one answers the question before
 * @typedef {{
 *   type: "frame", frame: number, format: "" | "png", state: string, doing: string, done: number, total: number,
 *   left: number | null, panes: Pane[], film: number[], outdated: boolean,
 * }} SaliencyFrame
 * @typedef {{row: number, column: number}} Pixel
 * @typedef {{width: number, height: number}} Size pixels
 * @typedef {{left: number, top: number, width: number, height: number}} Box shares of a picture, 0 to 1
 */

/** @type {Record<string, string>} */
const HINTS = {
  look: "Point at a picture to read its values.",
  occlude: "Click on a picture to cover a square of it, or to uncover it again.",
  unit: "Click on a picture to explain the unit of the layer there.",
};

/** @type {Record<string, [number, number]>} rows and columns */
const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

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

/** The pixel at a place of a picture. @param {number} across 0 to 1 @param {number} down 0 to 1 @param {Size} size */
export function pixelAt(across, down, { width, height }) {
  const inside = (/** @type {number} */ value, /** @type {number} */ count) =>
    Math.min(Math.max(Math.floor(value * count), 0), count - 1);
  return { row: inside(down, height), column: inside(across, width) };
}

/** The same place in a picture of another size. @param {Pixel} pixel @param {Size} from @param {Size} to */
export function carried({ row, column }, from, to) {
  return pixelAt((column + 0.5) / from.width, (row + 0.5) / from.height, to);
}

/**
 * The square of a side around a pixel, moved to lie inside the picture.
 * @param {Pixel} pixel @param {number} side pixels @param {Size} size @returns {Box}
 */
export function square({ row, column }, side, { width, height }) {
  const begin = (/** @type {number} */ at, /** @type {number} */ count) =>
    Math.min(Math.max(at - Math.floor(side / 2), 0), Math.max(count - side, 0));
  return {
    left: begin(column, width) / width, top: begin(row, height) / height,
    width: Math.min(side / width, 1), height: Math.min(side / height, 1),
  };
}

/**
 * The pictures side by side, and the line that reads them.
 * @param {Panel} panel
 */
export function saliencyPanes(panel) {
  const { model, signal } = panel;
  // A place keeps its elements whatever map it shows, and with them the focus.
  const /** @type {ReturnType<typeof figure>[]} */ figures = [];
  const root = el("div", { class: "panes" });
  const readout = el("output", { class: "readout", "aria-live": "polite" });
  /** @type {{place: number} & Pixel | null} */ let at = null;
  const mark = () => {
    const from = at && figures[at.place].pane(), alone = model.get("view") === "histogram";
    for (const each of figures) {
      const to = each.pane(), apart = alone && to !== from;
      each.mark(at && from && !apart ? carried(at, from, to) : null);
    }
  };
  const read = reader(panel, (text) => { if (at) readout.replaceChildren(el("b", { text: text.title }), text.value); });
  /** @param {number} place @param {Pixel | null} pixel */
  const point = (place, pixel) => {
    if (!pixel && at?.place !== place) return; // one picture loses the focus after the next one has the mouse
    at = pixel && { place, ...pixel };
    mark();
    if (at) read(figures[place].pane(), at);
    else hint();
  };
  const hint = () => { if (!at) readout.textContent = HINTS[model.get("click")] ?? ""; };
  /** @param {number} place */
  const press = (place) => {
    const own = figures[place].pane(), input = figures[0].pane();
    const chart = model.get("view") === "histogram" && own !== input;
    if (!at || chart || model.get("click") === "look") return;
    tell(model, { type: "click", ...carried(at, own, input) });
  };
  follow(model, signal, ["click", "window"], () => { hint(); mark(); });
  /** @param {SaliencyFrame} frame @param {(ImageBitmap | null)[]} pictures one a pane */
  const show = (frame, pictures) => {
    const { panes } = frame, before = at && figures[at.place].pane();
    setPlaces(panes);
    figures.forEach((each, place) => each.show(panes[place], pictures[place], frame));
    if (at && before) point(at.place, at.place < panes.length ? carried(at, before, panes[at.place]) : null);
  };
  /** @param {Pane[]} panes */
  const setPlaces = (panes) => {
    for (let place = figures.length; place < panes.length; place++) {
      figures.push(figure(panel, panes[place], (pixel) => point(place, pixel), () => press(place)));
      root.append(figures[place].root);
    }
    const spare = figures.splice(panes.length);
    if (spare.some((each) => each.root.matches(":focus-within"))) figures[figures.length - 1].focus();
    for (const each of spare) each.close();
    root.dataset.panes = String(panes.length);
  };
  return { root, readout, show };
}

/**
 * Asks for the value at a pixel: one question at a time, and then for the newest place.
 * @param {Pick<Panel, "model" | "signal">} panel @param {(text: {title: string, value: string}) => void} show
 */
export function reader({ model, signal }, show) {
  /** @type {[Pane, Pixel] | null} */ let next = null;
  let busy = false;
  return async (/** @type {Pane} */ pane, /** @type {Pixel} */ { row, column }) => {
    next = pane.picture < 0 ? null : [pane, { row, column }];
    if (busy) return;
    busy = true;
    while (next && !signal.aborted) {
      const [{ key, title }, pixel] = next;
      next = null;
      try {
        show({ title, value: (await ask(model, { type: "value", pane: key, ...pixel })).text });
      } catch (error) {
        show({ title, value: /** @type {Error} */ (error).message });
      }
    }
    busy = false;
  };
}

/**
 * One picture with its title, its numbers and its colours.
 * @param {Panel} panel @param {Pane} first
 * @param {(pixel: Pixel | null) => void} point @param {() => void} press
 */
function figure({ model, signal }, first, point, press) {
  let pane = first;
  /** @type {Pixel | null} */ let pixel = null;
  const place = picture(signal, first.width / first.height, 6), { canvas } = place;
  const spot = el("i", { class: "mark", hidden: true }), instead = el("p", { class: "instead", hidden: true });
  const title = el("span", { class: "title" }), sub = el("span", { class: "sub" });
  const colors = el("i", {}), limits = ["low", "zero", "high"].map((name) => el("span", { class: name }));
  const scale = el("div", { class: "scale" }, colors, ...limits);
  place.root.append(spot, instead);
  const root = el("figure", {}, place.root, el("figcaption", {}, title, sub), scale);

  const follows = (/** @type {PointerEvent} */ event) => {
    const box = canvas.getBoundingClientRect();
    point(pixelAt((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height, pane));
  };
  canvas.addEventListener("pointerdown", follows);
  canvas.addEventListener("pointermove", follows);
  canvas.addEventListener("pointerleave", () => point(null));
  canvas.addEventListener("blur", () => point(null));
  canvas.addEventListener("click", () => press());
  canvas.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const way = ARROWS[event.key], far = event.shiftKey ? 10 : 1;
    if (event.key === "Enter") press();
    if (!way) return;
    event.preventDefault();
    const { row, column } = pixel ?? pixelAt(0.5, 0.5, pane), { height, width } = pane;
    point(pixelAt((column + far * way[1] + 0.5) / width, (row + far * way[0] + 0.5) / height, pane));
  });

  const showScale = () => {
    scale.classList.toggle("kept", !pane.bar);
    if (!pane.bar) return;
    const [low, high] = pane.bar, zero = zeroAt(low, high);
    colors.style.background = `linear-gradient(90deg, ${pane.colors.join(", ")})`;
    limits.forEach((node, index) => { node.textContent = [limitText(low), "0", limitText(high)][index]; });
    limits[1].hidden = zero === null;
    limits[1].style.left = `${100 * (zero ?? 0)}%`;
  };
  return {
    root,
    pane: () => pane,
    focus: () => canvas.focus(),
    close: () => { root.remove(); place.show(null); },
    /** @param {Pane} next @param {ImageBitmap | null} bitmap @param {SaliencyFrame} frame */
    show(next, bitmap, frame) {
      pane = next;
      root.dataset.key = pane.key;
      root.classList.toggle("stale", pane.stale);
      place.root.style.setProperty("--ratio", pane.width / pane.height);
      place.show(bitmap);
      root.classList.toggle("empty", !bitmap);
      instead.hidden = Boolean(bitmap);
      instead.textContent = pane.note || (frame.state === "running" ? "computing …" : "not computed");
      title.replaceChildren(pane.title, ...(pane.layer ? [" · ", el("code", { text: pane.layer })] : []));
      sub.textContent = pane.sub;
      showScale();
      const of = pane.key === "input" ? "" : ` of ${model.get("expression")}`;
      canvas.setAttribute("aria-label", `${pane.title}${of}${bitmap ? "" : `, ${instead.textContent}`}`);
      Object.assign(canvas.dataset, { frame: frame.frame, format: frame.format, pane: pane.key });
    },
    /** Shows where one points. @param {Pixel | null} next */
    mark(next) {
      pixel = next;
      spot.hidden = !next || !instead.hidden;
      if (!next) return;
      const covers = model.get("click") === "occlude", box = square(next, covers ? model.get("window") : 1, pane);
      spot.classList.toggle("covers", covers);
      for (const [side, share] of Object.entries(box)) spot.style[side] = `${100 * share}%`;
    },
  };
}
