import { icon } from "./icons.js";
import { el } from "./shared.js";

/** @import { Panel } from "./panel.js" */

const REFUSED = "This page does not let a panel fill the screen. Open the notebook in a tab of its own and try again.";

/** A button that has the panel fill the screen, and what it does otherwise. @param {Panel} panel */
export function fullScreen({ root, complain }) {
  // In a shadow root the document knows only its host, the panel itself knows better.
  const is = () => root.matches(":fullscreen");
  const toggle = async () => {
    try {
      await (is() ? document.exitFullscreen() : root.requestFullscreen());
    } catch {
      complain(REFUSED);
    }
  };
  const button = el("button", { type: "button", class: "round", onclick: toggle, "aria-pressed": "false",
    "aria-label": "Full screen", title: "The panel on all of the screen (f); Escape leaves it" }, icon("full"));
  root.addEventListener("fullscreenchange", () => button.setAttribute("aria-pressed", String(is())));
  return { button, is, toggle };
}
