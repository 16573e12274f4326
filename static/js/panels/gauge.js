// A value between two ends, as an arc.

import { formatValue } from "../units.js";
import { arcPath, pointAt } from "./arc.js";
import { h, setText, svg } from "./dom.js";
import { KeyedChildren } from "./keyed.js";
import { QueryPanel } from "./querypanel.js";
import { gaugeSpan, share } from "./scale.js";
import { inNaturalOrder } from "./summary.js";

const MOST_GAUGES = 12;
/** Below the ends of the arc, in the units of the drawing. */
const END_LABEL_Y = 13;

function makeGauge() {
  const arc = svg("path", { class: "gauge-arc" });
  const value = svg("text", { class: "gauge-value", x: 50, y: 57 });
  const from = pointAt(0);
  const to = pointAt(1);
  const low = svg("text", { class: "gauge-end", x: from.x + 1, y: from.y + END_LABEL_Y });
  const high = svg("text", { class: "gauge-end", x: to.x - 1, y: to.y + END_LABEL_Y });
  const drawing = svg(
    "svg",
    { viewBox: "0 3 100 86", role: "img" },
    svg("path", { class: "gauge-track", d: arcPath(1) }),
    arc,
    value,
    low,
    high,
  );
  const name = h("p", { class: "gauge-name" });
  return { element: h("div", { class: "gauge" }, drawing, name), drawing, arc, value, low, high, name };
}

export class GaugePanel extends QueryPanel {
  #gauges = h("div", { class: "gauges" });
  /** @type {KeyedChildren<ReturnType<typeof makeGauge>>} */
  #items = new KeyedChildren(this.#gauges, makeGauge);

  get moves() {
    return false;
  }

  start() {
    this.content.append(this.#gauges);
    super.start();
  }

  draw() {
    const { unit, decimals, title } = this.spec;
    const order = inNaturalOrder(this.names).slice(0, MOST_GAUGES);
    const newest = order.map((i) => this.newest(i)?.value ?? null);
    const span = gaugeSpan(this.spec, Math.max(...newest.map((value) => value ?? 0)));
    this.#items.follow(order.map((i) => this.names[i].key)).forEach((item, i) => {
      const text = formatValue(newest[i], unit, decimals);
      const name = order.length > 1 ? this.names[order[i]].name : "";
      item.arc.setAttribute("d", arcPath(share(newest[i], span)));
      setText(item.value, text);
      setText(item.low, formatValue(span[0], unit));
      setText(item.high, formatValue(span[1], unit));
      setText(item.name, name);
      item.name.hidden = name === "";
      item.drawing.setAttribute("aria-label", `${name || title}: ${text}`);
    });
  }
}
