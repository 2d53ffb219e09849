import { choice, counter, numberField, row } from "./controls.js";
import { el, follow, newId, put, search } from "./shared.js";

/**
 * @import { Named, View } from "./shared.js"
 * @typedef {{name: string, kind: string, shape: number[], reason?: string}} Layer `reason`: why it cannot be taken
 */

/** A shape as a reader writes it. @param {number[]} shape */
export function shapeText(shape) {
  return shape.join(" × ");
}

/** How many channels a layer has, 0 if there is no such layer. @param {Layer[]} layers @param {string} name */
export function channelCount(layers, name) {
  return layers.find((layer) => layer.name === name)?.shape[0] ?? 0;
}

/**
 * @template Row
 * @typedef {{
 *   named: Named, list: string, placeholder: string, shown(): string, aside(): string, rows(query: string): Row[],
 *   cells(row: Row): Node[], isNow(row: Row): boolean, pick(row: Row): void,
 *   count(found: number, query: string): string, none: string,
 * }} Choices
 * `list` names the list; `shown` and `aside` are what the field says while it is closed, `count` while it is open.
 */

/**
 * The list below a field, with one of its rows marked.
 * @template Row @param {HTMLInputElement} field @param {Choices<Row>} choices @param {(row: Row) => void} choose
 */
function listBelow(field, { list: label, rows, cells, isNow, count, none }, choose) {
  /** @type {Row[]} */ let found = [];
  let active = 0;
  const list = el("ul", { id: `${field.id}-list`, role: "listbox", "aria-label": label });
  const said = el("p", { class: "count", "aria-live": "polite" });
  const root = el("div", { class: "options", hidden: true }, said, list);
  const mark = (/** @type {number} */ index) => {
    active = Math.min(Math.max(index, 0), found.length - 1);
    [...list.children].forEach((each, at) => each.setAttribute("aria-selected", String(at === active)));
    list.children[active]?.scrollIntoView({ block: "nearest" });
    if (found.length) field.setAttribute("aria-activedescendant", `${field.id}-${active}`);
  };
  const open = (/** @type {string} */ query) => {
    found = rows(query);
    list.replaceChildren(...found.map((each, at) => {
      const onpointerdown = (/** @type {Event} */ event) => { event.preventDefault(); choose(each); };
      return el("li", { id: `${field.id}-${at}`, role: "option", onpointerdown }, ...cells(each));
    }));
    root.hidden = false;
    field.setAttribute("aria-expanded", "true");
    said.textContent = found.length ? count(found.length, query) : `${none} “${query}”.`;
    mark(query ? 0 : Math.max(0, found.findIndex(isNow)));
  };
  const close = () => {
    root.hidden = true;
    field.setAttribute("aria-expanded", "false");
    field.removeAttribute("aria-activedescendant");
  };
  return { root, open, close, move: (/** @type {number} */ way) => mark(active + way), marked: () => found[active] };
}

/**
 * A list to search, behind a text field.
 * @template Row @param {Choices<Row>} choices
 */
export function combobox(choices) {
  const { named, placeholder, shown, aside, pick } = choices, id = newId();
  /** @type {HTMLInputElement} */
  const field = el("input", {
    type: "text", id, role: "combobox",
    "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": `${id}-list`,
    placeholder, autocomplete: "off", spellcheck: "false",
    onkeydown: (/** @type {KeyboardEvent} */ event) => hear(event), oninput: () => list.open(field.value),
    onclick: () => { if (list.root.hidden) list.open(""); }, onfocus: () => field.select(), onblur: () => close(),
  });
  const list = listBelow(field, choices, (each) => { pick(each); close(); });
  const hear = (/** @type {KeyboardEvent} */ event) => {
    const way = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[event.key], closed = list.root.hidden;
    if (way) { event.preventDefault(); if (closed) list.open(""); else list.move(way); }
    else if (event.key === "Enter" && !closed && list.marked()) { pick(list.marked()); close(); }
    else if (event.key === "Escape" && !closed) { event.stopPropagation(); close(); }
  };
  const close = () => { list.close(); show(); };
  const beside = el("span", { class: "beside" });
  const show = () => {
    if (!list.root.hidden) return;
    [field.value, beside.textContent] = [shown(), aside()];
    field.title = shown() || named[1];
  };
  return { root: row(named, id, el("div", { class: "combobox" }, field, beside, list.root)), show };
}

/**
 * The searchable list of layers, for a trait that holds the name of one.
 * @param {View} view @param {Named} named @param {(name: string) => void} pick
 * @param {string} [trait] @param {string} [none] what "" means, where it is a choice
 */
export function layerPicker(view, named, pick, trait = "layer", none = "") {
  const { model } = view, layers = () => /** @type {Layer[]} */ (model.get("layers"));
  const all = () => (none ? [{ name: "", kind: none, shape: [] }, ...layers()] : layers());
  const picker = combobox({
    named, list: none ? named[0] : "Layers", placeholder: none || "Pick a layer",
    shown: () => model.get(trait), aside: () => "",
    rows: (query) =>
      search(query, all(), ({ name, kind, shape }) => `${name} ${kind} ${shapeText(shape)}`, ({ name }) => name),
    cells: ({ name, kind, shape, reason }) => name
      ? [el("code", { text: name }), el("span", { class: reason ? "reason" : "", text: reason || kind }),
        el("span", { text: shapeText(shape) })]
      : [el("b", { text: kind })],
    isNow: ({ name }) => name === model.get(trait),
    pick: ({ name }) => pick(name),
    count: (found, query) => (query ? `${found} of ${layers().length}` : `${layers().length} layers`),
    none: "No layer answers",
  });
  follow(view, [trait], picker.show);
  return picker.root;
}

/** All of a layer or one channel. @param {View} view @param {Named} named @param {string} none what no channel is */
export function channelPicker(view, named, none) {
  const { model, signal } = view;
  let last = 0;
  const most = () => Math.max(channelCount(model.get("layers"), model.get("layer")) - 1, 0);
  const set = (/** @type {number | null} */ channel) => {
    put(model, { channel: channel === null ? null : Math.min(Math.max(Math.round(channel), 0), most()) });
  };
  const which = choice(named, [["", none], ["channel", "One channel"]],
    () => (model.get("channel") === null ? "" : "channel"), (value) => set(value ? last : null));
  const title = "Which channel of the layer, counted from 0", of = el("span", { class: "unit" });
  const field = numberField("Channel, value", signal, (value) => { if (value !== null) set(value); show(); });
  const one = counter(el("span", { title }, "Channel ", of), field, { "aria-label": "Channel", title }, set);
  const show = () => {
    const channel = model.get("channel");
    if (channel !== null) last = channel;
    Object.assign(field, { max: most(), value: channel ?? last });
    one.show(channel ?? last, most());
    of.textContent = `0\u00a0–\u00a0${most()}`;
    one.root.hidden = channel === null;
    which.root.hidden = !model.get("layer");
    which.show();
  };
  follow(view, ["channel", "layer", "layers"], show);
  return [which.root, one.root];
}
