// What all widgets share: numbers and geometry first (no DOM; tested by node), then elements, traits and messages.

/**
 * What a widget's front end needs of anywidget's model.
 * @typedef {{
 *   get(name: string): any, set(name: string, value: any): void, save_changes(): void,
 *   send(content: any, callbacks?: any, buffers?: any): void,
 *   on(event: string, callback: (...args: any[]) => void): void,
 *   off(event: string, callback: (...args: any[]) => void): void,
 * }} Model
 * @typedef {{
 *   label: string, low: number, high: number, unit: string, log: boolean, whole: boolean, help: string,
 * }} Control
 * @typedef {{
 *   type: "frame", frame: number, rev: number, format: "" | "jpeg" | "png", state: string, step: number,
 *   total: number | null, octave: number, octaves: number, round: number, rounds: number | null, score: number | null, rate: number | null,
 *   left: number | null, curve: [number, number][], octave_starts: number[],
 * }} Header without an end there is no `total`, and there are no `rounds`
 * @typedef {[string, string]} Named a label and what it is for
 * @typedef {{model: Model, signal: AbortSignal}} View what a view shows, and the signal of its end
 */

/** The bytes of a message's buffer, whichever way it arrives. @param {ArrayBuffer | ArrayBufferView} buffer */
export function bytes(buffer) {
  return buffer instanceof ArrayBuffer
    ? new Uint8Array(buffer)
    : new Uint8Array(/** @type {ArrayBuffer} */ (buffer.buffer), buffer.byteOffset, buffer.byteLength);
}

/** A number in three significant digits, without an exponent where it can be read. @param {number | null} value */
export function short(value) {
  if (value === null || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 0.001 || size >= 1e6)) return value.toExponential(2);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 0.1 || size === 0 ? 2 : 4);
}

/**
 * A number as it stands in its field: a whole one as it is, any other in four digits, a tiny one with an exponent.
 * @param {number | null} value
 */
export function typed(value) {
  if (value === null || Number.isInteger(value)) return String(value ?? "");
  const near = Number(value.toPrecision(4));
  return Math.abs(near) < 0.001 ? near.toExponential() : String(near);
}

/** A probability, as short as can be. @param {number | null | undefined} share */
export function chance(share) {
  return share == null ? "" : share < 0.005 ? "< 0.01" : share.toFixed(2);
}

/** A time to wait, in words. @param {number | null} seconds */
export function duration(seconds) {
  if (seconds === null || !Number.isFinite(seconds)) return "";
  if (seconds < 1) return "under a second";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

/** Where a value lies on its slider, 0 to 1. @param {number} value @param {Control} control */
export function position(value, { low, high, log }) {
  const place = log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
  return Math.min(1, Math.max(0, place));
}

/**
 * The value at a place on the slider, in steps that a reader would choose.
 * @param {number} place @param {Control} control
 */
export function valueAt(place, { low, high, log, whole }) {
  const value = log ? low * (high / low) ** place : low + place * (high - low);
  const rounded = whole ? value.toFixed() : log ? value.toPrecision(2) : value.toFixed(high - low > 10 ? 0 : 2);
  return Math.min(high, Math.max(low, Number(rounded)));
}

/** The lowest and the highest value. @param {[number, number][]} points @returns {[number, number]} */
export function extent(points) {
  const values = points.map(([, value]) => value);
  return [Math.min(...values), Math.max(...values)];
}

/**
 * A curve in a box, the y axis upwards: SVG points "x,y x,y …".
 * @param {[number, number][]} points index and value
 * @param {number} total steps on the x axis @param {number} width @param {number} height
 * @param {[number, number]} [range] lowest and highest value of the box
 */
export function curvePoints(points, total, width, height, [low, high] = extent(points)) {
  const span = high - low || 1, last = Math.max(total - 1, 1);
  const across = (/** @type {number} */ index) => ((index / last) * width).toFixed(1);
  const down = (/** @type {number} */ value) => (height - ((value - low) / span) * height).toFixed(1);
  return points.map(([index, value]) => `${across(index)},${down(value)}`).join(" ");
}

/**
 * How well a text answers a query, higher is better, 0 not at all: a whole word, a beginning, a part, letters in order.
 * @param {string} query @param {string} text
 */
export function match(query, text) {
  const wanted = query.trim().toLowerCase(), given = text.toLowerCase();
  if (given === wanted) return 5;
  if (given.startsWith(wanted)) return 4;
  const at = given.indexOf(wanted);
  if (at >= 0) return /[a-z0-9]/.test(given[at - 1]) ? 2 : 3;
  let from = -1;
  for (const letter of wanted.replace(/\s/g, "")) if ((from = given.indexOf(letter, from + 1)) < 0) return 0;
  return 1;
}

/**
 * The rows that answer a query, best first, those with short names before those with long ones.
 * @template T @param {string} query @param {T[]} rows @param {(row: T) => string} text
 * @param {(row: T) => string} [name] the whole text if there is none
 */
export function search(query, rows, text, name = text) {
  if (!query.trim()) return rows;
  const scored = rows.map((row) => ({ row, score: match(query, text(row)), length: name(row).length }));
  const found = scored.filter(({ score }) => score);
  return found.sort((a, b) => b.score - a.score || a.length - b.length).map(({ row }) => row);
}

/** What each label of a panel is for, as controls take it. @param {Record<string, string>} help */
export function labelled(help) {
  return (/** @type {string} */ label) => /** @type {Named} */ ([label, help[label]]);
}

/**
 * An element; `on…` are listeners, `text` is text, the rest are attributes (true for empty, false for none).
 * @param {string} tag @param {Record<string, any>} [attributes] @param {(Node | string)[]} children
 */
export function el(tag, attributes = {}, ...children) {
  const svg = ["svg", "path", "polyline", "line", "circle", "polygon"].includes(tag);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "text") node.textContent = value;
    else if (value !== false) node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children);
  return /** @type {any} */ (node);
}

