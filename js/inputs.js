import { camera } from "./camera.js";
import { choice, row, workingSize } from "./controls.js";
import { film } from "./film.js";
import { LIST_HELP, shortened, walk } from "./picture_list.js";
import { asJpeg } from "./pictures.js";
import { menu } from "./popups.js";
import { ask, el, follow, put } from "./shared.js";

// How a person changes the picture in a panel: photographs that ship, files, the clipboard, the camera, videos, a list.

/**
 * @import { Panel } from "./panel.js"
 * @typedef {(file: File, said?: string) => void} Receive takes a file: a picture, or a video to play
 * @typedef {{way: string, name?: string, place?: number, turn?: number, said?: string}} Asked as the kernel takes it
 * @typedef {(asked: Asked, file?: Blob) => Promise<void>} Take asks for a picture; over once the network was shown it
 */

/** Bytes of a file that go to the kernel as they are: Jupyter's server ends the connection at 10 MiB. */
const MOST_BYTES = 8_000_000;

/** Longer side to which the browser scales a picture that is larger, pixels. */
const LONGEST = 4096;

/** The ways to work on a picture that is not square. */
export const FRAMINGS = ["whole", "crop", "stretch"];

export const INPUT_HELP = {
  Picture: "What the network looks at. A picture or a video can also be dropped on the panel, or a picture pasted.",
  Replaces: "Which picture of the pair the next one takes the place of.",
  Framing: "A picture that is not square: whole, the square in its middle, or stretched to a square.",
  List: LIST_HELP,
};

/**
 * The height and width at which a picture goes to the kernel; null for as it is.
 * @param {number} height @param {number} width @param {number} size bytes
 * @returns {[number, number] | null}
 */
export function reduced(height, width, size) {
  const scale = Math.min(1, LONGEST / Math.max(height, width));
  if (scale === 1 && size <= MOST_BYTES) return null;
  return [Math.max(1, Math.round(height * scale)), Math.max(1, Math.round(width * scale))];
}

/** What the browser has done to a picture. @param {[number, number]} from @param {[number, number]} to */
export function reducedText(from, to) {
  const [before, after] = [from, to].map((size) => size.map((side) => side.toLocaleString("en")).join(" × "));
  if (before === after) return "The browser compressed the file, which is too large to be sent, as a JPEG.";
  return `The browser scaled the picture from ${before} to ${after} pixels before it was sent, as a JPEG.`;
}

/**
 * Has calls wait for each other: while one is under way the newest of those after it waits, and the others are dropped.
 * @template Given @param {(given: Given) => Promise<void>} act must not fail
 * @returns {(given: Given) => Promise<void>} over once it is done, or dropped
 */
export function newestWaits(act) {
  let busy = false, /** @type {{given: Given, done(): void} | null} */ waiting = null;
  const run = async (/** @type {Given} */ given) => {
    busy = true;
    await act(given);
    busy = false;
    if (!waiting) return;
    const { given: next, done } = waiting;
    waiting = null;
    run(next).then(done);
  };
  return (given) => {
    if (!busy) return run(given);
    waiting?.done();
    return new Promise((done) => { waiting = { given, done }; });
  };
}

/**
 * A picture file as the kernel gets it, and what was done to it.
 * @param {Blob} file @returns {Promise<{data: ArrayBuffer, said: string}>}
 */
async function prepared(file) {
  const bitmap = await createImageBitmap(file).catch(() => null);
  if (!bitmap && file.size > MOST_BYTES) {
    throw new Error("The file is larger than 8 MB, and no picture that this browser can make smaller.");
  }
  const size = bitmap && reduced(bitmap.height, bitmap.width, file.size);
  // What the browser cannot read the kernel perhaps can.
  if (!bitmap || !size) return { data: await file.arrayBuffer(), said: "" };
  const said = reducedText([bitmap.height, bitmap.width], size);
  const canvas = el("canvas", { height: size[0], width: size[1] }), context = canvas.getContext("2d");
  context.fillStyle = "#fff"; // what is transparent lies on white, as in the kernel
  context.fillRect(0, 0, size[1], size[0]);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, size[1], size[0]);
  bitmap.close();
  for (const quality of [0.92, 0.8, 0.6]) {
    const blob = await asJpeg(canvas, quality);
    if (blob.size <= MOST_BYTES) return { data: await blob.arrayBuffer(), said };
  }
  throw new Error("The picture is too large to be sent, also as a JPEG of low quality.");
}

/** Asks the kernel for pictures, and says when one is being read and what is wrong with one. @param {Panel} panel */
function taking({ root, model, sentences }) {
  const reading = el("span", { class: "reading", role: "status" });
  const wrong = el("div", { class: "note bad", role: "alert", hidden: true });
  const complain = (/** @type {string} */ sentence) => {
    wrong.hidden = !sentence;
    wrong.textContent = sentence;
    if (sentence) wrong.scrollIntoView({ block: "nearest" });
  };
  const say = (/** @type {string} */ text) => {
    reading.textContent = text;
    root.classList.toggle("reads", Boolean(text));
  };
  const act = newestWaits(async (/** @type {{asked: Asked, file?: Blob}} */ { asked, file }) => {
    complain("");
    const late = setTimeout(() => say("Reading the picture…"), 300);
    try {
      const { data, said } = file ? await prepared(file) : { data: null, said: "" };
      const all = [asked.said, said].filter(Boolean).join(" ");
      await ask(model, { type: "choose", ...asked, said: all }, data ? [data] : []);
    } catch (error) {
      const { message } = /** @type {Error} */ (error);
      // What the network says of a picture stands where all errors do, with its traceback.
      if (message === model.get("error")) sentences.scrollIntoView({ block: "nearest" });
      else complain(message);
    }
    clearTimeout(late);
    say("");
  });
  const /** @type {Take} */ take = (asked, file) => act({ asked, file });
  return { parts: [reading, wrong], complain, take };
}

