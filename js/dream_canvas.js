import {
  ask, bytes, curvePoints, download, duration, el, follow, numberField, popup, search, short, slider, tell, theme,
} from "./shared.js";

/**
 * @typedef {import("./shared.js").Model} Model
 * @typedef {import("./shared.js").Header} Header
 * @typedef {[string, string, number[]]} Layer name, kind, shape
 */

/** Seconds without a word from the kernel after which the panel says that there is none. */
const PATIENCE = 3;

const SLIDERS = ["lr", "steps", "jitter", "rotation", "octaves", "octave_scale"];

const KEYS = [
  ["Space", "play or pause"], [".", "one step"], ["r", "restart"], ["← →", "on a slider: less or more"],
];

/** @type {Record<string, string>} */
const ICONS = {
  play: "M4 2.5v11l9-5.5z",
  pause: "M4 2.5h3v11H4zM9 2.5h3v11H9z",
  step: "M3 2.5v11l7-5.5zM11 2.5h2v11h-2z",
  restart: "M8 3a5 5 0 1 1-4.6 3l1.4.6A3.5 3.5 0 1 0 8 4.5V7L4.5 3.7 8 .5z",
};

/** Where a run stands, in words. @param {Header} header */
export function standing({ state, step, total, octave, octaves, left }) {
  if (!step) return state === "running" ? "starting" : "ready to play";
  const parts = [octaves > 1 ? `octave ${octave} of ${octaves}` : "", `step ${step} of ${total}`];
  if (state === "running" || state === "paused") parts.push(left && duration(left) ? `${duration(left)} to go` : "");
  return parts.filter(Boolean).join(" · ");
}

/** The state as the chip says it. @param {string} state @param {number | null} rate */
export function chipText(state, rate) {
  return state === "running" && rate ? `running · ${short(rate)} steps/s` : state;
}

/** A shape as a reader writes it. @param {number[]} shape */
export function shapeText(shape) {
  return shape.join(" × ");
}

/** How many channels a layer has, 0 if there is no such layer. @param {Layer[]} layers @param {string} name */
export function channelCount(layers, name) {
  return layers.find(([known]) => known === name)?.[2][0] ?? 0;
}

/** @param {string} name @param {string} label @param {Record<string, any>} attributes */
function iconButton(name, label, attributes) {
  return el("button", { type: "button", ...attributes }, icon(name), el("span", { text: label }));
}

/** @param {string} name */
function icon(name) {
  const path = el("path", { d: ICONS[name], fill: "currentColor" });
  return el("svg", { viewBox: "0 0 16 16", width: 13, height: 13, "aria-hidden": "true" }, path);
}

/**
 * The picture: painted at the screen's own resolution, and acknowledged once it is on screen.
 * @param {Model} model @param {AbortSignal} signal @param {string} view
 */
function stage(model, signal, view) {
  const canvas = el("canvas", { role: "img", tabindex: 0 });
  const [height, width] = model.get("size");
  const root = el("div", { class: "stage", style: `--ratio: ${width / height}` }, canvas);
  /** @type {ImageBitmap | null} */ let picture = null;
  let newest = 0;
  const draw = () => {
    if (!picture || !canvas.clientWidth) return;
    canvas.width = Math.round(canvas.clientWidth * devicePixelRatio);
    canvas.height = Math.round(canvas.clientHeight * devicePixelRatio);
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  };
  /** @param {Header} header @param {ArrayBuffer | ArrayBufferView} buffer */
  const paint = async (header, buffer) => {
    newest = Math.max(newest, header.frame);
    try {
      const file = new Blob([/** @type {any} */ (bytes(buffer))], { type: `image/${header.format}` });
      const decoded = await createImageBitmap(file);
      if (signal.aborted || header.frame < newest) return decoded.close();
      picture?.close();
      picture = decoded;
      draw();
      canvas.setAttribute("aria-label", `Dream of ${model.get("expression")}, ${standing(header)}`);
      Object.assign(canvas.dataset, { frame: header.frame, rev: header.rev, format: header.format });
    } finally {
      await onScreen();
      if (!signal.aborted) tell(model, { type: "drawn", view, frame: header.frame });
    }
  };
  const watcher = new ResizeObserver(draw);
  watcher.observe(canvas);
  signal.addEventListener("abort", () => { watcher.disconnect(); picture?.close(); });
  return { root, paint };
}

/** Resolves when what was drawn is on screen; in a hidden page, which draws nothing, after a second. */
function onScreen() {
  if (document.hidden) return new Promise((resolve) => setTimeout(resolve, 1000));
  return new Promise((resolve) => { requestAnimationFrame(resolve); setTimeout(resolve, 500); });
}

