// The span of a value axis: calm, honest about zero, never zero high.

/** @typedef {[number, number]} Span */

/** The axis shrinks only when the values need less than this share of it. */
const SHRINK_BELOW = 0.55;
const PAD = 0.06;
const STILL_PAD = 0.4;
const OVERSHOOT = 0.06;

/**
 * @param {number} value positive
 * @returns {number} the next 1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6 or 8 times a power of ten
 */
export function niceCeil(value) {
  if (!(value > 0) || !Number.isFinite(value)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  const steps = [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10];
  const fitting = steps.find((step) => step * power >= value * (1 - 1e-9));
  return (fitting ?? 10) * power;
}

/**
 * @param {number | null} low of the visible values; null: there are none
 * @param {number | null} high
 * @param {{min: number | null, max: number | null, zero: boolean}} wish `min` and `max` as the panel
 *   fixes them; `zero`: the axis must contain 0 (areas, stacks)
 * @returns {Span}
 */
export function valueSpan(low, high, { min, max, zero }) {
  let bottom = low ?? 0;
  let top = high ?? 1;
  // A value that never moves is shown from zero: there is nothing to magnify.
  const still = top === bottom;
  const nearZero = bottom >= 0 && bottom < top * 0.6;
  if (zero || still || nearZero) bottom = Math.min(0, bottom);
  if (zero || still) top = Math.max(0, top);
  if (top === bottom) top = 1;
  const pad = (top - bottom) * (still ? STILL_PAD : PAD);
  if (bottom !== 0) bottom -= pad;
  if (top !== 0) top += pad;
  const from = min ?? bottom;
  const to = max === null ? top : overshot(max, high ?? max, from);
  return to > from ? [from, to] : [from, from + (Math.abs(from) || 1)];
}

/**
 * A share measured over an uneven second can be 100.5 %; its line should not leave the picture.
 * @param {number} max as the panel fixes it
 * @param {number} high of the values
 * @param {number} from
 */
function overshot(max, high, from) {
  return high > max && high - max <= (max - from) * OVERSHOOT ? high : max;
}

/**
 * Grows at once, shrinks only when much of the axis is unused: lines do not hop with every value.
 * @param {Span | null} before
 * @param {Span} wanted
 * @returns {Span}
 */
export function steadySpan(before, wanted) {
  if (before === null) return wanted;
  const height = before[1] - before[0];
  const fits = wanted[0] >= before[0] && wanted[1] <= before[1];
  if (fits && wanted[1] - wanted[0] >= height * SHRINK_BELOW) return before;
  return wanted;
}

/**
 * The ends of a gauge or a bar.
 * @param {{min: number | null, max: number | null, unit: string}} spec
 * @param {number} highest of the values
 * @returns {Span}
 */
export function gaugeSpan({ min, max, unit }, highest) {
  const from = min ?? 0;
  const natural = unit === "percent" ? 100 : unit === "ratio" ? 1 : niceCeil(highest - from) + from;
  const to = max ?? natural;
  return to > from ? [from, to] : [from, from + 1];
}

/**
 * @param {number | null} value
 * @param {Span} span
 * @returns {number} 0 to 1
 */
export function share(value, [from, to]) {
  if (value === null || !Number.isFinite(value)) return 0;
  return Math.min(1, Math.max(0, (value - from) / (to - from)));
}

/**
 * Shares are read to a tenth of a percent; a third digit there would only flicker. Where all values
 * are far below one percent the digits say something again.
 * @param {{unit: string, decimals: number | null}} spec
 * @param {number} largest absolute value on the axis
 * @returns {number | null} digits after the point for legends; null: as formatValue does on its own
 */
export function readingDecimals({ unit, decimals }, largest) {
  if (decimals !== null) return decimals;
  if (unit === "percent" && largest >= 1) return 1;
  if (unit === "ratio" && largest >= 0.01) return 1;
  return null;
}