/**
 * Takes files that are dropped on the panel, and pictures that are pasted.
 * @param {Panel} panel @param {Take} take @param {Receive} receive
 */
function dropsAndPastes({ root }, take, receive) {
  const hint = el("div", { class: "drop", hidden: true }, el("b", { text: "Drop the picture here" }));
  const over = (/** @type {DragEvent} */ event, /** @type {boolean} */ still) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    event.stopPropagation();
    hint.hidden = !still || root.matches(".asleep");
  };
  root.addEventListener("dragenter", (event) => over(event, true));
  root.addEventListener("dragover", (event) => over(event, true));
  hint.addEventListener("dragleave", () => { hint.hidden = true; });
  root.addEventListener("drop", (event) => {
    over(event, false);
    const [file, ...more] = event.dataTransfer?.files ?? [];
    if (!file || root.matches(".asleep")) return;
    receive(file, more.length ? `One picture is shown at a time: ${file.name} of ${more.length + 1} files.` : "");
  });
  root.addEventListener("paste", (event) => {
    const file = [...event.clipboardData?.files ?? []].find(({ type }) => type.startsWith("image/"));
    if (!file) return;
    event.preventDefault();
    event.stopPropagation();
    take({ way: "pasted", name: "" }, file);
  });
  return hint;
}

/** Which picture of a pair is changed; nothing for single ones. @param {Panel} panel */
function replaced(panel) {
  const { model } = panel, set = (/** @type {string} */ to) => put(model, { replaces: to });
  const which = choice(["Replaces", INPUT_HELP.Replaces], [["first", "First"], ["second", "Second"]],
    () => model.get("replaces"), set);
  which.root.classList.add("replaces");
  follow(panel, ["replaces", "_pairs"], () => {
    which.show();
    which.root.hidden = !model.get("_pairs");
  });
  return which.root;
}

/** How a picture that is not square is shown to the network; nothing for a square one. @param {Panel} panel */
function framed(panel) {
  const { model } = panel, set = (/** @type {string} */ to) => put(model, { framing: to });
  const which = choice(["Framing", INPUT_HELP.Framing], FRAMINGS.map((name) => [name, name[0].toUpperCase() + name.slice(1)]),
    () => model.get("framing"), set);
  which.root.classList.add("framing");
  follow(panel, ["framing", "_oblong"], () => {
    which.show();
    which.root.hidden = !model.get("_oblong");
  });
  return which.root;
}

/**
 * What can be chosen, behind the name of what is shown.
 * @param {Panel} panel @param {Take} take @param {Receive} receive @param {() => void} photograph
 */
function pictureMenu({ model, signal }, take, receive, photograph) {
  const named = { accept: "image/*,video/*", "aria-label": "Picture or video file" };
  const file = el("input", { type: "file", hidden: true, ...named, onchange: () => {
    const [chosen] = file.files;
    if (chosen) receive(chosen);
    file.value = ""; // or the same file could not be opened again
  } });
  const shipped = (/** @type {string} */ name) =>
    /** @type {[string, () => void]} */ ([name, () => take({ way: "photograph", name })]);
  const /** @type {string[]} */ names = model.get("_photographs");
  const { root, opener } = menu("", INPUT_HELP.Picture, signal, [
    ["Open a file…", () => file.click(), "or drop or paste it"], ["Use the camera…", photograph],
  ], names.length ? [["Photographs", names.map(shipped)]] : []);
  root.append(file);
  const show = () => {
    opener.textContent = shortened(model.get("picture"));
    opener.setAttribute("aria-label", `Picture: ${model.get("picture")}`);
  };
  return { root, show };
}

/**
 * What a person changes the picture with, and the size at which a large one is worked on.
 * @param {Panel} panel @param {boolean} [live] whether the camera's pictures can come one after the other
 */
export function pictureInput(panel, live = false) {
  const { parts: [reading, wrong], complain, take } = taking(panel);
  const cam = camera(panel, complain, take, live), video = film(panel, complain, take, live);
  const close = () => { cam.close(); video.close(); };
  const /** @type {Take} */ instead = (asked, file) => { close(); return take(asked, file); };
  const /** @type {Receive} */ receive = (file, said = "") => {
    if (!file.type.startsWith("video/")) return instead({ way: "opened", name: file.name, said }, file);
    close();
    video.open(file);
  };
  const which = pictureMenu(panel, instead, receive, () => { close(); cam.open(); });
  follow(panel, ["picture"], which.show);
  return el("div", { class: "inputs" },
    row(["Picture", INPUT_HELP.Picture], "", el("div", { class: "chosen" }, which.root, reading)),
    replaced(panel), framed(panel), walk(panel, instead), wrong, cam.root, video.root, workingSize(panel),
    dropsAndPastes(panel, instead, receive));
}
