// Numbers as people write them: 12.4 GiB, 350 ms, 42 %, 2 d 4 h.

/**
 * @typedef {{prefixes: string[], base: number, suffix: string, joined: boolean}} Ladder
 *   `joined`: without a prefix the suffix follows the digits directly ("42/s").
 */

/** What stands for "no value". */
export const NO_VALUE = "–";

const SI = ["", "k", "M", "G", "T", "P", "E"];
const IEC = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

const PLAIN = { prefixes: SI, base: 1000, suffix: "", joined: false };

/** @type {Map<string, Ladder>} */
const LADDERS = new Map(Object.entries({
  "": PLAIN,
  count: PLAIN,
  per_second: { prefixes: SI, base: 1000, suffix: "/s", joined: true },
  bytes: { prefixes: IEC, base: 1024, suffix: "B", joined: false },
  bytes_per_second: { prefixes: IEC, base: 1024, suffix: "B/s", joined: false },
  bits_per_second: { prefixes: SI, base: 1000, suffix: "bit/s", joined: false },
  hertz: { prefixes: SI, base: 1000, suffix: "Hz", joined: false },
}));

/** Units without prefixes: [factor, suffix]. @type {Map<string, [number, string]>} */
const FIXED = new Map([
  ["percent", [1, "%"]],
  ["ratio", [100, "%"]],
  ["celsius", [1, "°C"]],
]);

/** Factor to seconds. @type {Map<string, number>} */
const DURATIONS = new Map([
  ["seconds", 1],
  ["milliseconds", 0.001],
]);

/** Largest first: [seconds, symbol]. @type {[number, string][]} */
const TIME_UNITS = [
  [86_400, "d"],
  [3600, "h"],
  [60, "min"],
  [1, "s"],
  [1e-3, "ms"],
  [1e-6, "µs"],
  [1e-9, "ns"],
];

/** Counts below this are written out: 12,345 rather than 12.3 k. */
const EXACT_COUNT_BELOW = 100_000;

/**
 * @param {string} digits of a plain decimal number
 */
function withoutTrailingZeros(digits) {
  return digits.includes(".") ? digits.replace(/\.?0+$/, "") : digits;
}

/**
 * @param {string} digits
 */
function grouped(digits) {
  const [whole, fraction] = digits.split(".");
  const groups = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return fraction === undefined ? groups : `${groups}.${fraction}`;
}

/**
 * About three significant digits, or exactly `decimals`. Never "-0".
 * @param {number} value finite
 * @param {number | null} decimals
 * @returns {string}
 */
function digitsOf(value, decimals) {
  const size = Math.abs(value);
  if (value === 0) return "0";
  if (size >= 1e21 || (decimals === null && (size >= 1e9 || size < 1e-4))) {
    const [mantissa, exponent] = value.toExponential(decimals ?? 2).split("e");
    return `${withoutTrailingZeros(mantissa)}e${exponent.replace("+", "")}`;
  }
  let text;
  if (decimals !== null) text = value.toFixed(decimals);
  else if (size < 1) text = withoutTrailingZeros(Number(value.toPrecision(3)).toFixed(7));
  else text = withoutTrailingZeros(value.toFixed(size < 10 ? 2 : size < 100 ? 1 : 0));
  if (Number(text) === 0) text = text.replace("-", "");
  return size >= 1000 ? grouped(text) : text;
}

/**
 * @param {Ladder} ladder
 * @param {number} size absolute value
 * @param {number | null} decimals
 * @returns {number} the step of the ladder on which the rounded number stays below the base
 */
function rung(ladder, size, decimals) {
  let step = 0;
  let scaled = size;
  const last = ladder.prefixes.length - 1;
  while (step < last && Number(scaled.toFixed(decimals ?? roundedPlaces(scaled))) >= ladder.base) {
    scaled /= ladder.base;
    step += 1;
  }
  return step;
}

/** @param {number} size */
function roundedPlaces(size) {
  return size < 10 ? 2 : size < 100 ? 1 : 0;
}

/**
 * @param {string} digits
 * @param {string} prefix
 * @param {Ladder} ladder
 */
function withSuffix(digits, prefix, ladder) {
  const suffix = prefix + ladder.suffix;
  if (suffix === "") return digits;
  return ladder.joined && prefix === "" ? digits + suffix : `${digits} ${suffix}`;
}

/**
 * @param {number} seconds
 * @param {number | null} decimals
 * @param {string} zeroSymbol
 */
function formatDuration(seconds, decimals, zeroSymbol) {
  if (seconds === 0) return `0 ${zeroSymbol}`;
  const size = Math.abs(seconds);
  const sign = seconds < 0 ? "-" : "";
  if (Number(size.toFixed(1)) >= 60) return sign + longDuration(size);
  for (const [unit, symbol] of TIME_UNITS.slice(3)) {
    const scaled = size / unit;
    const rounded = Number(scaled.toFixed(decimals ?? roundedPlaces(scaled)));
    if (rounded >= 1) return `${sign}${digitsOf(scaled, decimals)} ${symbol}`;
  }
  return `${sign}${digitsOf(size, null)} s`;
}

/**
 * @param {number} seconds at least 59.95
 * @returns {string} the two largest units: "2 d 4 h", "1 h 5 min", "2 min 5 s"
 */
