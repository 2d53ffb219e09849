import { channelAhead } from "./explorer_ahead.js";
import { WHOLE, carriedAcross, cellBox, channelAt, fieldBox, laneBoxes, mapSize, tileBox } from "./explorer_moves.js";
import { paneFigure, spot, unseen } from "./panes.js";
import { carried, hovering, pointing, reader } from "./pointing.js";
import { el, follow, put } from "./shared.js";

/**
 * @import { ExplorerLayer, Grid, Lane } from "./explorer_moves.js"
 * @import { Panel } from "./panel.js"
 * @import { Pane, PaneFrame } from "./panes.js"
 * @import { Box, Pixel } from "./pointing.js"
 * @import { Work } from "./progress.js"
 * @typedef {{
 *   type: "frame", grid: Grid | null, fields: number[][], lanes: Lane[], place: number[] | null,
 * }} Units
 * @typedef {Units & PaneFrame & Work} ExplorerFrame
 *   `fields`: the edges of what the chosen unit sees, pixels of the picture, in each picture of a pair; `lanes`: where
 *   across the picture the layer's maps lie; `place`: the unit's row and column in its channel
 * @typedef {"input" | "layer" | "channel" | "back"} Key
 * @typedef {ReturnType<typeof paneFigure>} Figure
 * @typedef {{key: Key, pixel: Pixel}} Pointed
 */

const HINT = "Point at a picture to read its values. Click on a channel to choose it; click on a picture for a place.";
/** @type {Pane} */
const NOTHING = {
  key: "", title: "", sub: "", layer: "", width: 1, height: 1, picture: -1, image: 0, bar: null, colors: [], note: "",
  stale: false,
};
/** @type {Record<Key, {title: string, note: string}>} what stands where there is no such picture */
const MISSING = {
  input: { title: "Input", note: "" }, layer: { title: "Channels", note: "" }, channel: { title: "Channel", note: "" },
  back: { title: "Nothing is sent back", note: "Choose a way back to see what in the picture drives the channel." },
};

/** The pictures in which a pixel is a place in the input. @type {Exclude<Key, "layer">[]} */
const PLACED = ["input", "channel", "back"];

/** The layer that is shown. @param {Panel["model"]} model @returns {ExplorerLayer | undefined} */
export function layerNow(model) {
  return model.get("layers").find((/** @type {ExplorerLayer} */ { name }) => name === model.get("layer"));
}

/** All channels of the layer: the chosen one and the one pointed at have a border. @param {Panel} panel */
function atlas({ model, signal }) {
  const part = paneFigure(signal, 1, ({ layer }) => `Channels of ${layer}`);
  const chosen = spot(part.place, "tile chosen"), hovered = spot(part.place, "tile");
  /** @type {Grid | null} */ let grid = null;
  const draw = () => {
    const channel = model.get("channel"), pane = part.pane();
    const box = grid && part.painted() && tileBox(grid, channel);
    chosen.show(box);
    part.reveal(box);
    if (pane) part.canvas.setAttribute("aria-label", `Channels of ${pane.layer}, channel ${channel} is chosen`);
  };
  follow({ model, signal }, ["channel"], draw);
  const show = (/** @type {Grid | null} */ next) => { grid = next; draw(); };
  /** @param {Pixel | null} pixel @returns {number | null} the channel there */
  const at = (pixel) => {
    const channel = grid && pixel && channelAt(grid, pixel);
    hovered.show(channel !== null && grid && tileBox(grid, channel));
    return channel;
  };
  return { part, show, draw, at };
}

/**
 * Chooses what the kernel has to answer with other pictures, unless it is chosen already.
 * @param {Panel} panel @param {Record<string, any>} values
 */
export function want({ model, expect }, values) {
  if (Object.entries(values).every(([name, value]) => String(model.get(name)) === String(value))) return;
  expect();
  put(model, values);
}

/** What a picture shows. @param {Figure} part */
function paneOf(part) {
  return part.pane() ?? NOTHING;
}

/** Boxes of a kind over a picture, as many as it takes. @param {Figure["place"]} place @param {string} name a class */
function spots(place, name) {
  const parts = [spot(place, name)];
  return (/** @type {Box[]} */ boxes) => {
    while (parts.length < boxes.length) parts.push(spot(place, name));
    parts.forEach((part, index) => part.show(boxes[index] ?? null));
  };
}

/** Whether the channel lies over the picture, and is no map alone. @param {Panel["model"]} model */
function overlaid(model) {
  return model.get("overlay") !== "none";
}

