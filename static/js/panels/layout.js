// How wide and high a panel is on the three grids: 12 columns, 12 columns of a tablet, 2 of a phone.

const COLUMNS = 12;
const MOST_ROWS = 12;
const SMALL_KINDS = new Set(["stat", "gauge"]);
const CHART_KINDS = new Set(["line", "area"]);
/** With fewer rows a narrow chart has no room for its axis and its legend. */
const LEAST_CHART_ROWS = 4;
const LEAST_ROWS = 3;

/**
 * @param {number} value
 * @param {number} most
 * @param {number} fallback when the value is not a number
 */
function clamped(value, most, fallback) {
  if (!Number.isFinite(value)) return fallback;
  return Math.min(most, Math.max(1, Math.round(value)));
}

/**
 * @param {{kind: string, width: number, height: number}} spec
 * @returns {{wide: number, medium: number, small: number, rows: number, smallRows: number}} spans
 */
export function spans(spec) {
  const wide = clamped(spec.width, COLUMNS, 6);
  const rows = clamped(spec.height, MOST_ROWS, 3);
  const compact = SMALL_KINDS.has(spec.kind);
  return {
    wide,
    medium: wide > 6 ? 12 : compact && wide <= 2 ? 4 : 6,
    small: compact && wide <= 4 ? 1 : 2,
    rows,
    smallRows: compact ? rows : Math.max(CHART_KINDS.has(spec.kind) ? LEAST_CHART_ROWS : LEAST_ROWS, rows),
  };
}

/**
 * @param {HTMLElement} element
 * @param {{kind: string, width: number, height: number}} spec
 */
export function place(element, spec) {
  const { wide, medium, small, rows, smallRows } = spans(spec);
  element.style.setProperty("--w", String(wide));
  element.style.setProperty("--w-medium", String(medium));
  element.style.setProperty("--w-small", String(small));
  element.style.setProperty("--h", String(rows));
  element.style.setProperty("--h-small", String(smallRows));
}
