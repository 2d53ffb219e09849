import { button } from "./controls.js";
import { fullScreen } from "./full_screen.js";
import { announcer, keepFocus, keepKeys, savedSentence, theme } from "./host.js";
import { holdForOriginal } from "./original.js";
import { menu, popup } from "./popups.js";
import { ask, download, el, follow, tell } from "./shared.js";

/**
 * @import { Compared } from "./original.js"
 * @import { Control, Model, Named, View } from "./shared.js"
 * @typedef {{model: Model, el: HTMLElement, signal?: AbortSignal}} Context what anywidget gives to draw a view
 * @typedef {View & {
 *   view: string, expect(): void, request(message: Record<string, any>): void, complain(sentence: string): void,
 *   root: HTMLElement, sentences: HTMLElement,
 *   chip(state: string, word: string, rate: string, standing: string): void,
 * }} Panel
 * `expect` is called when the kernel has to answer, `request` sends what it has to answer; `root` is all of the panel,
 * `sentences` is where errors and notes stand; `chip` says the state, in a word, how fast it is, and, to those who do
 * not see, where it stands.
 * @typedef {{
 *   inside: Node[], keys: Record<string, () => void>, show(frame: any, buffers: any[]): void, compared?: Compared,
 *   reset?(): void,
 * }} Parts `compared`: in the place of which pictures the original can be seen, if there is one; `reset`: how all is
 * set back, if the kernel cannot do it alone
 * @typedef {{
 *   title: string, file: string, keys: Named[], help: Record<string, string>, sliders: string[],
 *   saves?: [string, string, string][], resets?: string,
 * }} Words `saves` are more files to save: what each is called, its suffix and its type; `resets`: what is set back, if
 * that is not only the settings
 */

/** Seconds without a word from the kernel after which the panel says that there is none. */
const PATIENCE = 3;

const RESETS = "Every slider and choice as this panel began; the picture, the layer and the channel stay";

/** @type {Named} */
const HOLD_KEY = ["g", "held: the original in the place of the pictures"];
/** @type {Named[]} */
const SHARED_KEYS = [
  ["+ − 0", "on a picture: larger, smaller, all of it; so do Ctrl with the wheel, pinching and a double click"],
  ["f", "full screen, and back"], ["h ?", "this help"],
];

/**
 * Draws a view and returns its undo.
 * @param {Context} context @param {Words} words @param {(panel: Panel) => Parts} build
 */
export function panel({ model, el: host, signal: outer }, words, build) {
  const controller = new AbortController(), { signal } = controller, { title } = words;
  outer?.addEventListener("abort", () => controller.abort());
  const name = title.replace(/\B[A-Z]/g, "-$&").toLowerCase();
  const root = el("div", { class: `nbvis ${name} unheard`, role: "group", tabindex: -1 });
  const view = Math.random().toString(36).slice(2), { expect, wake } = lives(root, host, signal);
  const { sentences, complain } = said({ model, signal }), aloud = announcer(title);
  const mark = el("span", { class: "chip" }), net = el("span", { class: "net" });
  /** @param {string} state @param {string} word @param {string} rate @param {string} standing */
  const chip = (state, word, rate, standing) => {
    mark.replaceChildren(el("i", { class: state }), [word, rate].filter(Boolean).join(" · "));
    aloud.say(word, standing);
  };
  const request = (/** @type {Record<string, any>} */ message) => { expect(); tell(model, message); };
  const panel = { model, signal, view, expect, request, root, chip, complain, sentences }, parts = build(panel);
  const { buttons, hear } = everyPanels(panel, words, parts);
  root.append(
    el("header", { role: "presentation" }, el("b", { text: title }), net, el("span", { class: "state" }, mark),
      el("span", { class: "tools" }, ...buttons)),
    el("p", { class: "asleep-note", text: "No kernel answers. Run the cell to bring this panel back to life." }),
    ...parts.inside, aloud.root);
  follow(panel, ["subject"], () => {
    net.textContent = net.title = model.get("subject");
    root.setAttribute("aria-label", [title, model.get("subject")].filter(Boolean).join(", "));
  });
  root.addEventListener("keydown", hear);
  keepKeys(root, signal);
  keepFocus(root);
  host.replaceChildren(root);
  theme(root, signal);
  listen(panel, wake, parts.show);
  return () => controller.abort();
}

/**
 * What every panel can do, whatever it shows: the buttons of its header, and what a key does.
 * @param {Panel} panel @param {Words} words @param {Parts} parts
 */
