// Times as charts and lists write them, in the reader's own time zone, on a 24 hour clock.

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const DAY_MS = 24 * 60 * MINUTE_MS;

/** @param {number} number */
function two(number) {
  return String(number).padStart(2, "0");
}

/** @param {Date} date */
function day(date) {
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/**
 * @param {number} timeMs
 * @returns {string} "14:02:11"
 */
export function clock(timeMs) {
  const date = new Date(timeMs);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/**
 * @param {number} timeMs
 * @returns {string} "2026-11-20 14:02:11"
 */
export function dateAndClock(timeMs) {
  return `${day(new Date(timeMs))} ${clock(timeMs)}`;
}

/**
 * @param {number} timeMs
 * @param {number} nowMs
 * @returns {string} the clock today, with the date on other days
 */
export function moment(timeMs, nowMs) {
  const date = new Date(timeMs);
  return day(date) === day(new Date(nowMs)) ? clock(timeMs) : dateAndClock(timeMs);
}

/**
 * @param {number} fromMs
 * @param {number} toMs
 * @param {number} nowMs
 * @returns {string} "14:02:11 – 14:07:11", with dates where they are needed
 */
export function span(fromMs, toMs, nowMs) {
  const sameDay = day(new Date(fromMs)) === day(new Date(toMs));
  return `${moment(fromMs, nowMs)} – ${sameDay ? clock(toMs) : moment(toMs, nowMs)}`;
}

/**
 * Labels of a time axis: as short as they can be, with the date where a day begins.
 * @param {readonly number[]} ticks ms, ascending
 * @param {number} distanceMs between ticks
 * @returns {string[]}
 */
export function axisTimes(ticks, distanceMs) {
  return ticks.map((timeMs) => {
    const date = new Date(timeMs);
    const midnight = date.getHours() === 0 && date.getMinutes() === 0 && date.getSeconds() === 0;
    if (distanceMs >= DAY_MS || (midnight && distanceMs >= MINUTE_MS)) return day(date).slice(5);
    return distanceMs < MINUTE_MS ? clock(timeMs) : clock(timeMs).slice(0, 5);
  });
}

/**
 * @param {number} timeMs
 * @param {number} nowMs
 * @returns {string} "now", "12 s ago", "5 min ago", "3 h ago", "2 d ago"
 */
export function ago(timeMs, nowMs) {
  const seconds = Math.max(0, Math.floor((nowMs - timeMs) / SECOND_MS));
  if (seconds < 2) return "now";
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86_400)} d ago`;
}
