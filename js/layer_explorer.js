import { pager } from "./controls.js";
import {
  HELP, OVERLAYS, backChoice, explorerControls, explorerItem, largeChoice, likelyClasses, showsChoice,
} from "./explorer_controls.js";
import { TOLD, bound } from "./explorer_keys.js";
import { cycled, moved } from "./explorer_moves.js";
import { explorerPanes, largeOne, layerNow, want } from "./explorer_panes.js";
import { unitPassport } from "./explorer_passport.js";
import { FRAMINGS, INPUT_HELP, pictureInput } from "./inputs.js";
import { layerList } from "./layer_list.js";
import { panel } from "./panel.js";
import { painter } from "./pictures.js";
import { progress, progressText, stateText } from "./progress.js";
import { el, follow, keepHeight, put, tell } from "./shared.js";

/**
 * @import { Acts } from "./explorer_keys.js"
 * @import { Grid } from "./explorer_moves.js"
 * @import { ExplorerFrame } from "./explorer_panes.js"
 * @import { PassportFrame } from "./explorer_passport.js"
 * @import { Context, Panel } from "./panel.js"
 */

const BOOSTS = [0, 0.3, 0.5, 0.8, 1], GAMMAS = [1, 0.7, 0.5, 0.3];
const LARGE = /** @type {const} */ (["layer", "channel", "back"]);

/** Which channels of how many a page shows. @param {Pick<Grid, "first" | "last">} grid @param {number} count */
export function pageWords({ first, last }, count) {
  const [from, to, all] = [first, last - 1, count].map((number) => number.toLocaleString("en"));
  return `channels ${from} – ${to} of ${all}`;
}

/** The names of records in a trait. @param {Panel} panel @param {string} trait @returns {string[]} */
function names({ model }, trait) {
  return model.get(trait).map((/** @type {{name: string}} */ { name }) => name);
}

/**
 * What the keys do.
 * @param {Panel} panel @param {ReturnType<typeof layersColumn>["list"]} layers
 * @param {ReturnType<typeof explorerPanes>} panes
 * @param {Pick<Acts, "zoom" | "labels" | "turn" | "passport" | "part"> & {smallAgain(): void}} others @returns {Acts}
 */
function actions(panel, layers, panes, others) {
  const { model } = panel;
  const loop = (/** @type {string} */ trait, /** @type {string[]} */ values) => (/** @type {number} */ way) =>
    put(model, { [trait]: cycled(values, model.get(trait), way) });
  const next = (/** @type {string} */ trait, /** @type {number[]} */ values) => () =>
    put(model, { [trait]: cycled(values, model.get(trait), 1) });
  const move = (/** @type {[number, number]} */ way) => {
    const grid = panes.grid(), count = layerNow(model)?.shape[0] ?? 0;
    if (layers.list.matches(":focus")) {
      if (way[0]) layers.step(way[0]);
      else if (way[1] > 0) panes.parts.layer.focus();
    } else if (grid && count) {
      const channel = moved(model.get("channel"), way, grid, count);
      if (channel === null) layers.list.focus();
      else want(panel, { channel });
    }
  };
  const reset = () => {
    others.smallAgain();
    panel.request({ type: "reset" });
  };
  return {
    ...others, move, reset, layer: layers.step,
    back: loop("back", names(panel, "backs")), view: loop("view", names(panel, "views")),
    colormap: loop("colormap", ["auto", ...model.get("colormaps")]),
    overlay: loop("overlay", OVERLAYS.map(([name]) => name)), framing: loop("framing", FRAMINGS),
    shows: () => loop("shows", ["activations", "gradients"])(1),
    freeze: () => put(model, { frozen: !model.get("frozen") }),
    gamma: next("gamma", GAMMAS), boost: next("boost", BOOSTS),
  };
}

/** The layers, one a row. @param {Panel} panel */
function layersColumn(panel) {
  const list = layerList(panel, explorerItem, (layer) => want(panel, { layer }));
  follow(panel, ["layers"], () => list.show(panel.model.get("layers")));
  const inside = el("div", { class: "inside" }, el("h4", { text: "Layers" }), ...list.parts);
  return { list, root: el("div", { class: "overview" }, inside) };
}

