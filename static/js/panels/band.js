// What a line passed between its steps: its least and greatest values, as a band behind it.

/** @import uPlot from "../../vendor/uplot/uPlot.esm.js" */

import { frameOf, inSight, isDense } from "./lines.js";

/** @typedef {import("../live/store.js").Band} Band */

/** So high, in pixels, a spike of one second is still seen; lower ones the line itself covers. */
const LEAST_HEIGHT_PX = 1;

/**
 * A box for each step, from the step before it: so long its extremes were watched.
 * @param {uPlot} u
 * @param {Band | null} band
 * @param {(series: number) => string} colour
 */
export function drawBand(u, band, colour) {
  if (band === null || isDense(u)) return;
  const times = u.data[0];
  const [first, last] = inSight(u);
  const { fromMs, left, perMs, low: lowest, bottom, perUnit } = frameOf(u);
  const { ctx } = u;
  ctx.save();
  ctx.beginPath();
  ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
  ctx.clip();
  for (let series = 0; series < band.low.length; series += 1) {
    if (!u.series[series + 1]?.show) continue;
    const lows = band.low[series];
    const highs = band.high[series];
    ctx.fillStyle = colour(series);
    for (let i = first; i <= Math.min(last, lows.length - 1); i += 1) {
      const height = (highs[i] - lows[i]) * perUnit;
      if (!(height >= LEAST_HEIGHT_PX)) continue;
      const right = Math.round(left + (times[i] - fromMs) * perMs);
      const begin = i > 0 ? Math.round(left + (times[i - 1] - fromMs) * perMs) : right - 1;
      const top = Math.round(bottom - (highs[i] - lowest) * perUnit);
      ctx.fillRect(begin, top, Math.max(1, right - begin), Math.round(height));
    }
  }
  ctx.restore();
}
