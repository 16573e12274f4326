// The span of time that a page shows: live ("the last 15 minutes") or absolute (from, to).

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** The shortest and the longest span that a page asks for. */
export const SHORTEST_RANGE_MS = SECOND_MS;
export const LONGEST_RANGE_MS = 366 * DAY_MS;

/** The server answers at most this many steps per query. */
export const MOST_STEPS = 11_000;

/** The largest time that a Date can hold. */
const LAST_TIME_MS = 8_640_000_000_000_000;

/**
 * @typedef {{rangeMs: number, endMs: number | null}} TimeRange `endMs` null: live, up to now
 */

/** @type {readonly {label: string, name: string, rangeMs: number}[]} */
export const PRESETS = [
  { label: "1m", name: "Last minute", rangeMs: MINUTE_MS },
  { label: "5m", name: "Last 5 minutes", rangeMs: 5 * MINUTE_MS },
  { label: "15m", name: "Last 15 minutes", rangeMs: 15 * MINUTE_MS },
  { label: "30m", name: "Last 30 minutes", rangeMs: 30 * MINUTE_MS },
  { label: "1h", name: "Last hour", rangeMs: HOUR_MS },
  { label: "3h", name: "Last 3 hours", rangeMs: 3 * HOUR_MS },
  { label: "6h", name: "Last 6 hours", rangeMs: 6 * HOUR_MS },
  { label: "12h", name: "Last 12 hours", rangeMs: 12 * HOUR_MS },
  { label: "24h", name: "Last 24 hours", rangeMs: DAY_MS },
];

/** The steps that stepFor chooses from, in ms. @type {readonly number[]} */
export const STEPS_MS = [
  ...[1, 2, 5, 10, 15, 30].map((n) => n * SECOND_MS),
  ...[1, 2, 5, 10, 15, 30].map((n) => n * MINUTE_MS),
  ...[1, 2, 3, 6, 12].map((n) => n * HOUR_MS),
  ...[1, 2, 7].map((n) => n * DAY_MS),
];

/**
 * The step that gives a chart about one value per one to two pixels.
 * @param {number} rangeMs
 * @param {number} [widthPx] of the plot; unknown or not laid out yet: a usual panel
 * @returns {number} ms, at least 1 s
 */
export function stepFor(rangeMs, widthPx = 600) {
  const width = Number.isFinite(widthPx) && widthPx >= 50 ? widthPx : 600;
  const most = Math.min(width, MOST_STEPS - 1);
  return STEPS_MS.find((step) => rangeMs / step <= most) ?? STEPS_MS[STEPS_MS.length - 1];
}

/** Largest first. @type {[string, number][]} */
const DURATION_UNITS = [
  ["d", DAY_MS],
  ["h", HOUR_MS],
  ["m", MINUTE_MS],
  ["s", SECOND_MS],
  ["ms", 1],
];

/**
 * @param {string} text such as "15m", "1h30m", "2d"
 * @returns {number | null} ms; null when it is not a duration
 */
export function parseDuration(text) {
  if (!/^(\d+(ms|[smhdw]))+$/.test(text)) return null;
  let totalMs = 0;
  for (const [, count, unit] of text.matchAll(/(\d+)(ms|[smhdw])/g)) {
    const unitMs = unit === "w" ? 7 * DAY_MS : new Map(DURATION_UNITS).get(unit);
    totalMs += Number(count) * (unitMs ?? 0);
  }
  return totalMs;
}

/**
 * @param {number} durationMs whole ms
 * @returns {string} "15m", "1h30m"; parseDuration reads it back
 */
export function formatDuration(durationMs) {
  let rest = Math.round(durationMs);
  let text = "";
  for (const [unit, unitMs] of DURATION_UNITS) {
    const count = Math.floor(rest / unitMs);
    rest -= count * unitMs;
    if (count > 0) text += `${count}${unit}`;
  }
  return text || "0s";
}

