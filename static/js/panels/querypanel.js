// A panel that draws one live query: what it watches, what it shows while there is nothing to draw.

import { legendText, seriesKey } from "../labels.js";
import { stepFor } from "../timerange.js";
import { Panel } from "./base.js";
import { DataTable } from "./datatable.js";
import { h, icon } from "./dom.js";
import { NewestValues } from "./newest.js";
import { Slots } from "./palette.js";
import { anyValue, inNaturalOrder, latest } from "./summary.js";
import { overlap } from "./timeview.js";

/** @typedef {import("./types.js").SeriesStore} SeriesStore */
/** @typedef {import("./types.js").TimeWindow} TimeWindow */
/** @typedef {{key: string, name: string, slot: number}} SeriesName */

/** When less than this of a new span is known, the old picture stays until the answer is here. */
const ENOUGH_KNOWN = 0.5;
/** An old picture does not stay longer than this, ms. */
const HOLD_AT_MOST_MS = 2_000;
const RESIZE_SETTLES_MS = 400;
/** So that the newest step has arrived before the right edge passes it, ms. */
const EDGE_DELAY_AT_MOST_MS = 2_000;

/** @type {Record<string, string>} what a failed watch is headed with, by its code */
const HEADINGS = {
  bad_expression: "This expression cannot be drawn",
  too_many_series: "Too many series",
  too_many_points: "Too many points",
  too_many_watches: "Too many panels at once",
  forbidden: "You may not see this",
  rate_limited: "Asked too often",
};

/** After these what was drawn before is shown no longer. */
const TAKES_THE_PICTURE = new Set(["bad_expression", "forbidden"]);

/**
 * Lines reach both edges of the picture only when there is a step beyond them.
 * @param {number} rangeMs
 * @param {number | null} endMs
 * @param {number} stepMs
 * @param {number} nowMs
 * @returns {{rangeMs: number, endMs: number | null}}
 */
export function widened(rangeMs, endMs, stepMs, nowMs) {
  if (endMs === null) return { rangeMs: rangeMs + 2 * stepMs, endMs };
  const nextStepMs = Math.ceil(endMs / stepMs) * stepMs;
  const widerEndMs = nextStepMs <= nowMs ? nextStepMs : endMs;
  return { rangeMs: rangeMs + widerEndMs - endMs + stepMs, endMs: widerEndMs };
}

export class QueryPanel extends Panel {
  /** @type {SeriesStore | null} */
  store = null;
  /** The series as people read them, in the store's order. @type {SeriesName[]} */
  names = [];
  /** The span that is drawn. @type {TimeWindow} */
  shown = { fromMs: 0, toMs: 1 };
  /** @type {NewestValues | null} */
  #newest = null;
  #slots = new Slots();
  #namesOf = "";
  /** @type {[SeriesStore, number] | null} */
  #namesAsOf = null;
  /** @type {import("../live/watches.js").QueryWatch | null} */
  #watch = null;
  /** @type {TimeWindow | null} */
  #held = null;
  #holdTimer = 0;
  #resizeTimer = 0;
  /** @type {DataTable | null} */
  #table = null;
  #tableButton = h("button", { type: "button", class: "menu-item" });

