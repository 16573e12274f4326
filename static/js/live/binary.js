// Data frames of pulseboard.v1: one header, then columns that are looked at where they lie.

/**
 * What a frame of the JSON form is too, with typed rows; NaN: no value.
 * @typedef {object} BinaryFrame
 * @property {"snapshot" | "update"} type
 * @property {number} id
 * @property {import("./store.js").SeriesInfo[]} series new ones; all, in a snapshot
 * @property {Float64Array} times
 * @property {Float64Array[]} values
 * @property {Float64Array[] | null} low
 * @property {Float64Array[] | null} high
 * @property {number} step_ms
 * @property {string} cursor
 * @property {boolean} conflated
 */

const VERSION = 1;
const HEADER_BYTES = 40;
const NUMBER_BYTES = 8;
const BANDED = 1;
const CONFLATED = 2;
/** Far more series than one answer may have. */
const MOST_EMPTY_ROWS = 1_000_000;
/** @type {Record<number, BinaryFrame["type"]>} */
const KINDS = { 1: "snapshot", 2: "update" };

const utf8 = new TextDecoder("utf-8", { fatal: true });

/**
 * @param {ArrayBuffer} buffer one whole message
 * @returns {BinaryFrame | null} views of `buffer`; null: another version or kind, a length that does
 *   not fit, or labels that cannot be read
 */
export function decode(buffer) {
  if (buffer.byteLength < HEADER_BYTES) return null;
  const head = new DataView(buffer, 0, HEADER_BYTES);
  const type = KINDS[head.getUint8(1)];
  if (head.getUint8(0) !== VERSION || type === undefined) return null;
  const flags = head.getUint16(2, true);
  const rows = head.getUint32(8, true);
  const columns = head.getUint32(12, true);
  const labelBytes = head.getUint32(16, true);
  const blocks = flags & BANDED ? 3 : 1;
  const labelsAt = HEADER_BYTES + NUMBER_BYTES * columns * (1 + blocks * rows);
  if (labelsAt + labelBytes !== buffer.byteLength) return null;
  // Without columns any number of rows fits the length, so it needs a bound of its own.
  if (columns === 0 && rows > MOST_EMPTY_ROWS) return null;
  const series = labelBytes === 0 ? [] : seriesOf(new Uint8Array(buffer, labelsAt, labelBytes));
  if (series === null) return null;
  /** @param {number} block */
  const block = (block) => {
    const begin = HEADER_BYTES + NUMBER_BYTES * columns * (1 + block * rows);
    const made = new Array(rows);
    for (let row = 0; row < rows; row += 1) {
      made[row] = new Float64Array(buffer, begin + NUMBER_BYTES * columns * row, columns);
    }
    return made;
  };
  return {
    type,
    id: head.getUint32(4, true),
    series,
    times: new Float64Array(buffer, HEADER_BYTES, columns),
    values: block(0),
    low: flags & BANDED ? block(1) : null,
    high: flags & BANDED ? block(2) : null,
    step_ms: head.getFloat64(32, true),
    cursor: cursorOf(head.getUint32(20, true), head.getFloat64(24, true)),
    conflated: (flags & CONFLATED) !== 0,
  };
}

/**
 * @param {number} epoch
 * @param {number} seq
 * @returns {string} as the JSON form has it; "": none
 */
function cursorOf(epoch, seq) {
  return epoch === 0 && seq === 0 ? "" : `${epoch.toString(16).padStart(8, "0")}:${seq}`;
}

/**
 * @param {Uint8Array} bytes
 * @returns {import("./store.js").SeriesInfo[] | null}
 */
function seriesOf(bytes) {
  try {
    const series = JSON.parse(utf8.decode(bytes));
    return Array.isArray(series) ? series : null;
  } catch {
    return null;
  }
}
