// Makes data frames of pulseboard.v1, byte by byte as the protocol's description says.

/**
 * @typedef {object} Content
 * @property {number} id
 * @property {{labels: Record<string, string>}[]} series
 * @property {number[]} times
 * @property {(number | null)[][]} values
 * @property {(number | null)[][]} [low]
 * @property {(number | null)[][]} [high]
 */

/**
 * @param {Content} content
 * @param {{kind?: number, cursor?: [number, number], conflated?: boolean, text?: string}} [how] `text`
 *   in place of the labels
 * @returns {ArrayBuffer}
 */
export function encode({ id, series, times, values, low, high }, how = {}) {
  const { kind = 1, cursor = [0, 0], conflated = false } = how;
  const text = how.text ?? (series.length > 0 ? JSON.stringify(series) : "");
  const labels = new TextEncoder().encode(text);
  const numbers = [times, values, low ?? [], high ?? []].flat(2).map((value) => value ?? NaN);
  const buffer = new ArrayBuffer(40 + 8 * numbers.length + labels.length);
  const view = new DataView(buffer);
  view.setUint8(0, 1);
  view.setUint8(1, kind);
  view.setUint16(2, (low ? 1 : 0) | (conflated ? 2 : 0), true);
  view.setUint32(4, id, true);
  view.setUint32(8, values.length, true);
  view.setUint32(12, times.length, true);
  view.setUint32(16, labels.length, true);
  view.setUint32(20, cursor[0], true);
  view.setFloat64(24, cursor[1], true);
  view.setFloat64(32, 1000, true);
  numbers.forEach((value, i) => view.setFloat64(40 + 8 * i, value, true));
  new Uint8Array(buffer, 40 + 8 * numbers.length).set(labels);
  return buffer;
}
