import { viewer } from "./camera.js";
import { counter } from "./controls.js";
import { el } from "./shared.js";

/**
 * @import { Panel } from "./panel.js"
 * @import { Take } from "./inputs.js"
 */

// A video file, which the browser plays: the kernel is sent pictures of it, as it is of the camera.

/** Steps of the slider in a second. */
const STEPS = 100;

/** A time in a video. @param {number} seconds */
export function timeText(seconds) {
  const whole = Math.floor(seconds * 10 + 1e-6) / 10, minutes = Math.floor(whole / 60);
  return `${minutes}:${(whole - 60 * minutes).toFixed(1).padStart(4, "0")}`;
}

/** @param {HTMLVideoElement} video @param {string} event @returns {Promise<void>} once it has happened */
function happened(video, event) {
  const over = new AbortController(), { signal } = over;
  return new Promise((/** @type {(none: void) => void} */ resolve, reject) => {
    video.addEventListener(event, () => resolve(), { signal });
    video.addEventListener("error", () => reject(video.error), { signal });
  }).finally(() => over.abort());
}

/** Goes to a time, over once its picture can be drawn. @param {HTMLVideoElement} video @param {number} time seconds */
async function wind(video, time) {
  if (time === video.currentTime) return; // there would be no new picture to wait for
  const there = happened(video, "seeked");
  const drawn = new Promise((resolve) => {
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(resolve);
    else resolve(null); // an older browser
  });
  video.currentTime = time;
  await there;
  await drawn; // until then it is the one before, or none
}

/**
 * Over once the first picture can be drawn, which is not yet so when it is said to be loaded.
 * @param {HTMLVideoElement} video
 */
async function begun(video) {
  const context = el("canvas", { width: 1, height: 1 }).getContext("2d");
  do {
    await new Promise(requestAnimationFrame);
    context.drawImage(video, 0, 0, 1, 1);
  } while (video.src && !context.getImageData(0, 0, 1, 1).data[3]);
}

/**
 * A video file: played, frozen and wound, with the network following where the widget can.
 * @param {Panel} panel @param {(sentence: string) => void} complain @param {Take} take @param {boolean} live
 */
export function film({ model, signal }, complain, take, live) {
  let address = "", name = "";
  const video = el("video", { playsinline: true, "aria-label": "The video" });
  video.muted = true;
  const time = el("output", { class: "quiet" });
  const where = counter(el("span", { text: "Time" }), time, { "aria-label": "Time in the video" }, (step) => {
    wind(video, step / STEPS).then(sight.now, () => {}); // what is wrong with it is said below
  });
  const tell = () => {
    if (!address) return; // it was closed
    where.show(Math.round(video.currentTime * STEPS), Math.round(video.duration * STEPS));
    const [now, end] = [video.currentTime, video.duration].map(timeText);
    time.textContent = `${now} / ${end}`;
    where.range.setAttribute("aria-valuetext", `${now} of ${end}`);
  };
  where.root.classList.add("time");
  for (const event of ["timeupdate", "seeked", "durationchange"]) video.addEventListener(event, tell);
  const stop = () => {
    video.pause();
    video.removeAttribute("src");
    video.load(); // lets go of the file
    URL.revokeObjectURL(address);
    address = "";
  };
  const sight = viewer(model, {
    video, name: "Video", passes: false, parts: [where.root], stop,
    plays: (goes) => (goes ? video.play().catch(() => {}) : video.pause()), // it may be frozen before it begins
    asked: () => ({ way: "video", name: `${name}, ${timeText(video.currentTime)}` }),
    words: {
      going: "Play the video", freeze: live ? "Freeze" : "Pause the video", close: "Close the video",
      hint: live ? "The network sees the video, picture after picture" : "Plays on to the picture to take",
    },
  }, take, live);
  video.addEventListener("ended", sight.freeze);
  const fail = () => {
    if (!address) return;
    sight.close();
    complain(`${name} is no video that this browser plays: MP4 and WebM usually are.`);
  };
  video.addEventListener("error", fail);
  const open = async (/** @type {File} */ file) => {
    complain("");
    sight.close();
    [address, name] = [URL.createObjectURL(file), file.name];
    try {
      const loaded = happened(video, "loadeddata");
      video.src = address;
      await loaded;
      // What a browser recorded tells its length at its end alone.
      if (!Number.isFinite(video.duration)) await wind(video, Number.MAX_SAFE_INTEGER);
      await wind(video, 0);
    } catch {
      return fail();
    }
    if (signal.aborted) return stop();
    tell();
    sight.open();
    await begun(video);
    await sight.now();
  };
  signal.addEventListener("abort", stop);
  return { root: sight.root, open, close: sight.close };
}
