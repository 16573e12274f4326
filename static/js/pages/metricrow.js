// One row of the list of metrics.

import { h, setText } from "../panels/dom.js";
import { drawSparkline } from "../panels/sparkline.js";
import { ago, dateAndClock } from "../panels/times.js";
import { formatValue } from "../units.js";
import { SPARK_VALUES } from "./metricslist.js";

/** @typedef {ReturnType<typeof makeRow>} MetricRow */

export function makeRow() {
  const link = h("a", { class: "metric-link" });
  const help = h("span", { class: "metric-help" });
  const kind = h("span", { class: "kind" });
  const unit = h("td", { class: "wide muted" });
  const series = h("td", { class: "num wide" });
  const last = h("td", { class: "num last" });
  const age = h("td", { class: "num wide muted" });
  const spark = h("canvas", { "aria-hidden": "true" });
  const element = h(
    "tr",
    {},
    h("th", { scope: "row", class: "metric-name" }, link, help),
    h("td", { class: "wide" }, kind),
    unit,
    series,
    last,
    age,
    h("td", {}, spark),
  );
  const parts = { element, link, help, kind, unit, series, last, age, spark, shown: false };
  return Object.assign(parts, { time: /** @type {number | null} */ (null) });
}

/**
 * @param {MetricRow} row
 * @param {import("./metricslist.js").ListedMetric} metric
 * @param {{address: string, palette: import("../panels/palette.js").Palette, nowMs: number}} page
 *   `address` of a metric's page, with METRIC for its name
 */
export function showMetric(row, metric, { address, palette, nowMs }) {
  if (!row.shown) {
    row.shown = true;
    row.link.href = address.replace("METRIC", encodeURIComponent(metric.name));
  }
  setText(row.link, metric.name);
  setText(row.help, metric.help);
  setText(row.kind, metric.kind);
  setText(row.unit, metric.unit.replaceAll("_", " "));
  setText(row.series, metric.series.toLocaleString("en"));
  setText(row.last, formatValue(metric.value, metric.unit));
  row.time = metric.time;
  showAge(row, nowMs);
  // The newest value stands at the right edge, also when there are few.
  const missing = SPARK_VALUES - metric.spark.length;
  const times = metric.spark.map((_, i) => missing + i);
  const window = { fromMs: 0, toMs: SPARK_VALUES - 1 };
  drawSparkline(row.spark, times, metric.spark, window, { colour: palette.get("accent"), fill: 0 });
}

/**
 * @param {MetricRow} row
 * @param {number} nowMs by the server's clock
 */
export function showAge(row, nowMs) {
  if (row.time === null) return;
  setText(row.age, ago(row.time, nowMs));
  row.age.title = dateAndClock(row.time);
}
