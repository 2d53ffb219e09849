import { picture } from "./panel.js";
import { el, follow } from "./shared.js";

/**
 * @typedef {import("./panel.js").Panel} Panel
 * @typedef {import("./dropout_pictures.js").Answer} Answer
 * @typedef {import("./dropout_pictures.js").InversionFrame} InversionFrame
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
export function answerBars({ model, signal }) {
  const body = el("tbody", {});
  const heads = PASSES.map(([which, name, help]) =>
    el("th", { scope: "col", title: help }, el("i", { class: `swatch ${which}` }), name));
  const table = el("table", { class: "bars answers" }, el("thead", {}, el("tr", {}, el("td", {}), ...heads)), body);
  const verdict = el("p", { class: "hint" });
  const root = el("section", {}, el("h4", { text: "Predictions" }), table, verdict);
  let arrived = false;
  const say = () => { verdict.textContent = answerText(model.get("predictions"), arrived); };
  follow(model, signal, ["predictions"], () => {
    const /** @type {Answer[]} */ answers = model.get("predictions");
    root.hidden = !answers.length;
    body.replaceChildren(...answers.map((answer) => el("tr", {}, el("th", { scope: "row", text: answer.label }),
      ...PASSES.map(([which]) => {
        const bar = el("i", { class: which, style: `width: ${(100 * answer[which]).toFixed(1)}%` });
        const number = el("span", { class: "number", text: answer[which].toFixed(2) });
        return el("td", {}, el("div", {}, el("span", { class: "track" }, bar), number));
      }))));
    say();
  });
  /** @param {InversionFrame} frame */
  const show = ({ converged, shown }) => { arrived = Boolean(converged[shown]); say(); };
  return { root, show };
}

/** Which units were dropped: a small map and a sentence. @param {Panel} panel */
export function maskMap({ model, signal }) {
  const place = picture(signal, 1, 1), said = el("p", {});
  place.canvas.setAttribute("aria-label", "The units that were dropped, dark, and those that were kept, light");
  place.canvas.dataset.picture = "mask";
  const words = el("div", {}, said, el("p", { class: "hint", text: "Dark: dropped. Light: kept." }));
  const root = el("section", { hidden: true }, el("h4", { text: "Mask" }),
    el("div", { class: "mask" }, place.root, words));
  follow(model, signal, ["dropped"], () => {
    const /** @type {Partial<Dropped>} */ dropped = model.get("dropped");
    said.replaceChildren(droppedText(dropped), el("code", { text: dropped.place ?? "" }), ".");
    root.hidden = !dropped.total;
  });
  /** @param {InversionFrame} frame @param {ImageBitmap | null} shown a null one stays as it is */
  const show = ({ frame, rev, format }, shown) => {
    Object.assign(place.canvas.dataset, { frame, rev, format });
    if (!shown) return;
    place.root.style.setProperty("--ratio", shown.width / shown.height);
    // Every unit gets as many of the screen's pixels as the next one.
    const each = Math.max(1, Math.floor((WIDTH * devicePixelRatio) / shown.width));
    place.root.style.width = `${Math.min((each * shown.width) / devicePixelRatio, WIDEST)}px`;
    place.show(shown);
  };
  return { root, show };
}
