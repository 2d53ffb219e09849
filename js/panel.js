import { announcer, keepFocus, keepKeys, savedSentence, theme } from "./host.js";
import { workingSize } from "./pickers.js";
import { menu, popup } from "./popups.js";
import { ask, bytes, download, el, follow, tell } from "./shared.js";

/**
 * @typedef {import("./shared.js").Model} Model
 * @typedef {import("./shared.js").Control} Control
 * @typedef {{model: Model, el: HTMLElement, signal?: AbortSignal}} Context what anywidget gives to draw a view
 * @typedef {{
 *   model: Model, signal: AbortSignal, view: string, expect(): void, complain(sentence: string): void,
 *   sentences: HTMLElement, chip(state: string, word: string, rate: string, standing: string): void,
 * }} Panel
 * `expect` is called when the kernel has to answer; `sentences` is where errors and notes stand; `chip` says the state,
 * in a word, how fast it is, and, to those who do not see, where it stands.
 * @typedef {{
 *   inside: Node[], keys: Record<string, () => void>, hear(content: any, buffers: any[]): void,
 * }} Parts
 * @typedef {{
 *   title: string, file: string, keys: [string, string][], help: [string, string][],
 * }} Words
 */

/** Seconds without a word from the kernel after which the panel says that there is none. */
const PATIENCE = 3;

/** @type {Record<string, string>} */
const ICONS = {
  play: "M4 2.5v11l9-5.5z",
  pause: "M4 2.5h3v11H4zM9 2.5h3v11H9z",
  step: "M3 2.5v11l7-5.5zM11 2.5h2v11h-2z",
  compare: "M2 3h5v10H2zM9 3h5v10H9zM10.2 4.2v7.6h2.6V4.2z",
  restart: "M8 3a5 5 0 1 1-4.6 3l1.4.6A3.5 3.5 0 1 0 8 4.5V7L4.5 3.7 8 .5z",
};

/** A slider's name and what it does, for the help. @param {Model} model @param {string[]} names */
export function sliderHelp(model, names) {
  const /** @type {Record<string, Control>} */ controls = model.get("_controls");
  return names.map((name) => /** @type {[string, string]} */ ([controls[name].label, controls[name].help]));
}

/**
 * Draws a view of a widget and returns its undo.
 * @param {Context} context @param {Words} words @param {(panel: Panel) => Parts} build
 */
export function panel({ model, el: host, signal: outer }, { title, file, keys, help }, build) {
  const controller = new AbortController(), { signal } = controller;
  outer?.addEventListener("abort", () => controller.abort());
  const view = Math.random().toString(36).slice(2), { expect, wake } = lives(() => root, host, signal);
  const said = sentences(model, signal), mark = el("span", { class: "chip" }), aloud = announcer(title);
  /** @param {string} state @param {string} word @param {string} rate @param {string} standing */
  const chip = (state, word, rate, standing) => {
    mark.replaceChildren(el("i", { class: state }), [word, rate].filter(Boolean).join(" · "));
    aloud.say(word, standing);
  };
  const parts = build({ model, signal, view, expect, chip, complain: said.complain, sentences: said.root });
  const name = title.replace(/\B[A-Z]/g, "-$&").toLowerCase();
  const net = el("span", { class: "net" });
  const root = el("div", { class: `nbvis ${name} unheard`, role: "group", tabindex: -1 },
    el("header", { role: "presentation" }, el("b", { text: title }), net, mark,
      el("span", { class: "tools" }, ...tools(model, signal, file, said.complain, keys, help))),
    el("p", { class: "asleep-note", text: "No kernel answers. Run the cell to bring this panel back to life." }),
    workingSize(model, signal), ...parts.inside, aloud.root);
  follow(model, signal, ["subject"], () => {
    net.textContent = net.title = model.get("subject");
    root.setAttribute("aria-label", [title, model.get("subject")].filter(Boolean).join(", "));
  });
  root.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => shortcut(event, parts.keys));
  keepKeys(root, signal);
  keepFocus(root);
  host.replaceChildren(root);
  theme(root, signal);

  const join = () => {
    expect();
    tell(model, { type: "joined", view, lab: "jpThemeLight" in document.body.dataset });
  };
  const leave = () => tell(model, { type: "left", view });
  /** @param {any} content @param {any[]} buffers */
  const hear = (content, buffers) => {
    wake();
    parts.hear(content, buffers);
  };
  model.on("msg:custom", hear);
  model.on("comm_live_update", join);
  window.addEventListener("pagehide", leave, { signal });
  signal.addEventListener("abort", () => {
    model.off("msg:custom", hear);
    model.off("comm_live_update", join);
    leave();
  });
  join();
  return () => controller.abort();
}

