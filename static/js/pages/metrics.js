// All metrics with their newest value, live.

import { LiveClient } from "../live/client.js";
import { sharedByTabs } from "../live/tabs.js";
import { byId, setText } from "../panels/dom.js";
import { KeyedChildren } from "../panels/keyed.js";
import { Palette } from "../panels/palette.js";
import { mountStatusLight } from "../statuslight.js";
import { toggleInspector } from "./inspectordoor.js";
import { listen } from "./keys.js";
import { MetricsList } from "./metricslist.js";
import { makeRow, showAge, showMetric } from "./metricrow.js";
import { readPage } from "./page.js";

/** More rows are not drawn: the filter narrows them down. */
const MOST_ROWS = 500;
const RENEW_AGES_MS = 1_000;

const page = readPage();
const client = new LiveClient({ path: page.live_path, environment: sharedByTabs(page.live_tabs) });
const palette = new Palette();
const list = new MetricsList();
const table = byId("metrics");
const empty = byId("metrics-empty");
const count = byId("metrics-count");
const note = byId("metrics-note");
const filter = /** @type {HTMLInputElement} */ (byId("filter"));
const sort = byId("sort-name");
const address = table.dataset.metricUrl ?? "";
const rows = new KeyedChildren(byId("metrics-rows"), makeRow);

let descending = false;
let frame = 0;
/** Names whose row has to be written. @type {Set<string>} */
let changed = new Set();
/** @type {Set<string>} */
const arrived = new Set();

/** Writes the rows that changed, at most once per frame. */
function schedule() {
  if (frame === 0) frame = requestAnimationFrame(show);
}

function show() {
  frame = 0;
  const found = list.matching(filter.value, descending);
  const shown = found.slice(0, MOST_ROWS);
  table.hidden = list.size === 0;
  empty.hidden = list.size > 0;
  setText(count, countWords(found.length, filter.value !== ""));
  showNote(found.length, shown.length);
  rows.follow(shown.map(({ name }) => name)).forEach((row, i) => {
    const metric = shown[i];
    if (row.shown && !changed.has(metric.name)) return;
    showMetric(row, metric, { address, palette, nowMs: client.serverNow() });
    row.element.classList.toggle("is-new", arrived.has(metric.name));
  });
  changed = new Set();
}

/**
 * @param {number} found
 * @param {boolean} filtered
 */
function countWords(found, filtered) {
  if (list.size === 0) return "Nothing has been published yet";
  const all = `${list.size.toLocaleString("en")} ${list.size === 1 ? "metric" : "metrics"}`;
  return filtered ? `${found.toLocaleString("en")} of ${all}` : `${all}, newest values live`;
}

/**
 * @param {number} found
 * @param {number} shown
 */
function showNote(found, shown) {
  note.hidden = found > 0 && found === shown;
  if (found === 0) setText(note, `No metric matches "${filter.value}".`);
  else if (found > shown) {
    setText(note, `Showing the first ${shown} of ${found}. Filter to narrow them down.`);
  }
}

/** Writes all rows anew: another theme, another width. */
function renewAll() {
  changed = new Set(list.matching("", false).map(({ name }) => name));
  schedule();
}

client.watchMetrics({
  onMetrics: (metrics, first) => {
    const known = list.size > 0;
    for (const name of list.take(metrics, first)) if (known) arrived.add(name);
    for (const { name } of metrics) changed.add(name);
    schedule();
  },
  onError: ({ message }) => setText(count, message),
});

filter.addEventListener("input", schedule);
sort.addEventListener("click", () => {
  descending = !descending;
  sort.closest("th")?.setAttribute("aria-sort", descending ? "descending" : "ascending");
  schedule();
});
listen({ filter: () => filter.focus(), inspect: () => toggleInspector(client) });
palette.addEventListener("change", renewAll);
let width = 0;
new ResizeObserver(([{ contentRect }]) => {
  if (contentRect.width !== width) renewAll();
  width = contentRect.width;
}).observe(table);
setInterval(() => {
  const nowMs = client.serverNow();
  for (const row of rows.items()) showAge(row, nowMs);
}, RENEW_AGES_MS);
mountStatusLight(byId("status"), client, () => toggleInspector(client));
