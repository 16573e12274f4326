// The list of metrics, without a page: what is known, what fits a filter, in which order.

/** @typedef {import("../live/watches.js").LiveMetric} LiveMetric */
/** @typedef {LiveMetric & {spark: (number | null)[]}} ListedMetric */

/** As many values as the server sends for the first picture, one per second. */
export const SPARK_VALUES = 60;
const SPARK_STEP_MS = 1000;

/**
 * @param {ListedMetric | undefined} known
 * @param {LiveMetric} metric
 * @returns {(number | null)[]} one value per second: silence repeats the value before it
 */
function lengthened(known, metric) {
  if (known === undefined || known.spark.length === 0) return [metric.value];
  const passedMs = (metric.time ?? 0) - (known.time ?? 0);
  const steps = Math.min(SPARK_VALUES, Math.round(passedMs / SPARK_STEP_MS));
  if (steps < 1) return [...known.spark.slice(0, -1), metric.value];
  const silence = new Array(steps - 1).fill(known.spark[known.spark.length - 1]);
  return [...known.spark, ...silence, metric.value];
}

export class MetricsList {
  /** @type {Map<string, ListedMetric>} */
  #metrics = new Map();

  get size() {
    return this.#metrics.size;
  }

  /**
   * @param {readonly LiveMetric[]} metrics
   * @param {boolean} first the whole list, in place of what was known
   * @returns {string[]} names not known before
   */
  take(metrics, first) {
    const before = this.#metrics;
    if (first) this.#metrics = new Map();
    const added = [];
    for (const metric of metrics) {
      const known = this.#metrics.get(metric.name);
      if (!before.has(metric.name)) added.push(metric.name);
      const spark = metric.spark ?? lengthened(known, metric);
      this.#metrics.set(metric.name, { ...metric, spark: spark.slice(-SPARK_VALUES) });
    }
    return added;
  }

  /** @param {string} name */
  get(name) {
    return this.#metrics.get(name);
  }

  /**
   * @param {string} filter words that must all occur in the name, kind, unit or help
   * @param {boolean} descending
   * @returns {ListedMetric[]} by name
   */
  matching(filter, descending) {
    const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
    const found = [...this.#metrics.values()].filter(({ name, kind, unit, help }) => {
      const text = `${name} ${kind} ${unit} ${help}`.toLowerCase();
      return words.every((word) => text.includes(word));
    });
    found.sort((a, b) => (a.name < b.name ? -1 : 1));
    return descending ? found.reverse() : found;
  }
}