/** @param {number} rangeMs */
function bounded(rangeMs) {
  return Math.min(LONGEST_RANGE_MS, Math.max(SHORTEST_RANGE_MS, Math.round(rangeMs)));
}

/**
 * @param {number} rangeMs
 * @returns {TimeRange}
 */
export function liveRange(rangeMs) {
  return { rangeMs: bounded(rangeMs), endMs: null };
}

/**
 * @param {number} fromMs
 * @param {number} toMs in any order
 * @returns {TimeRange}
 */
export function absoluteRange(fromMs, toMs) {
  const endMs = Math.round(Math.max(fromMs, toMs));
  return { rangeMs: bounded(endMs - Math.min(fromMs, toMs)), endMs };
}

/**
 * @param {string} text ms since 1970, or an ISO time with its zone
 * @returns {number | null}
 */
function parseTime(text) {
  const timeMs = /^\d{1,16}$/.test(text)
    ? Number(text)
    : /^\d{4}-\d\d-\d\dT.*(Z|[+-]\d\d:\d\d)$/.test(text)
      ? Date.parse(text)
      : NaN;
  return timeMs >= 0 && timeMs <= LAST_TIME_MS ? timeMs : null;
}

/**
 * Reads "?range=15m" or "?from=...&to=..." of a page's address.
 * @param {string | URLSearchParams} query
 * @param {number} defaultRangeMs what to show when the query says nothing usable
 * @returns {TimeRange}
 */
export function parseRange(query, defaultRangeMs) {
  const params = new URLSearchParams(query);
  const from = parseTime(params.get("from") ?? "");
  const to = parseTime(params.get("to") ?? "");
  if (from !== null && to !== null && from < to) return absoluteRange(from, to);
  const rangeMs = parseDuration(params.get("range") ?? "");
  return liveRange(rangeMs || defaultRangeMs);
}

/**
 * @param {TimeRange} range
 * @returns {string} the query that parseRange reads back, with its "?"
 */
export function formatRange(range) {
  if (range.endMs === null) return `?range=${formatDuration(range.rangeMs)}`;
  return `?from=${range.endMs - range.rangeMs}&to=${range.endMs}`;
}

/**
 * @param {string} text the value of an <input type="datetime-local">, in the reader's time zone
 * @returns {number | null} ms since 1970; null when it is not a time
 */
export function fromLocalInput(text) {
  const match = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,3}))?)?$/.exec(text);
  if (match === null) return null;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map((x) => Number(x ?? 0));
  const fractionMs = Number((match[7] ?? "").padEnd(3, "0"));
  const date = new Date(year, month - 1, day, hour, minute, second, fractionMs);
  const same = date.getMonth() === month - 1 && date.getDate() === day;
  return same && hour < 24 && minute < 60 && second < 60 ? date.getTime() : null;
}

/** @param {number} number */
function two(number) {
  return String(number).padStart(2, "0");
}

/**
 * @param {number} timeMs
 * @returns {string} for an <input type="datetime-local" step="1">, in the reader's time zone
 */
export function toLocalInput(timeMs) {
  const t = new Date(timeMs);
  const day = `${String(t.getFullYear()).padStart(4, "0")}-${two(t.getMonth() + 1)}-${two(t.getDate())}`;
  return `${day}T${two(t.getHours())}:${two(t.getMinutes())}:${two(t.getSeconds())}`;
}

/**
 * @param {TimeRange} range
 * @returns {string} "Last 15 minutes", "2026-11-20 13:04:00 – 13:34:00"
 */
export function describeRange(range) {
  if (range.endMs === null) {
    const preset = PRESETS.find(({ rangeMs }) => rangeMs === range.rangeMs);
    return preset ? preset.name : `Last ${formatDuration(range.rangeMs)}`;
  }
  const [fromDay, fromTime] = toLocalInput(range.endMs - range.rangeMs).split("T");
  const [toDay, toTime] = toLocalInput(range.endMs).split("T");
  const end = fromDay === toDay ? toTime : `${toDay} ${toTime}`;
  return `${fromDay} ${fromTime} – ${end}`;
}
