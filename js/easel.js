import { brushBar } from "./brush_bar.js";
import { brushHand } from "./brush_hand.js";
import {
  brushed, feathered, gradientFilled, gradientOfKey, inverted, middleRectangle, nudgedRectangle, rectangleFilled,
  spanned,
} from "./paint.js";
import { paintOverlay, paintSheet } from "./paint_sheet.js";
import { el, follow } from "./shared.js";

/**
 * @import { Tool } from "./brush_bar.js"
 * @import { Hand } from "./brush_hand.js"
 * @import { Dab } from "./paint.js"
 * @import { Painted, State } from "./paint_sheet.js"
 * @import { Panel } from "./panel.js"
 * @import { Picture } from "./pictures.js"
 * @import { Named } from "./shared.js"
 */

// A picture that masks are painted on: one layer of paint for each term of the objective.

/** @type {Named[]} */
export const PAINT_KEYS = [
  ["b e", "paint a mask on the picture with the brush, the eraser; Escape leaves"],
  ["[ ]", "while painting: a smaller brush, a larger one"],
  ["m", "while painting: a rectangle; arrows move it, with Shift they resize it, Enter fills it, Delete empties it"],
  ["l", "while painting: a gradient; an arrow fills from the side that it points to, Enter everything"],
];

const ASIDE = "What is painted confines a dream, not a visualisation.";
/** What a brush grows by, by a key. */
const LARGER = 1.25;
/** Pixels of a drag that is still a click. */
const CLICK = 2;

/**
 * What the masks let happen, in words.
 * @param {string[]} terms of the objective @param {number[]} shares of the picture that are painted, 0 to 1
 * @param {number | null} own the term that is painted now, null for none
 */
export function paintedWords(terms, shares, own) {
  const percent = (/** @type {number} */ share) => (share < 0.01 ? "less than 1 %" : `${Math.round(100 * share)} %`);
  const said = terms.flatMap((text, term) => shares[term]
    ? [`${text} grows only where it is painted, ${percent(shares[term])} of the picture.`] : []);
  if (said.length === terms.length && said.length) said.push("The rest stays as it is.");
  if (own !== null && !shares[own]) said.push(`No paint for ${terms[own]}: it grows in the whole picture.`);
  return said.join(" ");
}

/**
 * Lets masks be painted on a picture.
 * @param {Panel} panel @param {Picture} screen
 */
export function easel(panel, screen) {
  const { model, root } = panel, line = el("p", { class: "hint painted", role: "status" });
  /** @type {State} */ const state = { on: false, tool: "brush", brush: 1, box: null };
  const dreams = () => model.get("mode") === "dream";
  let waits = false;
  const show = () => {
    overlay.show();
    bar.show({ ...state, ...painted.standing(), size: state.brush });
    if (!waits) requestAnimationFrame(draw);
    waits = true;
  };
  const draw = () => {
    waits = false;
    if (state.on) overlay.draw();
    say(line, dreams() ? wordsNow(panel, painted, state.on) : painted.layers().some(Boolean) ? ASIDE : "");
  };
  const painted = paintSheet(panel, () => show()), overlay = paintOverlay(panel, screen, state, painted);
  const use = (/** @type {Tool} */ tool) => {
    if (!dreams()) return;
    if (!state.on) toggle();
    Object.assign(state, { tool, box: tool === "rectangle" ? state.box ?? middleRectangle(painted.size()) : null });
    if (tool === "rectangle" || tool === "fill") screen.canvas.focus();
    show();
  };
  const toggle = () => {
    Object.assign(state, { on: !state.on, box: null });
    root.classList.toggle("paints", state.on);
    screen.root.classList.toggle("painting", state.on);
    show();
  };
  const { resize, keys } = brushSizes(state, painted, show);
  const bar = brushBar({ toggle, use, resize, ...changes(painted) });
  const place = el("div", { class: "easel" }, el("div", { class: "framed" }, screen.root, bar.root), line);
  brushHand(screen, () => state.on && Boolean(screen.now()), () => ({ ...painted.size(), brush: state.brush }),
    { ...handOf(state, painted, root, show), hover: overlay.hover });
  keysOfPaint(panel, screen, state, painted, { toggle, show });
  follow(panel, ["size"], () => {
    const { height, width } = painted.size();
    place.style.setProperty("--ratio", String(width / height));
    resize(Math.max(height, width) / 8);
  });
  follow(panel, ["term", "_terms", "mode"], () => {
    bar.root.hidden = !dreams();
    if (state.on && !dreams()) toggle();
    else show();
  });
  const whilePainting = (/** @type {Tool} */ tool) => () => { if (state.on) use(tool); };
  const marks = {
    b: () => use("brush"), e: () => use("erase"), m: whilePainting("rectangle"), l: whilePainting("fill"),
  };
  return { root: place, keys: { ...marks, ...keys } };
}

/** @param {HTMLElement} line @param {string} text */
function say(line, text) {
  if (line.textContent !== text) line.textContent = text; // else it would be read aloud again
  line.hidden = !text;
}

