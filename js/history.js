import { button } from "./controls.js";
import { icon } from "./icons.js";
import { ask, el, follow, put } from "./shared.js";

/**
 * @import { Panel } from "./panel.js"
 * @import { Picture } from "./pictures.js"
 * @import { Named } from "./shared.js"
 * @typedef {{id: number, parent: number | null, label: string, place: string, again: boolean}} Point of the history;
 * `again`: it is run to again when one goes back to it
 * @typedef {{column: number, row: number}} Spot of a point in the strip
 */

// The history: a strip of small pictures, one for each point that one can go back to, a row for each branch.

/** Pixels of a small picture, and between two. */
const WIDE = 64, HIGH = 48, APART = 14;
/** Milliseconds after which the strip follows: what is dear to draw comes after what is waited for. */
const AFTER_PICTURE = 60;

/** @type {Named[]} */
export const HISTORY_KEYS = [
  ["Ctrl+Z", "undo: the point of the history before this one, while painting the last stroke; with Shift: redo"],
  ["← → ↑ ↓", "in the history: from point to point; Enter goes back to it, c compares it with the present"],
];

const COMPARE_HELP = "Shows the point in the history that is chosen next in the place of the picture; again: the present";

/**
 * Where the points stand: each a column after the one it came from, in a row below once that has another.
 * @param {Point[]} points @returns {Map<number, Spot>}
 */
export function branches(points) {
  const /** @type {Map<number, Spot>} */ found = new Map(), /** @type {Set<number>} */ gone = new Set();
  let rows = 0;
  for (const { id, parent } of points) {
    const before = parent === null ? null : found.get(parent) ?? null;
    const first = before && parent !== null && !gone.has(parent);
    if (parent !== null) gone.add(parent);
    found.set(id, { column: before ? before.column + 1 : 0, row: before && first ? before.row : rows++ });
  }
  return found;
}

/**
 * Where an arrow key leads from a point.
 * @param {string} key @param {number} id @param {Point[]} points @param {Map<number, Spot>} spots
 */
export function pointFrom(key, id, points, spots) {
  const here = spots.get(id);
  if (!here) return points[points.length - 1]?.id ?? id;
  if (key === "Home") return points[0].id;
  if (key === "End") return points[points.length - 1].id;
  const way = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[key];
  if (!way) return id;
  const [across, down] = way;
  if (across < 0) return points.find((point) => point.id === id)?.parent ?? id;
  if (across > 0) return points.find((point) => point.parent === id)?.id ?? id;
  const far = (/** @type {Spot} */ { column, row }) => 1000 * Math.abs(row - here.row) + Math.abs(column - here.column);
  const beyond = [...spots].filter(([, { row }]) => Math.sign(row - here.row) === down);
  return beyond.sort(([, a], [, b]) => far(a) - far(b))[0]?.[0] ?? id;
}

/** What joins the points, as an SVG path. @param {Point[]} points @param {Map<number, Spot>} spots */
function joints(points, spots) {
  const x = (/** @type {Spot} */ { column }) => column * (WIDE + APART), y = (/** @type {Spot} */ { row }) => row * (HIGH + APART) + HIGH / 2;
  return points.map(({ id, parent }) => {
    const before = parent === null ? null : spots.get(parent), here = spots.get(id);
    if (!before || !here) return "";
    const from = x(before) + WIDE + APART / 2;
    return `M${x(before) + WIDE} ${y(before)}H${from}V${y(here)}H${x(here)}`;
  }).join("");
}

/** What a point is called. @param {Point} point */
const pointText = ({ label, place }) => `${label} · ${place}`;

/**
 * The strip of the history.
 * @param {Panel} panel @param {Picture} screen
 */