/**
 * Whether the kernel answers: until its first word the panel is a headline, and when it falls silent the panel stays as
 * it is but for its controls, which rest.
 * @param {() => HTMLElement} root @param {HTMLElement} host @param {AbortSignal} signal
 */
function lives(root, host, signal) {
  const hide = savedSentence(host);
  let timer = 0;
  /** @param {boolean} asleep */
  const rest = (asleep) => {
    root().classList.toggle("asleep", asleep);
    for (const part of root().children) part.toggleAttribute("inert", asleep && !part.matches(".asleep-note"));
  };
  const expect = () => {
    clearTimeout(timer);
    timer = window.setTimeout(() => rest(true), 1000 * PATIENCE);
  };
  const wake = () => {
    clearTimeout(timer);
    if (!root().matches(".unheard, .asleep")) return;
    root().classList.remove("unheard");
    rest(false);
    hide(true);
  };
  signal.addEventListener("abort", () => { clearTimeout(timer); hide(false); });
  return { expect, wake };
}

/** @param {KeyboardEvent} event @param {Record<string, () => void>} keys */
function shortcut(event, keys) {
  const target = /** @type {HTMLElement} */ (event.target);
  const types = target.matches("input:not([type=range], [type=checkbox]), select");
  const presses = event.key === " " && target.matches("button, summary, [type=checkbox]");
  if (types || presses || event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys)) return;
  event.preventDefault();
  keys[event.key]();
}

/** @param {string} name */
export function icon(name) {
  const path = el("path", { d: ICONS[name], fill: "currentColor" });
  return el("svg", { viewBox: "0 0 16 16", width: 13, height: 13, "aria-hidden": "true" }, path);
}

/** @param {string} name @param {string} label @param {Record<string, any>} attributes */
export function iconButton(name, label, attributes) {
  return el("button", { type: "button", ...attributes }, icon(name), el("span", { text: label }));
}

/**
 * A place for a picture, which is painted at the screen's own resolution.
 * @param {AbortSignal} signal @param {number} ratio width to height
 * @param {number} [sharp] how many times it has to be magnified to show its pixels
 */
export function picture(signal, ratio, sharp = Infinity) {
  const canvas = el("canvas", { role: "img", tabindex: 0 });
  const root = el("div", { class: "stage", style: `--ratio: ${ratio}` }, canvas);
  /** @type {ImageBitmap | null} */ let shown = null;
  const draw = () => {
    if (!shown || !canvas.clientWidth) return;
    canvas.width = Math.round(canvas.clientWidth * devicePixelRatio);
    canvas.height = Math.round(canvas.clientHeight * devicePixelRatio);
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = canvas.clientWidth < sharp * shown.width;
    context.imageSmoothingQuality = "high";
    context.drawImage(shown, 0, 0, canvas.width, canvas.height);
  };
  /** @param {ImageBitmap | null} next */
  const show = (next) => {
    shown?.close();
    shown = next;
    if (!shown) canvas.width = 0;
    draw();
  };
  /** Takes the shape of another picture. @param {[number, number]} size height and width */
  const reshape = ([height, width]) => root.style.setProperty("--ratio", String(width / height));
  const watcher = new ResizeObserver(draw);
  watcher.observe(canvas);
  signal.addEventListener("abort", () => { watcher.disconnect(); shown?.close(); });
  return { root, canvas, show, reshape };
}

/**
 * Paints frames: gives each one's pictures, unless a newer one has come, and acknowledges it once it is on screen.
 * @template {{frame: number}} Frame
 * @param {Panel} panel @param {(frame: Frame, pictures: (ImageBitmap | null)[]) => void} paint
 * @returns {(frame: Frame, buffers: (ArrayBuffer | ArrayBufferView | undefined)[]) => Promise<void>}
 */