/** What the masks let happen now. @param {Panel} panel @param {Painted} painted @param {boolean} on */
function wordsNow({ model }, painted, on) {
  const terms = model.get("_terms").map((/** @type {{text: string}} */ { text }) => text), own = painted.term();
  return paintedWords(terms, painted.shares(), on && terms[own] ? own : null);
}

/** What the buttons do to all of the paint. @param {Painted} painted */
function changes(painted) {
  const feather = (/** @type {number} */ radius) => {
    if (painted.standing().painted) painted.act((layer) => feathered(layer, radius));
  };
  return { invert: () => painted.act(inverted), clear: painted.clear, feather,
    undo: () => painted.back("undo"), redo: () => painted.back("redo") };
}

/**
 * The size of the brush, and its keys.
 * @param {State} state @param {Painted} painted @param {() => void} show
 */
function brushSizes(state, painted, show) {
  const resize = (/** @type {number} */ size) => {
    state.brush = Math.min(Math.max(Math.round(size), 1), painted.standing().most);
    show();
  };
  const grow = (/** @type {number} */ factor, /** @type {number} */ least) => {
    if (state.on) resize(Math.abs(state.brush * factor - state.brush) < 1 ? state.brush + least : state.brush * factor);
  };
  return { resize, keys: { "[": () => grow(1 / LARGER, -1), "]": () => grow(LARGER, 1) } };
}

/**
 * What the hand does with each tool.
 * @param {State} state @param {Painted} painted @param {HTMLElement} root @param {() => void} show @returns {Omit<Hand, "hover">}
 */
function handOf(state, painted, root, show) {
  /** @type {{term: number, tool: Tool, from: Dab, last: Dab} | null} */ let stroke = null;
  const over = () => { stroke = null; root.classList.remove("strokes"); };
  const move = (/** @type {Dab[]} */ dabs) => {
    if (!stroke) return;
    const { term, tool, from } = stroke, dab = dabs[dabs.length - 1];
    if (tool === "rectangle") {
      state.box = spanned(from, dab);
      return show();
    }
    const layer = painted.opened(term);
    if (tool === "fill") gradientFilled(layer, from, Math.hypot(dab.x - from.x, dab.y - from.y) > CLICK ? dab : from);
    else for (const each of dabs) { brushed(layer, stroke.last, each, tool === "erase"); stroke.last = each; }
    painted.sent(term);
  };
  return {
    move,
    begin(dab, erases) {
      stroke = { term: painted.term(), tool: erases ? "erase" : state.tool, from: dab, last: dab };
      root.classList.add("strokes");
      if (stroke.tool !== "rectangle") painted.keep(stroke.term);
      move([dab]);
    },
    end() {
      const box = stroke?.tool === "rectangle" ? state.box : null;
      over();
      if (!box) return;
      state.box = null;
      if (box.width > CLICK && box.height > CLICK) painted.act((layer) => rectangleFilled(layer, box, 255));
      show();
    },
    revert() {
      const tool = stroke?.tool;
      over();
      if (tool === "rectangle") state.box = null;
      else painted.back("undo");
      show();
    },
  };
}

/**
 * The keys of whoever paints: on the picture those of the rectangle and the gradient, anywhere in the panel those that
 * undo.
 * @param {Panel} panel @param {Picture} screen @param {State} state @param {Painted} painted
 * @param {{toggle(): void, show(): void}} acts
 */
function keysOfPaint({ root }, screen, state, painted, { toggle, show }) {
  const rectangle = (/** @type {KeyboardEvent} */ { key, shiftKey }) => {
    const box = state.box ?? middleRectangle(painted.size()), next = nudgedRectangle(box, key, shiftKey, painted.size());
    if (next) state.box = next;
    else if (key === "Enter") painted.act((layer) => rectangleFilled(layer, box, 255));
    else if (key === "Delete" || key === "Backspace") painted.act((layer) => rectangleFilled(layer, box, 0));
    else return false;
    return true;
  };
  const gradient = (/** @type {KeyboardEvent} */ { key }) => {
    const ends = gradientOfKey(key, painted.size());
    if (ends) painted.act((layer) => gradientFilled(layer, ...ends));
    return Boolean(ends);
  };
  const pressed = (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Escape") {
      return (state.tool === "rectangle" && rectangle(event)) || (state.tool === "fill" && gradient(event));
    }
    if (state.box) state.box = null;
    else toggle();
    return true;
  };
  const take = (/** @type {KeyboardEvent} */ event) => { event.preventDefault(); event.stopPropagation(); show(); };
  // Before the picture hears it, whose arrow keys move what is magnified.
  screen.root.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
    if (state.on && plain && event.target === screen.canvas && pressed(event)) take(event);
  }, { capture: true });
  root.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const types = /** @type {HTMLElement} */ (event.target).matches("input:not([type=range], [type=checkbox])");
    if (!state.on || types || !(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "z") return;
    painted.back(event.shiftKey ? "redo" : "undo");
    take(event);
  });
}
