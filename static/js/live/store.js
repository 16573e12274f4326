// The picture of one query: aligned columns of times and values, kept sorted and bounded.

import { seriesKey } from "../labels.js";

/**
 * @typedef {{labels: Record<string, string>}} SeriesInfo
 * @typedef {(number | null)[]} Row one value per time; null: no value
 * @typedef {{values: Row[], low?: Row[] | null, high?: Row[] | null}} Rows `low` and `high`: the
 *   least and the greatest since the step before; absent: the values themselves
 * @typedef {Rows & {series: SeriesInfo[], times: number[], step_ms: number}} SnapshotData
 * @typedef {Rows & {series?: SeriesInfo[] | null, times: number[]}} UpdateData
 * @typedef {{low: Row[], high: Row[]}} Band
 */

/** Snapshots of a server that is this far behind are believed: its data really ends there. */
const KEEP_NEWER_MS = 60_000;

/** Trimming moves all columns, so it waits until at least this many points can go. */
const TRIM_AT_LEAST = 64;

/**
 * @param {unknown} value
 * @returns {number | null}
 */
function numberOrNull(value) {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

/**
 * @param {{times: unknown, values: unknown, low?: unknown, high?: unknown}} frame
 * @param {number} rows
 */
function fits({ times, values, low, high }, rows) {
  if (!Array.isArray(times) || !times.every(Number.isFinite)) return false;
  /** @param {unknown} block */
  const isBlock = (block) =>
    Array.isArray(block) &&
    block.length === rows &&
    block.every((row) => Array.isArray(row) && row.length === times.length);
  return isBlock(values) && isBlock(low ?? values) && isBlock(high ?? values);
}

/**
 * @param {unknown} series
 * @returns {boolean}
 */
function isSeriesList(series) {
  return (
    Array.isArray(series) &&
    series.every((item) => typeof item?.labels === "object" && item.labels !== null)
  );
}

export class SeriesStore {
  /** Ascending, unique, ms. A step that the server has not sent is absent. @type {number[]} */
  times = [];
  /** @type {SeriesInfo[]} */
  series = [];
  /** One row per series, as long as `times`. @type {Row[]} */
  values = [];
  /** In the form of `values`; null as long as it would say no more. @type {Band | null} */
  band = null;
  stepMs = 0;
  /** Grows with every change, so that a drawer can tell whether it has something to do. */
  version = 0;
  #maxPoints;
  /** @type {{version: number, times: number[], values: Row[], band: Band | null} | null} */
  #gapped = null;

  /** @param {{maxPoints?: number}} [options] `maxPoints`: the oldest times beyond it are dropped */
  constructor({ maxPoints = 12_000 } = {}) {
    this.#maxPoints = maxPoints;
  }

  /** @returns {number | null} ms */
  get lastTimeMs() {
    return this.times.length > 0 ? this.times[this.times.length - 1] : null;
  }

  /**
   * Takes a snapshot in place of everything.
   * @param {SnapshotData} frame
   * @param {{keepNewer?: boolean}} [options] keepNewer: the query is the same as before, so times
   *   newer than the snapshot (of a server that is a little behind) stay: a picture never goes back
   * @returns {boolean} false: the frame does not fit together and nothing was changed
   */
  replace(frame, { keepNewer = false } = {}) {
    if (!isSeriesList(frame.series) || !fits(frame, frame.series.length)) return false;
    const newer = keepNewer && frame.step_ms === this.stepMs ? this.#newerThan(frame) : null;
    this.times = [];
    this.series = frame.series.slice();
    this.values = frame.series.map(() => []);
    this.band = null;
    this.stepMs = numberOrNull(frame.step_ms) ?? 0;
    this.#put(frame.times, frame);
    if (newer !== null) this.#put(newer.times, newer);
    this.#changed();
    return true;
  }

  /**
   * Merges an update by (series, time): appends, corrects, fills in, adds series.
   * @param {UpdateData} frame
   * @returns {boolean} false: the frame does not continue this store and nothing was changed
   */
  merge(frame) {
    const added = frame.series ?? [];
    if (!isSeriesList(added)) return false;
    if (!fits(frame, this.series.length + added.length)) return false;
    for (const info of added) {
      this.series.push(info);
      for (const rows of this.#blocks()) rows.push(new Array(this.times.length).fill(null));
    }
    this.#put(frame.times, frame);
    this.#changed();
    return true;
  }

  /**
   * Forgets times before `fromMs`. Cheap to call after every update: it acts only when enough can go.
   * @param {number} fromMs
   */
  trim(fromMs) {
    if (this.times.length === 0 || this.times[0] >= fromMs) return;
    const stale = this.#position(fromMs);
    if (stale === this.times.length || stale >= Math.max(TRIM_AT_LEAST, this.times.length >> 3)) {
      this.#dropOldest(stale);
    }
  }

  /**
   * The columns for drawing: where steps are missing, one time with nulls is put in, so that a line
   * breaks there instead of bridging the gap. The arrays must not be changed by the caller.
   * @returns {{times: number[], values: Row[], band: Band | null}}
   */
  withGaps() {
    if (this.#gapped?.version === this.version) return this.#gapped;
    const before = this.#stepsAfterGap();
    if (before.length === 0) return this;
    /**
     * @template T
     * @param {T[]} column
     * @param {(before: number) => T} filler
     */
    const filled = (column, filler) => {
      const result = [];
      let from = 0;
      for (const position of before) {
        for (; from < position; from += 1) result.push(column[from]);
        result.push(filler(position));
      }
      for (; from < column.length; from += 1) result.push(column[from]);
      return result;
    };
    /** @param {Row[]} rows */
    const broken = (rows) => rows.map((row) => filled(row, () => null));
    this.#gapped = {
      version: this.version,
      times: filled(this.times, (position) => this.times[position - 1] + this.stepMs),
      values: broken(this.values),
      band: this.band && { low: broken(this.band.low), high: broken(this.band.high) },
    };
    return this.#gapped;
  }

  /**
   * @param {number} index of the series
   * @returns {{timeMs: number, value: number} | null} its newest value
   */
  last(index) {
    const row = this.values[index] ?? [];
    for (let i = row.length - 1; i >= 0; i -= 1) {
      const value = row[i];
      if (value !== null) return { timeMs: this.times[i], value };
    }
    return null;
  }

  /** All that has a row for every series. @returns {Row[][]} */
  #blocks() {
    return this.band === null ? [this.values] : [this.values, this.band.low, this.band.high];
  }

  /**
   * @param {number[]} times
   * @param {Rows} rows one for every series of the store
   */
  #put(times, { values, low, high }) {
    if (this.band === null && low && high) {
      this.band = { low: this.values.map((row) => [...row]), high: this.values.map((row) => [...row]) };
    }
    const given = [values, low ?? values, high ?? values];
    const blocks = this.#blocks();
    for (let i = 0; i < times.length; i += 1) {
      const time = times[i];
      const newest = this.times.length - 1;
      const after = newest < 0 || time > this.times[newest];
      const at = after ? newest + 1 : this.#position(time);
      const known = !after && this.times[at] === time;
      if (after) this.times.push(time);
      else if (!known) this.times.splice(at, 0, time);
      blocks.forEach((rows, block) => {
        for (let s = 0; s < rows.length; s += 1) {
          const value = numberOrNull(given[block][s][i]);
          if (after) rows[s].push(value);
          else if (known) rows[s][at] = value;
          else rows[s].splice(at, 0, value);
        }
      });
    }
  }

  /**
   * @param {number} time
   * @returns {number} the first position whose time is not before `time`
   */
  #position(time) {
    let low = 0;
    let high = this.times.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.times[middle] < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** @param {SnapshotData} frame */
  #newerThan(frame) {
    const endMs = frame.times.length > 0 ? Math.max(...ends(frame.times)) : -Infinity;
    const from = this.#position(endMs + 1);
    if (from === this.times.length || (this.lastTimeMs ?? 0) - endMs > KEEP_NEWER_MS) return null;
    const rowOf = new Map(this.series.map((info, i) => [seriesKey(info.labels), i]));
    const times = this.times.slice(from);
    const [values, low, high] = this.#blocks().map((rows) =>
      frame.series.map(({ labels }) => {
        const row = rowOf.get(seriesKey(labels));
        return row === undefined ? times.map(() => null) : rows[row].slice(from);
      }),
    );
    return { times, values, low, high };
  }

  /** @returns {number[]} positions whose time is more than a step after the one before */
  #stepsAfterGap() {
    const positions = [];
    if (this.stepMs > 0) {
      for (let i = 1; i < this.times.length; i += 1) {
        if (this.times[i] - this.times[i - 1] > this.stepMs) positions.push(i);
      }
    }
    return positions;
  }

  /** @param {number} count */
  #dropOldest(count) {
    this.times.splice(0, count);
    for (const rows of this.#blocks()) for (const row of rows) row.splice(0, count);
    this.version += 1;
  }

  #changed() {
    this.version += 1;
    // A little slack, so that a full store does not move its columns on every append.
    const slack = Math.max(1, this.#maxPoints >> 4);
    if (this.times.length > this.#maxPoints) {
      this.#dropOldest(Math.min(this.times.length, this.times.length - this.#maxPoints + slack - 1));
    }
  }
}

/**
 * @param {number[]} times
 * @returns {[number, number]}
 */
function ends(times) {
  return [times[0], times[times.length - 1]];
}
