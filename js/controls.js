import { el, follow, newId, position, put, typed, valueAt } from "./shared.js";

/** @import { Control, Named, View } from "./shared.js" */

// What stands in the inspector: sections of rows, each with a name and something to set.

/** @param {string} title @param {Node[]} parts */
export function section(title, ...parts) {
  return el("section", {}, el("h4", { text: title }), ...parts);
}

/** A section whose heading has a button. @param {string} title @param {Node} act @param {Node[]} parts */
export function actSection(title, act, ...parts) {
  return el("section", {}, el("div", { class: "heading" }, el("h4", { text: title }), act), ...parts);
}

/** @param {string} text @param {() => void} onclick @param {Record<string, any>} [attributes] */
export function button(text, onclick, attributes = {}) {
  return el("button", { type: "button", text, onclick, ...attributes });
}

/**
 * A named control.
 * @param {Named} named @param {string} id of the control, empty if it names itself @param {Node[]} parts
 */
export function row([text, title], id, ...parts) {
  const name = id ? el("label", { for: id, text, title }) : el("span", { text, title });
  return el("div", { class: "row wide" }, name, ...parts);
}

/** A slider with its name before it and its value behind. @param {Node[]} parts @param {string} [unit] */
function sliderRow([name, range, value], unit = "") {
  const amount = el("span", { class: "amount" }, value, el("span", { class: "unit", text: unit }));
  return el("div", { class: "row" }, name, range, amount);
}

/** Paints a slider up to its thumb. @param {HTMLElement} range @param {number} share 0 to 1 */
export function fill(range, share) {
  range.style.setProperty("--at", `${100 * share}%`);
}

/** A length as a share of its track. @param {number} share 0 to 1 @param {string} [name] a class */
export function track(share, name = "") {
  const bar = el("i", { class: name || false, style: `width: ${(100 * share).toFixed(1)}%` });
  return el("span", { class: "track" }, bar);
}

/** A slider of a trait, with its name, its value to type, and its unit. @param {View} view @param {string} name */
export function slider(view, name) {
  const { model, signal } = view, id = newId();
  const now = () => /** @type {Control} */ (model.get("_controls")[name]), { label, help, unit } = now();
  const set = (/** @type {number} */ value) => put(model, { [name]: value });
  const range = el("input", {
    type: "range", id, min: 0, max: 1, step: "any", title: help,
    oninput: () => set(valueAt(Number(range.value), now())),
    onkeydown: (/** @type {KeyboardEvent} */ event) => nudge(event, model.get(name), now(), set),
  });
  const field = numberField(`${label}, value`, signal, (value) => {
    // Who leaves it as it stands keeps the digits that it does not show.
    if (value === null) show();
    else if (field.value !== typed(model.get(name))) set(value);
  });
  const show = () => {
    const value = model.get(name);
    range.value = position(value, now());
    fill(range, position(value, now()));
    range.setAttribute("aria-valuetext", `${typed(value)} ${unit}`.trim());
    field.value = typed(value);
  };
  follow(view, [name, "_controls"], show);
  return sliderRow([el("label", { for: id, text: label, title: help }), range, field], unit);
}

/**
 * A slider over the whole numbers from 0.
 * @param {Node} name @param {Node} value stands behind it
 * @param {Record<string, any>} attributes of the slider @param {(value: number) => void} set
 */
export function counter(name, value, attributes, set) {
  const range = el("input", { type: "range", min: 0, step: 1, ...attributes, oninput: () => set(Number(range.value)) });
  const show = (/** @type {number} */ now, /** @type {number} */ most) => {
    Object.assign(range, { max: most, value: now });
    fill(range, now / Math.max(most, 1));
  };
  return { root: sliderRow([name, range, value]), range, show };
}

/**
 * A number to type; Enter or leaving it sets it, null if it is none.
 * @param {string} label @param {AbortSignal} signal @param {(value: number | null) => void} set
 */
export function numberField(label, signal, set) {
  const commit = () => { if (!signal.aborted) set(field.value === "" ? null : Number(field.value)); };
  const field = el("input", {
    type: "number", class: "value", step: "any", "aria-label": label, onchange: commit,
    // JupyterLab keeps Enter from its usual meaning, so it has to be heard here.
    onkeydown: (/** @type {KeyboardEvent} */ event) => { if (event.key === "Enter") commit(); },
  });
  return field;
}

/**
 * An arrow key moves a slider by one of its steps.
 * @param {KeyboardEvent} event @param {number} value @param {Control} control @param {(value: number) => void} set
 */
