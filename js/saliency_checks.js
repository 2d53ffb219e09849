import { actSection, button, track } from "./controls.js";
import { notesOf } from "./panel.js";
import { gallery, picture } from "./pictures.js";
import { el, follow, short } from "./shared.js";

/**
 * @import { Panel } from "./panel.js"
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
export function faithfulnessBars(panel) {
  const { model, request } = panel, act = button("", () => request({ type: "measure" }));
  const body = el("tbody", {}), note = el("p", { class: "note" }), about = el("p", { class: "hint" });
  const heads = ["Insertion", "Deletion"].map((text) => el("th", { scope: "col", colspan: 2, text }));
  const columns = ["names", "", "numbers", "", "numbers"].map((name) => el("col", { class: name }));
  const head = el("thead", {}, el("tr", {}, el("td", {}), ...heads));
  const table = el("table", { class: "bars" }, ...columns, head, body);
  const cells = (/** @type {Area} */ value, /** @type {Bar[]} */ bars) =>
    [el("td", {}, track(barShare(value, bars))), el("td", { class: "number", text: areaText(value, bars) })];
  follow(panel, ["bars"], () => {
    const /** @type {Bar[]} */ bars = model.get("bars");
    table.hidden = !bars.length;
    about.textContent = bars.length ? AREAS : FOLLOWS;
    act.textContent = bars.length ? "Measure again" : "Measure";
    body.replaceChildren(...bars.map((bar) => el("tr", { class: bar.reference ? "reference" : "" },
      el("th", { scope: "row", text: bar.label }), ...cells(bar.insertion, bars), ...cells(bar.deletion, bars))));
  });
  follow(panel, ["_notes"], () => {
    note.textContent = notesOf(model, "faithfulness").map(({ about, text }) => `${about}: ${text}`).join("\n");
    note.hidden = !note.textContent;
  });
  return actSection("Faithfulness", act, table, about, note);
}

/** A picture of the film with its caption. @param {AbortSignal} signal @param {number} ratio width to height */
function filmPicture(signal, ratio) {
  const place = picture(signal, ratio, 6), caption = el("figcaption", {}), root = el("figure", {}, place.root, caption);
  place.canvas.removeAttribute("tabindex");
  /** @param {{layer: string, text: string}} [words] */
  const say = ({ layer, text } = { layer: "", text: "" }) => {
    // A name breaks after its dots first.
    const name = el("code", { text: layer.replaceAll(".", ".\u200b"), title: layer });
    caption.replaceChildren(...(layer ? [name] : []), el("span", { text }));
    const what = layer ? `The map, random from the top down to ${layer}` : "The map as trained";
    place.canvas.setAttribute("aria-label", what);
  };
  return { root, place, say };
}

/** Whether the map forgets when the network does. @param {Panel} panel */
export function sanityCheck(panel) {
  const { model, signal, request } = panel, act = button("", () => request({ type: "check" }));
  const verdict = el("p", { role: "status" }), film = el("div", { class: "film" });
  const about = el("p", { class: "hint", text: FORGETS });
  let ratio = 1;
  const { parts, fit } = gallery(film, () => filmPicture(signal, ratio));
  const label = () => {
    const /** @type {Partial<Sanity>} */ { stages = [], verdict: said = "", passed = false } = model.get("sanity");
    const captions = filmCaptions(stages, parts.length);
    film.hidden = verdict.hidden = !stages.length;
    about.hidden = Boolean(stages.length);
    act.textContent = stages.length ? "Run again" : "Run the check";
    verdict.className = `note ${passed ? "good" : "bad"}`;
    verdict.textContent = said;
    parts.forEach(({ root, say }, at) => { root.hidden = at >= captions.length; say(captions[at]); });
  };
  follow(panel, ["sanity"], label);
  /** @param {(ImageBitmap | null)[]} shown @param {number} shape width to height */
  const show = (shown, shape) => {
    ratio = shape;
    fit(shown.length);
    shown.forEach((bitmap, at) => parts[at].place.show(bitmap));
    label();
  };
  return { root: actSection("Sanity check", act, verdict, film, about), show };
}