export function painter({ model, signal, view }, paint) {
  let newest = 0;
  return async (frame, buffers) => {
    newest = Math.max(newest, frame.frame);
    try {
      const pictures = await Promise.all(buffers.map((buffer) => buffer ? decoded(buffer) : null));
      if (signal.aborted || frame.frame < newest) pictures.forEach((each) => each?.close());
      else paint(frame, pictures);
    } finally {
      await onScreen();
      if (!signal.aborted) tell(model, { type: "drawn", view, frame: frame.frame });
    }
  };
}

/** A PNG begins with 0x89, anything else is a JPEG. @param {ArrayBuffer | ArrayBufferView} buffer */
function decoded(buffer) {
  const data = /** @type {any} */ (bytes(buffer));
  return createImageBitmap(new Blob([data], { type: data[0] === 0x89 ? "image/png" : "image/jpeg" }));
}

/** Resolves when what was drawn is on screen; in a hidden page, which draws nothing, after a second. */
function onScreen() {
  if (document.hidden) return new Promise((resolve) => setTimeout(resolve, 1000));
  return new Promise((resolve) => { requestAnimationFrame(resolve); setTimeout(resolve, 500); });
}

/**
 * Save, copy, help.
 * @param {Model} model @param {AbortSignal} signal @param {string} file @param {(sentence: string) => void} complain
 * @param {[string, string][]} keys @param {[string, string][]} help
 */
function tools(model, signal, file, complain, keys, help) {
  /** @param {string} suffix @param {string} type */
  const save = async (suffix, type) => {
    try {
      download((await ask(model, { type: "save", suffix })).data, `${file}${suffix}`, type);
    } catch (error) {
      complain(`Not saved: ${/** @type {Error} */ (error).message}`);
    }
  };
  const saving = menu("Save", "Save what is shown as a file", signal, [
    ["Picture (PNG)", () => save(".png", "image/png")], ["Page (HTML)", () => save(".html", "text/html")],
  ]);
  const title = "Copy the Python code that makes what is shown";
  const copy = el("button", { type: "button", text: "Copy as code", title, onclick: async () => {
    try {
      await toClipboard((await ask(model, { type: "recipe" })).text);
      copy.textContent = "Copied";
      setTimeout(() => { copy.textContent = "Copy as code"; }, 1500);
    } catch (error) {
      complain(`Not copied: ${/** @type {Error} */ (error).message}`);
    }
  } });
  const button = popup("?", "Help", signal,
    el("dl", {}, ...keys.flatMap(([key, what]) => [el("dt", {}, el("kbd", { text: key })), el("dd", { text: what })])),
    el("dl", {}, ...help.flatMap(([what, does]) => [el("dt", { text: what }), el("dd", { text: does })])));
  return [saving, copy, button];
}

/** Puts a text on the clipboard, also where a page may not do so by itself. @param {string} text */
async function toClipboard(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = el("textarea", { style: "position: fixed; opacity: 0" });
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

/**
 * The notes of a kind; the others have no kind. @param {Model} model @param {string} [kind]
 * @returns {{text: string, about: string, kind: string, line: string}[]}
 */
export function notesOf(model, kind = "") {
  return model.get("_notes").filter((/** @type {{kind: string}} */ note) => note.kind === kind);
}

/** The traceback of the network's own code, for whoever asks for it. @param {string} text */
function traceback(text) {
  const summary = el("summary", { text: "The network's own traceback" });
  return el("details", { class: "traceback" }, summary, el("pre", { text, tabindex: 0 }));
}

/**
 * The error and the notes that have no place of their own, as sentences.
 * @param {Model} model @param {AbortSignal} signal
 */
function sentences(model, signal) {
  const root = el("div", { class: "sentences", role: "status", "aria-live": "polite" });
  let own = "";
  const show = () => {
    const error = model.get("error") || own, notes = notesOf(model).map((note) => note.line);
    const doing = model.get("_doing");
    const rows = [...(doing ? [doing] : []), ...notes].map((note) => el("div", { class: "note", text: note }));
    root.replaceChildren(...(error ? [el("div", { class: "note bad", role: "alert", text: error })] : []),
      ...(model.get("error") && model.get("traceback") ? [traceback(model.get("traceback"))] : []), ...rows);
  };
  follow(model, signal, ["error", "traceback", "_notes", "_doing"], show);
  return { root, complain: (/** @type {string} */ sentence) => { own = sentence; show(); } };
}
