import { axisText, histogram, readBars, span } from "./activation_bars.js";
import { patchSheet } from "./activation_patches.js";
import { button } from "./controls.js";
import { correlates } from "./correlates.js";
import { el, follow, put } from "./shared.js";

/**
 * @import { Axis, Bars } from "./activation_bars.js"
 * @import { Patch } from "./activation_patches.js"
 * @import { Panel } from "./panel.js"
 * @typedef {{
 *   channel: number, dead: boolean, facts: [string, string][], axes: Axis[], correlates: [number, number][],
 *   patches: Patch[], patch_note: string, patch_key: string,
 * }} Chosen
 */

/** The channel that was picked: its histogram, its figures, what it answers to, and what goes with it. @param {Panel} panel */
export function chosenChannel(panel) {
  const { model } = panel, large = histogram(), low = el("span", {}), high = el("span", {});
  const facts = el("dl", { class: "facts" }), title = el("h4", {}), mates = correlates(panel);
  const close = button("×", () => put(model, { channel: null }), {
    class: "round", "aria-label": "Close the channel", title: "Back to all channels",
  });
  const seen = patchSheet(panel), about = el("p", { class: "hint" });
  large.root.removeAttribute("aria-hidden");
  large.root.setAttribute("role", "img");
  const root = el("section", { class: "chosen", hidden: true },
    el("div", { class: "heading" }, title, close),
    el("div", { class: "large" }, el("div", {}, large.root, el("div", { class: "ends" }, low, high)), facts),
    seen.root, el("div", { class: "together" }, about, mates.root));
  /** @type {Chosen | null} */ let now = null;
  /** @type {Bars[]} */ let bars = [];
  const draw = () => {
    const between = span(bars);
    large.show(bars, between, model.get("log"));
    [low.textContent, high.textContent] = between.map(axisText);
    large.root.setAttribute("aria-label", `Histogram of channel ${now?.channel} from ${low.textContent} to `
      + `${high.textContent}${bars[1] ? ", with that of before as a line" : ""}`);
  };
  follow(panel, ["log"], draw);
  /** @param {Chosen | null} next @param {any[]} buffers @param {string} waiting */
  const show = (next, buffers, waiting) => {
    now = next;
    root.hidden = !next;
    if (!next) return;
    title.textContent = `Channel ${next.channel}${next.dead ? " · dead" : ""}`;
    root.classList.toggle("dead", next.dead);
    bars = readBars(next.axes, buffers)[0] ?? [];
    draw();
    facts.replaceChildren(...next.facts.flatMap(([name, text]) => [el("dt", { text: name }), el("dd", { text })]));
    seen.show(next, waiting);
    about.textContent = next.correlates.length ? "Goes together most with" : "";
    mates.show(next.correlates);
  };
  return { root, show };
}
