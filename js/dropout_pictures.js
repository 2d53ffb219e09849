import { button } from "./controls.js";
import { figure, gallery, picture } from "./pictures.js";
import { el, follow, put, short } from "./shared.js";

/**
 * @import { Panel } from "./panel.js"
 * @import { Picture } from "./pictures.js"
 * @typedef {{label: string, clean: number, noisy: number, corrupted: number}} Answer probabilities, 0 to 1
 * @typedef {{
 *   type: "frame", frame: number, rev: number, format: "" | "jpeg" | "png", state: string, step: number, total: number,
 *   rate: number | null, left: number | null, curve: [number, number][], tolerance: number,
 *   loss: number[], converged: boolean[], levels: (number | null)[], shown: number,
 *   factor: number, low: number, high: number, pictures: Partial<Pictures<number>>,
 * }} InversionFrame
 * A row is one sample: its loss, whether that is within the tolerance, and the p it was dropped with (null for the
 * network's own); `shown` is the row whose pictures are large.
 */

/**
 * @template T
 * @typedef {{original: T, corrupted: T, difference: T, mask: T, strip: T[]}} Pictures
 */

/**
 * The likeliest class and how likely it is.
 * @param {Answer[]} answers @param {"clean" | "noisy" | "corrupted"} which
 */
export function likeliest(answers, which) {
  const [first] = [...answers].sort((a, b) => b[which] - a[which]);
  return first ? `${first.label} ${first[which].toFixed(2)}` : "";
}

/** From the lowest to the highest value. @param {number} low @param {number} high */
export function rangeText(low, high) {
  return `${short(low)} … ${short(high)}`.replaceAll("-", "−");
}

/** How far a difference is amplified. @param {number} factor */
export function factorText(factor) {
  return `× ${factor >= 100 ? Math.round(factor) : Number(factor.toPrecision(2))}`;
}

/**
 * What stands below a row of the strip: its name and its loss.
 * @param {Pick<InversionFrame, "loss" | "converged" | "levels">} frame @param {number} row @param {boolean} sweep
 */
export function rowTexts({ loss, converged, levels }, row, sweep) {
  return [sweep ? `p ${levels[row]}` : `sample ${row + 1}`, `${short(loss[row])}${converged[row] ? " ✓" : ""}`];
}

/** The three pictures side by side. @param {Panel} panel */
export function dropoutPictures(panel) {
  const { model, signal } = panel;
  const parts = ["Original", "Corrupted", "Difference"].map((name) => {
    const part = figure(signal, 1);
    [part.title.textContent, part.instead.textContent] = [name, "not yet"];
    part.place.canvas.setAttribute("aria-label", name);
    part.place.canvas.dataset.picture = name.toLowerCase();
    return part;
  });
  const [original, corrupted, difference] = parts;
  follow(panel, ["size"], () => parts.forEach(({ place }) => place.reshape(model.get("size"))));
  follow(panel, ["predictions"], () => {
    const answers = model.get("predictions");
    original.sub.textContent = likeliest(answers, "clean");
    corrupted.sub.textContent = likeliest(answers, "corrupted");
  });
  /** @param {InversionFrame} frame @param {(ImageBitmap | null)[]} shown a null one stays as it is */
  const show = (frame, shown) => {
    parts.forEach(({ place, instead }, at) => {
      if (at && !frame.step) { place.show(null); instead.hidden = false; }
      if (shown[at]) { place.show(shown[at]); instead.hidden = true; }
      Object.assign(place.canvas.dataset, { frame: frame.frame, rev: frame.rev, format: frame.format });
    });
    const { title, sub, place: { canvas }, instead: { hidden: there } } = difference;
    title.textContent = there ? `Difference ${factorText(frame.factor)}` : "Difference";
    sub.textContent = there ? rangeText(frame.low, frame.high) : "";
    if (there) canvas.setAttribute("aria-label", title.textContent ?? "");
  };
  const compared = { original: { now: original.place.now }, places: () => [corrupted.place, difference.place] };
  pressForOriginal(corrupted.place, original.place.now);
  return { root: el("div", { class: "pictures" }, ...parts.map(({ root }) => root)), show, compared };
}

/**
 * Shows the original in the corrupted picture's place while the mouse or Enter is held on it.
 * @param {Picture} corrupted @param {() => ImageBitmap | null} original
 */
function pressForOriginal({ root, canvas, instead }, original) {
  let pressed = false;
  const hold = () => { pressed = true; instead(original); };
  const end = () => { if (pressed) instead(null); pressed = false; };
  canvas.title = "Hold to see the original here";
  // What is magnified is moved by a press.
  root.addEventListener("pointerdown", () => { if (!root.matches(".magnified")) hold(); });
  for (const ends of ["pointerup", "pointerleave", "pointercancel"]) root.addEventListener(ends, end);
  canvas.addEventListener("keydown", (/** @type {KeyboardEvent} */ { key }) => { if (key === "Enter") hold(); });
  canvas.addEventListener("keyup", (/** @type {KeyboardEvent} */ { key }) => { if (key === "Enter") end(); });
  canvas.addEventListener("blur", end);
}

/** One of the strip, a button. @param {Panel} panel @param {() => void} pick */
function sample({ model, signal }, pick) {
  const place = picture(signal, 1), texts = [el("span", {}), el("span", { class: "loss" })];
  for (const name of ["tabindex", "role"]) place.canvas.removeAttribute(name);
  place.reshape(model.get("size"));
  const root = button("", pick);
  root.append(place.root, ...texts);
  return { root, place, texts, focus: () => root.focus() };
}

/** The samples, or the sweep's pictures, small; a click makes one large. @param {Panel} panel */
export function sampleStrip(panel) {
  const { model } = panel;
  const onkeydown = (/** @type {KeyboardEvent} */ event) => {
    const way = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const next = way && rows[rows.findIndex((row) => row.root === event.target) + way];
    if (!next) return;
    event.preventDefault();
    next.focus();
    next.root.click();
  };
  const root = el("div", { class: "strip", role: "group", hidden: true, onkeydown });
  const { parts: rows, fit } = gallery(root, (row) => sample(panel, () => put(model, { sample: row })));
  follow(panel, ["size"], () => rows.forEach(({ place }) => place.reshape(model.get("size"))));
  /** @param {InversionFrame} frame @param {(ImageBitmap | null)[]} shown a null one stays as it is */
  const show = (frame, shown) => {
    const sweep = model.get("sweep");
    fit(frame.levels.length);
    root.hidden = rows.length < 2;
    root.setAttribute("aria-label", sweep ? "The sweep of p" : "Samples");
    rows.forEach(({ root, place, texts }, row) => {
      root.setAttribute("aria-pressed", String(row === frame.shown));
      rowTexts(frame, row, sweep).forEach((text, at) => { texts[at].textContent = text; });
      root.title = `Loss${frame.converged[row] ? ", within the tolerance" : ""}; click to see it large`;
      root.classList.toggle("arrived", Boolean(frame.converged[row]));
      if (shown[row]) place.show(shown[row]);
    });
  };
  return { root, show };
}
