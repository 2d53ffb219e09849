import { el, follow, newId, numberField, put, search } from "./shared.js";

/**
 * @typedef {import("./shared.js").Model} Model
 * @typedef {[string, string, number[], string?]} Layer name, kind, shape, and why it cannot be taken as it is
 */

/** A shape as a reader writes it. @param {number[]} shape */
export function shapeText(shape) {
  return shape.join(" × ");
}

/** How many channels a layer has, 0 if there is no such layer. @param {Layer[]} layers @param {string} name */
export function channelCount(layers, name) {
  return layers.find(([known]) => known === name)?.[2][0] ?? 0;
}

/**
 * @template Row
 * @typedef {{
 *   label: string, help: string, list: string, placeholder: string,
 *   shown(): string, aside(): string, rows(query: string): Row[],
 *   cells(row: Row): Node[], isNow(row: Row): boolean, pick(row: Row): void,
 *   count(found: number, query: string): string, none: string,
 * }} Choices
 * `list` names the list; `shown` and `aside` are what the field says while it is closed, `count` while it is open.
 */

/**
 * A list to search, behind a text field.
 * @template Row @param {Choices<Row>} choices
 */
export function combobox(choices) {
  const { label, help, placeholder, shown, aside, cells, isNow, pick, count, none } = choices;
  const id = newId();
  /** @type {Row[]} */ let rows = [];
  let active = 0;
  const list = el("ul", { id: `${id}-list`, role: "listbox", "aria-label": choices.list });
  const beside = el("span", { class: "beside" }), found = el("p", { class: "count", "aria-live": "polite" });
  const box = el("div", { class: "options", hidden: true }, found, list);
  /** @param {KeyboardEvent} event */
  const onkeydown = (event) => {
    const way = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[event.key];
    if (way) { event.preventDefault(); if (box.hidden) open(""); else mark(active + way); }
    else if (event.key === "Enter" && !box.hidden && rows[active]) choose(rows[active]);
    else if (event.key === "Escape" && !box.hidden) { event.stopPropagation(); close(); }
  };
  const input = el("input", {
    type: "text", id, role: "combobox",
    "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": `${id}-list`,
    placeholder, autocomplete: "off", spellcheck: "false", onkeydown,
    onclick: () => { if (box.hidden) open(""); }, oninput: () => open(input.value), onfocus: () => input.select(),
    onblur: () => close(),
  });
  const close = () => {
    box.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
    show();
  };
  /** @param {Row} row */
  const choose = (row) => { pick(row); close(); };
  const show = () => {
    if (!box.hidden) return;
    [input.value, beside.textContent] = [shown(), aside()];
    input.title = shown() || help;
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
    rows = choices.rows(query);
    list.replaceChildren(...rows.map((row, at) => {
      const onpointerdown = (/** @type {Event} */ event) => { event.preventDefault(); choose(row); };
      return el("li", { id: `${id}-${at}`, role: "option", onpointerdown }, ...cells(row));
    }));
    box.hidden = false;
    input.setAttribute("aria-expanded", "true");
    found.textContent = rows.length ? count(rows.length, query) : `${none} “${query}”.`;
    mark(query ? 0 : Math.max(0, rows.findIndex(isNow)));
  };
  const root = el("div", { class: "row wide" },
    el("label", { for: id, text: label, title: help }), el("div", { class: "combobox" }, input, beside, box));
  return { root, show };
}

/**
 * The searchable list of layers, for a trait that holds the name of one.
 * @param {Model} model @param {AbortSignal} signal @param {[string, string]} named its label and what it is for
 * @param {(name: string) => void} pick
 * @param {string} [trait] @param {string} [none] what "" means, where it is a choice
 */
export function layerPicker(model, signal, [label, help], pick, trait = "layer", none = "") {
  const layers = () => /** @type {Layer[]} */ (model.get("layers"));
  const all = () => (none ? [/** @type {Layer} */ (["", none, []]), ...layers()] : layers());
  const picker = combobox({
    label, help, list: none ? label : "Layers", placeholder: none || "Pick a layer",
    shown: () => model.get(trait), aside: () => "",
    rows: (query) => search(query, all(), ([name, kind, shape]) => `${name} ${kind} ${shapeText(shape)}`),
    cells: ([name, kind, shape, reason]) => name
      ? [el("code", { text: name }), el("span", { class: reason ? "reason" : "", text: reason || kind }),
        el("span", { text: shapeText(shape) })]
      : [el("b", { text: kind })],
    isNow: ([name]) => name === model.get(trait),
    pick: ([name]) => pick(name),
    count: (found, query) => (query ? `${found} of ${layers().length}` : `${layers().length} layers`),
    none: "No layer answers",
  });
  follow(model, signal, [trait], picker.show);
  return picker.root;
}

/**
 * A choice of few, as buttons side by side.
 * @param {[string, string]} named its label and what it is for
 * @param {[string, string][]} choices value and text of each
 * @param {() => string} now @param {(value: string) => void} set
 */
