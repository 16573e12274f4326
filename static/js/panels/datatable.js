// The data of a chart as a table that screen readers can walk through.

import { formatValue } from "../units.js";
import { isValue, positionOf } from "../values.js";
import { h } from "./dom.js";
import { dateAndClock } from "./times.js";

/** The newest rows and the first series that are written out. */
const MOST_ROWS = 200;
const MOST_SERIES = 40;
/** A table that is being read should not change under the reader all the time, ms. */
const RENEW_MS = 2_000;

/**
 * @typedef {object} Tabular
 * @property {import("./types.js").SeriesStore | null} store
 * @property {{name: string}[]} names
 * @property {import("./types.js").TimeWindow} shown
 * @property {import("./types.js").PanelSpec} spec
 */

/**
 * @param {ArrayLike<number>} times
 * @param {readonly ArrayLike<number | null>[]} values
 * @param {import("./types.js").TimeWindow} window
 * @returns {number[]} positions of the newest rows in the window, newest first
 */
export function visibleRows(times, values, { fromMs, toMs }) {
  const rows = [];
  for (let i = positionOf(times, toMs + 1) - 1; i >= 0 && times[i] >= fromMs; i -= 1) {
    if (rows.length === MOST_ROWS) break;
    if (values.some((row) => isValue(row[i]))) rows.push(i);
  }
  return rows;
}

export class DataTable {
  #head = h("tr");
  #rows = h("tbody");
  #caption = h("caption", { class: "visually-hidden" });
  #paintedMs = -Infinity;
  #painted = "";

  /** @param {string} title of the panel */
  constructor(title) {
    this.element = h(
      "div",
      { class: "panel-data", tabindex: "-1", role: "region", "aria-label": `${title}, as a table` },
      h(
        "div",
        { class: "panel-table", tabindex: "0" },
        h("table", { class: "table" }, this.#caption, h("thead", {}, this.#head), this.#rows),
      ),
    );
  }

  /**
   * @param {Tabular} panel
   * @param {number} nowMs
   */
  paint({ store, names, shown, spec }, nowMs) {
    if (store === null || nowMs - this.#paintedMs < RENEW_MS) return;
    const signature = `${store.version} ${shown.fromMs} ${shown.toMs}`;
    if (signature === this.#painted) return;
    this.#painted = signature;
    this.#paintedMs = nowMs;
    const series = names.slice(0, MOST_SERIES);
    const more = names.length - series.length;
    this.#caption.textContent =
      `${spec.title}: the newest values first` + (more > 0 ? `; ${more} more series not shown` : "");
    this.#head.replaceChildren(
      h("th", { scope: "col", text: "Time" }),
      ...series.map(({ name }) => h("th", { scope: "col", class: "num", text: name, title: name })),
    );
    this.#rows.replaceChildren(
      ...visibleRows(store.times, store.values, shown).map((i) =>
        h(
          "tr",
          {},
          h("th", { scope: "row", text: dateAndClock(store.times[i]) }),
          ...series.map((_, s) =>
            h("td", { class: "num", text: formatValue(store.values[s]?.[i], spec.unit, spec.decimals) }),
          ),
        ),
      ),
    );
  }
}