function everyPanels(panel, words, { compared, reset = () => panel.request({ type: "reset" }), keys: own }) {
  const full = fullScreen(panel), original = compared ? [holdForOriginal(panel, compared)] : [];
  const told = [...words.keys, ...original.map(() => HOLD_KEY), ...SHARED_KEYS];
  const { saving, copy, help } = tools(panel, { ...words, keys: told });
  const again = button("Reset", reset, { title: words.resets ?? RESETS });
  const buttons = [...original.map((each) => each.button), again, saving, copy, full.button, help.root];
  /** @type {Record<string, () => void>} */
  const keys = { ...own, f: full.toggle, h: help.toggle, "?": help.toggle };
  for (const { hold } of original) keys.g = hold;
  const hear = (/** @type {KeyboardEvent} */ event) =>
    shortcut(event, full.is() ? { ...keys, Escape: full.toggle } : keys);
  return { buttons, hear };
}

/**
 * Joins the kernel's listeners, hears its frames, and leaves at the end.
 * @param {Panel} panel @param {() => void} wake @param {Parts["show"]} show
 */
function listen({ model, signal, view, request }, wake, show) {
  const join = () => request({ type: "joined", view, lab: "jpThemeLight" in document.body.dataset });
  const leave = () => tell(model, { type: "left", view });
  const hear = (/** @type {any} */ content, /** @type {any[]} */ buffers) => {
    wake();
    if (content.type === "frame") show(content, buffers);
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
}

/**
 * Whether the kernel answers: until its first word the panel is a headline, and when it falls silent the panel stays as
 * it is but for its controls, which rest.
 * @param {HTMLElement} root @param {HTMLElement} host @param {AbortSignal} signal
 */
function lives(root, host, signal) {
  const hide = savedSentence(host);
  let timer = 0;
  const rest = (/** @type {boolean} */ asleep) => {
    root.classList.toggle("asleep", asleep);
    for (const part of root.children) part.toggleAttribute("inert", asleep && !part.matches(".asleep-note"));
  };
  const expect = () => {
    clearTimeout(timer);
    timer = window.setTimeout(() => rest(true), 1000 * PATIENCE);
  };
  const wake = () => {
    clearTimeout(timer);
    if (!root.matches(".unheard, .asleep")) return;
    root.classList.remove("unheard");
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
  const scrolls = event.key.startsWith("Arrow") && target.matches("[role=dialog], pre");
  const taken = types || presses || scrolls || event.defaultPrevented;
  if (taken || event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys)) return;
  event.preventDefault();
  keys[event.key]();
}

/** Save, copy, help. @param {Panel} panel @param {Words} words */
function tools({ model, signal, complain }, { file, keys, help, sliders, saves = [] }) {
  /** @param {string} not what it is not, if it fails @param {() => Promise<void>} act */
  const trying = (not, act) => act().catch((/** @type {Error} */ { message }) => complain(`${not}: ${message}`));
  const save = (/** @type {string} */ suffix, /** @type {string} */ type) => trying("Not saved", async () => {
    const late = setTimeout(() => { opener.textContent = "Saving…"; }, 300);
    const end = () => { clearTimeout(late); opener.textContent = "Save"; };
    download((await ask(model, { type: "save", suffix }).finally(end)).data, `${file}${suffix}`, type);
  });
  const { root: saving, opener } = menu("Save", "Save what is shown as a file", signal, [
    ["Picture (PNG)", () => save(".png", "image/png")], ["Page (HTML)", () => save(".html", "text/html")],
    ...saves.map(([text, suffix, type]) => /** @type {[string, () => void]} */ ([text, () => save(suffix, type)])),
  ]);
  const copy = button("Copy as code", () => trying("Not copied", async () => {
    await toClipboard((await ask(model, { type: "recipe" })).text);
    copy.textContent = "Copied";
    setTimeout(() => { copy.textContent = "Copy as code"; }, 1500);
  }), { title: "Copy the Python code that makes what is shown" });
  const /** @type {Record<string, Control>} */ controls = model.get("_controls");
  const does = [...Object.entries(help), ...sliders.map((name) => [controls[name].label, controls[name].help])];
  const pressed = (/** @type {string} */ key) => el("dt", {}, el("kbd", { text: key }));
  const opening = popup("?", "Help", signal,
    el("dl", {}, ...keys.flatMap(([key, what]) => [pressed(key), el("dd", { text: what })])),
    el("dl", {}, ...does.flatMap(([what, text]) => [el("dt", { text: what }), el("dd", { text })])));
  return { saving, copy, help: opening };
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

/** The error and the notes that have no place of their own, as sentences. @param {View} view */
function said(view) {
  const { model } = view, sentences = el("div", { class: "sentences", role: "status", "aria-live": "polite" });
  let own = "";
  const show = () => {
    const error = model.get("error") || own, detail = model.get("error") && model.get("traceback");
    const notes = [model.get("_doing"), ...notesOf(model).map((note) => note.line)].filter(Boolean);
    sentences.replaceChildren(...(error ? [el("div", { class: "note bad", role: "alert", text: error })] : []),
      ...(detail ? [traceback(detail)] : []), ...notes.map((text) => el("div", { class: "note", text })));
  };
  follow(view, ["error", "traceback", "_notes", "_doing"], show);
  return { sentences, complain: (/** @type {string} */ sentence) => { own = sentence; show(); } };
}
