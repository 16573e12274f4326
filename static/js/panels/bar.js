// One horizontal bar per series.

import { formatValue } from "../units.js";
import { h, setText } from "./dom.js";
import { KeyedChildren } from "./keyed.js";
import { QueryPanel } from "./querypanel.js";
import { gaugeSpan, share } from "./scale.js";
import { naturally } from "./summary.js";

const MOST_BARS = 100;

function makeBar() {
  const name = h("span", { class: "bar-name" });
  const value = h("span", { class: "bar-value" });
  const fill = h("div", { class: "bar-fill" });
  const track = h("div", { class: "bar-track", "aria-hidden": "true" }, fill);
  return { element: h("li", { class: "bar" }, name, value, track), name, value, fill };
}

export class BarPanel extends QueryPanel {
  #bars = h("ul", { class: "bars" });
  /** @type {KeyedChildren<ReturnType<typeof makeBar>>} */
  #items = new KeyedChildren(this.#bars, makeBar);

  get moves() {
    return false;
  }

  start() {
    this.content.append(this.#bars);
    super.start();
  }

  draw() {
    const { unit, decimals } = this.spec;
    // By name, so that bars stay where they are while their values race.
    const rows = this.names
      .map(({ key, name }, i) => ({
        key,
        name,
        value: this.newest(i)?.value ?? null,
      }))
      .sort((a, b) => naturally(a.name, b.name))
      .slice(0, MOST_BARS);
    const span = gaugeSpan(this.spec, Math.max(...rows.map(({ value }) => value ?? 0)));
    this.#items.follow(rows.map(({ key }) => key)).forEach((item, i) => {
      setText(item.name, rows[i].name);
      item.name.title = rows[i].name;
      setText(item.value, formatValue(rows[i].value, unit, decimals));
      item.fill.style.setProperty("--share", share(rows[i].value, span).toFixed(4));
    });
  }
}
