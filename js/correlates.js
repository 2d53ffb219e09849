import { button } from "./controls.js";
import { el, put } from "./shared.js";

/** @import { Panel } from "./panel.js" */

// The channels that go together with one, as buttons that lead there.

/** A correlation as a reader writes it. @param {number} r */
export function correlationText(r) {
  return r.toFixed(2).replace("-", "−");
}

/** The channels that one goes together with most. @param {Panel} panel */
export function correlates(panel) {
  const root = el("div", { class: "mates" });
  /** @param {[number, number][]} found channel and r of each */
  const show = (found) => root.replaceChildren(...found.map(([channel, r]) => mate(panel, channel, r)));
  return { root, show };
}

/** A channel that goes together with the chosen one. @param {Panel} panel @param {number} channel @param {number} r */
function mate({ model }, channel, r) {
  const text = correlationText(r), act = button("", () => put(model, { channel }), {
    title: `Go to channel ${channel}`, class: r < 0 ? "against" : "",
  });
  const unseen = (/** @type {string} */ said) => el("span", { class: "unseen", text: said });
  act.append(unseen("Channel "), el("b", { text: String(channel) }), unseen(", r = "), el("span", { text }));
  act.style.setProperty("--share", `${100 * Math.abs(r)}%`);
  return act;
}
