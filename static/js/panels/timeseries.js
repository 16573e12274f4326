// Lines and areas over time, drawn by uPlot.

import uPlot from "../../vendor/uplot/uPlot.esm.js";
import { offerAnnotating } from "./annotateways.js";
import { KeyedCursor, chartCommand } from "./chartkeys.js";
import { chartOptions, isStacked } from "./chartoptions.js";
import { h } from "./dom.js";
import { Legend } from "./legend.js";
import { Markers, spoken } from "./markers.js";
import { QueryPanel } from "./querypanel.js";
import { readingDecimals } from "./scale.js";
import { groundsOf, stack } from "./stacking.js";
import { dateAndClock } from "./times.js";
import { Tooltip, sentence } from "./tooltip.js";
import { isValue, positionOf } from "../values.js";

/** @typedef {import("./types.js").SeriesStore} SeriesStore */
/** @typedef {import("../live/store.js").Row} Row */
/** @typedef {import("../live/store.js").Band} Band */

/** So near the pointer, in pixels, is "this line". */
const NEAR_PX = 24;
const ANNOUNCE_AFTER_MS = 300;
/**
 * Where a pixel lasts long, new values change only the last one. Its values are written at each
 * update; the chart is drawn so many times while a pixel lasts, and at least so often, ms.
 */
const DRAWINGS_A_PIXEL = 4;
const DRAWN_WITHIN_MS = 250;

