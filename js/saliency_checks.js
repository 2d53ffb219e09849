import { notesOf, picture } from "./panel.js";
import { el, follow, short, tell } from "./shared.js";

/**
 * @typedef {import("./panel.js").Panel} Panel
 * @typedef {{name: string, label: string, insertion: Area, deletion: Area, reference: boolean}} Bar
 * @typedef {number | null} Area null where it is not finite
 * @typedef {{layer: string, fraction: number, correlation: number | null, similarity: number | null}} Stage
 * @typedef {{method: string, label: string, passed: boolean, verdict: string, stages: Stage[]}} Sanity
 */

/** The sizes of all areas. @param {Bar[]} bars */
function sizes(bars) {
  return bars.flatMap(({ insertion, deletion }) => [Math.abs(insertion ?? 0), Math.abs(deletion ?? 0)]);
}

/** How long a bar is, 0 to 1; the largest area fills it. @param {Area} value @param {Bar[]} bars */
export function barShare(value, bars) {
  return Math.abs(value ?? 0) / Math.max(...sizes(bars), Number.MIN_VALUE);
}

/** An area in figures, probabilities all alike. @param {Area} value @param {Bar[]} bars */
export function areaText(value, bars) {
  return value !== null && Math.max(...sizes(bars)) <= 1 ? value.toFixed(3) : short(value);
}

/**
 * The caption of each picture of the film: how far down it is random, and what is left of the map.
 * @param {Stage[]} stages @param {number} pictures
 */
export function filmCaptions(stages, pictures) {
  const left = (/** @type {number | null} */ share) => share?.toFixed(2).replace("-", "−") ?? "–";
  const rows = stages.map(({ layer, correlation }) => ({ layer, text: `ρ ${left(correlation)}` }));
  return pictures > stages.length ? [{ layer: "", text: "as trained" }, ...rows] : rows;
}

const FOLLOWS = "Does the score follow the map? Uncover the picture in the map's order, cover it again, and compare "
  + "with chance, the centre and the edges.";
const AREAS = "Mean score while the picture is uncovered in the map's order (insertion, more is better) and while it "
  + "is covered (deletion, less is better).";
const FORGETS = "Does the map show what the network has learnt? Shuffle its weights from the top down, and see whether "
  + "the map goes too.";

/** Whether the score follows the maps. @param {Panel} panel */
export function faithfulnessBars({ model, signal, expect }) {
  const button = el("button", { type: "button", onclick: () => { expect(); tell(model, { type: "measure" }); } });
  const body = el("tbody", {}), note = el("p", { class: "note" }), about = el("p", { class: "hint" });
  const heads = ["Insertion", "Deletion"].map((text) => el("th", { scope: "col", colspan: 2, text }));
  const columns = ["names", "", "numbers", "", "numbers"].map((name) => el("col", { class: name }));
  const head = el("thead", {}, el("tr", {}, el("td", {}), ...heads));
  const table = el("table", { class: "bars" }, ...columns, head, body);
  /** @param {Area} value @param {Bar[]} bars */
  const cells = (value, bars) => {
    const bar = el("i", { style: `width: ${(100 * barShare(value, bars)).toFixed(1)}%` });
    const number = el("td", { class: "number", text: areaText(value, bars) });
    return [el("td", {}, el("span", { class: "track" }, bar)), number];
  };
  follow(model, signal, ["bars"], () => {
    const /** @type {Bar[]} */ bars = model.get("bars");
    table.hidden = !bars.length;
    about.textContent = bars.length ? AREAS : FOLLOWS;
    button.textContent = bars.length ? "Measure again" : "Measure";
    body.replaceChildren(...bars.map((bar) => el("tr", { class: bar.reference ? "reference" : "" },
      el("th", { scope: "row", text: bar.label }), ...cells(bar.insertion, bars), ...cells(bar.deletion, bars))));
  });
  follow(model, signal, ["_notes"], () => {
    note.textContent = notesOf(model, "faithfulness").map(({ about, text }) => `${about}: ${text}`).join("\n");
    note.hidden = !note.textContent;
  });
  const heading = el("div", { class: "heading" }, el("h4", { text: "Faithfulness" }), button);
  return el("section", {}, heading, table, about, note);
}

/** Whether the map forgets when the network does. @param {Panel} panel */
export function sanityCheck({ model, signal, expect }) {
  const button = el("button", { type: "button", onclick: () => { expect(); tell(model, { type: "check" }); } });
  const verdict = el("p", { role: "status" }), film = el("div", { class: "film" });
  const about = el("p", { class: "hint", text: FORGETS });
  const /** @type {{root: HTMLElement, place: ReturnType<typeof picture>, caption: HTMLElement}[]} */ frames = [];
  let pictures = 0;
  const label = () => {
    const /** @type {Partial<Sanity>} */ { stages = [], verdict: said = "", passed = false } = model.get("sanity");
    const captions = filmCaptions(stages, pictures);
    film.hidden = verdict.hidden = !stages.length;
    about.hidden = Boolean(stages.length);
    button.textContent = stages.length ? "Run again" : "Run the check";
    verdict.className = `note ${passed ? "good" : "bad"}`;
    verdict.textContent = said;
    frames.forEach(({ root, place, caption }, at) => {
      const { layer = "", text = "" } = captions[at] ?? {};
      root.hidden = at >= captions.length;
      // A name breaks after its dots first.
      const name = el("code", { text: layer.replaceAll(".", ".\u200b"), title: layer });
      caption.replaceChildren(...(layer ? [name] : []), el("span", { text }));
      const what = layer ? `The map, random from the top down to ${layer}` : "The map as trained";
      place.canvas.setAttribute("aria-label", what);
    });
  };
  follow(model, signal, ["sanity"], label);
  /** @param {(ImageBitmap | null)[]} shown @param {number} ratio */
  const show = (shown, ratio) => {
    while (frames.length < shown.length) {
      const place = picture(signal, ratio, 6), caption = el("figcaption", {});
      place.canvas.removeAttribute("tabindex");
      frames.push({ place, caption, root: el("figure", {}, place.root, caption) });
      film.append(frames[frames.length - 1].root);
    }
    pictures = shown.length;
    shown.forEach((bitmap, at) => frames[at].place.show(bitmap));
    label();
  };
  const heading = el("div", { class: "heading" }, el("h4", { text: "Sanity check" }), button);
  return { root: el("section", {}, heading, verdict, film, about), show };
}
