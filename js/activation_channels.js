import { axisText, histogram, readBars, span } from "./activation_bars.js";
import { button, choice, pager, select, toggle } from "./controls.js";
import { el, follow, labelled, put } from "./shared.js";

/**
 * @import { Axis } from "./activation_bars.js"
 * @import { Panel } from "./panel.js"
 * @typedef {{channel: number, dead: boolean, saturated: boolean, text: string}} ChannelRow
 * @typedef {{
 *   layer: string, line: string, channels: ChannelRow[], first: number, of: number, figure: string, axes: Axis[],
 * }} ChannelPage `first` is the place of the first one among all that are listed, `of` how many these are
 */

/** @type {Record<string, string>} */
export const HELP = {
  Sort: "In which order the channels stand",
  Of: "Histograms and correlation of the activations over the data set, or of the layer's own weights",
  "Log counts": "Bars as high as the logarithms of their counts, so that rare values show",
  "One axis": "All histograms on the axis of the layer; otherwise each on its own",
  Search: "Channels such as 3, 8-11, or dead, saturated, alive",
};
const named = labelled(HELP);

/** What stands below a channel's histogram. @param {ChannelRow} row */
export function caption({ dead, text }) {
  return dead ? "dead" : text;
}

/** Which channels of how many. @param {Pick<ChannelPage, "first" | "channels" | "of">} page */
export function pageText({ first, channels, of }) {
  if (!of) return "no channel answers";
  if (channels.length === of) return `${of} channel${of === 1 ? "" : "s"}`;
  return `${first + 1} – ${first + channels.length} of ${of}`;
}

/**
 * Whether there is a page on that way.
 * @param {Pick<ChannelPage, "first" | "channels" | "of">} page @param {number} way 1 on, −1 back
 */
export function hasPage({ first, channels, of }, way) {
  return way < 0 ? first > 0 : first + channels.length < of;
}

/** A channel on the page. @param {(channel: number) => void} pick */
function channelTile(pick) {
  /** @type {ChannelRow | null} */ let row = null;
  const picture = histogram(), number = el("b", {}), text = el("span", {}), unseen = el("span", { class: "unseen" });
  const root = button("", () => { if (row) pick(row.channel); });
  root.append(picture.root, el("span", { class: "words" }, el("span", { class: "unseen", text: "Channel " }), number, unseen, text));
  /** @param {ChannelRow} next @param {string} figure @param {boolean} now */
  const show = (next, figure, now) => {
    row = next;
    number.textContent = String(next.channel);
    text.textContent = caption(next);
    root.className = next.dead ? "dead" : next.saturated ? "saturated" : "";
    root.dataset.channel = String(next.channel);
    root.setAttribute("aria-pressed", String(now));
    unseen.textContent = next.dead ? ", " : `, ${figure} `;
    root.title = `Channel ${next.channel}: ${next.dead ? "dead" : `${figure} ${next.text}`}`;
  };
  return { root, picture, show };
}

/** The channels of a layer, a page at a time. @param {Panel} panel */
export function channelGrid(panel) {
  const { model } = panel, grid = el("div", { class: "tiles", role: "group", "aria-label": "Channels" });
  /** @type {ChannelPage | null} */ let page = null;
  /** @type {any[]} */ let data = [];
  let waiting = "";
  const /** @type {ReturnType<typeof channelTile>[]} */ tiles = [];
  const pick = (/** @type {number} */ channel) => put(model, { channel: model.get("channel") === channel ? null : channel });
  const name = el("code", {}), line = el("span", { class: "quiet" });
  const turn = (/** @type {number} */ way) => {
    if (page && hasPage(page, way)) put(model, { page: model.get("page") + way });
  };
  const pages = pager(turn);
  const empty = el("p", { class: "hint empty" });
  const draw = () => {
    if (!page) return;
    const { channels, axes, figure } = page, log = model.get("log"), bars = readBars(axes, data);
    const common = model.get("common_axis") ? span(bars.flat()) : null;
    while (tiles.length < channels.length) tiles.push(channelTile(pick));
    if (grid.children.length !== channels.length) {
      grid.replaceChildren(...tiles.slice(0, channels.length).map(({ root }) => root));
    }
    channels.forEach((row, at) => {
      tiles[at].show(row, figure, row.channel === model.get("channel"));
      tiles[at].picture.show(bars[at] ?? [], common ?? span(bars[at] ?? []), log);
    });
    [name.textContent, line.textContent] = [page.layer, page.line];
    pages.show(page.layer && pageText(page), !hasPage(page, -1), !hasPage(page, 1));
    empty.hidden = channels.length > 0;
    empty.textContent = page.layer ? "No channel answers the search." : waiting || "Nothing is collected yet: press Collect.";
    grid.dataset.span = common ? common.map(axisText).join(" … ") : "";
  };
  follow(panel, ["channel", "log", "common_axis"], draw);
  /** @param {ChannelPage} next @param {any[]} buffers @param {string} instead what is being done, if that is all */
  const show = (next, buffers, instead) => { [page, data, waiting] = [next, buffers, instead]; draw(); };
  const heading = el("div", { class: "heading" }, el("h4", { text: "Channels" }), name, line);
  const root = el("section", { class: "channels" }, heading, controls(panel), grid, empty, pages.root);
  return { root, show, turn };
}

/** How the channels are sorted, searched and drawn. @param {Panel} panel */
function controls(panel) {
  const { model, signal } = panel;
  const sorts = () => /** @type {{name: string, label: string}[]} */ (model.get("sorts"));
  const sort = select(panel, "sort", named("Sort"),
    () => [["", sorts().map(({ name, label }) => [name, label])]], "sorts");
  const of = choice(named("Of"), [["activations", "Activations"], ["weights", "Weights"]],
    () => model.get("values"), (value) => put(model, { values: value }));
  const field = el("input", {
    type: "text", class: "search", placeholder: "3, 8-11, dead", "aria-label": "Search channels", title: HELP.Search,
    spellcheck: "false", onchange: () => commit(),
    onkeydown: (/** @type {KeyboardEvent} */ event) => { if (event.key === "Enter") commit(); },
  });
  const commit = () => { if (!signal.aborted && field.value !== model.get("search")) put(model, { search: field.value }); };
  follow(panel, ["search"], () => { field.value = model.get("search"); });
  follow(panel, ["values"], of.show);
  const find = el("div", { class: "row wide" }, el("span", { text: "Search", title: HELP.Search }), field);
  return el("div", { class: "controls" }, of.root, sort, find,
    toggle(panel, "log", named("Log counts"), ""), toggle(panel, "common_axis", named("One axis"), ""));
}