/**
 * Calls on each change of the traits, and once now, until the view ends.
 * @param {View} view @param {string[]} names @param {() => void} call
 */
export function follow({ model, signal }, names, call) {
  for (const name of names) {
    model.on(`change:${name}`, call);
    signal.addEventListener("abort", () => model.off(`change:${name}`, call));
  }
  call();
}

/**
 * Sends a message, if anybody is there: a closed notebook takes the connection down before its views.
 * @param {Model} model @param {Record<string, any>} message
 */
export function tell(model, message) {
  try {
    model.send(message);
  } catch {
    // The views go next.
  }
}

/**
 * Asks the kernel and gives its reply.
 * @param {Model} model @param {Record<string, any>} question @param {ArrayBuffer[]} [buffers]
 * @returns {Promise<{text: string, data: Uint8Array}>}
 */
export function ask(model, question, buffers = []) {
  const id = Math.random().toString(36).slice(2);
  return new Promise((resolve, reject) => {
    const hear = (/** @type {any} */ content, /** @type {any[]} */ answered) => {
      if (content.type !== "reply" || content.id !== id) return;
      model.off("msg:custom", hear);
      if (content.error) reject(new Error(content.error));
      else resolve({ text: content.text, data: bytes(answered?.[0] ?? new ArrayBuffer(0)) });
    };
    model.on("msg:custom", hear);
    model.send({ ...question, id }, undefined, buffers);
  });
}

/** Offers bytes as a file. @param {Uint8Array} data @param {string} name @param {string} type */
export function download(data, name, type) {
  const url = URL.createObjectURL(new Blob([/** @type {any} */ (data)], { type }));
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/**
 * Keeps an element as high as it has been, as long as it is as wide: what comes and goes in it moves nothing below.
 * @param {HTMLElement} element @param {AbortSignal} signal
 */
export function keepHeight(element, signal) {
  let width = 0;
  const watcher = new ResizeObserver(() => {
    if (element.offsetWidth !== width) element.style.minHeight = "";
    width = element.offsetWidth;
    element.style.minHeight = `${element.offsetHeight}px`;
  });
  watcher.observe(element);
  signal.addEventListener("abort", () => watcher.disconnect());
}

/** Sets traits of the widget, all at once. @param {Model} model @param {Record<string, any>} values */
export function put(model, values) {
  for (const [name, value] of Object.entries(values)) model.set(name, value);
  model.save_changes();
}

/** A name for an element that no other has. */
export function newId() {
  return `nbvis-${Math.random().toString(36).slice(2)}`;
}
