import { button, section } from "./controls.js";
import { healthBar, layerList, nameText } from "./layer_list.js";
import { notesOf } from "./panel.js";
import { el, follow, put } from "./shared.js";

/**
 * @import { Panel } from "./panel.js"
 * @typedef {{
 *   name: string, kind: string, channels: number, known: boolean, dead: number, saturated: number,
 * }} LayerRow `known` once a value has come
 */

/** What is wrong with a layer, in two words. @param {LayerRow} row */
export function trouble({ known, dead, saturated }) {
  if (!known) return "";
  if (dead) return `${dead} dead`;
  return saturated ? `${saturated} saturated` : "0 dead";
}

/** A layer with the share of its channels that work. */
function layerItem() {
  const name = el("code", {}), channels = el("span", { class: "quiet" }), said = el("span", { class: "trouble" });
  const health = healthBar(), root = el("li", { role: "option" }, name, channels, health.root, said);
  const show = (/** @type {LayerRow} */ row) => {
    const { dead, saturated, channels: all, known } = row;
    name.textContent = nameText(row.name);
    channels.textContent = String(all);
    health.show(known ? all : 0, saturated, dead);
    said.textContent = trouble(row);
    root.className = dead ? "bad" : saturated ? "warn" : "";
  };
  return { root, show };
}

/** The layers, one a row, and what is wrong with the network. @param {Panel} panel */
export function layerOverview(panel) {
  const { parts, show } = layerList(panel, layerItem, (layer) => put(panel.model, { layer }));
  return { root: section("Layers", ...parts, findings(panel)), show };
}

/** How many findings stand open. */
const FEW = 4;

/** What is wrong with the network, those of the layer that is shown first. @param {Panel} panel */
function findings(panel) {
  const { model } = panel, root = el("div", { class: "findings" });
  follow(panel, ["_notes", "layer"], () => {
    const notes = notesOf(model, "finding"), own = notes.filter(({ about }) => about === model.get("layer"));
    const sorted = [...own, ...notes.filter((note) => !own.includes(note))];
    const cards = sorted.map(({ line, about }) => button(line, () => put(model, { layer: about }), { class: "note bad" }));
    const more = el("details", {}, el("summary", { text: `${cards.length - FEW} more findings` }), ...cards.slice(FEW));
    root.replaceChildren(...cards.slice(0, FEW), ...(cards.length > FEW ? [more] : []));
  });
  return root;
}
