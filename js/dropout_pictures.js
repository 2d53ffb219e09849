import { picture } from "./panel.js";
import { el, follow, put, short } from "./shared.js";

/**
 * @typedef {import("./panel.js").Panel} Panel
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
export function dropoutPictures({ model, signal }) {
  const parts = ["Original", "Corrupted", "Difference"].map((name) => {
    const place = picture(signal, 1), sub = el("span", { class: "sub" });
    const title = el("span", { text: name }), not = el("p", { class: "instead", text: "not yet" });
    place.root.append(not);
    place.canvas.setAttribute("aria-label", name);
    place.canvas.dataset.picture = name.toLowerCase();
    const root = el("figure", {}, place.root, el("figcaption", {}, title, sub));
    return { root, place, title, sub, not };
  });
  const [original, corrupted, difference] = parts;
  follow(model, signal, ["size"], () => parts.forEach(({ place }) => place.reshape(model.get("size"))));
  follow(model, signal, ["predictions"], () => {
    const answers = model.get("predictions");
    original.sub.textContent = likeliest(answers, "clean");
    corrupted.sub.textContent = likeliest(answers, "corrupted");
  });
  /** @param {InversionFrame} frame @param {(ImageBitmap | null)[]} shown a null one stays as it is */
  const show = (frame, shown) => {
    parts.forEach(({ place, not }, at) => {
      if (at && !frame.step) { place.show(null); not.hidden = false; }
      if (shown[at]) { place.show(shown[at]); not.hidden = true; }
      Object.assign(place.canvas.dataset, { frame: frame.frame, rev: frame.rev, format: frame.format });
    });
    if (!difference.not.hidden) {
      difference.title.textContent = "Difference";
      difference.sub.textContent = "";
      return;
    }
    difference.title.textContent = `Difference ${factorText(frame.factor)}`;
    difference.sub.textContent = rangeText(frame.low, frame.high);
    difference.place.canvas.setAttribute("aria-label", difference.title.textContent);
  };
  holdToCompare(corrupted, original.place.canvas);
  return { root: el("div", { class: "pictures" }, ...parts.map(({ root }) => root)), show };
}

/**
 * Shows the original in the corrupted picture's place while the mouse or Enter is held on it.
 * @param {{place: ReturnType<typeof picture>, title: HTMLElement}} corrupted @param {HTMLCanvasElement} original
 */
function holdToCompare({ place: { root, canvas }, title }, original) {
  const over = el("canvas", { hidden: true, "aria-hidden": "true" });
  /** @param {boolean} held */
  const hold = (held) => {
    if (held === !over.hidden) return;
    Object.assign(over, { width: original.width, height: original.height, hidden: !held });
    over.getContext("2d").drawImage(original, 0, 0);
    title.textContent = held ? "Original" : "Corrupted";
  };
  root.append(over);
  canvas.title = "Hold to see the original here";
  root.addEventListener("pointerdown", () => hold(true));
  for (const ends of ["pointerup", "pointerleave", "pointercancel"]) root.addEventListener(ends, () => hold(false));
  const key = (/** @type {KeyboardEvent} */ event) => { if (event.key === "Enter") hold(true); };
  canvas.addEventListener("keydown", key);
  for (const ends of ["keyup", "blur"]) canvas.addEventListener(ends, () => hold(false));
}

/** The samples, or the sweep's pictures, small; a click makes one large. @param {Panel} panel */
export function sampleStrip({ model, signal }) {
  const root = el("div", { class: "strip", role: "group", hidden: true });
  const /** @type {{root: HTMLElement, place: ReturnType<typeof picture>, texts: HTMLElement[]}[]} */ rows = [];
  follow(model, signal, ["size"], () => rows.forEach(({ place }) => place.reshape(model.get("size"))));
  /** @param {number} row */
  const pick = (row) => put(model, { sample: row });
  /** @param {KeyboardEvent} event @param {number} row */
  const move = (event, row) => {
    const next = rows[row + ({ ArrowRight: 1, ArrowLeft: -1 }[event.key] ?? 0)];
    if (!next || next === rows[row] || next.root.hidden) return;
    event.preventDefault();
    next.root.focus();
    next.root.click();
  };
  /** @param {number} row */
  const add = (row) => {
    const place = picture(signal, 1), texts = [el("span", {}), el("span", { class: "loss" })];
    place.canvas.removeAttribute("tabindex");
    place.canvas.removeAttribute("role");
    place.reshape(model.get("size"));
    const onkeydown = (/** @type {KeyboardEvent} */ event) => move(event, row);
    const button = el("button", { type: "button", onclick: () => pick(row), onkeydown }, place.root, ...texts);
    rows.push({ root: button, place, texts });
    root.append(button);
  };
  /** @param {InversionFrame} frame */
  const label = (frame) => {
    root.hidden = frame.levels.length < 2;
    root.setAttribute("aria-label", model.get("sweep") ? "The sweep of p" : "Samples");
    rows.forEach(({ root, texts }, row) => {
      root.hidden = row >= frame.levels.length;
      root.setAttribute("aria-pressed", String(row === frame.shown));
      rowTexts(frame, row, model.get("sweep")).forEach((text, at) => { texts[at].textContent = text; });
      root.title = `Loss${frame.converged[row] ? ", within the tolerance" : ""}; click to see it large`;
      root.classList.toggle("arrived", Boolean(frame.converged[row]));
    });
  };
  /** @param {InversionFrame} frame @param {(ImageBitmap | null)[]} shown */
  const show = (frame, shown) => {
    while (rows.length < frame.levels.length) add(rows.length);
    label(frame);
    shown.forEach((bitmap, row) => { if (bitmap) rows[row].place.show(bitmap); });
  };
  return { root, show };
}