/**
 * Where the pictures of a panel lie across that of the network.
 * @param {Panel["model"]} model @param {Key} key @param {Lane[]} lanes of the layer's maps
 */
function lanesOf(model, key, lanes) {
  return key === "channel" && !overlaid(model) ? lanes : WHOLE;
}

/**
 * The unit that was chosen: in its channel, and what it sees of the picture.
 * @param {Panel} panel @param {Record<Key, Figure>} parts
 */
function unitMarks({ model, signal }, { input, channel }) {
  const boxes = spots(input.place, "box"), cells = spots(channel.place, "here");
  /** @type {ExplorerFrame | null} */ let last = null;
  const draw = () => {
    const set = model.get("place"), place = set.length ? set : last?.place;
    const cell = place && channel.painted() && cellBox(place, mapSize(layerNow(model)));
    cells(cell ? laneBoxes(cell, overlaid(model) && last ? last.lanes : WHOLE) : []);
    boxes(last && input.painted() ? last.fields.map((field) => fieldBox(field, paneOf(input))) : []);
  };
  follow({ model, signal }, ["place"], draw);
  // Where another channel answers most is for the kernel to say.
  follow({ model, signal }, ["channel"], () => {
    if (!model.get("place").length && last) last = { ...last, place: null, fields: [] };
    draw();
  });
  return (/** @type {ExplorerFrame} */ frame) => { last = frame; draw(); };
}

/**
 * Marks where one points: the tile, or the same place in all pictures.
 * @param {Panel} panel @param {Record<Key, Figure>} parts @param {ReturnType<typeof atlas>} tiles
 * @param {() => Lane[]} lanes of the layer's maps
 * @returns {(at: Pointed | null) => number | null} gives the channel of the tile
 */
function pointMarks({ model }, parts, tiles, lanes) {
  // A histogram is a chart of its own: no place in it is one in a picture.
  const together = (/** @type {Key} */ one, /** @type {Key} */ other) =>
    one === other || model.get("view") !== "histogram" || ![one, other].includes("back");
  return (at) => {
    for (const key of PLACED) {
      const from = at && at.key !== "layer" && together(at.key, key) && parts[key].painted() ? at : null;
      const to = paneOf(parts[key]), [start, end] = [from?.key ?? key, key].map((each) => lanesOf(model, each, lanes()));
      const pixel = from && carriedAcross(from.pixel, paneOf(parts[from.key]), to, start, end);
      const box = pixel && cellBox([pixel.row, pixel.column], to);
      parts[key].mark.show(box);
      parts[key].reveal(box);
    }
    return tiles.at(at?.key === "layer" ? at.pixel : null);
  };
}

/**
 * What stands where one points, and what a click there chooses.
 * @param {Panel} panel @param {Record<Key, Figure>} parts @param {ReturnType<typeof atlas>} tiles
 * @param {() => Lane[]} lanes of the layer's maps
 */
function pointer(panel, parts, tiles, lanes) {
  const { model } = panel, readout = el("output", { class: "readout", "aria-live": "polite", text: HINT });
  const mark = pointMarks(panel, parts, tiles, lanes);
  /** @type {Pointed | null} */ let at = null;
  let chose = false;
  const idle = () => {
    const { title, sub } = paneOf(parts.channel);
    readout.replaceChildren(...(chose && sub ? [el("b", { text: title }), sub] : [HINT]));
  };
  const read = reader(panel, ({ title, value }) => {
    if (at) readout.replaceChildren(...(title ? [el("b", { text: title })] : []), value);
  });
  /** @param {Key} key @param {Pixel | null} pixel */
  const point = (key, pixel) => {
    if (!pixel && at?.key !== key) return; // one picture loses the focus after the next one has the mouse
    at = pixel && { key, pixel };
    const channel = mark(at), pane = paneOf(parts[key]);
    if (!at) return idle();
    if (channel !== null) readout.textContent = `channel ${channel}`;
    // Of a channel's value its words say which.
    read(key === "layer" || key === "channel" ? { ...pane, title: "" } : pane, at.pixel);
  };
  const press = () => { if (at && parts[at.key].painted()) choose(panel, at, paneOf(parts[at.key]), tiles, lanes()); };
  hovering(parts.layer.canvas, () => paneOf(parts.layer), (pixel) => point("layer", pixel), press);
  for (const key of PLACED) {
    const now = () => ({ ...paneOf(parts[key]), pixel: at?.key === key ? at.pixel : null });
    pointing(parts[key].canvas, now, (pixel) => point(key, pixel), press);
  }
  model.on("change:channel", () => { chose = true; });
  /** Points at the same place of the next pictures. @param {() => void} paint */
  const across = (paint) => {
    const before = at && paneOf(parts[at.key]);
    paint();
    if (at && before) point(at.key, carried(at.pixel, before, paneOf(parts[at.key])));
    else idle();
  };
  return { readout, across };
}

