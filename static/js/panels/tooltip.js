// The values under the pointer.

import { formatValue } from "../units.js";
import { h } from "./dom.js";
import { notes } from "./markers.js";
import { paintSwatch } from "./palette.js";

const MOST_ROWS = 12;
const MOST_SPOKEN = 8;
const GAP_PX = 12;

/**
 * @typedef {{name: string, slot: number, value: number, near: boolean}} TipRow
 */

/**
 * @param {TipRow[]} rows
 * @returns {{rows: TipRow[], more: number}} the largest first, and how many are left out
 */
export function ranked(rows) {
  const sorted = [...rows].sort((a, b) => b.value - a.value);
  const top = sorted.slice(0, MOST_ROWS);
  const near = sorted.find((row) => row.near);
  if (near !== undefined && !top.includes(near)) top[top.length - 1] = near;
  return { rows: top, more: sorted.length - top.length };
}

/**
 * @param {string} time
 * @param {{name: string, value: number | null | undefined}[]} rows
 * @param {{unit: string, decimals: number | null}} spec
 * @returns {string} for those who hear it
 */
export function sentence(time, rows, { unit, decimals }) {
  const parts = rows
    .slice(0, MOST_SPOKEN)
    .map(({ name, value }) => `${name} ${formatValue(value, unit, decimals)}`);
  return `${time}: ${parts.join(", ")}`;
}

export class Tooltip {
  element = h("div", { class: "tooltip", "aria-hidden": "true", hidden: true });

  hide() {
    this.element.hidden = true;
  }

  /**
   * @param {string} time
   * @param {TipRow[]} all
   * @param {import("./markers.js").LiveEvent[]} events here
   * @param {{unit: string, decimals: number | null}} spec
   * @param {{left: number, width: number}} place of the cursor, and the width of the plot, in pixels
   */
  show(time, all, events, { unit, decimals }, { left, width }) {
    const { rows, more } = ranked(all);
    this.element.replaceChildren(
      ...notes(events),
      all.length > 0 ? h("div", { class: "tooltip-time", text: time }) : "",
      ...rows.map(({ name, slot, value, near }) => {
        const swatch = h("span", { class: "swatch" });
        paintSwatch(swatch, slot);
        return h(
          "div",
          { class: "tooltip-row", "data-near": near && all.length > 1 ? "true" : null },
          swatch,
          h("span", { class: "tooltip-name", text: name }),
          h("span", { text: formatValue(value, unit, decimals) }),
        );
      }),
      ...(more > 0 ? [h("div", { class: "tooltip-time", text: `and ${more} more` })] : []),
    );
    this.element.hidden = false;
    const own = this.element.offsetWidth;
    const right = left + GAP_PX;
    const x = right + own <= width ? right : Math.max(0, left - GAP_PX - own);
    this.element.style.transform = `translateX(${Math.round(x)}px)`;
  }
}
