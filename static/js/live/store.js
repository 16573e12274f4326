// The picture of one query: aligned columns of times and values, kept sorted and bounded.

import { seriesKey } from "../labels.js";
import { finiteOrNaN, isValue, positionOf } from "../values.js";
import { Columns } from "./columns.js";

/**
 * @typedef {{labels: Record<string, string>}} SeriesInfo
 * @typedef {Float64Array | number[]} Times
 * @typedef {Float64Array | (number | null)[]} FrameRow one value per time; NaN or null: no value
 * @typedef {{values: FrameRow[], low?: FrameRow[] | null, high?: FrameRow[] | null}} Rows `low` and
 *   `high`: the least and the greatest since the step before; absent: the values themselves
 * @typedef {Rows & {series: SeriesInfo[], times: Times, step_ms: number}} SnapshotData
 * @typedef {Rows & {series?: SeriesInfo[] | null, times: Times}} UpdateData
 * @typedef {Float64Array} Row one value per time of the store; NaN: no value
 * @typedef {{low: Row[], high: Row[]}} Band
 */

/** Snapshots of a server that is this far behind are believed: its data really ends there. */
const KEEP_NEWER_MS = 60_000;

/** Trimming wakes everybody who draws, so it waits until at least this many points can go. */
const TRIM_AT_LEAST = 64;

/**
 * Room for a picture and what trimming leaves beyond it, so that a live one never needs more: see
 * Columns, which moves its rows to the front once they fill no more than three quarters.
 */
const ROOM = 1.7;

/**
 * @param {unknown} row
 * @returns {row is FrameRow}
 */
function isRow(row) {
  return Array.isArray(row) || row instanceof Float64Array;
}

/**
 * @param {{times: unknown, values: unknown, low?: unknown, high?: unknown}} frame
 * @param {number} rows
 */
