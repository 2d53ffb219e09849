import { section, track } from "./controls.js";
import { picture } from "./pictures.js";
import { el, follow } from "./shared.js";
import { zoomable } from "./zoom.js";

/**
 * @import { Answer, InversionFrame } from "./dropout_pictures.js"
 * @import { Panel } from "./panel.js"
 * @typedef {{total: number, dropped: number, what: string, place: string}} Dropped `place` is the layer that drops
 */

/** @type {["clean" | "noisy" | "corrupted", string, string][]} */
const PASSES = [
  ["clean", "Clean", "The original, without dropout"],
  ["noisy", "Noisy", "The original, with dropout"],
  ["corrupted", "Corrupted", "The corrupted picture, without dropout"],
];

/** How wide the map of units is: up to the first while each unit has a pixel of its own, at most the second. */
const [WIDTH, WIDEST] = [132, 264];

/** How much was dropped, in words. @param {Partial<Dropped>} dropped */
export function droppedText({ total = 0, dropped = 0, what = "units" }) {
  if (!total) return "";
  const share = (100 * dropped) / total, percent = share > 0 && share < 10 ? share.toFixed(1) : share.toFixed();
  return `${percent} % of the ${total.toLocaleString("en")} ${what} were dropped at `;
}

/**
 * Whether the corrupted picture does what dropout did, in words; nothing where there are no classes.
 * @param {Answer[]} answers @param {boolean} arrived whether the loss is within the tolerance
 */
export function answerText(answers, arrived) {
  const [clean, noisy, corrupted] = PASSES.map(([which]) => [...answers].sort((a, b) => b[which] - a[which])[0]?.label);
  if (!clean || !arrived) return "";
  if (noisy !== corrupted) return `With dropout it was ${noisy}; the corrupted picture, without, is ${corrupted}.`;
  if (noisy === clean) return `Dropout changes no answer here: it is ${clean} each time.`;
  return `Without dropout, the corrupted picture gives the noisy answer: ${noisy}.`;
}

/** What the network says of each, as paired bars and in a sentence. @param {Panel} panel */
export function answerBars(panel) {
  const { model } = panel, body = el("tbody", {}), verdict = el("p", { class: "hint" });
  const heads = PASSES.map(([which, name, help]) =>
    el("th", { scope: "col", title: help }, el("i", { class: `swatch ${which}` }), name));
  const table = el("table", { class: "bars answers" }, el("thead", {}, el("tr", {}, el("td", {}), ...heads)), body);
  const root = section("Predictions", table, verdict);
  let arrived = false;
  const say = () => { verdict.textContent = answerText(model.get("predictions"), arrived); };
  const cell = (/** @type {number} */ share, /** @type {string} */ which) => el("td", {}, el("div", {},
    track(share, which), el("span", { class: "number", text: share.toFixed(2) })));
  follow(panel, ["predictions"], () => {
    const /** @type {Answer[]} */ answers = model.get("predictions");
    root.hidden = !answers.length;
    body.replaceChildren(...answers.map((answer) => el("tr", {}, el("th", { scope: "row", text: answer.label }),
      ...PASSES.map(([which]) => cell(answer[which], which)))));
    say();
  });
  /** @param {InversionFrame} frame */
  const show = ({ converged, shown }) => { arrived = Boolean(converged[shown]); say(); };
  return { root, show };
}

/** Which units were dropped: a small map and a sentence. @param {Panel} panel */
export function maskMap(panel) {
  const { model, signal } = panel, place = picture(signal, 1, 1), said = el("p", {});
  place.canvas.setAttribute("aria-label", "The units that were dropped, dark, and those that were kept, light");
  place.canvas.dataset.picture = "mask";
  zoomable(place);
  const words = el("div", {}, said, el("p", { class: "hint", text: "Dark: dropped. Light: kept." }));
  const root = section("Mask", el("div", { class: "mask" }, place.root, words));
  follow(panel, ["dropped"], () => {
    const /** @type {Partial<Dropped>} */ dropped = model.get("dropped");
    said.replaceChildren(droppedText(dropped), el("code", { text: dropped.place ?? "" }), ".");
    root.hidden = !dropped.total;
  });
  /** @param {InversionFrame} frame @param {ImageBitmap | null} shown a null one stays as it is */
  const show = ({ frame, rev, format }, shown) => {
    Object.assign(place.canvas.dataset, { frame, rev, format });
    if (!shown) return;
    place.reshape([shown.height, shown.width]);
    // Every unit gets as many of the screen's pixels as the next one.
    const each = Math.max(1, Math.floor((WIDTH * devicePixelRatio) / shown.width));
    place.root.style.width = `${Math.min((each * shown.width) / devicePixelRatio, WIDEST)}px`;
    place.show(shown);
  };
  return { root, show };
}
