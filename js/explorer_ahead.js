import { tileBox } from "./explorer_moves.js";

/**
 * @import { Grid } from "./explorer_moves.js"
 * @import { Panel } from "./panel.js"
 * @import { paneFigure } from "./panes.js"
 * @import { Box } from "./pointing.js"
 * @typedef {ReturnType<typeof paneFigure>} Figure
 */

/** The pixels of a picture in a box. @param {Box} box @param {{width: number, height: number}} picture */
export function pixelsIn({ left, top, width, height }, picture) {
  return /** @type {const} */ ([
    Math.round(left * picture.width), Math.round(top * picture.height),
    Math.max(1, Math.round(width * picture.width)), Math.max(1, Math.round(height * picture.height)),
  ]);
}

/**
 * Shows a channel as soon as it is chosen: cut out of the picture of its layer, until the kernel's own picture comes
 * with its numbers.
 * @param {Panel} panel @param {{layer: Figure, channel: Figure}} parts @param {() => Grid | null} grid
 */
export function channelAhead({ model, signal }, { layer, channel }, grid) {
  const show = async () => {
    const chosen = model.get("channel"), atlas = layer.place.now(), tiles = grid(), before = channel.pane();
    const known = layer.painted() && !layer.pane()?.stale && layer.pane()?.layer === model.get("layer");
    // Gradients come from the chosen channel, so that another one has others.
    const same = model.get("shows") === "activations" && model.get("overlay") === "none";
    const box = known && same && tiles && tileBox(tiles, chosen);
    if (!box || !atlas || !before) return;
    const bitmap = await createImageBitmap(atlas, ...pixelsIn(box, atlas));
    // The kernel, or the next key, may have been faster.
    if (signal.aborted || channel.pane() !== before || model.get("channel") !== chosen) return bitmap.close();
    const bar = model.get("scale") === "layer" ? before.bar : null;
    channel.ahead({ ...before, title: `Channel ${chosen}`, sub: "", image: 0, bar }, bitmap);
  };
  model.on("change:channel", show);
  signal.addEventListener("abort", () => model.off("change:channel", show));
}
