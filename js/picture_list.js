import { button } from "./controls.js";
import { combobox } from "./pickers.js";
import { el, follow, search } from "./shared.js";

/**
 * @import { Panel } from "./panel.js"
 * @import { Take } from "./inputs.js"
 * @typedef {{name: string, label: string, place: number}} Listed
 */

// A list of pictures: the one before, the one after, and any by its name or label.

export const LIST_HELP = "The pictures to walk through, by name and label.";

/** Rows of a list that are shown at a time. */
const ROWS = 100;

/** A name that is not too long for a button. @param {string} name */
export function shortened(name) {
  return name.length > 36 ? `${name.slice(0, 20)}…${name.slice(-14)}` : name;
}

/** How many files of the folder are none. @param {Panel["model"]} model */
function leftOut(model) {
  const count = model.get("_left_out");
  return count ? `${count} ${count > 1 ? "files are" : "file is"} no picture` : "";
}

/** A list to walk through, and to search. @param {Panel} panel @param {Take} take */
export function walk(panel, take) {
  const { model } = panel;
  const all = () => /** @type {[string, string][]} */ (model.get("_pictures"));
  const rows = () => all().map(([name, label], place) => /** @type {Listed} */ ({ name, label, place }));
  let at = -1;
  const go = (/** @type {number} */ place, /** @type {number} */ turn) => {
    if (!all()[place]) return;
    at = place;
    show();
    take({ way: "list", place, turn });
  };
  const picker = combobox({
    named: ["List", LIST_HELP], list: "Pictures", placeholder: "Pick a picture",
    shown: () => shortened(all()[model.get("_position")]?.filter(Boolean).join(" · ") ?? ""),
    aside: () => (model.get("_position") < 0 ? `${all().length}` : `${model.get("_position") + 1} of ${all().length}`),
    rows: (query) => search(query, rows(), ({ name, label }) => `${name} ${label}`).slice(0, ROWS),
    cells: ({ name, label }) => [el("b", { text: name }), el("span", { text: label })],
    isNow: ({ place }) => place === model.get("_position"),
    pick: ({ place }) => go(place, 0),
    count: (found) => [
      found < all().length ? `${found} of ${all().length}: type to search` : `${found} pictures`, leftOut(model),
    ].filter(Boolean).join(" · "),
    none: "No picture answers",
  });
  const back = button("‹", () => go(at - 1, -1), { "aria-label": "Previous picture", title: "Previous picture" });
  const on = button("›", () => go(at + 1, 1), { "aria-label": "Next picture", title: "Next picture" });
  const box = /** @type {HTMLElement} */ (picker.root.lastElementChild);
  box.before(back);
  box.after(on);
  picker.root.classList.add("walk");
  const show = () => {
    picker.root.hidden = !all().length;
    back.setAttribute("aria-disabled", String(at <= 0)); // a disabled one would lose the focus
    on.setAttribute("aria-disabled", String(at + 1 >= all().length));
    picker.show();
  };
  follow(panel, ["_pictures", "_position"], () => { at = model.get("_position"); show(); });
  return picker.root;
}
