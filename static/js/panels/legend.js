// The legend under a chart: names, values at the cursor, and buttons that show and hide.

import { formatValue } from "../units.js";
import { h, setText } from "./dom.js";
import { paintSwatch } from "./palette.js";
import { inNaturalOrder } from "./summary.js";
import { toggled } from "./visibility.js";

/** @typedef {import("./querypanel.js").SeriesName} SeriesName */

const MOST_ITEMS = 100;

/**
 * @param {number} longest name, in characters
 * @returns {number} px: room for swatch, name and value, within reason
 */
export function itemWidth(longest) {
  return Math.min(300, Math.max(136, 94 + Math.ceil(longest * 6.6)));
}

export class Legend {
  /** Keys of the series that are not drawn. @type {Set<string>} */
  hidden = new Set();
  element = h("div", { class: "legend", role: "group", "aria-label": "Series" });
  /** @type {{key: string, index: number, button: HTMLButtonElement, value: HTMLElement}[]} */
  #items = [];
  /** @type {string[]} */
  #keys = [];
  #onToggle;

  /** @param {() => void} onToggle */
  constructor(onToggle) {
    this.#onToggle = onToggle;
    this.element.addEventListener("click", (event) => {
      const button = event.target instanceof Element ? event.target.closest("button") : null;
      const item = this.#items.find((other) => other.button === button);
      if (item === undefined) return;
      const only = event.altKey || event.ctrlKey || event.metaKey;
      this.hidden = toggled(this.hidden, item.key, this.#keys, only);
      this.#press();
      this.#onToggle();
    });
  }

  /** @param {readonly SeriesName[]} names */
  setSeries(names) {
    this.#keys = names.map(({ key }) => key);
    const byName = inNaturalOrder(names).map((index) => ({ ...names[index], index }));
    this.#items = byName.slice(0, MOST_ITEMS).map(({ key, index, name, slot }) => {
      const swatch = h("span", { class: "swatch" });
      paintSwatch(swatch, slot);
      const value = h("span", { class: "legend-value" });
      const label = h("span", { class: "legend-name", text: name });
      const hint = `${name}\nClick: show or hide. Ctrl or Alt and click: only this one.`;
      const button = h("button", { type: "button", class: "legend-item", title: hint });
      button.append(swatch, label, value);
      return { key, index, button, value };
    });
    const more = names.length - this.#items.length;
    this.element.replaceChildren(...this.#items.map(({ button }) => button));
    this.element.dataset.count = String(names.length);
    const longest = Math.max(0, ...byName.map(({ name }) => name.length));
    this.element.style.setProperty("--item", `${itemWidth(longest)}px`);
    if (more > 0) {
      this.element.append(h("span", { class: "legend-more", text: `and ${more} more series` }));
    }
    this.#press();
  }

  /**
   * @param {(index: number) => number | null | undefined} valueOf of the series at the cursor
   * @param {string} unit
   * @param {number | null} decimals
   */
  setValues(valueOf, unit, decimals) {
    for (const { index, value } of this.#items) {
      setText(value, formatValue(valueOf(index), unit, decimals));
    }
  }

  #press() {
    for (const { key, button } of this.#items) {
      button.setAttribute("aria-pressed", String(!this.hidden.has(key)));
    }
  }
}
