// One large number per series, with a small line of how it came about.

import { formatValue } from "../units.js";
import { h, setText } from "./dom.js";
import { KeyedChildren } from "./keyed.js";
import { QueryPanel } from "./querypanel.js";
import { drawSparkline } from "./sparkline.js";
import { inNaturalOrder, splitUnit } from "./summary.js";
import { clock } from "./times.js";

/** More series than this do not fit in a panel of numbers. */
const MOST_STATS = 12;
/** A value older than this many steps says when it is from. */
const FRESH_STEPS = 5;

function makeStat() {
  const name = h("span", { class: "stat-name" });
  const number = h("span");
  const unit = h("span", { class: "stat-unit" });
  const value = h("p", { class: "stat-value" }, number, unit);
  const spark = h("canvas", { class: "stat-spark", "aria-hidden": "true" });
  return { element: h("div", { class: "stat" }, name, value, spark), name, number, unit, spark };
}

export class StatPanel extends QueryPanel {
  #stats = h("div", { class: "stats" });
  /** @type {KeyedChildren<ReturnType<typeof makeStat>>} */
  #items = new KeyedChildren(this.#stats, makeStat);

  start() {
    this.content.append(this.#stats);
    super.start();
  }

  /** @param {import("./types.js").SeriesStore} store */
  draw(store) {
    const { palette } = this.context;
    const { unit, decimals } = this.spec;
    const order = inNaturalOrder(this.names).slice(0, MOST_STATS);
    const items = this.#items.follow(order.map((i) => this.names[i].key));
    const { times, values, stepMs } = store;
    items.forEach((item, place) => {
      const i = order[place];
      const newest = this.newest(i);
      const [number, suffix] = splitUnit(formatValue(newest?.value, unit, decimals));
      setText(item.number, number);
      setText(item.unit, suffix);
      const old = newest !== null && this.shown.toMs - newest.timeMs > FRESH_STEPS * store.stepMs;
      const name = order.length > 1 ? this.names[i].name : "";
      const since = old ? `at ${clock(newest.timeMs)}` : "";
      setText(item.name, [name, since].filter(Boolean).join(", "));
      item.name.hidden = name === "" && since === "";
      const style = { colour: palette.get("accent"), fill: 0.16, stepMs };
      drawSparkline(item.spark, times, values[i], this.shown, style);
    });
  }
}