/** The large picture with what chooses it. @param {Panel} panel @param {ReturnType<typeof explorerPanes>} panes */
function stage(panel, panes) {
  const { model } = panel, large = largeOne(panes.parts);
  const which = largeChoice(large.now, (to) => large.set(/** @type {any} */ (to)));
  const set = (/** @type {(typeof LARGE)[number]} */ to) => { large.set(to); which.show(); };
  const turn = (/** @type {number} */ way) => {
    const to = model.get("page") + way;
    if (to >= 0 && to < model.get("pages")) put(model, { page: to });
  };
  const pages = pager(turn);
  const show = () => {
    const page = model.get("page"), count = model.get("pages"), grid = panes.grid();
    pages.show(grid ? pageWords(grid, layerNow(model)?.shape[0] ?? 0) : "", !page, page + 1 >= count);
    pages.root.hidden = count < 2;
  };
  follow(panel, ["page", "pages", "layers", "layer"], show);
  which.show();
  const zoom = () => set(cycled([...LARGE].slice(0, model.get("back") === "off" ? 2 : 3), large.now(), 1));
  const top = el("div", { class: "choices" }, showsChoice(panel), which.group);
  const root = el("div", { class: "large" }, top, large.slots.layer, pages.root);
  return { root, slots: large.slots, turn, zoom, smallAgain: () => set("layer"), show };
}

/** The keys that one needs first. */
const FIRST_KEYS = [["← ↑ ↓ →", "channel"], ["u o", "layer"], ["z", "large"], ["b", "sent back"], ["h", "all keys"]];

/** What is shown, in a line. @param {Panel} panel */
function statusLine(panel) {
  const status = el("span", { class: "status" });
  follow(panel, ["status"], () => { status.textContent = panel.model.get("status"); });
  return el("footer", { role: "presentation" }, status);
}

/** Draws a view and returns its undo. @param {Context} context */
function render(context) {
  const help = { ...INPUT_HELP, ...HELP };
  const resets = "The first layer and channel, nothing sent back, and every setting as this panel began";
  const words = { title: "LayerExplorer", file: "layers", keys: TOLD, help, sliders: ["boost", "gamma"], resets };
  return panel(context, words, (panel) => {
    const { model, signal, view } = panel, layers = layersColumn(panel), panes = explorerPanes(panel);
    const middle = stage(panel, panes), classes = likelyClasses(panel), work = progress(panel);
    const passport = unitPassport(panel);
    const acts = actions(panel, layers.list, panes, {
      ...middle, labels: classes.toggle, passport: passport.toggle, part: passport.turn,
    });
    layers.list.list.addEventListener("keydown", (/** @type {KeyboardEvent} */ { key }) => {
      if (key === "Enter") panes.parts.layer.focus();
    });
    /** @typedef {ExplorerFrame & PassportFrame} Frame */
    const paint = painter(panel, (/** @type {Frame} */ frame, pictures) => {
      panes.show(frame, pictures);
      passport.show(frame, pictures.slice(frame.panes.length));
      middle.show();
    });
    const side = el("div", { class: "side" },
      el("div", { class: "seen" }, panes.parts.input.root, classes.root), middle.slots.channel,
      el("div", { class: "sent" }, el("h4", { text: "Sent back" }), backChoice(panel), middle.slots.back));
    const below = el("div", { class: "inspector" }, el("div", { class: "line" }, panes.readout, ...work.parts),
      el("div", { class: "settings" }, ...explorerControls(panel)), panel.sentences,
      el("p", { class: "moves" }, ...FIRST_KEYS.map(([key, what]) =>
        el("span", {}, el("kbd", { text: key }), ` ${what}`))));
    const body = el("div", { class: "body" }, layers.root, middle.root, side, below, passport.root);
    keepHeight(body, signal);
    return {
      inside: [pictureInput(panel, true), body, statusLine(panel)],
      keys: bound(acts), compared: panes.compared, reset: acts.reset,
      show: (/** @type {Frame} */ frame, buffers) => {
        panel.chip(frame.state, stateText(frame.state), "", frame.state === "running" ? progressText(frame) : "");
        work.show(frame);
        if (!frame.format) {
          passport.grow(frame, buffers);
          return tell(model, { type: "drawn", view, frame: frame.frame });
        }
        paint(frame, [...panes.pictures(frame, buffers), ...passport.pictures(frame, buffers)]);
      },
    };
  });
}

export default { render };