/** The searchable list of layers. @param {Model} model @param {AbortSignal} signal */
function layerPicker(model, signal) {
  const id = `nbvis-${Math.random().toString(36).slice(2)}`;
  const /** @type {Layer[]} */ layers = model.get("layers");
  /** @type {Layer[]} */ let rows = [];
  let active = 0;
  const list = el("ul", { class: "options", id: `${id}-list`, role: "listbox", "aria-label": "Layers", hidden: true });
  const count = el("span", { class: "count", "aria-live": "polite" });
  /** @param {KeyboardEvent} event */
  const onkeydown = (event) => {
    const way = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[event.key];
    if (way) { event.preventDefault(); if (list.hidden) open(""); else mark(active + way); }
    else if (event.key === "Enter" && !list.hidden && rows[active]) pick(rows[active][0]);
    else if (event.key === "Escape" && !list.hidden) { event.stopPropagation(); close(); }
  };
  const input = el("input", {
    type: "text", id, role: "combobox",
    "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": `${id}-list`,
    placeholder: "Pick a layer", autocomplete: "off", spellcheck: "false", onkeydown,
    onclick: () => { if (list.hidden) open(""); }, oninput: () => open(input.value), onfocus: () => input.select(),
    onblur: () => close(),
  });
  const close = () => {
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
    input.value = model.get("layer");
    count.textContent = "";
  };
  /** @param {string} name */
  const pick = (name) => {
    model.set("layer", name);
    model.set("channel", null);
    model.save_changes();
    close();
  };
  /** @param {number} index */
  const mark = (index) => {
    active = Math.min(Math.max(index, 0), rows.length - 1);
    [...list.children].forEach((row, at) => row.setAttribute("aria-selected", String(at === active)));
    list.children[active]?.scrollIntoView({ block: "nearest" });
    if (rows.length) input.setAttribute("aria-activedescendant", `${id}-${active}`);
  };
  /** @param {string} query */
  const open = (query) => {
    rows = search(query, layers, ([name, kind, shape]) => `${name} ${kind} ${shapeText(shape)}`);
    list.replaceChildren(...rows.map(([name, kind, shape], at) => {
      const onpointerdown = (/** @type {Event} */ event) => { event.preventDefault(); pick(name); };
      return el("li", { id: `${id}-${at}`, role: "option", onpointerdown },
        el("code", { text: name }), el("span", { text: kind }), el("span", { text: shapeText(shape) }));
    }));
    if (!rows.length) list.append(el("li", { class: "none", text: `No layer answers “${query}”.` }));
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
    count.textContent = query ? `${rows.length} of ${layers.length}` : `${layers.length} layers`;
    mark(query ? 0 : Math.max(0, rows.findIndex(([name]) => name === model.get("layer"))));
  };
  follow(model, signal, ["layer"], () => { if (list.hidden) input.value = model.get("layer"); });
  return el("div", { class: "row wide" },
    el("label", { for: id, text: "Layer" }), el("div", { class: "combobox" }, input, count, list));
}

/**
 * A choice of few, as buttons side by side.
 * @param {string} label @param {[string, string][]} choices value and text of each
 * @param {() => string} now @param {(value: string) => void} set
 */
function choice(label, choices, now, set) {
  const buttons = choices.map(([value, text]) =>
    el("button", { type: "button", text, onclick: () => { set(value); show(); } }));
  const show = () => choices.forEach(([value], at) => buttons[at].setAttribute("aria-pressed", `${value === now()}`));
  const group = el("div", { class: "choice", role: "group", "aria-label": label }, ...buttons);
  return { show, root: el("div", { class: "row wide" }, el("span", { text: label }), group) };
}

/** The whole layer or one of its channels. @param {Model} model @param {AbortSignal} signal */
function channelPicker(model, signal) {
  let last = 0;
  const most = () => Math.max(channelCount(model.get("layers"), model.get("layer")) - 1, 0);
  /** @param {number | null} channel */
  const set = (channel) => {
    model.set("channel", channel === null ? null : Math.min(Math.max(Math.round(channel), 0), most()));
    model.save_changes();
  };
  const which = choice("Dream of", [["layer", "Whole layer"], ["channel", "One channel"]],
    () => (model.get("channel") === null ? "layer" : "channel"), (value) => set(value === "layer" ? null : last));
  const oninput = () => set(Number(range.value));
  const range = el("input", { type: "range", min: 0, step: 1, "aria-label": "Channel", oninput });
  const field = numberField("Channel, value", signal, (value) => { if (value !== null) set(value); show(); });
  const of = el("span", { class: "unit" });
  const row = el("div", { class: "row" }, el("span", { text: "Channel" }, of), range,
    el("span", { class: "amount" }, field, el("span", { class: "unit" })));
  const show = () => {
    const channel = model.get("channel");
    if (channel !== null) last = channel;
    for (const node of [range, field]) Object.assign(node, { max: most(), value: channel ?? last });
    range.style.setProperty("--at", `${(100 * (channel ?? last)) / Math.max(most(), 1)}%`);
    of.textContent = `0 – ${most()}`;
    row.hidden = channel === null;
    which.root.hidden = !model.get("layer");
    which.show();
  };
  follow(model, signal, ["channel", "layer"], show);
  return [which.root, row];
}