export class TimeSeriesPanel extends QueryPanel {
  #plot = h("div", { class: "plot", tabindex: "0", role: "group", "aria-roledescription": "chart" });
  #legend = new Legend(() => {
    this.#stackedVersion = -1;
    this.touch();
  });
  #tooltip = new Tooltip();
  #markers = new Markers(this.context);
  /** @type {uPlot | null} */
  #chart = null;
  /** @type {readonly import("./querypanel.js").SeriesName[] | null} */
  #chartOf = null;
  /** @type {{times: Float64Array, values: Row[], band: Band | null}} */
  #columns = { times: new Float64Array(), values: [], band: null };
  /** @type {Row[]} */
  #stacked = [];
  #stackedVersion = -1;
  /** @type {number[]} */
  #grounds = [];
  #drawnVersion = -1;
  #hidden = "";
  #hovered = false;
  #keyed = new KeyedCursor();
  #announceTimer = 0;
  #plotSize = { width: 0, height: 0 };
  #drawnMs = -Infinity;
  #lateTimer = 0;

  start() {
    this.content.append(this.#plot, this.#legend.element);
    const help =
      "Left and right arrow keys move the cursor, with Shift to the next event, plus and minus zoom";
    const more = this.context.annotate === null ? "" : ", A annotates";
    this.#plot.setAttribute("aria-label", `${this.spec.title}. ${help}${more}.`);
    this.#plot.addEventListener("keydown", (event) => this.#key(event));
    this.#plot.addEventListener("blur", () => this.#leave());
    new ResizeObserver(([entry]) => {
      const { width, height } = entry.contentRect;
      this.#plotSize = { width: Math.floor(width), height: Math.floor(height) };
      this.touch();
    }).observe(this.#plot);
    this.context.view.addEventListener("change", () => {
      this.#chartOf = null;
    });
    super.start();
    this.#markers.follow(() => this.renew());
    offerAnnotating(this, this.#plot, () => this.#chart);
  }

  get showsNewest() {
    return false;
  }

  get timeWidth() {
    // Asking the element would make the browser lay the page out at every update.
    const plotted = this.#chart === null ? 0 : this.#chart.bbox.width / devicePixelRatio;
    return plotted > 0 ? plotted : this.size.width - 60;
  }

  /** @param {SeriesStore} store */
  draw(store) {
    const { width, height } = this.#plotSize;
    if (width < 40 || height < 40) return;
    this.#columns = store;
    if (this.#canWait()) {
      this.#read();
      return;
    }
    this.#drawnMs = performance.now();
    const fresh = this.#ensureChart();
    const chart = /** @type {uPlot} */ (this.#chart);
    if (chart.width !== width || chart.height !== height) chart.setSize({ width, height });
    const hidden = [...this.#legend.hidden].join("\n");
    if (fresh || store.version !== this.#drawnVersion || hidden !== this.#hidden) {
      this.#drawnVersion = store.version;
      if (fresh || hidden !== this.#hidden) this.#applyHidden(chart);
      this.#hidden = hidden;
      chart.setData(this.#data(store.version), false);
    }
    chart.setScale("x", { min: this.shown.fromMs, max: this.shown.toMs });
    if (!this.#keyed.follow(chart)) this.#read();
  }

  /** @returns {boolean} nothing but newest values has come, and the chart was drawn just now */
  #canWait() {
    const chart = this.#chart;
    if (this.urgent || chart === null || this.names !== this.#chartOf) return false;
    // What is pointed at is looked up in what was drawn.
    if (this.#cursorIndex(chart) !== null) return false;
    const everyMs = Math.min(DRAWN_WITHIN_MS, this.pixelMs / DRAWINGS_A_PIXEL);
    const waitMs = this.#drawnMs + everyMs - performance.now();
    if (waitMs <= 0) return false;
    if (this.#lateTimer === 0) {
      this.#lateTimer = setTimeout(() => {
        this.#lateTimer = 0;
        this.renew();
      }, waitMs);
    }
    return true;
  }

  /** @returns {boolean} a new chart had to be made */
  #ensureChart() {
    if (this.#chart !== null && this.names === this.#chartOf) return false;
    const sameSeries = this.#chart !== null && this.#chart.series.length === this.names.length + 1;
    this.#chart?.destroy();
    const { palette, view } = this.context;
    const chart = new uPlot(
      chartOptions({
        spec: this.spec,
        palette,
        slots: this.names.map(({ slot }) => slot),
        size: this.#plotSize,
        band: () => this.#columns.band,
        stepMs: () => this.store?.stepMs ?? 0,
        ground: (series) => this.#grounds[series] ?? -1,
        on: {
          select: (fromMs, toMs) => view.show(fromMs, toMs),
          dragging: (on) => this.#drag(on),
          back: () => view.follow(),
          cursor: () => this.#read(),
          drawn: (u) => this.#markers.draw(u),
        },
      }),
      [[], ...this.names.map(() => [])],
      this.#plot,
    );
    chart.over.append(this.#tooltip.element);
    chart.over.addEventListener("mouseenter", () => {
      this.#hovered = true;
      this.#keyed.forget();
    });
    chart.over.addEventListener("mouseleave", () => {
      this.#hovered = false;
      this.#tooltip.hide();
    });
    this.#chart = chart;
    this.#chartOf = this.names;
    if (!sameSeries || this.#legend.element.childElementCount === 0) this.#legend.setSeries(this.names);
    return true;
  }

  /** @param {boolean} on */
  #drag(on) {
    const { view, loop } = this.context;
    view.dragging = on;
    // Released outside of the chart, too.
    if (on) addEventListener("mouseup", () => this.#drag(false), { once: true });
    else loop.all();
  }

  /** @param {number} index */
  #isShown(index) {
    const name = this.names[index];
    return name !== undefined && !this.#legend.hidden.has(name.key);
  }

  /** @param {uPlot} chart */
  #applyHidden(chart) {
    this.names.forEach((_, i) => {
      const show = this.#isShown(i);
      if (chart.series[i + 1].show !== show) chart.setSeries(i + 1, { show }, false);
    });
    this.#grounds = groundsOf(this.names.length, (i) => this.#isShown(i));
  }

  /**
   * @param {number} version
   * @returns {uPlot.AlignedData}
   */
  #data(version) {
    const { times, values } = this.#columns;
    if (!isStacked(this.spec)) return [times, ...values];
    if (version !== this.#stackedVersion) {
      this.#stackedVersion = version;
      this.#stacked = stack(values, (i) => this.#isShown(i));
    }
    return [times, ...this.#stacked];
  }

  /** Shows the values at the cursor, or the newest ones, in the legend and the tooltip. */
  #read() {
    const chart = this.#chart;
    if (chart === null) return;
    const { times, values } = this.#columns;
    const at = this.#cursorIndex(chart);
    const until = positionOf(times, this.shown.toMs + 1) - 1;
    const unit = this.spec.unit;
    const decimals = this.#decimals();
    this.#legend.setValues((i) => values[i]?.[at ?? until], unit, decimals);
    if (at === null || !(this.#hovered || this.#keyed.isSet)) {
      this.#tooltip.hide();
      return;
    }
    const drawn = this.#data(this.#stackedVersion);
    const top = chart.cursor.top ?? -1;
    const distances = values.map((row, i) => {
      const height = drawn[i + 1]?.[at];
      if (!this.#isShown(i) || !isValue(row[at]) || !isValue(height)) return Infinity;
      return Math.abs(chart.valToPos(height, "y") - top);
    });
    const nearest = Math.min(...distances);
    const rows = this.names.flatMap(({ name, slot }, i) => {
      const value = values[i]?.[at];
      if (!isValue(value) || !this.#isShown(i)) return [];
      return [{ name, slot, value, near: nearest <= NEAR_PX && distances[i] === nearest }];
    });
    const events = this.#markers.near(chart);
    const place = { left: chart.cursor.left ?? 0, width: chart.over.clientWidth };
    if (rows.length + events.length === 0) this.#tooltip.hide();
    else this.#tooltip.show(dateAndClock(times[at]), rows, events, { unit, decimals }, place);
  }

  #decimals() {
    const { min, max } = this.#chart?.scales.y ?? {};
    return readingDecimals(this.spec, Math.max(Math.abs(min ?? 0), Math.abs(max ?? 0)));
  }

  /**
   * @param {uPlot} chart
   * @returns {number | null}
   */
  #cursorIndex(chart) {
    const { left, idx } = chart.cursor;
    if (left === undefined || left < 0 || idx === null || idx === undefined) return null;
    return idx < this.#columns.times.length ? idx : null;
  }

  // The keyboard

  /** @param {KeyboardEvent} event */
  #key(event) {
    const chart = this.#chart;
    const command = chartCommand(event);
    if (chart === null || command === null) return;
    if ("zoom" in command) this.#zoom(chart, command.zoom);
    else if ("event" in command) this.#moveToEvent(chart, command.event);
    else this.#moveCursor(chart, command.move);
    event.preventDefault();
  }

  /**
   * @param {uPlot} chart
   * @param {number} steps
   */
  #moveCursor(chart, steps) {
    const { times } = this.#columns;
    const first = positionOf(times, this.shown.fromMs);
    const last = positionOf(times, this.shown.toMs + 1) - 1;
    if (last < first) return;
    const from = this.#cursorIndex(chart) ?? last + 1;
    this.#pointAt(chart, times[Math.min(last, Math.max(first, from + steps))]);
  }

  /**
   * @param {uPlot} chart
   * @param {number} direction
   */
  #moveToEvent(chart, direction) {
    const left = chart.cursor.left ?? -1;
    const fromMs = left < 0 ? this.shown.toMs : chart.posToVal(left, "x");
    const event = this.#markers.beside(chart, fromMs, direction);
    if (event === null) this.context.announce("There is no further event in sight.");
    else this.#pointAt(chart, event.time);
  }

  /**
   * @param {uPlot} chart
   * @param {number} timeMs
   */
  #pointAt(chart, timeMs) {
    this.#keyed.put(chart, timeMs);
    clearTimeout(this.#announceTimer);
    this.#announceTimer = setTimeout(() => this.#announce(chart), ANNOUNCE_AFTER_MS);
  }

  /** @param {uPlot} chart */
  #announce(chart) {
    const { times, values } = this.#columns;
    const at = this.#cursorIndex(chart);
    if (at === null) return;
    const rows = this.names
      .map(({ name }, i) => ({ name, value: values[i]?.[at] }))
      .filter((_, i) => this.#isShown(i));
    const events = this.#markers.near(chart).map(spoken);
    const how = { unit: this.spec.unit, decimals: this.#decimals() };
    this.context.announce([...events, sentence(dateAndClock(times[at]), rows, how)].join(". "));
  }

  /**
   * @param {uPlot} chart
   * @param {number} factor below 1 goes in
   */
  #zoom(chart, factor) {
    const { fromMs, toMs } = this.shown;
    const at = this.#cursorIndex(chart);
    const centre = at === null ? (fromMs + toMs) / 2 : this.#columns.times[at];
    const end = Math.min(centre + (toMs - centre) * factor, this.context.client.serverNow());
    this.context.view.show(centre - (centre - fromMs) * factor, end);
  }

  #leave() {
    this.#keyed.forget();
    this.#chart?.setCursor({ left: -10, top: -10 });
  }
}
