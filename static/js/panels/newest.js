// The newest value of each series, second by second, however coarse the picture's own step is.

import { seriesKey } from "../labels.js";
import { latest } from "./summary.js";

/** @typedef {import("./types.js").SeriesStore} SeriesStore */

const STEP_MS = 1_000;
const RANGE_MS = 30_000;

export class NewestValues {
  /** @type {import("../live/watches.js").QueryWatch | null} */
  #watch = null;
  /** @type {SeriesStore | null} */
  #store = null;
  /** @type {Map<string, number>} */
  #rows = new Map();
  #client;
  #expr;
  #onData;

  /**
   * @param {import("../live/client.js").LiveClient} client
   * @param {string} expr
   * @param {() => void} onData
   */
  constructor(client, expr, onData) {
    this.#client = client;
    this.#expr = expr;
    this.#onData = onData;
  }

  /**
   * @param {{stepMs: number, endMs: number | null}} picture what the panel itself watches; a live
   *   picture with steps of a second needs no help
   */
  follow({ stepMs, endMs }) {
    const needed = endMs === null && stepMs > STEP_MS;
    if (needed === (this.#watch !== null)) return;
    this.#watch?.stop();
    this.#watch = null;
    this.#store = null;
    if (!needed) return;
    const question = { expr: this.#expr, rangeMs: RANGE_MS, stepMs: STEP_MS, endMs: null };
    this.#watch = this.#client.watchQuery(question, {
      onData: (store) => {
        this.#store = store;
        if (this.#rows.size !== store.series.length) this.#index(store);
        this.#onData();
      },
      // The panel's own watch of the same expression says what is wrong.
      onError: () => {
        this.#store = null;
      },
    });
  }

  /**
   * @param {string} key of the series
   * @param {number} untilMs
   * @returns {{value: number, timeMs: number} | null} null: nothing newer than the picture is known
   */
  get(key, untilMs) {
    const store = this.#store;
    if (store === null) return null;
    let row = this.#rows.get(key);
    if (row === undefined || seriesKey(store.series[row]?.labels ?? {}) !== key) {
      this.#index(store);
      row = this.#rows.get(key);
    }
    return row === undefined ? null : latest(store.times, store.values[row], untilMs);
  }

  /** @param {SeriesStore} store */
  #index(store) {
    this.#rows = new Map(store.series.map(({ labels }, i) => [seriesKey(labels), i]));
  }
}