function fits({ times, values, low, high }, rows) {
  if (!isRow(times)) return false;
  for (const time of times) if (!Number.isFinite(time)) return false;
  /** @param {unknown} block */
  const isBlock = (block) =>
    Array.isArray(block) &&
    block.length === rows &&
    block.every((row) => isRow(row) && row.length === times.length);
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
  /** @type {SeriesInfo[]} */
  series = [];
  /** Grows when `series` changes: names and colours need not be looked up before. */
  seriesVersion = 0;
  stepMs = 0;
  /** Grows with every change, so that a drawer can tell whether it has something to do. */
  version = 0;
  /** Times, then values, then low and high: a row for each of `series` in each block. */
  #columns = new Columns(1);
  #banded = false;
  #maxPoints;
  /** @type {{views: Float64Array[], values: Row[], band: Band | null} | null} */
  #blocks = null;

  /** @param {{maxPoints?: number}} [options] `maxPoints`: the oldest times beyond it are dropped */
  constructor({ maxPoints = 12_000 } = {}) {
    this.#maxPoints = maxPoints;
  }

  /**
   * Ascending, unique, ms. A step that the server has not sent is absent. This and the rows are
   * views of what is kept: to be read before the next frame, not to be written.
   * @returns {Float64Array}
   */
  get times() {
    return this.#columns.views[0];
  }

  /** One row per series, as long as `times`. @returns {Row[]} */
  get values() {
    return this.#look().values;
  }

  /** In the form of `values`; null as long as it would say no more. @returns {Band | null} */
  get band() {
    return this.#look().band;
  }

  /** @returns {number | null} ms */
  get lastTimeMs() {
    const { times } = this;
    return times.length > 0 ? times[times.length - 1] : null;
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
    this.series = frame.series.slice();
    this.seriesVersion += 1;
    this.#columns = new Columns(1 + this.series.length, Math.ceil(frame.times.length * ROOM));
    this.#banded = false;
    this.#blocks = null;
    const step = finiteOrNaN(frame.step_ms);
    this.stepMs = isValue(step) ? step : 0;
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
    for (const info of added) this.#addSeries(info);
    this.#put(frame.times, frame);
    this.#changed();
    return true;
  }

  /**
   * Forgets times before `fromMs`. Cheap to call after every update: it acts only when enough can go.
   * @param {number} fromMs
   */
  trim(fromMs) {
    const { times } = this;
    if (times.length === 0 || times[0] >= fromMs) return;
    const stale = positionOf(times, fromMs);
    if (stale === times.length || stale >= Math.max(TRIM_AT_LEAST, times.length >> 3)) {
      this.#columns.drop(stale);
      this.version += 1;
    }
  }

  /**
   * @param {number} index of the series
   * @returns {{timeMs: number, value: number} | null} its newest value
   */
  last(index) {
    const row = this.values[index] ?? [];
    for (let i = row.length - 1; i >= 0; i -= 1) {
      if (isValue(row[i])) return { timeMs: this.times[i], value: row[i] };
    }
    return null;
  }

  #look() {
    const { views } = this.#columns;
    if (this.#blocks?.views === views) return this.#blocks;
    const count = this.series.length;
    /** @param {number} block */
    const rows = (block) => views.slice(1 + block * count, 1 + (block + 1) * count);
    const band = this.#banded ? { low: rows(1), high: rows(2) } : null;
    this.#blocks = { views, values: rows(0), band };
    return this.#blocks;
  }

  /** @param {SeriesInfo} info */
  #addSeries(info) {
    const count = this.series.length;
    // From the last block, so that the places of the others hold until they are used.
    for (let block = this.#banded ? 2 : 0; block >= 0; block -= 1) {
      this.#columns.insertRow(1 + (block + 1) * count);
    }
    this.series.push(info);
    this.seriesVersion += 1;
  }

  #addBand() {
    const { values } = this;
    for (const rows of [values, values]) {
      for (const row of rows) this.#columns.insertRow(this.#columns.views.length, row);
    }
    this.#banded = true;
    this.#blocks = null;
  }

  /**
   * @param {Times} times
   * @param {Rows} rows one for every series of the store
   */
  #put(times, { values, low, high }) {
    if (!this.#banded && low && high) this.#addBand();
    const given = this.#banded ? [...values, ...(low ?? values), ...(high ?? values)] : values;
    const last = this.lastTimeMs ?? -Infinity;
    if (times.length > 0 && times[0] > last && isAscending(times)) this.#append(times, given);
    else for (let i = 0; i < times.length; i += 1) this.#putColumn(times[i], given, i);
  }

  /**
   * @param {Times} times all after those that are known
   * @param {FrameRow[]} given
   */
  #append(times, given) {
    const at = this.#columns.length;
    this.#columns.open(at, times.length);
    const [own, ...rows] = this.#columns.views;
    own.set(times, at);
    for (let r = 0; r < rows.length; r += 1) {
      const [row, source] = [rows[r], given[r]];
      for (let i = 0; i < times.length; i += 1) row[at + i] = finiteOrNaN(source[i]);
    }
  }

  /**
   * @param {number} time
   * @param {FrameRow[]} given
   * @param {number} i column of `given`
   */
  #putColumn(time, given, i) {
    const at = positionOf(this.times, time);
    if (this.times[at] !== time) {
      this.#columns.open(at, 1);
      this.times[at] = time;
    }
    const { views } = this.#columns;
    for (let r = 0; r < given.length; r += 1) views[1 + r][at] = finiteOrNaN(given[r][i]);
  }

  /** @param {SnapshotData} frame */
  #newerThan(frame) {
    const { times } = frame;
    const endMs = times.length > 0 ? Math.max(times[0], times[times.length - 1]) : -Infinity;
    const from = positionOf(this.times, endMs + 1);
    if (from === this.times.length || (this.lastTimeMs ?? 0) - endMs > KEEP_NEWER_MS) return null;
    const rowOf = new Map(this.series.map((info, i) => [seriesKey(info.labels), i]));
    const newer = this.times.slice(from);
    const nothing = new Float64Array(newer.length).fill(NaN);
    const [values, low, high] = [this.values, this.band?.low, this.band?.high].map(
      (rows) =>
        rows &&
        frame.series.map(({ labels }) => {
          const row = rowOf.get(seriesKey(labels));
          return row === undefined ? nothing : rows[row].subarray(from);
        }),
    );
    return { times: newer, values: values ?? [], low, high };
  }

  #changed() {
    this.version += 1;
    // A little slack, so that a full store does not drop at every append.
    const slack = Math.max(1, this.#maxPoints >> 4);
    const { length } = this.#columns;
    if (length > this.#maxPoints) {
      this.#columns.drop(Math.min(length, length - this.#maxPoints + slack - 1));
    }
  }
}

/** @param {Times} times */
function isAscending(times) {
  for (let i = 1; i < times.length; i += 1) if (!(times[i] > times[i - 1])) return false;
  return true;
}
