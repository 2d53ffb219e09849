import { axisText, histogram, span } from "./activation_bars.js";
import { choice } from "./controls.js";
import { correlates } from "./correlates.js";
import { cycled } from "./explorer_moves.js";
import { figure, gallery, picture } from "./pictures.js";
import { bytes, el, follow, put, short } from "./shared.js";

/**
 * @import { Bars } from "./activation_bars.js"
 * @import { Panel } from "./panel.js"
 * @typedef {[number, number, number, number]} Rectangle (left, top, width, height) in the picture of all of them
 * @typedef {{value: number, image: number, seen: Rectangle}} Patch
 * @typedef {{picture: number, line: string, note: string}} Dream `picture` is an index into the buffers, -1 for none
 * @typedef {{
 *   of: string, missing: [string, string], dream: Dream, patches: Patch[], pictures: number, guided: number,
 *   note: string, figures: [string, string][], bars: Bars | null, dead: boolean, correlates: [number, number][],
 *   alone: string,
 * }} Passport of a channel, `of` its layer:channel; `missing`: what has to be given to see more, and the code for it
 * @typedef {{state: string, passport: Passport | null, dream?: Dream & {of: string}}} PassportFrame `dream` comes alone
 * while the image grows
 */

/** @type {[string, string][]} */
const PARTS = [
  ["all", "All"], ["dream", "Optimised"], ["real", "Patches"], ["habits", "Histogram"], ["together", "Correlates"],
];
const PASSPORT_HELP = "The passport: what the chosen channel likes best, what drives it most, how it answers, and with whom.";

/** What stands where there is nothing yet. @param {string} state */
export function instead(state) {
  return state === "running" ? "computing …" : "not computed";
}

/** The passport of the chosen channel, which follows the selection and can be folded away. @param {Panel} panel */
export function unitPassport(panel) {
  const { model } = panel, name = el("code", {}), dream = optimised(panel), real = maximal(panel);
  const habits = histogramPart(), together = correlatesPart(panel);
  const papers = el("div", { class: "papers" },
    dream.root, el("div", { class: "found" }, real.root, together.root), habits.root);
  let part = "all";
  const set = (/** @type {string} */ to) => { part = papers.dataset.part = to; which.show(); };
  const which = choice(["Passport", PASSPORT_HELP], PARTS, () => part, set);
  const toggle = () => put(model, { passport: !model.get("passport") });
  const fold = (/** @type {Event} */ event) => { event.preventDefault(); toggle(); };
  const root = el("details", { class: "passport", open: true },
    el("summary", { title: PASSPORT_HELP, onclick: fold }, "Passport of ", name), which.group, papers);
  follow(panel, ["passport"], () => { root.open = model.get("passport"); });
  set("all");
  /** @type {Passport | null} */ let now = null;
  /** The buffers with pictures that are not on the screen. @param {PassportFrame} frame @param {any[]} buffers */
  const pictures = ({ passport }, buffers) => {
    if (!passport) return [];
    const strips = real.shows(passport) ? [] : [buffers[passport.pictures], buffers[passport.guided]];
    return [buffers[passport.dream.picture], ...strips];
  };
  /** @param {PassportFrame} frame @param {(ImageBitmap | null)[]} shown what `pictures` gave, decoded */
  const show = ({ passport, state }, [grown = null, seen = null, guided = null]) => {
    now = passport;
    if (!passport) return;
    name.textContent = passport.of;
    which.group.hidden = !passport.bars && !passport.patches.length;
    if (which.group.hidden) set("all");
    dream.show(passport.dream, grown, state, passport.of);
    real.show(passport, seen, guided, state);
    habits.show(passport);
    together.show(passport);
  };
  /** Shows the image as far as it has grown. @param {PassportFrame} frame @param {any[]} buffers */
  const grow = async ({ dream: next, state }, buffers) => {
    if (!next || next.of !== now?.of) return;
    const bitmap = await createImageBitmap(new Blob([/** @type {any} */ (bytes(buffers[next.picture]))]));
    if (panel.signal.aborted || next.of !== now?.of) bitmap.close();
    else dream.show(next, bitmap, state, next.of);
  };
  const turn = (/** @type {number} */ way) => {
    if (!model.get("passport")) toggle();
    else if (!which.group.hidden) set(cycled(PARTS.map(([value]) => value), part, way));
  };
  return { root, pictures, show, grow, toggle, turn };
}

/** What the channel likes best. @param {Panel} panel */
function optimised({ signal }) {
  const { root, place, title, sub, instead: note } = figure(signal, 1, 3);
  root.classList.add("dream");
  place.canvas.removeAttribute("tabindex");
  title.textContent = "Optimised";
  /** @param {Dream} dream @param {ImageBitmap | null} bitmap @param {string} state @param {string} of */
  const show = ({ line, note: reason }, bitmap, state, of) => {
    const waits = !bitmap && !reason && state === "running";
    root.classList.toggle("stale", waits);
    if (waits && note.hidden) return; // the one before stays until then
    note.hidden = Boolean(bitmap);
    note.textContent = reason || instead(state);
    root.classList.toggle("empty", !bitmap);
    if (bitmap) place.reshape([bitmap.height, bitmap.width]);
    place.show(bitmap);
    sub.textContent = line;
    place.canvas.dataset.of = bitmap ? of : "";
    place.canvas.setAttribute("aria-label", `Optimised image of ${of}, ${bitmap ? line : note.textContent}`);
  };
  return { root, show };
}

