import { el } from "./shared.js";

/** @type {Record<string, string>} */
const ICONS = {
  play: "M4 2.5v11l9-5.5z",
  pause: "M4 2.5h3v11H4zM9 2.5h3v11H9z",
  step: "M3 2.5v11l7-5.5zM11 2.5h2v11h-2z",
  compare: "M2 3h5v10H2zM9 3h5v10H9zM10.2 4.2v7.6h2.6V4.2z",
  restart: "M8 3a5 5 0 1 1-4.6 3l1.4.6A3.5 3.5 0 1 0 8 4.5V7L4.5 3.7 8 .5z",
  brush: "M13.7 1.2 15 2.5 8.2 10.2 6 8zM5.2 8.8 7.4 11c.3 2.4-1.8 3.8-5.9 3.6C3 13.4 2.7 9.3 5.2 8.8z",
  undo: "M6 2 2 6l4 4V7.2h3.5a2.4 2.4 0 0 1 0 4.8H6v1.800h3.5a4.2 4.2 0 0 0 0-8.400H6z",
  redo: "M10 2l4 4-4 4V7.2H6.500a2.4 2.4 0 0 0 0 4.8H10v1.800H6.500a4.2 4.2 0 0 1 0-8.400H10z",
  full: "M2 2h5v1.5H3.5V7H2zM9 2h5v5h-1.5V3.5H9zM2 9h1.5v3.5H7V14H2zM12.5 9H14v5H9v-1.5h3.5z",
};

/** @param {string} name */
export function icon(name) {
  const path = el("path", { d: ICONS[name], fill: "currentColor" });
  return el("svg", { viewBox: "0 0 16 16", width: 13, height: 13, "aria-hidden": "true" }, path);
}

/** @param {string} name @param {string} label @param {() => void} onclick @param {string} title */
export function iconButton(name, label, onclick, title) {
  return el("button", { type: "button", onclick, title }, icon(name), el("span", { text: label }));
}
