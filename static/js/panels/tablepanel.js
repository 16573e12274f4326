// Series as rows: their labels, the newest value, and the range it moved in.

import { differingLabels } from "../labels.js";
import { formatValue } from "../units.js";
import { h, setText } from "./dom.js";
import { KeyedChildren } from "./keyed.js";
import { QueryPanel } from "./querypanel.js";
import { naturally, summary } from "./summary.js";

/** @typedef {import("./types.js").SeriesStore} SeriesStore */
/** @typedef {{key: string, texts: string[], numbers: (number | null)[]}} TableRow */

const MOST_ROWS = 300;
const NUMBERS = ["Last", "Min", "Mean", "Max"];

/**
 * @param {readonly Record<string, string>[]} all labels of all series
 * @returns {string[]} the labels worth a column each; none: a single column of names will do
 */
export function labelColumns(all) {
  return differingLabels(all).filter((name) => name !== "__name__");
}

/**
 * @param {TableRow[]} rows
 * @param {number} column texts first, then numbers
 * @param {boolean} descending
 * @returns {TableRow[]} rows without a value last, whichever way
 */
export function sorted(rows, column, descending) {
  const texts = rows[0]?.texts.length ?? 0;
  const sign = descending ? -1 : 1;
  return [...rows].sort((a, b) => {
    if (column < texts) return sign * naturally(a.texts[column], b.texts[column]);
    const [x, y] = [a.numbers[column - texts], b.numbers[column - texts]];
    if (x === null || y === null) return Number(x === null) - Number(y === null);
    return sign * (x - y);
  });
}

export class TablePanel extends QueryPanel {
  #head = h("tr");
  #body = h("tbody");
  #items = new KeyedChildren(this.#body, () => ({ element: h("tr") }));
  #columns = "";
  #sortColumn = 0;
  #descending = false;

  get moves() {
    return false;
  }

  start() {
    const caption = h("caption", { class: "visually-hidden", text: this.spec.title });
    const table = h("table", { class: "table" }, caption, h("thead", {}, this.#head), this.#body);
    const box = h("div", { class: "panel-table", tabindex: "0", role: "region" }, table);
    box.setAttribute("aria-label", this.spec.title);
    this.content.append(box);
    this.#head.addEventListener("click", (event) => this.#sortBy(event.target));
    super.start();
  }

  /** @param {SeriesStore} store */
  draw(store) {
    const all = store.series.map(({ labels }) => labels);
    const labelled = this.spec.legend === "" ? labelColumns(all) : [];
    const rows = this.names.map(({ key, name }, i) => ({
      key,
      texts: labelled.length > 0 ? labelled.map((label) => all[i][label] ?? "") : [name],
      numbers: this.#numbers(store, i),
    }));
    this.#showHead(labelled.length > 0 ? labelled : ["Series"]);
    const shown = sorted(rows, this.#sortColumn, this.#descending).slice(0, MOST_ROWS);
    this.#items.follow(shown.map(({ key }) => key)).forEach(({ element }, i) => {
      this.#showRow(element, shown[i]);
    });
  }

  /**
   * @param {SeriesStore} store
   * @param {number} i
   * @returns {(number | null)[]}
   */
  #numbers(store, i) {
    const row = store.values[i];
    const range = summary(store.times, row, this.shown);
    return [this.newest(i)?.value ?? null, range?.min ?? null, range?.mean ?? null, range?.max ?? null];
  }

  /**
   * @param {HTMLTableRowElement} element
   * @param {TableRow} row
   */
  #showRow(element, { texts, numbers }) {
    const { unit, decimals } = this.spec;
    const cells = [...texts, ...numbers.map((number) => formatValue(number, unit, decimals))];
    if (element.children.length !== cells.length) {
      element.replaceChildren(
        ...cells.map((_, i) => {
          const first = i === texts.length ? "num strong" : "num";
          return i === 0 ? h("th", { scope: "row" }) : h("td", { class: i < texts.length ? null : first });
        }),
      );
    }
    cells.forEach((text, i) => setText(element.children[i], text));
  }

  /** @param {string[]} labels */
  #showHead(labels) {
    const columns = [...labels, ...NUMBERS];
    const signature = `${columns.join("\n")} ${this.#sortColumn} ${this.#descending}`;
    if (signature === this.#columns) return;
    this.#columns = signature;
    if (this.#sortColumn >= columns.length) this.#sortColumn = 0;
    this.#head.replaceChildren(
      ...columns.map((name, i) => {
        const button = h("button", { type: "button", class: "sort", text: name });
        const order = this.#descending ? "descending" : "ascending";
        const cell = h("th", {
          scope: "col",
          class: i < labels.length ? null : "num",
          "aria-sort": i === this.#sortColumn ? order : null,
        });
        cell.append(button);
        return cell;
      }),
    );
  }

  /** @param {EventTarget | null} target */
  #sortBy(target) {
    const cell = target instanceof Element ? target.closest("th") : null;
    if (cell === null || !(target instanceof HTMLButtonElement)) return;
    const column = [...this.#head.children].indexOf(cell);
    const isNumber = cell.classList.contains("num");
    this.#descending = column === this.#sortColumn ? !this.#descending : isNumber;
    this.#sortColumn = column;
    if (this.store !== null) this.draw(this.store);
    const again = this.#head.children[column]?.querySelector("button");
    again?.focus();
  }
}
