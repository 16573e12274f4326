// What a line passed between its steps: its least and greatest values, as a band behind it.

/** @import uPlot from "../../vendor/uplot/uPlot.esm.js" */

/** @typedef {import("../live/store.js").Band} Band */

/** So high, in pixels, a spike of one second is still seen. */
const LEAST_HEIGHT_PX = 1;

/**
 * @param {uPlot} u
 * @param {Band} band
 * @param {(series: number, index: number, low: number, high: number) => void} visit each visible
 *   step of a shown series at which the band has a height
 */
function eachStep(u, band, visit) {
  const times = u.data[0];
  const { min, max } = u.scales.x;
  if (times.length === 0 || min === undefined || max === undefined) return;
  band.low.forEach((lows, series) => {
    if (!u.series[series + 1]?.show) return;
    const highs = band.high[series];
    for (let i = 0; i < lows.length; i += 1) {
      const [low, high] = [lows[i], highs[i]];
      if (low === null || high === null || low >= high) continue;
      if (times[i] >= min && times[i] <= max) visit(series, i, low, high);
    }
  });
}

/**
 * The span of values that lines and band need.
 * @param {uPlot} u
 * @param {number | null} low of the lines; null: there are none
 * @param {number | null} high
 * @param {Band | null} band
 * @returns {[number | null, number | null]}
 */
export function widenedByBand(u, low, high, band) {
  if (band === null) return [low, high];
  let [least, greatest] = [low ?? Infinity, high ?? -Infinity];
  eachStep(u, band, (_series, _index, from, to) => {
    least = Math.min(least, from);
    greatest = Math.max(greatest, to);
  });
  return least <= greatest ? [least, greatest] : [low, high];
}

/**
 * A box for each step, from the step before it: so long its extremes were watched.
 * @param {uPlot} u
 * @param {Band | null} band
 * @param {(series: number) => string} colour
 */
export function drawBand(u, band, colour) {
  if (band === null) return;
  const times = u.data[0];
  const { ctx } = u;
  ctx.save();
  ctx.beginPath();
  ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
  ctx.clip();
  let painted = -1;
  eachStep(u, band, (series, i, low, high) => {
    if (series !== painted) {
      painted = series;
      ctx.fillStyle = colour(series);
    }
    const right = u.valToPos(times[i], "x", true);
    const left = i > 0 ? u.valToPos(times[i - 1], "x", true) : right - 1;
    const top = u.valToPos(high, "y", true);
    const height = Math.max(LEAST_HEIGHT_PX, u.valToPos(low, "y", true) - top);
    ctx.fillRect(left, top, Math.max(1, right - left), height);
  });
  ctx.restore();
}