/**
 * Chooses the channel or the place that was clicked on.
 * @param {Panel} panel @param {Pointed} at @param {Pane} pane
 * @param {ReturnType<typeof atlas>} tiles @param {Lane[]} lanes of the layer's maps
 */
function choose(panel, { key, pixel }, pane, tiles, lanes) {
  const { model } = panel, channel = key === "layer" ? tiles.at(pixel) : null;
  const count = layerNow(model)?.shape[0] ?? 0; // of another layer than the one that is still on the screen, perhaps
  if (channel !== null && channel < count) want(panel, { channel });
  else if (key === "input" || key === "channel") {
    const there = carriedAcross(pixel, pane, mapSize(layerNow(model)), lanesOf(model, key, lanes), lanes);
    if (there) want(panel, { place: [there.row, there.column] });
  }
}

/** Whether a picture is being found out: meanwhile the one before stays. @param {Pane} pane @param {ExplorerFrame} frame */
export function onItsWay({ key, picture, note }, { state, panes }) {
  return state === "running" && picture < 0 && !note && panes.some((pane) => pane.key === key);
}

/** The pictures, what they say where one points, and what a click on them chooses. @param {Panel} panel */
export function explorerPanes(panel) {
  const { model, signal } = panel, tiles = atlas(panel);
  const plain = (/** @type {number} */ sharp) => paneFigure(signal, sharp, ({ title }) => title);
  /** @type {Record<Key, Figure>} */
  const parts = { input: plain(6), layer: tiles.part, channel: plain(1), back: plain(6) };
  /** @type {Grid | null} */ let grid = null;
  let lanes = WHOLE;
  const { readout, across } = pointer(panel, parts, tiles, () => lanes), mark = unitMarks(panel, parts);
  channelAhead(panel, parts, () => grid);
  /** @param {ExplorerFrame} frame @param {(ImageBitmap | null)[]} pictures one a pane */
  const show = (frame, pictures) => across(() => {
    const [{ width, height }] = frame.panes;
    for (const key of /** @type {Key[]} */ (Object.keys(parts))) {
      const found = frame.panes.findIndex((pane) => pane.key === key);
      const pane = found < 0 ? { ...NOTHING, ...MISSING[key], key, width, height } : frame.panes[found];
      if (onItsWay(pane, frame) && parts[key].painted()) parts[key].root.classList.add("stale");
      else parts[key].show(pane, pictures[found] ?? null, frame);
    }
    lanes = frame.lanes;
    if (frame.grid || parts.layer.pane()?.picture === -1) grid = frame.grid;
    tiles.show(grid);
    mark(frame);
  });
  /** Those to decode. @param {ExplorerFrame} frame @param {any[]} buffers */
  const pictures = ({ panes }, buffers) => unseen(panes, buffers, ({ key }) => parts[/** @type {Key} */ (key)]);
  const compared = {
    original: { now: parts.input.place.now },
    places: () => [parts.channel, ...(model.get("view") === "histogram" ? [] : [parts.back])].map(({ place }) => place),
  };
  return { parts, readout, pictures, show, grid: () => grid, compared };
}

/**
 * Which picture is large: it changes its place with that of the layer.
 * @param {Record<Key, Figure>} parts
 */
export function largeOne(parts) {
  const keys = /** @type {const} */ (["layer", "channel", "back"]);
  const slots = { layer: el("div", { class: "main" }), channel: el("div", {}), back: el("div", {}) };
  let now = /** @type {(typeof keys)[number]} */ ("layer");
  const set = (/** @type {typeof now} */ to) => {
    const focused = keys.find((key) => parts[key].canvas.matches(":focus"));
    now = to;
    for (const key of keys) slots[key].append(parts[key].root);
    slots.layer.append(parts[to].root);
    slots[to].append(parts[to === "layer" ? to : "layer"].root);
    if (focused) parts[focused].focus();
  };
  set("layer");
  return { slots, set, now: () => now };
}
