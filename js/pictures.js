import { bytes, el, tell } from "./shared.js";
import { zoomable } from "./zoom.js";

/**
 * @import { Panel } from "./panel.js"
 * @typedef {ReturnType<typeof picture>} Picture
 */

// Places for pictures, and how frames come to them.

/**
 * A place for a picture, which is painted at the screen's own resolution.
 * @param {AbortSignal} signal @param {number} ratio width to height
 * @param {number} [sharp] how many times it has to be magnified to show its pixels
 */
export function picture(signal, ratio, sharp = Infinity) {
  const canvas = el("canvas", { role: "img", tabindex: 0 });
  const sheet = el("div", { class: "sheet" }, canvas);
  const root = el("div", { class: "stage", style: `--ratio: ${ratio}` }, sheet);
  /** @type {ImageBitmap | null} */ let shown = null;
  /** @type {(() => ImageBitmap | null) | null} */ let other = null;
  /** @type {{width: number, height: number} | null} */ let size = null;
  const draw = () => {
    if (!shown) return;
    // To ask an element for its size lays the page out each time, so the size is kept from one change to the next.
    const { width, height } = size ?? { width: canvas.clientWidth, height: canvas.clientHeight };
    if (!width) return;
    const bitmap = other?.() ?? shown;
    const wide = Math.round(width * devicePixelRatio);
    // The browser enlarges what is magnified: that takes no memory for what is out of sight.
    const magnified = root.matches(".magnified"), crisp = magnified && wide >= bitmap.width;
    canvas.width = magnified ? bitmap.width : wide;
    canvas.height = magnified ? bitmap.height : Math.round(height * devicePixelRatio);
    canvas.style.imageRendering = crisp ? "pixelated" : "";
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = width < sharp * bitmap.width;
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    root.classList.toggle("original", bitmap !== shown);
  };
  const show = (/** @type {ImageBitmap | null} */ next) => {
    shown?.close();
    shown = next;
    if (!shown) canvas.width = 0;
    draw();
  };
  /** Takes the shape of another picture. @param {[number, number]} size height and width */
  const reshape = ([height, width]) => root.style.setProperty("--ratio", String(width / height));
  const watcher = new ResizeObserver(([{ contentRect }]) => { size = contentRect; draw(); });
  watcher.observe(canvas);
  const close = () => { watcher.disconnect(); shown?.close(); };
  signal.addEventListener("abort", close);
  /** Shows another picture in its place, null for its own again. @param {typeof other} next */
  const instead = (next) => { other = next; draw(); };
  return { root, sheet, canvas, show, reshape, instead, close, now: () => shown };
}

/**
 * A picture with a title and a line below it, and a sentence in its place while there is none.
 * @param {AbortSignal} signal @param {number} ratio width to height @param {number} [sharp] see `picture`
 * @param {boolean} [arrows] see `zoomable`
 */
export function figure(signal, ratio, sharp, arrows) {
  const place = picture(signal, ratio, sharp), instead = el("p", { class: "instead" });
  const reveal = zoomable(place, arrows);
  const title = el("span", { class: "title" }), sub = el("span", { class: "sub" });
  place.root.append(instead);
  return { root: el("figure", {}, place.root, el("figcaption", {}, title, sub)), place, title, sub, instead, reveal };
}

/**
 * As many pictures side by side as are needed; each keeps its elements, whatever it shows, and with them the focus.
 * @template {{root: HTMLElement, place: Picture, focus?(): void}} Part
 * @param {HTMLElement} root @param {(at: number) => Part} make
 */
export function gallery(root, make) {
  const /** @type {Part[]} */ parts = [];
  const fit = (/** @type {number} */ count) => {
    while (parts.length < count) root.append(parts[parts.push(make(parts.length)) - 1].root);
    const spare = parts.splice(count), focused = spare.some((part) => part.root.matches(":focus-within"));
    if (focused) parts.at(-1)?.focus?.();
    for (const part of spare) { part.root.remove(); part.place.close(); }
  };
  return { parts, fit };
}

/**
 * Paints frames: gives each one's pictures, unless a newer one has come, and acknowledges it once it is on screen. The
 * panel's `data-shown` is the state that the pictures are of, which follows the one in words.
 * @template {{frame: number, state: string}} Frame
 * @param {Panel} panel @param {(frame: Frame, pictures: (ImageBitmap | null)[]) => void} paint
 * @returns {(frame: Frame, buffers: (ArrayBuffer | ArrayBufferView | undefined)[]) => Promise<void>}
 */
export function painter({ model, signal, view, root }, paint) {
  let newest = 0;
  return async (frame, buffers) => {
    newest = Math.max(newest, frame.frame);
    try {
      const pictures = await Promise.all(buffers.map((buffer) => buffer ? decoded(buffer) : null));
      if (signal.aborted || frame.frame < newest) pictures.forEach((each) => each?.close());
      else {
        paint(frame, pictures);
        root.dataset.shown = frame.state;
      }
    } finally {
      await onScreen();
      if (!signal.aborted) tell(model, { type: "drawn", view, frame: frame.frame });
    }
  };
}

/**
 * A picture as the kernel sends it: one of few colours begins with 0, a PNG with 0x89, anything else is a JPEG.
 * @param {ArrayBuffer | ArrayBufferView} buffer @returns {ImageBitmap | Promise<ImageBitmap>}
 */
function decoded(buffer) {
  const data = /** @type {any} */ (bytes(buffer));
  if (!data[0]) return bitmapOf(unpacked(data));
  return createImageBitmap(new Blob([data], { type: data[0] === 0x89 ? "image/png" : "image/jpeg" }));
}

/**
 * The pixels of a picture that is a table of colours and their numbers, see `Indexed` in Python.
 * @param {Uint8Array} data
 */
export function unpacked(data) {
  const whole = data.slice(); // numbers of several bytes have to begin where such numbers may
  const [, width, height, count] = new Uint32Array(whole.buffer, 0, 4);
  const colors = new Uint32Array(whole.buffer, 16, count), Numbers = count > 256 ? Uint16Array : Uint8Array;
  const numbers = new Numbers(whole.buffer, 16 + 4 * count, width * height), pixels = new Uint32Array(numbers.length);
  for (let at = 0; at < pixels.length; at++) pixels[at] = colors[numbers[at]];
  return { width, height, pixels: new Uint8ClampedArray(pixels.buffer) };
}

/** At once: to ask `createImageBitmap` takes a turn of the browser's. @param {ReturnType<typeof unpacked>} picture */
function bitmapOf({ width, height, pixels }) {
  const canvas = new OffscreenCanvas(width, height);
  const context = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.putImageData(new ImageData(pixels, width, height), 0, 0);
  return canvas.transferToImageBitmap();
}

/** Resolves when what was drawn is on screen; in a hidden page, which draws nothing, after a second. */
function onScreen() {
  if (document.hidden) return new Promise((resolve) => setTimeout(resolve, 1000));
  return new Promise((resolve) => { requestAnimationFrame(resolve); setTimeout(resolve, 500); });
}

/** @param {HTMLCanvasElement} canvas @param {number} quality 0 to 1 @returns {Promise<Blob>} */
export function asJpeg(canvas, quality) {
  return new Promise((resolve) => canvas.toBlob((blob) => resolve(/** @type {Blob} */ (blob)), "image/jpeg", quality));
}
