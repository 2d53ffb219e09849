import { el, follow, newId, search } from "./shared.js";

/**
 * @import { View } from "./shared.js"
 * @typedef {{name: string, kind: string}} Named a layer by its name
 * @typedef {{root: HTMLElement, show(row: any): void}} Item what stands for a layer
 */

/** How many layers there are before one needs to search them. */
const MANY = 12;
/** @type {Record<string, number>} rows that a key moves on by */
const WAYS = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8, Home: -1e6, End: 1e6 };

/** A layer's name as it stands in a list: it breaks after its dots first. @param {string} name */
export function nameText(name) {
  return name.replaceAll(".", ".\u200b") || "(all)";
}

/** A bar that says which share of a layer's channels works, is saturated, and is dead. */
export function healthBar() {
  const parts = ["", "full", "gone"].map((name) => el("i", { class: name || false }));
  /** @param {number} all @param {number} saturated @param {number} dead */
  const show = (all, saturated, dead) => [all - dead - saturated, saturated, dead].forEach((count, at) => {
    parts[at].style.width = all ? `${(100 * count) / all}%` : "0";
  });
  return { root: el("span", { class: "health" }, ...parts), show };
}

/** The list itself. @param {(item: Element) => void} take what is clicked on @param {(way: number) => void} step */
function listbox(take, step) {
  return el("ul", {
    class: "layers", role: "listbox", tabindex: 0, "aria-label": "Layers",
    onclick: (/** @type {Event} */ event) => {
      const item = /** @type {Element} */ (event.target).closest("li");
      if (item) take(item);
    },
    onkeydown: (/** @type {KeyboardEvent} */ event) => {
      if (!WAYS[event.key]) return;
      event.preventDefault();
      step(WAYS[event.key]);
    },
  });
}

/** What finds layers by their names. @param {() => void} draw @param {() => void} first takes the best answer */
function searchField(draw, first) {
  /** @type {HTMLInputElement} */
  const field = el("input", {
    type: "text", class: "filter", placeholder: "Search layers", "aria-label": "Search layers", spellcheck: "false",
    title: "Only the layers whose name or kind answers", oninput: draw,
    onkeydown: (/** @type {KeyboardEvent} */ { key }) => { if (key === "Enter" && field.value.trim()) first(); },
  });
  return field;
}

/** Says which layer a row of the list is. @param {HTMLElement} root @param {string} id @param {Named} row */
function nameRow(root, id, { name, kind }) {
  Object.assign(root, { id, title: `${name} · ${kind}` });
  root.dataset.layer = name;
}

/** A row of the list that is written only when it changes: there can be hundreds. @param {() => Item} make */
function listRow(make) {
  const { root, show } = make();
  let written = "";
  const write = (/** @type {string} */ id, /** @type {any} */ row) => {
    const next = JSON.stringify(row);
    if (next === written) return;
    written = next;
    nameRow(root, id, row);
    show(row);
  };
  return { root, write };
}

/** Scrolls a list to one of its rows, unless it is in sight. @param {HTMLElement} item @param {HTMLElement} list */
function bringIntoSight({ offsetTop: top, offsetHeight: height }, list) {
  if (top < list.scrollTop || top + height > list.scrollTop + list.clientHeight) {
    list.scrollTop = top - list.clientHeight / 2;
  }
}

/**
 * A list of layers to pick one of, by mouse, keyboard and search.
 * @template {Named} Row
 * @param {View} view its trait `layer` is the one that is picked
 * @param {() => {root: HTMLElement, show(row: Row): void}} make a row of the list
 * @param {(name: string) => void} choose
 */
export function layerList({ model, signal }, make, choose) {
  const id = newId(), now = () => model.get("layer"), none = el("p", { class: "hint", "aria-live": "polite" });
  let /** @type {Row[]} */ rows = [], /** @type {Row[]} */ found = [];
  const /** @type {ReturnType<typeof listRow>[]} */ items = [];
  const pick = (/** @type {number} */ at) => {
    const row = found[Math.min(Math.max(at, 0), found.length - 1)];
    if (row && row.name !== now()) choose(row.name);
  };
  const place = () => found.findIndex(({ name }) => name === now());
  const step = (/** @type {number} */ way) => pick(place() + way);
  const list = listbox((item) => pick(items.findIndex(({ root }) => root === item)), step);
  const field = searchField(() => draw(), () => pick(0));
  const mark = () => {
    const at = place();
    items.slice(0, found.length).forEach(({ root }, each) => root.setAttribute("aria-selected", String(each === at)));
    if (at < 0) list.removeAttribute("aria-activedescendant");
    else list.setAttribute("aria-activedescendant", items[at].root.id);
  };
  const draw = () => {
    found = search(field.value, rows, ({ name, kind }) => `${name} ${kind}`, ({ name }) => name);
    while (items.length < found.length) items.push(listRow(make));
    const shown = items.slice(0, found.length).map(({ root }) => root);
    if (list.children.length !== shown.length) list.replaceChildren(...shown);
    found.forEach((row, at) => items[at].write(`${id}-${at}`, row));
    mark();
    field.hidden = rows.length <= MANY;
    none.hidden = found.length > 0 || !rows.length;
    none.textContent = none.hidden ? "" : `No layer answers “${field.value}”.`;
  };
  const reveal = () => {
    const at = place();
    if (at >= 0) bringIntoSight(items[at].root, list);
  };
  // To look where a row stands lays the page out, which is not to hold up the word to the kernel.
  follow({ model, signal }, ["layer"], () => { mark(); requestAnimationFrame(reveal); });
  const placed = new ResizeObserver(reveal); // what is not on the page yet has no place to scroll to
  placed.observe(list);
  signal.addEventListener("abort", () => placed.disconnect());
  const show = (/** @type {Row[]} */ next) => { rows = next; draw(); };
  return { parts: [field, none, list], list, step, show };
}