export function choice([label, help], choices, now, set) {
  const buttons = choices.map(([value, text]) =>
    el("button", { type: "button", text, onclick: () => { set(value); show(); } }));
  const show = () => choices.forEach(([value], at) => buttons[at].setAttribute("aria-pressed", `${value === now()}`));
  const group = el("div", { class: "choice", role: "group", "aria-label": label, title: help }, ...buttons);
  return { show, group, root: el("div", { class: "row wide" }, el("span", { text: label, title: help }), group) };
}

/**
 * All of a layer or one of its channels.
 * @param {Model} model @param {AbortSignal} signal @param {[string, string]} named its label and what it is for
 * @param {string} none what no channel means
 */
export function channelPicker(model, signal, named, none) {
  let last = 0;
  const most = () => Math.max(channelCount(model.get("layers"), model.get("layer")) - 1, 0);
  /** @param {number | null} channel */
  const set = (channel) => {
    put(model, { channel: channel === null ? null : Math.min(Math.max(Math.round(channel), 0), most()) });
  };
  const which = choice(named, [["", none], ["channel", "One channel"]],
    () => (model.get("channel") === null ? "" : "channel"), (value) => set(value ? last : null));
  const oninput = () => set(Number(range.value));
  const title = "Which channel of the layer, counted from 0";
  const range = el("input", { type: "range", min: 0, step: 1, "aria-label": "Channel", title, oninput });
  const field = numberField("Channel, value", signal, (value) => { if (value !== null) set(value); show(); });
  const of = el("span", { class: "unit" });
  const row = el("div", { class: "row" }, el("span", { title }, "Channel ", of), range,
    el("span", { class: "amount" }, field, el("span", { class: "unit" })));
  const show = () => {
    const channel = model.get("channel");
    if (channel !== null) last = channel;
    for (const node of [range, field]) Object.assign(node, { max: most(), value: channel ?? last });
    range.style.setProperty("--at", `${(100 * (channel ?? last)) / Math.max(most(), 1)}%`);
    of.textContent = `0\u00a0–\u00a0${most()}`;
    row.hidden = channel === null;
    which.root.hidden = !model.get("layer");
    which.show();
  };
  follow(model, signal, ["channel", "layer", "layers"], show);
  return [which.root, row];
}

/**
 * One of many, as the browser's own list; bound to the trait.
 * @param {Model} model @param {AbortSignal} signal @param {string} name
 * @param {[string, string]} named its label and what it is for
 * @param {[string, [string, string][]][]} groups heading, and value and text of each; no heading for ""
 */
export function select(model, signal, name, [label, help], groups) {
  const id = newId();
  const options = (/** @type {[string, string][]} */ choices) =>
    choices.map(([value, text]) => el("option", { value, text }));
  const onchange = () => put(model, { [name]: field.value });
  const field = el("select", { id, title: help, onchange }, ...groups.flatMap(([heading, choices]) =>
    (heading ? [el("optgroup", { label: heading }, ...options(choices))] : options(choices))));
  follow(model, signal, [name], () => { field.value = model.get(name); });
  return el("div", { class: "row wide" }, el("label", { for: id, text: label, title: help }), field);
}

/**
 * On or off; bound to the trait.
 * @param {Model} model @param {AbortSignal} signal @param {string} name
 * @param {[string, string]} named its label and what it is for @param {string} hint what it does when it is on
 */
export function toggle(model, signal, name, [label, help], hint) {
  const id = newId();
  const onchange = () => put(model, { [name]: field.checked });
  const field = el("input", { type: "checkbox", role: "switch", id, title: help, onchange });
  const said = el("span", { class: "hint", text: hint, "aria-hidden": "true", onclick: () => field.click() });
  follow(model, signal, [name], () => { field.checked = model.get(name); });
  return el("div", { class: "row wide switch" }, el("label", { for: id, text: label, title: help }),
    el("span", {}, field, said));
}

/**
 * The size at which a large picture is worked on, with what each costs; nothing for a small one.
 * @param {Model} model @param {AbortSignal} signal
 */
export function workingSize(model, signal) {
  const root = el("div", { class: "working-size" });
  follow(model, signal, ["_sizes", "working_size"], () => {
    const /** @type {[string, string][]} */ sizes = model.get("_sizes");
    const id = newId(), help = "The size that a large picture is worked on at";
    const onchange = () => {
      put(model, { working_size: field.value ? Number(field.value) : null });
    };
    const field = el("select", { id, title: help, onchange },
      ...sizes.map(([value, text]) => el("option", { value, text })));
    field.value = String(model.get("working_size") ?? "");
    const row = el("div", { class: "row wide" }, el("label", { for: id, text: "Work at", title: help }), field);
    root.replaceChildren(...(sizes.length ? [row] : []));
  });
  return root;
}
