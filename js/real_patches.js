import { gallery, picture } from "./pictures.js";
import { ask, el, follow, short } from "./shared.js";

/**
 * @import { Panel } from "./panel.js"
 * @typedef {{value: number, image: number, seen: [number, number, number, number]}} RealPatch `seen` is (left, top, width,
 * height) in the picture of all of them
 * @typedef {{of?: string, patches?: RealPatch[], note?: string, sought?: boolean}} Real `sought`: they are on their way
 */

// Real pictures beside what is dreamt: what drives the channel most in a data set.

const TITLE = "Real patches that drive it most: what the channel saw in the pictures that the statistics are of.";

/** A patch, as large as its place. @param {AbortSignal} signal */
function patchTile(signal) {
  const place = picture(signal, 1, 3);
  place.canvas.removeAttribute("tabindex");
  /** @param {ImageBitmap} all @param {RealPatch} patch @param {number} at @param {number} count */
  const show = async (all, { seen: [left, top, width, height], value, image }, at, count) => {
    const bitmap = await createImageBitmap(all, left, top, width, height);
    const words = `${short(value)}, in image ${image}`;
    root.title = words;
    place.canvas.setAttribute("aria-label", `Real patch ${at + 1} of ${count}: ${words}`);
    place.reshape([height, width]);
    place.show(bitmap);
  };
  const root = el("div", {}, place.root);
  return { root, place, show };
}

/** The patches of the selected term; hidden where no statistics were given. @param {Panel} panel */
export function realPatches(panel) {
  const { model, signal } = panel, name = el("code", {}), note = el("p", { class: "hint" });
  const row = el("div", { class: "patches", role: "group", "aria-label": "Real patches" });
  const root = el("div", { class: "real", title: TITLE }, el("h4", {}, "Real patches that drive ", name, " most"), row, note);
  const tiles = gallery(row, () => patchTile(signal));
  const show = async () => {
    const /** @type {Real} */ real = model.get("_real"), patches = real.patches ?? [];
    root.hidden = real.of === undefined || model.get("mode") === "grid";
    name.textContent = real.of || "it";
    note.textContent = real.note || (real.sought ? "looking for them …" : "");
    row.hidden = !patches.length && !real.sought;
    row.classList.toggle("stale", Boolean(real.sought)); // those before stay until then
    if (!patches.length) return void (real.sought || tiles.fit(0));
    const { data } = await ask(model, { type: "patches" });
    if (signal.aborted || model.get("_real") !== real || !data.length) return;
    const all = await createImageBitmap(new Blob([/** @type {any} */ (data)], { type: "image/png" }));
    tiles.fit(patches.length);
    await Promise.all(patches.map((patch, at) => tiles.parts[at].show(all, patch, at, patches.length)));
    all.close();
    row.dataset.of = real.of;
  };
  follow(panel, ["_real", "mode"], () => { show().catch(() => {}); }); // the next patches bring another
  return root;
}