/** The score over the steps. @returns {{root: HTMLElement, show(header: Header): void}} */
function curve() {
  const area = el("polygon", { class: "area" }), line = el("polyline", { class: "curve" });
  const octaves = el("path", { class: "octaves", d: "M0 40H240" });
  const root = el("svg", { viewBox: "0 -4 240 44", preserveAspectRatio: "none", role: "img" }, octaves, area, line);
  return {
    root,
    show({ curve, total, octave_starts, score }) {
      const points = curve.length > 1 ? curvePoints(curve, total, 240, 36) : "";
      const across = (/** @type {number} */ index) => ((index / Math.max(total - 1, 1)) * 240).toFixed(1);
      line.setAttribute("points", points);
      area.setAttribute("points", points && `0,40 ${points} ${across(curve[curve.length - 1][0])},40`);
      octaves.setAttribute("d", `M0 40H240${octave_starts.map((index) => `M${across(index)} -4V40`).join("")}`);
      root.setAttribute("aria-label", `Score over the steps, now ${short(score)}`);
    },
  };
}

/**
 * Play, pause, step, restart, and where the run stands.
 * @param {Model} model @param {AbortSignal} signal @param {() => void} expect called when the kernel has to answer
 */
function transport(model, signal, expect) {
  const toggle = () => {
    if (!model.get("running")) expect();
    model.set("running", !model.get("running"));
    model.save_changes();
  };
  const play = el("button", { type: "button", class: "primary", onclick: toggle });
  const step = () => { expect(); tell(model, { type: "step" }); };
  const restart = () => { expect(); tell(model, { type: "restart" }); };
  const status = el("span", { class: "status" }), score = el("span", { class: "score" }), plot = curve();
  follow(model, signal, ["running", "state"], () => {
    const running = model.get("running"), paused = model.get("state") === "paused";
    const label = running ? "Pause" : paused ? "Go on" : "Play";
    play.replaceChildren(icon(running ? "pause" : "play"), el("span", { text: label }));
  });
  const root = el("footer", {}, play,
    iconButton("step", "Step", { onclick: step, title: "One step, then rest" }),
    iconButton("restart", "Restart", { onclick: restart, title: "From the start picture again" }),
    status, plot.root, score);
  /** @param {Header} header */
  const show = (header) => {
    status.textContent = standing(header);
    score.textContent = header.score === null ? "" : `score ${short(header.score)}`;
    plot.show(header);
  };
  return { root, show, toggle, step, restart };
}