/** What drives the channel most in the data set, and what comes back to it. @param {Panel} panel */
function maximal({ signal }) {
  const row = el("div", { class: "patches", role: "group", "aria-label": "Maximal patches" });
  const title = el("h4", { text: "Maximal patches" }), note = el("p", { class: "hint" });
  const hint = el("p", { class: "hint", text: "Below each: what comes back to it by guided backpropagation." });
  const said = el("span", {}), code = el("code", {}), missing = el("p", { class: "missing" }, said, " ", code);
  const root = el("div", { class: "real" }, title, row, hint, note, missing);
  const tiles = gallery(row, () => twin(signal));
  let shown = "";
  const keyOf = (/** @type {Passport} */ { of, patches, guided }) => patches.length ? `${of} ${guided >= 0}` : "";
  const shows = (/** @type {Passport} */ passport) => keyOf(passport) === shown;
  /**
   * @param {Passport} passport @param {ImageBitmap | null} seen @param {ImageBitmap | null} guided
   * @param {string} state
   */
  const show = async (passport, seen, guided, state) => {
    const { patches, missing: [what, line] } = passport, key = keyOf(passport);
    const waits = !patches.length && !passport.note && !what && state === "running" && shown !== "";
    row.classList.toggle("stale", waits);
    if (waits) return; // those before stay until then
    said.textContent = what;
    code.textContent = line;
    missing.hidden = !what;
    note.textContent = passport.note || (patches.length || what ? "" : instead(state));
    hint.hidden = passport.guided < 0;
    row.hidden = !patches.length;
    if (key !== shown) {
      shown = key;
      row.dataset.of = "";
      tiles.fit(patches.length);
      await Promise.all(patches.map((patch, at) => tiles.parts[at].show(patch, seen, guided, at, patches.length)));
      if (shown === key && key) row.dataset.of = key;
    }
    seen?.close();
    guided?.close();
  };
  return { root, show, shows };
}

/** A patch, and below it what comes back to it. @param {AbortSignal} signal */
function twin(signal) {
  const place = picture(signal, 1, 3), came = picture(signal, 1, 3);
  for (const { canvas } of [place, came]) canvas.removeAttribute("tabindex");
  const root = el("div", {}, place.root, came.root);
  const close = () => { came.close(); place.close(); };
  /**
   * @param {Patch} patch @param {ImageBitmap | null} seen @param {ImageBitmap | null} guided @param {number} at
   * @param {number} count
   */
  const show = async ({ seen: [left, top, width, height], value, image }, seen, guided, at, count) => {
    const cut = (/** @type {ImageBitmap | null} */ from) => from && createImageBitmap(from, left, top, width, height);
    const bitmaps = await Promise.all([cut(seen), cut(guided)]), words = `${short(value)}, in image ${image}`;
    root.title = words;
    place.canvas.setAttribute("aria-label", `Patch ${at + 1} of ${count}: ${words}`);
    came.canvas.setAttribute("aria-label", `What comes back to patch ${at + 1}`);
    came.root.hidden = !bitmaps[1];
    [place, came].forEach((each, which) => {
      each.reshape([height, width]);
      each.show(bitmaps[which]);
    });
  };
  return { root, place: { ...place, close }, show };
}

/** How the channel answers over the data set. */
function histogramPart() {
  const bars = histogram(), low = el("span", {}), high = el("span", {}), facts = el("dl", { class: "facts" });
  bars.root.removeAttribute("aria-hidden");
  bars.root.setAttribute("role", "img");
  const chart = el("div", {}, bars.root, el("div", { class: "ends" }, low, high));
  const root = el("div", { class: "habits", hidden: true }, el("h4", { text: "Activations" }), chart, facts);
  const show = (/** @type {Passport} */ { of, bars: counts, figures, dead }) => {
    root.hidden = !counts;
    root.classList.toggle("dead", dead);
    if (!counts) return;
    const between = span([counts]);
    bars.show([counts], between, false);
    [low.textContent, high.textContent] = between.map(axisText);
    const ends = `from ${low.textContent} to ${high.textContent}`;
    bars.root.setAttribute("aria-label", `Histogram of ${of} ${ends}${dead ? ", dead" : ""}`);
    facts.replaceChildren(...figures.flatMap(([name, text]) => [el("dt", { text: name }), el("dd", { text })]));
  };
  return { root, show };
}

/** With whom the channel goes together. @param {Panel} panel */
function correlatesPart(panel) {
  const mates = correlates(panel), alone = el("p", { class: "hint" });
  const root = el("div", { class: "together" }, el("h4", { text: "Goes together most with" }), mates.root, alone);
  const show = (/** @type {Passport} */ { correlates: found, alone: why }) => {
    root.hidden = !found.length && !why;
    mates.show(found);
    alone.textContent = why;
  };
  return { root, show };
}
