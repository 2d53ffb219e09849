import { fetched } from "./activation_matrix.js";
import { choice } from "./controls.js";
import { picture } from "./pictures.js";
import { el, follow, put, short } from "./shared.js";
import { zoomable } from "./zoom.js";

/**
 * @import { Chosen } from "./activation_chosen.js"
 * @import { Panel } from "./panel.js"
 * @typedef {[number, number, number, number]} Rectangle (left, top, width, height) in the picture of all of them
 * @typedef {{
 *   value: number, image: number, box: [number, number, number, number], seen: Rectangle, whole: Rectangle,
 * }} Patch `box` is (top, left, bottom, right) as shares of the image
 */

/** The image that a patch is from. @param {Panel} panel */
function wholeImage({ signal }) {
  const place = picture(signal, 1, 3), box = el("i", { class: "box" }), said = el("figcaption", {});
  place.sheet.append(box);
  zoomable(place);
  place.canvas.setAttribute("aria-label", "The image that the patch is from, on its way");
  /** @param {ImageBitmap} images @param {Patch} patch */
  const show = async (images, patch) => {
    const [left, top, width, height] = patch.whole, bitmap = await createImageBitmap(images, left, top, width, height);
    if (signal.aborted) return bitmap.close();
    place.reshape([height, width]);
    place.show(bitmap);
    const [first, start, last, end] = patch.box.map((share) => `${100 * share}%`);
    Object.assign(box.style, { inset: `${first} auto auto ${start}`, width: `calc(${end} - ${start})`, height: `calc(${last} - ${first})` });
    said.textContent = `image ${patch.image} · ${short(patch.value)}`;
    place.canvas.setAttribute("aria-label", `Image ${patch.image}, with the patch as a box`);
  };
  return { root: el("figure", { class: "whole" }, place.root, said), show };
}

/** Patches in a row, made as they are needed. @param {Panel} panel @param {(at: number) => void} look at one of them */
function patchRow({ signal }, look) {
  const root = el("div", { class: "patches", role: "group" });
  const /** @type {{tile: HTMLElement, place: ReturnType<typeof picture>}[]} */ made = [];
  const make = (/** @type {number} */ at) => {
    const place = picture(signal, 1, 3);
    place.canvas.removeAttribute("tabindex");
    place.canvas.removeAttribute("role");
    return { place, tile: el("button", { type: "button", onpointerenter: () => look(at), onfocus: () => look(at) }, place.root) };
  };
  /** @param {ImageBitmap} all @param {Patch[]} patches */
  const show = async (all, patches) => {
    while (made.length < patches.length) made.push(make(made.length));
    root.replaceChildren(...made.slice(0, patches.length).map(({ tile }) => tile));
    await Promise.all(patches.map(async ({ seen: [left, top, width, height], value, image }, at) => {
      const { place, tile } = made[at];
      tile.setAttribute("aria-label", `Patch ${at + 1} of ${patches.length}: ${short(value)}, in image ${image}`);
      tile.title = `${short(value)}, in image ${image}`;
      place.reshape([height, width]);
      place.show(await createImageBitmap(all, left, top, width, height));
    }));
  };
  const mark = (/** @type {number} */ at) => made.forEach(({ tile }, place) => tile.classList.toggle("now", place === at));
  return { root, show, mark };
}

/** The patches, and the image that the one pointed at is from. @param {Panel} panel */
export function patchSheet(panel) {
  const { model, signal } = panel, whole = wholeImage(panel), heading = el("h4", {}), note = el("p", { class: "hint" });
  const which = choice(["Patches", "Of the highest or of the lowest answers of the channel"],
    [["highest", "Highest"], ["lowest", "Lowest"]], () => model.get("patches"), (value) => put(model, { patches: value }));
  /** @type {Chosen | null} */ let now = null;
  /** @type {ImageBitmap | null} */ let images = null;
  let key = "";
  const look = (/** @type {number} */ at) => {
    if (!now?.patches[at] || !images) return;
    whole.show(images, now.patches[at]);
    row.mark(at);
  };
  const row = patchRow(panel, look), body = el("div", { class: "answers" }, row.root, whole.root);
  follow(panel, ["patches"], () => {
    which.show();
    heading.textContent = model.get("patches") === "lowest" ? "Minimal patches" : "Maximal patches";
    row.root.setAttribute("aria-label", heading.textContent);
  });
  follow(panel, ["channel"], () => { if (model.get("channel") === null) now = null; });
  /** @param {Chosen} next @param {string} waiting */
  const show = async (next, waiting) => {
    now = next;
    body.hidden = !next.patches.length;
    note.textContent = next.patch_note || (next.patches.length ? "" : waiting);
    if (next.patch_key === key || !next.patches.length) return;
    const wanted = key = next.patch_key;
    row.root.dataset.key = "";
    const [patches, found] = await Promise.all([fetched(panel, "patches"), fetched(panel, "images")]);
    if (signal.aborted || wanted !== key || !patches) return;
    images?.close();
    images = found;
    await row.show(patches, next.patches);
    patches.close();
    row.root.dataset.key = wanted;
    look(0);
  };
  return { root: el("div", {}, el("div", { class: "heading" }, heading, which.group), body, note), show };
}
