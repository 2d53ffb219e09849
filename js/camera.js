import { button } from "./controls.js";
import { asJpeg } from "./pictures.js";
import { el } from "./shared.js";

/**
 * @import { Panel } from "./panel.js"
 * @import { Asked, Take } from "./inputs.js"
 */

/** Longer side of a live picture, pixels: a network sees no more of it, and it comes sooner. */
const LIVE = 512;

/** @type {Record<string, string>} */
const REFUSALS = {
  NotAllowedError: "The browser was not allowed to use the camera: allow it for this page, and try again.",
  NotFoundError: "There is no camera.",
  NotReadableError: "The camera cannot be used now: another program may be using it.",
};
const NOWHERE = "A page gets the camera only where the browser trusts it: over https, or on localhost.";
const GONE = "The camera is gone: it was unplugged, or is no longer allowed.";

/** Why there is no picture of the camera. @param {{name: string, message: string}} error */
export function refusal({ name, message }) {
  return REFUSALS[name] ?? (message === NOWHERE ? NOWHERE : `The camera cannot be used: ${message || name}.`);
}

/**
 * The size of a picture whose longer side is at most so long.
 * @param {number} height @param {number} width @param {number} longest
 */
function within(height, width, longest) {
  const scale = Math.min(1, longest / Math.max(height, width));
  return { height: Math.round(height * scale), width: Math.round(width * scale) };
}

/** Resolves once the widget does not compute. @param {Panel["model"]} model */
function rested(model) {
  return new Promise((/** @type {(none: void) => void} */ resolve) => {
    const look = () => {
      if (model.get("state") === "running") return;
      model.off("change:state", look);
      resolve();
    };
    model.on("change:state", look);
    look();
  });
}

/**
 * A picture of what a video element shows.
 * @param {HTMLVideoElement} video @param {number} longest pixels of its longer side, at most
 */
function photographed(video, longest) {
  const canvas = el("canvas", within(video.videoHeight, video.videoWidth, longest));
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  return asJpeg(canvas, 0.92);
}

/**
 * What comes from a video element: one picture, or, where the widget can follow, one after the other.
 * @typedef {object} Source
 * @property {HTMLVideoElement} video
 * @property {string} name of what it shows
 * @property {{going: string, freeze: string, close: string, hint: string}} words on the buttons
 * @property {() => Asked} asked what the kernel is told with a picture
 * @property {(goes: boolean) => unknown} plays is called as it begins to go on, and as it is frozen
 * @property {() => void} stop lets go of what is shown
 * @property {boolean} passes whether it is closed once a picture was taken, and goes on only where the widget follows
 * @property {HTMLElement[]} parts what else is shown
 * @param {Panel["model"]} model @param {Source} source @param {Take} take @param {boolean} live
 */
export function viewer(model, source, take, live) {
  const { video, words } = source;
  let on = false;
  const send = async (/** @type {number} */ longest) => take(source.asked(), await photographed(video, longest));
  const once = async () => {
    const sent = send(Infinity);
    if (source.passes) close();
    await sent;
  };
  // The next picture is taken once the one before is shown, so that none of them is ever old.
  const run = async () => {
    set(true);
    await source.plays(true);
    while (on && live) {
      await send(LIVE);
      await rested(model);
      await new Promise(requestAnimationFrame);
    }
  };
  const shoot = button("Take the picture", once, { class: "primary" });
  const going = button(words.going, run, { title: words.hint });
  const freeze = button(words.freeze, () => set(false), { class: "primary", title: "Keep the picture that is shown" });
  const root = el("div", { class: "camera", role: "group", "aria-label": source.name, hidden: true }, video,
    el("div", { class: "buttons" }, ...source.parts, shoot, freeze, going, button(words.close, () => close())));
  const set = (/** @type {boolean} */ goes) => {
    const focused = root.matches(":focus-within") && goes !== on;
    if (on && !goes) source.plays(false);
    on = goes;
    [shoot.hidden, going.hidden, freeze.hidden] = [on, on || (source.passes && !live), !on];
    if (focused) (on ? freeze : source.passes ? shoot : going).focus();
  };
  const close = () => {
    source.stop();
    set(false);
    root.hidden = true;
  };
  const open = () => {
    root.hidden = false;
    (source.passes ? shoot : going).focus();
  };
  set(false);
  /** Sends what is shown now, unless it goes on anyway. */
  const now = async () => { if (live && !on && !root.hidden) await send(LIVE); };
  return { root, open, close, now, freeze: () => set(false) };
}

/**
 * The camera: what it sees, one picture of it, and, where the widget can follow, one after the other.
 * @param {Panel} panel @param {(sentence: string) => void} complain @param {Take} take @param {boolean} live
 */
export function camera({ model, signal }, complain, take, live) {
  let /** @type {MediaStream | null} */ stream = null;
  const video = el("video", { playsinline: true, "aria-label": "What the camera sees" });
  video.muted = true;
  const stop = () => {
    stream?.getTracks().forEach((track) => track.stop());
    [stream, video.srcObject] = [null, null];
  };
  const start = async () => {
    if (!navigator.mediaDevices) throw new Error(NOWHERE);
    const found = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 } } });
    stop();
    stream = video.srcObject = found;
    if (signal.aborted) return stop();
    found.getVideoTracks()[0].addEventListener("ended", () => { sight.close(); complain(GONE); });
    await video.play();
  };
  const sight = viewer(model, {
    video, name: "Camera", passes: true, parts: [], stop, plays: () => {}, asked: () => ({ way: "camera", name: "" }),
    words: {
      going: "Live", freeze: "Freeze", close: "Close the camera",
      hint: "The network sees what the camera sees, picture after picture",
    },
  }, take, live);
  const open = async () => {
    complain("");
    try {
      await start();
      sight.open();
    } catch (error) {
      sight.close();
      complain(refusal(/** @type {Error} */ (error)));
    }
  };
  signal.addEventListener("abort", stop);
  return { root: sight.root, open, close: sight.close };
}