/** Save, copy, help. @param {Model} model @param {AbortSignal} signal @param {(sentence: string) => void} complain */
function tools(model, signal, complain) {
  /** @param {string} suffix @param {string} type */
  const save = async (suffix, type) => {
    menu.close();
    try {
      download((await ask(model, { type: "save", suffix })).data, `dream${suffix}`, type);
    } catch (error) {
      complain(`Not saved: ${/** @type {Error} */ (error).message}`);
    }
  };
  const menu = popup("Save", { "aria-haspopup": "true", class: "menu" }, signal,
    el("button", { type: "button", text: "Picture (PNG)", onclick: () => save(".png", "image/png") }),
    el("button", { type: "button", text: "Page (HTML)", onclick: () => save(".html", "text/html") }));
  const copy = el("button", { type: "button", text: "Copy as code", onclick: async () => {
    try {
      await toClipboard((await ask(model, { type: "recipe" })).text);
      copy.textContent = "Copied";
      setTimeout(() => { copy.textContent = "Copy as code"; }, 1500);
    } catch (error) {
      complain(`Not copied: ${/** @type {Error} */ (error).message}`);
    }
  } });
  const /** @type {import("./shared.js").Control[]} */ controls = SLIDERS.map((name) => model.get("_controls")[name]);
  const help = popup("?", { "aria-label": "Help", class: "round" }, signal,
    el("dl", {}, ...KEYS.flatMap(([key, what]) => [el("dt", {}, el("kbd", { text: key })), el("dd", { text: what })])),
    el("dl", {}, ...controls.flatMap(({ label, help }) => [el("dt", { text: label }), el("dd", { text: help })])));
  return [menu, copy, help];
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

/** The error and the notes, as sentences. @param {Model} model @param {AbortSignal} signal */
function sentences(model, signal) {
  const root = el("div", { class: "sentences", role: "status", "aria-live": "polite" });
  let own = "";
  const show = () => {
    const error = model.get("error") || own, notes = model.get("notes").split("\n").filter(Boolean);
    const rows = notes.map((/** @type {string} */ note) => el("div", { class: "note", text: note }));
    root.replaceChildren(...(error ? [el("div", { class: "note bad", role: "alert", text: error })] : []), ...rows);
  };
  follow(model, signal, ["error", "notes"], show);
  return { root, complain: (/** @type {string} */ sentence) => { own = sentence; show(); } };
}

/** Draws a view and returns its undo. @param {{model: Model, el: HTMLElement, signal?: AbortSignal}} context */
function render({ model, el: host, signal: outer }) {
  const controller = new AbortController(), { signal } = controller;
  outer?.addEventListener("abort", () => controller.abort());
  const view = Math.random().toString(36).slice(2);
  let timer = 0;
  const expect = () => {
    clearTimeout(timer);
    timer = window.setTimeout(() => root.classList.add("asleep"), 1000 * PATIENCE);
  };
  const wake = () => { clearTimeout(timer); root.classList.remove("asleep"); };
  const screen = stage(model, signal, view), bar = transport(model, signal, expect), said = sentences(model, signal);
  const chip = el("span", { class: "chip" });
  const expression = el("code", { class: "expression" });
  follow(model, signal, ["expression"], () => { expression.textContent = model.get("expression"); });
  const start = choice("Start", [["image", "Photograph"], ["noise", "Noise"]],
    () => model.get("start"), (value) => { model.set("start", value); model.save_changes(); });
  follow(model, signal, ["start"], start.show);
  /** @param {string} title @param {Node[]} rows */
  const section = (title, ...rows) => el("section", {}, el("h4", { text: title }), ...rows);
  const sliders = SLIDERS.map((name) => slider(model, signal, name));
  // JupyterLab would take the keys for its own.
  const root = el("div", { class: "nbvis dream-canvas", "data-lm-suppress-shortcuts": "true" },
    el("header", {}, el("b", { text: "DreamCanvas" }), el("span", { class: "net", text: model.get("subject") }),
      el("span", { class: "space" }), chip, ...tools(model, signal, said.complain)),
    el("p", { class: "asleep-note", text: "No kernel answers. Run the cell to bring this panel back to life." }),
    el("div", { class: "body" }, screen.root, el("div", { class: "inspector" },
      section("Objective", layerPicker(model, signal), ...channelPicker(model, signal), expression),
      section("Steps", ...sliders.slice(0, 4)),
      section("Scales", ...sliders.slice(4), ...(model.get("starts").length > 1 ? [start.root] : [])),
      said.root)),
    bar.root);
  theme(root, signal);
  root.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => shortcut(event, bar));
  host.replaceChildren(root);

  const join = () => {
    expect();
    tell(model, { type: "joined", view, lab: "jpThemeLight" in document.body.dataset });
  };
  const leave = () => tell(model, { type: "left", view });
  /** @param {any} content @param {any[]} buffers */
  const hear = (content, buffers) => {
    wake();
    if (content.type !== "frame") return;
    chip.replaceChildren(el("i", { class: content.state }), chipText(content.state, content.rate));
    bar.show(content);
    if (content.format) screen.paint(content, buffers[0]);
  };
  model.on("msg:custom", hear);
  model.on("comm_live_update", join);
  window.addEventListener("pagehide", leave, { signal });
  signal.addEventListener("abort", () => {
    clearTimeout(timer);
    model.off("msg:custom", hear);
    model.off("comm_live_update", join);
    leave();
  });
  join();
  return () => controller.abort();
}

/** @param {KeyboardEvent} event @param {{toggle(): void, step(): void, restart(): void}} bar */
function shortcut(event, bar) {
  const target = /** @type {HTMLElement} */ (event.target);
  const types = target.matches("input:not([type=range])") || event.ctrlKey || event.metaKey || event.altKey;
  const act = { " ": target.matches("button") ? undefined : bar.toggle, ".": bar.step, r: bar.restart }[event.key];
  if (types || !act) return;
  event.preventDefault();
  act();
}

export default { render };