export function historyStrip(panel, screen) {
  const { model, root: whole } = panel;
  const all = () => /** @type {Point[]} */ (model.get("_points")), now = () => /** @type {number} */ (model.get("_point"));
  const wish = (/** @type {string} */ act, point = -1) => {
    const _history_wish = { act, point, number: Math.random() };
    panel.expect();
    // As a trait, so that it comes after the values of the sliders that are on their way.
    put(model, { _history_wish });
  };
  const line = el("span", { class: "quiet", role: "status" }), lines = el("path", {});
  const web = el("svg", { "aria-hidden": "true" }, lines);
  const strip = el("div", { class: "strip", role: "listbox", "aria-label": "Points of the history" }, web);
  const sight = comparison(panel, screen, () => show());
  const compare = button("Compare", () => { sight.toggle(); show(); }, { title: COMPARE_HELP, "aria-pressed": "false" });
  const [undo, redo] = [["undo", "Undo", "Ctrl+Z"], ["redo", "Redo", "Ctrl+Shift+Z"]].map(([act, text, keys]) =>
    el("button", { type: "button", class: "small", "aria-label": text, title: `${text} (${keys})`, onclick: () => wish(act) }, icon(act)));
  const root = el("section", { class: "history", "aria-label": "History" },
    el("div", { class: "heading" }, el("h4", { text: "History" }), undo, redo, compare, line), strip);
  const act = (/** @type {Point} */ point) => (sight.on() ? sight.look(point) : wish("back", point.id));
  const /** @type {Map<number, HTMLElement>} */ options = new Map();
  const tell = (/** @type {number} */ id) => {
    const point = sight.shown() ?? all().find((each) => each.id === id);
    line.textContent = point ? pointText(point) : "";
  };
  const show = () => {
    const points = all(), spots = branches(points), columns = [...spots.values()].map(({ column }) => column);
    root.hidden = !points.length;
    whole.classList.toggle("remembers", points.length > 0);
    for (const [id, option] of options) if (!spots.has(id)) { option.remove(); options.delete(id); }
    for (const point of points) {
      if (!options.has(point.id)) options.set(point.id, strip.appendChild(thumb(panel, point.id, act, tell, now)));
      placePoint(/** @type {HTMLElement} */ (options.get(point.id)), point, /** @type {Spot} */ (spots.get(point.id)),
        { now: now(), seen: sight.shown()?.id ?? -1 });
    }
    lines.setAttribute("d", joints(points, spots));
    const wide = (Math.max(0, ...columns) + 1) * (WIDE + APART), high = Math.max(0, ...[...spots.values()].map(({ row }) => row)) + 1;
    Object.assign(web.style, { width: `${wide}px`, height: `${high * (HIGH + APART)}px` });
    compare.setAttribute("aria-pressed", String(sight.on()));
    /** @type {HTMLButtonElement} */ (undo).disabled = points.length < 2 && !model.get("running");
    tell(now());
  };
  // Points come right before the picture of the change that made them, which is what one waits for.
  let due = 0, at = -1;
  const settle = () => {
    due = 0;
    show();
    if (at !== now()) bring(strip, options.get(at = now()));
  };
  follow(panel, ["_points", "_point", "running"], () => { due ||= setTimeout(settle, AFTER_PICTURE); });
  follow(panel, ["_point"], () => sight.end());
  settle();
  // Where the point of now is in sight, also once there is room for the strip.
  const follows = new ResizeObserver(() => bring(strip, options.get(now())));
  for (const part of [strip, web]) follows.observe(part);
  panel.signal.addEventListener("abort", () => { follows.disconnect(); clearTimeout(due); });
  strip.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const id = [...options].find(([, option]) => option === event.target)?.[0];
    const point = all().find((each) => each.id === id);
    if (id === undefined || !point || event.ctrlKey || event.metaKey || event.altKey) return;
    const to = options.get(pointFrom(event.key, id, all(), branches(all())));
    if (event.key === "Enter" || event.key === " ") act(point);
    else if (event.key === "c") { sight.look(point); show(); }
    else if (event.key === "Escape" && sight.on()) { sight.end(); show(); }
    else if (/^(Arrow|Home|End)/.test(event.key)) { to?.focus({ preventScroll: true }); bring(strip, to); }
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  keysOfHistory(whole, wish);
  return root;
}

/** A point of the strip. @param {Panel} panel @param {number} id @param {(point: Point) => void} act
 * @param {(id: number) => void} tell @param {() => number} now */
