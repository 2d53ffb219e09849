import { pager } from "./controls.js";
import { el, follow, put } from "./shared.js";

/** @import { Panel } from "./panel.js" */

// A sheet of channels: each is a button on the picture, which makes it large.

/** Where an arrow key leads from a tile. @param {string} key @param {number} at @param {number} columns @param {number} count */
export function tileFrom(key, at, columns, count) {
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + columns, ArrowUp: at - columns }[key] ?? at;
  return to >= 0 && to < count ? to : at;
}

/** The tiles. @param {Panel} panel */
export function channelTiles({ model, signal }) {
  const root = el("div", { class: "channel-sheet", role: "group", "aria-label": "Channels" });
  root.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const buttons = [...root.children], at = buttons.indexOf(/** @type {any} */ (event.target));
    if (at < 0 || !event.key.startsWith("Arrow")) return;
    event.preventDefault();
    event.stopPropagation();
    /** @type {HTMLElement} */ (buttons[tileFrom(event.key, at, model.get("_tiles").columns, buttons.length)]).focus();
  });
  const show = () => {
    const { channels = [], columns = 1 } = model.get("_tiles"), [height, width] = model.get("size");
    root.hidden = model.get("mode") !== "grid";
    if (root.hidden) return;
    // There are two columns at least, and what the tiles leave of the width lies between them.
    const rows = Math.ceil(channels.length / columns), gap = (width - columns * model.get("tile")) / (columns - 1);
    root.style.cssText = `grid-template: repeat(${rows}, minmax(0, 1fr)) / repeat(${columns}, minmax(0, 1fr));
      column-gap: ${(100 * gap) / width}%; row-gap: ${(100 * gap) / height}%`;
    root.replaceChildren(...channels.map((/** @type {number} */ channel) => el("button", {
      type: "button", class: "channel-tile", "data-channel": channel, "aria-label": `Channel ${channel}`,
      title: `Channel ${channel} of ${model.get("layer")}: click to make it large`,
      onclick: () => put(model, { channel, mode: "visualise" }),
    })));
  };
  follow({ model, signal }, ["_tiles", "mode", "size", "layer"], show);
  return root;
}

/** Turns the pages of the grid. @param {Panel} panel */
export function tilePager(panel) {
  const { model } = panel;
  const turn = (/** @type {number} */ way) =>
    put(model, { first: Math.max(0, model.get("_tiles").channels[0] + way * model.get("tiles")) });
  const pages = pager(turn), root = el("div", { class: "tile-pager" }, pages.root);
  follow(panel, ["_tiles", "mode"], () => {
    const { channels = [], count = 0 } = model.get("_tiles"), last = channels[channels.length - 1];
    root.hidden = model.get("mode") !== "grid";
    if (channels.length) pages.show(`${channels[0]} – ${last} of ${count}`, channels[0] === 0, last === count - 1);
  });
  return root;
}
