// The ways to annotate a moment of a chart: a click with Ctrl or Cmd, the key A, the panel's menu.

/** @import uPlot from "../../vendor/uplot/uPlot.esm.js" */

import { h, icon } from "./dom.js";

/** More between pressing and releasing is a drag. */
const CLICK_WITHIN_PX = 6;
/** So long the menu means the moment that was tapped last: a finger leaves no cursor, ms. */
const TAPPED_FOR_MS = 30_000;

/**
 * @param {Pick<import("./base.js").Panel, "context" | "menuItems">} panel
 * @param {HTMLElement} plot
 * @param {() => uPlot | null} chart
 */
export function offerAnnotating({ context, menuItems }, plot, chart) {
  const { annotate, client, view } = context;
  if (annotate === null) return;
  let pressedAt = 0;
  let tapped = { timeMs: 0, untilMs: -Infinity };

  /** @returns {number} ms: at the cursor, or the newest moment in sight */
  const moment = () => {
    const u = chart();
    const left = u?.cursor.left ?? -1;
    if (u !== null && left >= 0) return u.posToVal(left, "x");
    if (performance.now() < tapped.untilMs) return tapped.timeMs;
    return view.window(client.serverNow()).toMs;
  };

  plot.addEventListener("pointerdown", (event) => {
    pressedAt = event.clientX;
  });
  plot.addEventListener("click", (event) => {
    if (Math.abs(event.clientX - pressedAt) > CLICK_WITHIN_PX) return;
    if (event.ctrlKey || event.metaKey) annotate(moment());
    else tapped = { timeMs: moment(), untilMs: performance.now() + TAPPED_FOR_MS };
  });
  plot.addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() !== "a" || event.ctrlKey || event.metaKey || event.altKey) return;
    // Else the letter would be written into the dialog.
    event.preventDefault();
    annotate(moment());
  });
  const item = h("button", { type: "button", class: "menu-item" });
  item.append(icon("flag"), h("span", { text: "Annotate" }));
  item.addEventListener("click", () => {
    const menu = item.closest("details");
    if (menu !== null) {
      menu.open = false;
      // The dialog gives the focus back to what had it.
      menu.querySelector("summary")?.focus();
    }
    annotate(moment());
  });
  menuItems.append(item);
}
