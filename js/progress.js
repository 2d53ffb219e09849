import { button } from "./controls.js";
import { duration, el } from "./shared.js";

/**
 * @import { Panel } from "./panel.js"
 * @typedef {{
 *   state: string, doing: string, done: number, total: number, left: number | null, outdated: boolean,
 * }} Work what a frame says of what is being found out
 */

/** What is being worked on, in words. @param {Omit<Work, "state" | "outdated">} frame */
export function progressText({ doing, done, total, left }) {
  const wait = duration(left);
  return [total ? `${doing} ${done} of ${total}` : doing, wait && `${wait} to go`].filter(Boolean).join(" · ");
}

/** The state as the chip says it. @param {string} state */
export function stateText(state) {
  return { running: "computing", finished: "ready", stopped: "cancelled" }[state] ?? state;
}

/** How far the work is, and a way to end it. @param {Panel} panel */
export function progress({ request }) {
  const cancel = () => request({ type: "cancel" }), words = el("span", { class: "words" }), bar = el("i", {});
  const track = el("div", { class: "track", role: "progressbar", "aria-label": "Progress", "aria-valuemin": 0 }, bar);
  const working = el("div", { class: "working kept" }, words, track, button("Cancel", cancel));
  const again = button("", () => request({ type: "play" }), { hidden: true });
  let busy = false, timer = 0;
  // What is done at once shows no progress.
  const later = () => { timer = window.setTimeout(() => { working.classList.toggle("kept", !busy); }, 300); };
  const show = (/** @type {Work} */ frame) => {
    const before = busy, total = Math.max(frame.total, 1);
    busy = frame.state === "running";
    if (busy && !before) later();
    if (!busy) { clearTimeout(timer); working.classList.add("kept"); }
    again.hidden = frame.state !== "stopped" && frame.state !== "error" && !frame.outdated;
    again.textContent = frame.outdated ? "Compute again" : frame.state === "error" ? "Try again" : "Compute";
    words.textContent = progressText(frame);
    bar.style.width = `${(100 * frame.done) / total}%`;
    track.setAttribute("aria-valuemax", String(total));
    track.setAttribute("aria-valuenow", String(frame.done));
  };
  return { parts: [working, again], show, cancel: () => { if (busy) cancel(); } };
}