function thumb({ model, signal }, id, act, tell, now) {
  const image = el("img", { alt: "", draggable: "false" });
  const option = el("div", {
    role: "option", class: "point", "data-point": id,
    onclick: () => act(model.get("_points").find((/** @type {Point} */ each) => each.id === id)),
    onfocus: () => tell(id), onblur: () => tell(now()),
    onpointerenter: () => tell(id), onpointerleave: () => tell(now()),
  }, image);
  ask(model, { type: "thumbnail", point: id }).then(({ data }) => {
    const url = URL.createObjectURL(new Blob([/** @type {any} */ (data)], { type: "image/jpeg" }));
    signal.addEventListener("abort", () => URL.revokeObjectURL(url));
    image.src = url;
  }).catch(() => {}); // it is gone from the history
  return option;
}

/**
 * @param {HTMLElement} option @param {Point} point @param {Spot} spot
 * @param {{now: number, seen: number}} marks the point that the run came from, and the one that is compared
 */
function placePoint(option, point, { column, row }, { now, seen }) {
  const again = point.again ? ", is run to again" : "";
  option.style.left = `${column * (WIDE + APART)}px`;
  option.style.top = `${row * (HIGH + APART)}px`;
  option.title = `${pointText(point)}${again}`;
  option.setAttribute("aria-label", `${point.label}, ${point.place}${again}`);
  option.setAttribute("aria-selected", String(point.id === now));
  option.setAttribute("tabindex", point.id === now ? "0" : "-1");
  option.classList.toggle("seen", point.id === seen);
}

/** Scrolls the strip, and nothing else, to a point. @param {HTMLElement} strip @param {HTMLElement} [option] */
function bring(strip, option) {
  if (!option) return;
  const { offsetLeft: left, offsetTop: top } = option;
  strip.scrollLeft = Math.max(Math.min(strip.scrollLeft, left - APART), left + WIDE + APART - strip.clientWidth);
  strip.scrollTop = Math.max(Math.min(strip.scrollTop, top - APART), top + HIGH + APART - strip.clientHeight);
}

/**
 * A point in the place of the picture, and back: the same point again shows the present.
 * @param {Panel} panel @param {Picture} screen @param {() => void} changed
 */
function comparison({ model, signal, complain }, screen, changed) {
  /** @type {{point: Point, bitmap: ImageBitmap} | null} */ let seen = null;
  let on = false;
  const label = el("span", { class: "compared", role: "status", hidden: true });
  screen.root.append(label);
  const draw = () => {
    label.hidden = !on;
    screen.root.classList.toggle("compares", Boolean(seen));
    label.textContent = seen ? `Compared: ${pointText(seen.point)}` : "Present: choose a point of the history";
    screen.reshape(seen ? [seen.bitmap.height, seen.bitmap.width] : model.get("size"));
    screen.instead(seen ? () => seen && seen.bitmap : null);
  };
  const leave = () => { seen?.bitmap.close(); seen = null; };
  const end = () => { if (on) { on = false; leave(); draw(); } };
  const look = async (/** @type {Point} */ point) => {
    const again = seen?.point.id === point.id;
    on = true;
    leave();
    draw();
    changed();
    if (again) return;
    try {
      const { data } = await ask(model, { type: "point", point: point.id });
      const bitmap = await createImageBitmap(new Blob([/** @type {any} */ (data)]));
      if (!on || signal.aborted) return bitmap.close();
      leave();
      seen = { point, bitmap };
      draw();
      changed();
    } catch (error) {
      complain(`There is nothing to compare: ${/** @type {Error} */ (error).message}`);
    }
  };
  signal.addEventListener("abort", leave);
  return { on: () => on, shown: () => seen?.point ?? null, look, end, toggle: () => { if (on) end(); else { on = true; draw(); } } };
}

/** Undo and redo from anywhere in the panel, but where one paints or types. @param {HTMLElement} root @param {(act: string) => void} wish */
function keysOfHistory(root, wish) {
  root.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const types = /** @type {HTMLElement} */ (event.target).matches("input:not([type=range], [type=checkbox]), textarea");
    if (types || root.matches(".paints") || !root.matches(".remembers") || event.defaultPrevented) return;
    if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "z") return;
    event.preventDefault();
    wish(event.shiftKey ? "redo" : "undo");
  });
}