function nudge(event, value, control, set) {
  const way = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 5, PageDown: -5 }[event.key];
  if (!way) return;
  event.preventDefault();
  const moved = valueAt(position(value, control) + way / 50, control);
  set(control.whole && moved === value ? Math.min(control.high, Math.max(control.low, value + Math.sign(way))) : moved);
}

/**
 * A choice of few, as buttons side by side.
 * @param {Named} named @param {[string, string][]} choices value and text of each
 * @param {() => string} now @param {(value: string) => void} set
 */
export function choice(named, choices, now, set) {
  const buttons = choices.map(([value, text]) => button(text, () => { set(value); show(); }));
  const show = () => choices.forEach(([value], at) => buttons[at].setAttribute("aria-pressed", `${value === now()}`));
  const group = el("div", { class: "choice", role: "group", "aria-label": named[0], title: named[1] }, ...buttons);
  return { show, group, root: row(named, "", group) };
}

/**
 * One of many, as the browser's own list; bound to the trait.
 * @param {View} view @param {string} name @param {Named} named
 * @param {() => [string, [any, string][]][]} groups heading, and value and text of each; no heading for ""
 * @param {string[]} sources traits that the groups are made of, if they change
 */
export function select(view, name, named, groups, ...sources) {
  const { model } = view, id = newId();
  const values = () => groups().flatMap(([, choices]) => choices.map(([value]) => value));
  const onchange = () => put(model, { [name]: values()[field.selectedIndex] });
  const field = el("select", { id, title: named[1], onchange });
  const options = (/** @type {[any, string][]} */ choices) =>
    choices.map(([value, text]) => el("option", { value: value ?? "", text }));
  follow(view, sources, () => field.replaceChildren(...groups().flatMap(([heading, choices]) =>
    (heading ? [el("optgroup", { label: heading }, ...options(choices))] : options(choices)))));
  follow(view, [...sources, name], () => { field.selectedIndex = values().indexOf(model.get(name)); });
  return row(named, id, field);
}

/**
 * On or off; bound to the trait.
 * @param {View} view @param {string} name @param {Named} named @param {string} hint what it does when it is on
 */
export function toggle(view, name, named, hint) {
  const { model } = view, id = newId();
  const onchange = () => put(model, { [name]: field.checked });
  const field = el("input", { type: "checkbox", role: "switch", id, title: named[1], onchange });
  const said = el("span", { class: "hint", text: hint, "aria-hidden": "true", onclick: () => field.click() });
  follow(view, [name], () => { field.checked = model.get(name); });
  const root = row(named, id, el("span", {}, field, said));
  root.classList.add("switch");
  return root;
}

/** Which number of each pixel is shown: one of `views`. @param {View} view @param {Named} named */
export function viewSelect(view, named) {
  const /** @type {{name: string, label: string, own: boolean}[]} */ views = view.model.get("views");
  const kinds = (/** @type {boolean} */ ours) => views.filter(({ own }) => own === ours).map(({ name, label }) =>
    /** @type {[string, string]} */ ([name, label]));
  return select(view, "view", named, () => [["", kinds(true)], ["As in the toolbox", kinds(false)]]);
}

/** One of `colormaps`, or the one that fits. @param {View} view @param {Named} named */
export function colormapSelect(view, named) {
  const /** @type {string[]} */ colormaps = view.model.get("colormaps");
  const all = colormaps.map((name) => /** @type {[string, string]} */ ([name, name]));
  return select(view, "colormap", named, () => [["", [["auto", "automatic"], ...all]]]);
}

/** Turns pages. @param {(way: number) => void} turn */
export function pager(turn) {
  const before = button("‹", () => turn(-1), { class: "round", "aria-label": "Page before", title: "The page before" });
  const next = button("›", () => turn(1), { class: "round", "aria-label": "Next page", title: "The next page" });
  const where = el("output", { class: "quiet" });
  const show = (/** @type {string} */ text, /** @type {boolean} */ first, /** @type {boolean} */ last) => {
    where.textContent = text;
    before.disabled = first;
    next.disabled = last;
    before.hidden = next.hidden = first && last;
  };
  return { root: el("div", { class: "pager" }, before, where, next), show };
}

/** The size at which a large picture is worked on, with what each costs; nothing for a small one. @param {View} view */
export function workingSize(view) {
  const sizes = () => /** @type {{longest: number | null, text: string}[]} */ (view.model.get("_sizes"));
  const field = select(view, "working_size", ["Work at", "The size that a large picture is worked on at"],
    () => [["", sizes().map(({ longest, text }) => [longest, text])]], "_sizes");
  const root = el("div", { class: "working-size" }, field);
  follow(view, ["_sizes"], () => { root.hidden = !sizes().length; });
  return root;
}