  start() {
    super.start();
    const { client, view } = this.context;
    this.shown = view.window(client.serverNow());
    this.#watch = client.watchQuery(this.#question(), {
      onData: (store, kind) => this.#received(store, kind),
      onError: (error) => this.#failed(error),
    });
    if (this.showsNewest) {
      this.#newest = new NewestValues(client, this.spec.expr, () => this.renew());
      this.#newest.follow(this.#question());
    }
    view.addEventListener("change", () => this.#viewChanged());
    this.#tableButton.addEventListener("click", () => this.#switchTable());
    this.#labelTableButton();
    this.menuItems.append(this.#tableButton);
  }

  /** Whether the newest value is what people look at, rather than the line that led to it. */
  get showsNewest() {
    return true;
  }

  /** Whether the picture has a time axis, which moves with the clock. */
  get moves() {
    return true;
  }

  /**
   * @param {number} index of the series
   * @returns {{value: number, timeMs: number} | null}
   */
  newest(index) {
    if (this.store === null) return null;
    const untilMs = this.context.view.following ? this.context.client.serverNow() : this.shown.toMs;
    const fresh = this.#newest?.get(this.names[index].key, untilMs) ?? null;
    return fresh ?? latest(this.store.times, this.store.values[index], untilMs);
  }

  /** Pixels that the time axis has; a kind with a narrower one says so. */
  get timeWidth() {
    return this.size.width;
  }

  resized() {
    clearTimeout(this.#resizeTimer);
    this.#resizeTimer = setTimeout(() => this.#ask(), RESIZE_SETTLES_MS);
  }

  /** @param {number} nowMs */
  paint(nowMs) {
    const { view } = this.context;
    if (view.dragging) return;
    this.shown = this.#held ?? this.#target(nowMs);
    this.pixelMs = view.following && this.moves ? this.#pixelMs() : Infinity;
    if (this.#table !== null) this.#table.paint(this, nowMs);
    else if (this.state === "ready" && this.store !== null) this.draw(this.store);
  }

  /** @param {SeriesStore} _store with at least one value */
  draw(_store) {}

  #pixelMs() {
    return this.context.view.range.rangeMs / Math.max(50, this.timeWidth);
  }

  /** @param {number} nowMs */
  #target(nowMs) {
    const { view } = this.context;
    const delayMs = view.following ? Math.min(this.#question().stepMs, EDGE_DELAY_AT_MOST_MS) : 0;
    return view.window(nowMs - delayMs);
  }

  #question() {
    const { client, view } = this.context;
    const { rangeMs, endMs } = view.range;
    const stepMs = stepFor(rangeMs, this.timeWidth);
    return { expr: this.spec.expr, stepMs, ...widened(rangeMs, endMs, stepMs, client.serverNow()) };
  }

  #viewChanged() {
    const target = this.#target(this.context.client.serverNow());
    const known = overlap(target, this.shown) >= ENOUGH_KNOWN;
    const inside = this.shown.fromMs <= target.fromMs && target.toMs <= this.shown.toMs;
    this.#hold(known || inside ? null : this.shown);
    this.#ask();
    this.touch();
  }

  #ask() {
    const question = this.#question();
    this.#watch?.update(question);
    this.#newest?.follow(question);
  }

  /** @param {TimeWindow | null} span */
  #hold(span) {
    clearTimeout(this.#holdTimer);
    this.#held = span;
    if (span === null) return;
    this.#holdTimer = setTimeout(() => {
      this.#hold(null);
      this.touch();
    }, HOLD_AT_MOST_MS);
  }

  /**
   * @param {SeriesStore} store
   * @param {"snapshot" | "update"} kind
   */
  #received(store, kind) {
    this.store = store;
    if (kind === "snapshot") this.#hold(null);
    this.#renewNames(store);
    if (anyValue(store.values)) this.setState("ready");
    else if (this.state !== "empty") this.setState("empty", this.#emptyMessage());
    this.setNote("");
    this.renew();
  }

  #emptyMessage() {
    const ever = this.store !== null && this.store.series.length > 0;
    const rate = /\b(rate|increase)\s*\(/.test(this.spec.expr);
    const none = rate
      ? "A rate begins with the second sample; so far there is at most one."
      : "Nothing published matches it yet.";
    return {
      title: "No data in this range",
      text: ever ? "The series exist, but have no values here." : none,
      code: this.spec.expr,
    };
  }

  /** @param {import("../live/watches.js").WatchError} error */
  #failed(error) {
    this.#hold(null);
    if (this.state === "ready" && !TAKES_THE_PICTURE.has(error.code)) {
      this.setNote(error.message);
      return;
    }
    this.setState("error", {
      title: HEADINGS[error.code] ?? "This panel cannot be drawn",
      text: error.message,
      code: this.spec.expr,
    });
  }

  /** @param {SeriesStore} store */
  #renewNames(store) {
    const known = this.#namesAsOf;
    if (known !== null && known[0] === store && known[1] === store.seriesVersion) return;
    this.#namesAsOf = [store, store.seriesVersion];
    const keys = store.series.map(({ labels }) => seriesKey(labels));
    const signature = keys.join("\n");
    if (signature === this.#namesOf) return;
    this.#namesOf = signature;
    const all = store.series.map(({ labels }) => labels);
    const texts = all.map((labels) => legendText(this.spec.legend, labels, all));
    // Colours go by name, as the legend does, and then stay.
    this.#slots.take(inNaturalOrder(texts.map((name) => ({ name }))).map((i) => keys[i]));
    const slots = this.#slots.take(keys);
    this.names = texts.map((name, i) => ({ key: keys[i], name, slot: slots[i] }));
  }

  #switchTable() {
    const menu = this.#tableButton.closest("details");
    if (menu !== null) menu.open = false;
    if (this.#table === null) {
      this.#table = new DataTable(this.spec.title);
      this.body.append(this.#table.element);
      this.element.dataset.view = "table";
      this.#table.element.focus();
    } else {
      this.#table.element.remove();
      this.#table = null;
      delete this.element.dataset.view;
    }
    this.#labelTableButton();
    this.touch();
  }

  #labelTableButton() {
    const shown = this.#table !== null;
    this.#tableButton.replaceChildren(
      icon(shown ? "chart" : "table"),
      h("span", { text: shown ? "View as panel" : "View as table" }),
    );
  }
}
