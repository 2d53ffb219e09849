import { HELP, channelGrid } from "./activation_channels.js";
import { chosenChannel } from "./activation_chosen.js";
import { layerOverview } from "./activation_layers.js";
import { correlationMatrix } from "./activation_matrix.js";
import { button } from "./controls.js";
import { icon } from "./icons.js";
import { panel } from "./panel.js";
import { duration, el, keepHeight, put, short, tell } from "./shared.js";

/**
 * @import { ChannelPage } from "./activation_channels.js"
 * @import { Chosen } from "./activation_chosen.js"
 * @import { LayerRow } from "./activation_layers.js"
 * @import { Matrix } from "./activation_matrix.js"
 * @import { Context, Panel } from "./panel.js"
 * @import { Named } from "./shared.js"
 * @typedef {{
 *   images: number, over: boolean, working: boolean, pausing: boolean, rate: number | null, to_go: number | null,
 *   nbytes: number,
 * }} Collected
 * @typedef {{
 *   type: "frame", frame: number, format: "" | "png", state: string, doing: string, done: number, total: number,
 *   left: number | null, collected: Collected, overview: LayerRow[], page: ChannelPage, chosen: Chosen | null,
 *   matrix: Matrix, outdated: boolean,
 * }} StatisticsFrame
 */

/** @type {Named[]} */
const KEYS = [
  ["Space", "collect or pause"], ["[ ]", "the page before, the next page"], ["↑ ↓", "in the list: another layer"],
  ["← ↑ → ↓", "on the matrix: the next pair"], ["+ −", "on the matrix: zoom"], ["Esc", "close the channel"],
];

/** The mark of each of the words that `standing` says. @type {Record<string, string>} */
const MARKS = {
  ready: "ready", collecting: "running", pausing: "running", computing: "running", paused: "paused", complete: "finished", error: "error",
};

/** How the collecting stands, in a word. @param {Collected} collected @param {string} state */
export function standing({ images, over, working, pausing }, state) {
  if (state === "error") return "error";
  if (working) return "collecting";
  if (pausing) return "pausing";
  if (state === "running") return "computing";
  return over ? "complete" : images ? "paused" : "ready";
}

/** How fast and how far it is. @param {Collected} collected */
export function progressWords({ images, over, pausing, to_go: wait, nbytes }) {
  if (pausing) return "Pausing after this batch…";
  const parts = [images ? `${images.toLocaleString("en")} images` : "nothing collected yet"];
  if (!over && images && wait !== null) parts.push(`${duration(wait)} to go`);
  if (nbytes) parts.push(`${byteText(nbytes)} of memory`);
  return parts.join(" · ");
}

/** An amount of memory. @param {number} count bytes */
export function byteText(count) {
  return count < 1e6 ? `${Math.max(1, Math.round(count / 1e3))} kB` : `${short(count / 1e6)} MB`;
}

/** Collect, pause, and how far it is. @param {Panel} panel */
function transport({ model, request }) {
  /** @type {Collected | null} */ let now = null;
  let outdated = false;
  const toggle = () => {
    if (now?.over && !outdated) return;
    request({ type: now?.working ? "pause" : "play" });
  };
  const act = button("", toggle, { class: "primary" }), status = el("span", { class: "status" }), bar = el("i", {});
  const track = el("div", { class: "track", role: "progressbar", "aria-label": "Collected", "aria-valuemin": 0 }, bar);
  const root = el("footer", { role: "presentation" }, act, status, track);
  /** @param {Collected} collected @param {StatisticsFrame} frame */
  const show = (collected, { done, total, outdated: old, doing }) => {
    [now, outdated] = [collected, old];
    const label = old ? "Collect again" : collected.working ? "Pause" : collected.images ? "Go on" : "Collect";
    // What is pressed may not be replaced between the pointer's way down and up.
    if (act.textContent !== label) {
      act.replaceChildren(icon(collected.working ? "pause" : "play"), el("span", { text: label }));
    }
    act.hidden = collected.over && !old;
    status.textContent = [progressWords(collected), collected.working || collected.pausing ? "" : doing].filter(Boolean).join(" · ");
    const share = collected.over ? 1 : collected.working && total ? done / total : null;
    if (share !== null) bar.style.width = `${100 * share}%`;
    track.setAttribute("aria-valuemax", "100");
    track.setAttribute("aria-valuenow", String(Math.round(100 * (share ?? 0))));
  };
  return { root, show, toggle };
}

/** Draws a view and returns its undo. @param {Context} context */
function render(context) {
  const words = {
    title: "ActivationStats", file: "statistics", keys: KEYS, help: HELP, sliders: [],
    saves: /** @type {[string, string, string][]} */ ([["Table (CSV)", ".csv", "text/csv"]]),
  };
  return panel(context, words, (panel) => {
    const { model, signal, view } = panel, layers = layerOverview(panel), channels = channelGrid(panel);
    const chosen = chosenChannel(panel), matrix = correlationMatrix(panel), run = transport(panel);
    const body = el("div", { class: "body" },
      el("div", { class: "overview" }, layers.root, matrix.root),
      el("div", { class: "inspector" }, channels.root, chosen.root, panel.sentences));
    keepHeight(body, signal);
    /** @type {StatisticsFrame | null} */ let last = null;
    return {
      inside: [body, run.root],
      keys: {
        " ": run.toggle, "[": () => channels.turn(-1), "]": () => channels.turn(1),
        Escape: () => put(model, { channel: null }),
      },
      show: (/** @type {StatisticsFrame} */ frame, buffers) => {
        const told = frame.format ? frame : last && { ...last, ...frame };
        if (told) {
          const { collected, doing } = told, word = standing(collected, frame.state);
          const rate = collected.working && collected.rate ? `${short(collected.rate)} images/s` : "";
          panel.chip(MARKS[word], word, rate, collected.working ? progressWords(collected) : "");
          run.show(collected, told);
          const waiting = frame.state === "running" ? `${doing || "Computing"} …` : "";
          if (frame.format) {
            last = frame;
            panel.root.dataset.shown = frame.state;
            layers.show(frame.overview);
            channels.show(frame.page, buffers, waiting);
            chosen.show(frame.chosen, buffers, waiting);
            matrix.show(frame.matrix, waiting || (collected.images ? "" : "not collected yet"));
          }
        }
        requestAnimationFrame(() => tell(model, { type: "drawn", view, frame: frame.frame }));
      },
    };
  });
}

export default { render };
