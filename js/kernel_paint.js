import { paintSize, unpainted } from "./paint.js";
import { ask, follow } from "./shared.js";

/**
 * @import { Layer } from "./paint.js"
 * @import { Panel } from "./panel.js"
 * @typedef {{version: number, by: string}} Told which paint of a term the kernel has, and the view that painted it
 */

// The terms' paint, as this view and the kernel have it.

/** Milliseconds from one message with paint to the next. */
const BETWEEN = 100;

/**
 * Sends paint to the kernel: of each term the newest, one at a time.
 * @param {Panel} panel @param {(term: number) => void} refused called for paint that the kernel does not take
 */
function paintSender({ root, model, signal, view, complain }, refused) {
  /** @type {Map<number, Layer | null>} */ const waiting = new Map();
  let sends = false, complained = false;
  const say = (/** @type {string} */ sentence) => {
    if (sentence || complained) complain(sentence);
    complained = Boolean(sentence);
  };
  const sent = async (/** @type {number} */ term, /** @type {Layer | null} */ layer) => {
    const { height, width, data } = layer ?? { height: 0, width: 0, data: null };
    const buffers = data ? [/** @type {ArrayBuffer} */ (data.slice().buffer)] : [];
    try {
      await ask(model, { type: "mask", view, term, height, width }, buffers);
      say("");
    } catch (error) {
      say(/** @type {Error} */ (error).message);
      if (!waiting.has(term)) refused(term);
    }
  };
  const go = async () => {
    if (sends) return;
    sends = true;
    root.dataset.paint = "sent"; // until all of it has arrived
    for (const [term, layer] of waiting) { // also what comes meanwhile
      waiting.delete(term);
      const rest = new Promise((resolve) => setTimeout(resolve, BETWEEN));
      await sent(term, layer);
      await rest;
      if (signal.aborted) return;
    }
    sends = false;
    delete root.dataset.paint;
  };
  const send = (/** @type {number} */ term, /** @type {Layer | null} */ layer) => { waiting.set(term, layer); go(); };
  return { send, forget: () => waiting.clear() };
}

/**
 * The layers of paint: what this view paints goes to the kernel, what another view or Python gives comes from there.
 * @param {Panel} panel @param {(term: number | null) => void} changed called for paint of others, null for all terms
 */
export function sharedPaint(panel, changed) {
  const { model, signal, view } = panel;
  /** @type {(Layer | null)[]} */ let layers = [];
  /** @type {number[]} */ let versions = [];
  /** How often this view has painted each. @type {number[]} */ let edits = [];
  let size = paintSize(model.get("size"));

  /** Takes the kernel's paint of a term, unless this view paints meanwhile. @param {number} term */
  const fetch = async (term) => {
    const before = edits[term], of = size, version = model.get("_paint")[term]?.version;
    versions[term] = version;
    const masked = model.get("_terms")[term]?.masked;
    const { data } = await (masked ? ask(model, { type: "paint", term, ...of }) : { data: null });
    if (signal.aborted || of !== size || versions[term] !== version || edits[term] !== before) return;
    layers[term] = data && data.length ? { ...of, data: data.slice() } : null;
    changed(term);
  };
  const take = (/** @type {number} */ term) => { fetch(term).catch(() => {}); }; // the next change brings it
  const sender = paintSender(panel, take);

  const hear = () => {
    const /** @type {Told[]} */ told = model.get("_paint"), next = paintSize(model.get("size"));
    const fewer = told.length < layers.length;
    if (fewer) sender.forget(); // it was of other terms
    if (fewer || next.height !== size.height || next.width !== size.width) {
      [size, layers, versions, edits] = [next, [], [], []];
      changed(null);
    }
    told.forEach(({ version, by }, term) => {
      if (version === versions[term]) return;
      if (by === view && edits[term]) versions[term] = version;
      else take(term);
    });
  };
  follow(panel, ["_paint", "size"], hear);

  return {
    size: () => size,
    layers: () => layers,
    /** A term's paint, to be painted on. @param {number} term */
    opened: (term) => (layers[term] ??= unpainted(size)),
    /** Gives a term other paint. @param {number} term @param {Uint8Array | null} data */
    put: (term, data) => { layers[term] = data && { ...size, data }; },
    /** Sends a term's paint, now or as soon as what was sent before has come. @param {number} term */
    painted: (term) => {
      edits[term] = (edits[term] ?? 0) + 1;
      sender.send(term, layers[term] ?? null);
    },
  };
}
