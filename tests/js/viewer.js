// What the tests of the live client share: a page that is live, a panel, and frames for it.

import { World } from "./world.js";

/** @typedef {import("../../static/js/live/store.js").SeriesStore} SeriesStore */

export const PARAMS = { expr: "up", rangeMs: 60_000, stepMs: 1000 };

/** Records what a watch is told. */
export class Viewer {
  /** @type {string[]} */
  kinds = [];
  /** @type {{code: string, message: string}[]} */
  errors = [];
  /** @type {SeriesStore | null} */
  store = null;
  handlers = {
    onData: (/** @type {SeriesStore} */ store, /** @type {string} */ kind) => {
      this.store = store;
      this.kinds.push(kind);
    },
    onError: (/** @type {{code: string, message: string}} */ error) => {
      this.errors.push(error);
    },
  };

  get picture() {
    return { times: [...(this.store?.times ?? [])], values: this.store?.values.map((r) => [...r]) };
  }
}

/**
 * @param {number} id
 * @param {number[]} times
 * @param {(number | null)[]} values
 * @param {string} [cursor]
 */
export function snapshot(id, times, values, cursor = "e1:1") {
  const series = [{ labels: { job: "a" } }];
  return { type: "snapshot", id, series, times, values: [values], step_ms: 1000, cursor };
}

/**
 * @param {number} id
 * @param {number[]} times
 * @param {(number | null)[]} values
 * @param {string} [cursor]
 */
export function update(id, times, values, cursor = "e1:2") {
  return { type: "update", id, times, values: [values], cursor };
}

export function liveWorld() {
  const world = new World();
  const client = world.client();
  world.socket.welcome();
  return { world, client };
}
