// A small line without axes.

import { columns } from "./decimate.js";
import { withAlpha } from "./palette.js";

/** Room for the line's own width at the edges, in CSS pixels. */
const INSET_PX = 2;

/**
 * @typedef {object} SparkStyle
 * @property {string} colour "#rrggbb"
 * @property {number} fill 0: none, else the alpha under the line
 * @property {number} [stepMs] times further apart than this break the line
 */

/**
 * Fits the canvas to its box on the page, whatever the pixel density.
 * @param {HTMLCanvasElement} canvas
 * @returns {{width: number, height: number}} in CSS pixels
 */
export function fitCanvas(canvas) {
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  const density = devicePixelRatio || 1;
  const wide = Math.round(width * density);
  const high = Math.round(height * density);
  if (canvas.width !== wide) canvas.width = wide;
  if (canvas.height !== high) canvas.height = high;
  return { width, height };
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {ArrayLike<number>} times ms, ascending
 * @param {ArrayLike<number | null>} values
 * @param {import("./types.js").TimeWindow} window
 * @param {SparkStyle} style
 */
export function drawSparkline(canvas, times, values, window, { colour, fill, stepMs }) {
  const { width, height } = fitCanvas(canvas);
  const context = canvas.getContext("2d");
  if (context === null || width < 8 || height < 6) return;
  const density = devicePixelRatio || 1;
  context.setTransform(density, 0, 0, density, 0, 0);
  context.clearRect(0, 0, width, height);
  const points = columns(times, values, window, width, stepMs);
  const known = points.filter((point) => point !== null);
  if (known.length === 0) return;
  const low = Math.min(...known.map((point) => point.low));
  const high = Math.max(...known.map((point) => point.high));
  const room = height - 2 * INSET_PX;
  /** @param {number} value */
  const y = (value) => INSET_PX + room * (1 - heightOf(value, low, high));
  context.lineWidth = 1.5;
  context.lineJoin = "round";
  context.lineCap = "round";
  context.strokeStyle = colour;
  for (const run of runs(points)) {
    const line = new Path2D();
    for (const { x, low: bottom, high: top, last } of run) {
      if (top !== bottom) {
        line.lineTo(x, y(top));
        line.lineTo(x, y(bottom));
      }
      line.lineTo(x, y(last));
    }
    if (run.length === 1) line.arc(run[0].x, y(run[0].last), 0.75, 0, 7);
    if (fill > 0 && run.length > 1) {
      const area = new Path2D(line);
      area.lineTo(run[run.length - 1].x, height);
      area.lineTo(run[0].x, height);
      const shade = context.createLinearGradient(0, 0, 0, height);
      shade.addColorStop(0, withAlpha(colour, fill));
      shade.addColorStop(1, withAlpha(colour, 0));
      context.fillStyle = shade;
      context.fill(area);
    }
    context.stroke(line);
  }
}

/**
 * @param {number} value
 * @param {number} low
 * @param {number} high
 * @returns {number} 0 to 1; a line that never moves runs in the middle, at zero on the ground
 */
export function heightOf(value, low, high) {
  if (high === low) return value === 0 ? 0 : 0.5;
  return (value - low) / (high - low);
}

/**
 * @template T
 * @param {(T | null)[]} points
 * @returns {T[][]} the stretches between the nulls
 */
export function runs(points) {
  /** @type {T[][]} */
  const found = [[]];
  for (const point of points) {
    if (point === null) found.push([]);
    else found[found.length - 1].push(point);
  }
  return found.filter((run) => run.length > 0);
}
