import { icon, iconButton } from "./icons.js";
import { curvePoints, duration, el, extent, follow, put, short } from "./shared.js";

/**
 * @import { Panel } from "./panel.js"
 * @import { Header, Named } from "./shared.js"
 * @typedef {[number, number][]} Points index and value
 * @typedef {{points: Points, total: number, range?: [number, number], level?: number | null, starts?: number[]}} Plot
 * `total` steps wide and `range` high; `level` is a dashed line, `starts` are upright ones.
 * @typedef {{
 *   value: string, number(header: any): number | null, standing(header: any): string, plot(header: any): Plot,
 * }} Readings what a run's frames say: the value's name and newest number, where the run stands, and what to draw
 */

/** @type {Named[]} */
export const RUN_KEYS = [["Space", "play or pause"], [".", "one step"], ["r", "restart"]];

/** Where a run stands, in words. @param {Header} header */
export function standing({ state, step, total, octave, octaves, round, rounds, left }) {
  if (!step) return state === "running" ? "starting" : "ready to play";
  const of = (/** @type {number} */ now, /** @type {number | null} */ all) => (all === null ? now : `${now} of ${all}`);
  const parts = [
    rounds === 1 ? "" : `round ${of(round, rounds)}`, octaves > 1 ? `octave ${octave} of ${octaves}` : "",
    `step ${of(step, total)}`,
  ];
  if (state === "running" || state === "paused") parts.push(left && duration(left) ? `${duration(left)} to go` : "");
  return parts.filter(Boolean).join(" · ");
}

/** How fast a run is. @param {{state: string, rate: number | null}} header */
export function rateText({ state, rate }) {
  return state === "running" && rate ? `${short(rate)} steps/s` : "";
}

/** @type {Readings} */
const SCORES = {
  value: "Score",
  number: ({ score }) => score,
  standing,
  plot: ({ curve, step, total, octave_starts }) => ({ points: curve, total: total ?? step, starts: octave_starts }),
};

/**
 * Losses on a log axis that reaches down to the tolerance, where zero lies too.
 * @param {Points} losses @param {number} tolerance 0 for none @returns {Omit<Plot, "total">}
 */
export function logScale(losses, tolerance) {
  const above = [...losses.map(([, loss]) => loss), tolerance].filter((loss) => loss > 0);
  const low = Math.log10(Math.min(...above)), high = Math.log10(Math.max(...above));
  const points = /** @type {Points} */ (losses.map(([index, loss]) => [index, loss > 0 ? Math.log10(loss) : low]));
  return { points, range: above.length ? [low, high] : [0, 0], level: tolerance ? Math.log10(tolerance) : null };
}

/** The value over the steps. @param {Readings} readings */
export function curve({ value, number, plot }) {
  const area = el("polygon", { class: "area" }), line = el("polyline", { class: "curve" });
  const grid = el("path", { class: "octaves" }), dashes = el("path", { class: "level" });
  const parts = [grid, area, line, dashes];
  const root = el("svg", { viewBox: "0 -4 240 44", preserveAspectRatio: "none", role: "img" }, ...parts);
  const show = (/** @type {any} */ header) => {
    const { points: given, total, range = extent(given), level = null, starts = [] } = plot(header);
    const drawn = (/** @type {[number, number][]} */ points) => curvePoints(points, total, 240, 36, range);
    const across = (/** @type {number} */ index) => ((index / Math.max(total - 1, 1)) * 240).toFixed(1);
    const points = given.length > 1 ? drawn(given) : "";
    line.setAttribute("points", points);
    area.setAttribute("points", points && `0,40 ${points} ${across(given[given.length - 1][0])},40`);
    grid.setAttribute("d", `M0 40H240${starts.map((index) => `M${across(index)} -4V40`).join("")}`);
    dashes.setAttribute("d", points && level !== null ? `M${drawn([[0, level]])}H240` : "");
    root.setAttribute("aria-label", `${value} over the steps, now ${short(number(header))}`);
  };
  return { root, show };
}

/** Play, pause, step, restart, and where the run stands. @param {Panel} panel @param {Readings} [readings] */
export function transport(panel, readings = SCORES) {
  const { model, expect, request } = panel;
  const toggle = () => {
    if (!model.get("running")) expect();
    put(model, { running: !model.get("running") });
  };
  const step = () => request({ type: "step" }), restart = () => request({ type: "restart" });
  const play = el("button", { type: "button", class: "primary", onclick: toggle });
  const status = el("span", { class: "status" }), score = el("span", { class: "score" }), plot = curve(readings);
  /** @type {any} */ let last = null;
  const stand = () => {
    const doing = model.get("_doing"), pausing = model.get("state") === "running" && !model.get("running");
    status.textContent = doing || (pausing ? "Pausing after this step…" : last ? readings.standing(last) : "");
  };
  follow(panel, ["running", "state", "_doing"], () => {
    const running = model.get("running"), resting = ["running", "paused"].includes(model.get("state"));
    const label = running ? "Pause" : resting ? "Go on" : "Play";
    play.replaceChildren(icon(running ? "pause" : "play"), el("span", { text: label }));
    stand();
  });
  const root = el("footer", { role: "presentation" }, play, iconButton("step", "Step", step, "One step, then rest"),
    iconButton("restart", "Restart", restart, "From the start picture again"), status, plot.root, score);
  const show = (/** @type {any} */ header) => {
    const number = readings.number(header);
    last = header;
    panel.chip(header.state, header.state, rateText(header), readings.standing(header));
    stand();
    score.textContent = number === null ? "" : `${readings.value.toLowerCase()} ${short(number)}`;
    plot.show(header);
  };
  return { root, show, keys: { " ": toggle, ".": step, r: restart } };
}
