// The lines of a chart: what uPlot would make of them, for typed rows and at many times a second.

/** @import uPlot from "../../vendor/uplot/uPlot.esm.js" */

import { Polyline, greatest, least } from "./polyline.js";

/**
 * @typedef {object} LineWishes
 * @property {(() => number)} stepMs values further apart than this are not joined
 * @property {() => import("../live/store.js").Band | null} band
 * @property {((series: number) => number) | null} ground of a stack: on which series, from 0, one
 *   lies, -1: on zero; null: no stack
 * @property {boolean} filled down to zero, or to the ground
 * @property {number} widthPx of a line in a chart of few points
 */

/** So many points a chart are drawn with lines of one pixel: wide ones cost ten times as much. */
const MANY_POINTS = 1500;
const THIN_PX = 1;

export class Lines {
  #wishes;
  /** By the number that uPlot gives the series, from 1. @type {Polyline[]} */
  #lines = [];

  /** @param {LineWishes} wishes */
  constructor(wishes) {
    this.#wishes = wishes;
  }

  /**
   * The least and the greatest value in sight.
   * @param {uPlot} u
   * @returns {[number | null, number | null]} null: there are none
   */
  extent(u) {
    const [first, last] = inSight(u);
    const rows = /** @type {ArrayLike<number>[]} */ (u.data.slice(1));
    // A band holds its line: nothing of the line is outside of it.
    const { low, high } = this.#wishes.band() ?? { low: rows, high: rows };
    let from = Infinity;
    let to = -Infinity;
    for (let i = 0; i < rows.length; i += 1) {
      if (!u.series[i + 1]?.show) continue;
      const end = Math.min(last, rows[i].length - 1);
      from = Math.min(from, least(low[i], first, end));
      to = Math.max(to, greatest(high[i], first, end));
    }
    return from <= to ? [from, to] : [null, null];
  }

  /**
   * uPlot's builder of paths.
   * @param {uPlot} u
   * @param {number} index of the series, from 1
   * @param {number} first position
   * @param {number} last included
   * @returns {any} uPlot.Series.Paths, with the width that it reads but does not declare
   */
  paths(u, index, first, last) {
    const { stepMs, ground, filled, widthPx, band } = this.#wishes;
    const frame = frameOf(u);
    this.#lines[index] ??= new Polyline();
    const line = this.#lines[index];
    const row = /** @type {Float64Array} */ (u.data[index]);
    const passed = isDense(u) ? band() : null;
    const rows = {
      row,
      low: passed?.low[index - 1] ?? row,
      high: passed?.high[index - 1] ?? row,
    };
    line.follow(u.data[0], rows, first, last, stepMs(), frame);
    const stroke = new Path2D();
    line.stroke(stroke);
    let fill = null;
    if (filled) {
      fill = new Path2D();
      const below = ground === null ? -1 : ground(index - 1);
      line.fill(fill, this.#lines[below + 1] ?? groundLevel(u));
    }
    const shown = u.series.filter(({ show }) => show).length - 1;
    const points = shown * Math.min(last - first, u.bbox.width);
    return {
      stroke,
      fill,
      clip: null,
      band: null,
      gaps: null,
      flags: 0,
      _width: points > MANY_POINTS ? THIN_PX : widthPx,
    };
  }

  /**
   * A value between two gaps is no line; without a dot it would not be seen.
   * @param {uPlot} u
   * @param {number} index of the series, from 1
   * @param {boolean} all
   * @returns {number[] | null} positions of the dots
   */
  dots(u, index, all) {
    if (all) {
      const [first, last] = inSight(u);
      const row = u.data[index];
      const found = [];
      for (let i = first; i <= last; i += 1) if (!Number.isNaN(row[i])) found.push(i);
      return found;
    }
    const lone = this.#lines[index]?.lone ?? [];
    return lone.length > 0 ? lone : null;
  }
}

/**
 * More steps than pixels: a line then is so high in each pixel as what was passed there, and a band
 * behind it would say no more.
 * @param {uPlot} u
 */
export function isDense(u) {
  const [first, last] = inSight(u);
  return last - first > u.bbox.width;
}

/**
 * @param {uPlot} u
 * @returns {[number, number]} first and last position, included
 */
export function inSight(u) {
  const [first, last] = u.series[0].idxs ?? [0, -1];
  return [first ?? 0, last ?? -1];
}

/**
 * @param {uPlot} u
 * @returns {import("./polyline.js").Frame}
 */
export function frameOf({ bbox, scales: { x, y } }) {
  const [fromMs, toMs] = [x.min ?? 0, x.max ?? 1];
  const [low, high] = [y.min ?? 0, y.max ?? 1];
  return {
    fromMs,
    left: bbox.left,
    perMs: bbox.width / (toMs - fromMs),
    low,
    bottom: bbox.top + bbox.height,
    perUnit: bbox.height / (high - low),
  };
}

/** @param {uPlot} u @returns {number} where zero is, or the nearest that is in sight, in pixels */
function groundLevel(u) {
  const { low, bottom, perUnit } = frameOf(u);
  const high = u.scales.y.max ?? 1;
  return bottom - (Math.min(high, Math.max(low, 0)) - low) * perUnit;
}
