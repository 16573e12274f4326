// What a series is called in a legend.

/** @typedef {Readonly<Record<string, string>>} Labels */

const NAME = "__name__";

/**
 * @param {Labels} labels
 * @returns {string} the same text for the same labels in any order
 */
export function seriesKey(labels) {
  return JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
}

/**
 * @param {Labels} labels
 * @param {string} name
 * @returns {string} "" when the series has no such label
 */
function labelOf(labels, name) {
  return Object.hasOwn(labels, name) ? labels[name] : "";
}

/** @type {WeakMap<readonly Labels[], {count: number, names: string[]}>} */
const remembered = new WeakMap();

/**
 * @param {readonly Labels[]} allLabels of all series of a panel
 * @returns {string[]} names of the labels whose values are not the same everywhere, sorted
 */
export function differingLabels(allLabels) {
  const known = remembered.get(allLabels);
  if (known !== undefined && known.count === allLabels.length) return known.names;
  const all = new Set(allLabels.flatMap((labels) => Object.keys(labels)));
  const first = allLabels[0];
  const names = [...all].filter((n) => allLabels.some((labels) => labelOf(labels, n) !== labelOf(first, n))).sort();
  remembered.set(allLabels, { count: allLabels.length, names });
  return names;
}

/**
 * @param {Labels} labels
 * @param {readonly Labels[]} allLabels
 */
function shortestText(labels, allLabels) {
  const differing = differingLabels(allLabels);
  const present = differing.filter((name) => labelOf(labels, name) !== "");
  if (differing.length === 1 && present.length === 1) {
    const [name] = present;
    // "0" says nothing, "eth0" does.
    const numbers = allLabels.every((other) => /^[\d.+-]*$/.test(labelOf(other, name)));
    return numbers ? `${name}=${labels[name]}` : labels[name];
  }
  const text = present
    .map((name) => (name === NAME ? labels[name] : `${name}=${labels[name]}`))
    .join(" ");
  return text || wholeText(labels);
}

/** @param {Labels} labels */
function wholeText(labels) {
  if (labels[NAME]) return labels[NAME];
  const pairs = Object.entries(labels).filter(([name]) => name !== NAME);
  if (pairs.length === 1) return pairs[0][1] || "value";
  return pairs.map(([name, value]) => `${name}=${value}`).join(" ") || "value";
}

/**
 * The legend of one series.
 * @param {string} template such as "{{cpu}} {{mode}}"; empty: the labels in which the series differ,
 *   or the metric's name when they do not
 * @param {Labels} labels of this series, may include __name__
 * @param {readonly Labels[]} [allLabels] of all series of the panel
 * @returns {string} plain text, never empty
 */
export function legendText(template, labels, allLabels = [labels]) {
  if (template.trim() !== "") {
    const text = template
      .replace(/\{\{\s*([A-Za-z_][A-Za-z0-9_.]*)\s*\}\}/g, (_, name) => labelOf(labels, name))
      .replace(/\s+/g, " ")
      .trim();
    if (text !== "") return text;
  }
  return shortestText(labels, allLabels);
}