function longDuration(seconds) {
  for (let i = 0; i < 3; i += 1) {
    const [large, largeSymbol] = TIME_UNITS[i];
    const [small, smallSymbol] = TIME_UNITS[i + 1];
    const smalls = Math.round(seconds / small);
    const perLarge = large / small;
    if (smalls < perLarge) continue;
    const larges = Math.floor(smalls / perLarge);
    const rest = smalls % perLarge;
    const whole = `${digitsOf(larges, null)} ${largeSymbol}`;
    return rest === 0 || larges >= 100 ? whole : `${whole} ${rest} ${smallSymbol}`;
  }
  return `${Math.round(seconds)} s`;
}

/**
 * A value as people write it: "12.4 GiB", "350 ms", "42 %", "1.2 k", "2 d 4 h".
 * @param {number | null | undefined} value null, undefined and NaN give "–"
 * @param {string} [unit] one of Panel.unit; an unknown unit is shown as a plain number
 * @param {number | null} [decimals] digits after the point; null or absent: about three significant
 * @returns {string}
 */
export function formatValue(value, unit = "", decimals = null) {
  if (value === null || value === undefined || Number.isNaN(value)) return NO_VALUE;
  const places = typeof decimals === "number" ? Math.min(20, Math.max(0, decimals)) : null;
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "-∞";
  const fixed = FIXED.get(unit);
  if (fixed !== undefined) {
    const [factor, suffix] = fixed;
    return `${digitsOf(value * factor, places)} ${suffix}`;
  }
  const toSeconds = DURATIONS.get(unit);
  if (toSeconds !== undefined) {
    return formatDuration(value * toSeconds, places, unit === "seconds" ? "s" : "ms");
  }
  const ladder = LADDERS.get(unit) ?? PLAIN;
  if (unit === "count" && Math.abs(value) < EXACT_COUNT_BELOW) {
    const whole = Math.abs(value) >= 1000 ? Math.round(value) : value;
    return digitsOf(whole, places);
  }
  const step = rung(ladder, Math.abs(value), places);
  const digits = digitsOf(value / ladder.base ** step, places);
  return withSuffix(digits, ladder.prefixes[step], ladder);
}

/**
 * @param {string} unit
 * @param {number} largest absolute value on the axis
 * @returns {{factor: number, suffix: string}} what to multiply by, and what to write behind
 */
function axisScale(unit, largest) {
  const fixed = FIXED.get(unit);
  if (fixed !== undefined) {
    const [factor, suffix] = fixed;
    return { factor, suffix: ` ${suffix}` };
  }
  const toSeconds = DURATIONS.get(unit);
  if (toSeconds !== undefined) {
    const fitting = TIME_UNITS.find(([size]) => largest * toSeconds >= size * 0.9999);
    const [size, symbol] = fitting ?? TIME_UNITS[TIME_UNITS.length - 1];
    return { factor: toSeconds / size, suffix: ` ${symbol}` };
  }
  const ladder = LADDERS.get(unit) ?? PLAIN;
  const step = rung(ladder, largest, null);
  return {
    factor: 1 / ladder.base ** step,
    suffix: withSuffix("", ladder.prefixes[step], ladder),
  };
}

/**
 * @param {number[]} scaled tick positions in the axis's unit, ascending
 * @returns {number} the digits after the point that keep all ticks exact, at most 6
 */
function placesBetween(scaled) {
  const largest = Math.max(...scaled.map(Math.abs));
  for (let places = 0; places < 6; places += 1) {
    const exact = (/** @type {number} */ x) =>
      Math.abs(x - Number(x.toFixed(places))) <= largest * 1e-7;
    if (scaled.every(exact)) return places;
  }
  return 6;
}

/**
 * Labels for the ticks of one axis, all in one unit: ["0", "0.5 GiB", "1.0 GiB"].
 * @param {string} [unit] one of Panel.unit
 * @param {number | null} [decimals] digits after the point; null or absent: as many as tell ticks apart
 * @returns {(values: readonly (number | null)[]) => string[]} null gives ""
 */
export function axisFormatter(unit = "", decimals = null) {
  return (values) => {
    const known = values.filter((v) => v !== null && Number.isFinite(v)).map(Number);
    if (known.length === 0) return values.map(() => "");
    const { factor, suffix } = axisScale(unit, Math.max(...known.map(Math.abs)));
    const scaled = known.map((v) => v * factor);
    const tiny = scaled.some((v) => v !== 0 && Math.abs(v) < 1e-4);
    const places = tiny ? null : (decimals ?? placesBetween(scaled));
    return values.map((v) => {
      if (v === null || !Number.isFinite(v)) return "";
      return v === 0 ? "0" : digitsOf(v * factor, places) + suffix;
    });
  };
}

const BINARY_INCREMENTS = Array.from({ length: 71 }, (_, i) => 2 ** (i - 10));

/**
 * The distances between ticks that look round in this unit, for uPlot's `axis.incrs`.
 * @param {string} unit
 * @returns {number[] | undefined} undefined: uPlot's own decimal steps
 */
export function axisIncrements(unit) {
  return LADDERS.get(unit)?.base === 1024 ? BINARY_INCREMENTS : undefined;
}
