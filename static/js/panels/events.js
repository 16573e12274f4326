// What happened: a list of events, the newest first, live.

import { Panel } from "./base.js";
import { h, setText } from "./dom.js";
import { ago, dateAndClock } from "./times.js";

/** @typedef {import("../live/watches.js").LiveEvent} LiveEvent */

const MOST_EVENTS = 200;
const RENEW_AGES_MS = 10_000;

/** @param {string} text */
function chip(text) {
  return h("span", { class: "chip", text, title: text });
}

/**
 * @param {readonly LiveEvent[]} known newest first
 * @param {readonly LiveEvent[]} fresh in any order
 * @param {number} [most]
 * @returns {LiveEvent[]} newest first, each once, bounded
 */
export function withEvents(known, fresh, most = MOST_EVENTS) {
  const seen = new Map([...known, ...fresh].map((event) => [event.id, event]));
  return [...seen.values()].sort((a, b) => b.time - a.time || b.id - a.id).slice(0, most);
}

export class EventsPanel extends Panel {
  #list = h("ol", { class: "events", tabindex: "0", "aria-live": "polite" });
  /** @type {LiveEvent[]} */
  #events = [];
  /** @type {Map<number, {element: HTMLElement, age: HTMLElement}>} */
  #rows = new Map();
  #first = true;

  start() {
    this.content.append(this.#list);
    this.#list.setAttribute("aria-label", this.spec.title);
    this.context.events.follow({
      onEvents: (events, first) => this.#received(events, first),
      onError: ({ message }) =>
        this.setState("error", { title: "The events cannot be shown", text: message }),
    });
    setInterval(() => this.touch(), RENEW_AGES_MS);
    super.start();
  }

  /** @param {number} nowMs */
  paint(nowMs) {
    for (const { id, time } of this.#events) {
      const row = this.#rows.get(id);
      if (row !== undefined) setText(row.age, ago(time, nowMs));
    }
  }

  /**
   * @param {LiveEvent[]} events
   * @param {boolean} first
   */
  #received(events, first) {
    this.#events = withEvents(this.#events, events);
    const kept = new Set(this.#events.map(({ id }) => id));
    for (const id of this.#rows.keys()) if (!kept.has(id)) this.#rows.delete(id);
    const nowMs = this.context.client.serverNow();
    const rows = this.#events.map((event) => this.#row(event, first || this.#first, nowMs));
    this.#first = false;
    this.#list.replaceChildren(...rows);
    if (this.#events.length > 0) this.setState("ready");
    else {
      const text = "Deploys, restarts, anything that publish.event() is told, appears here at once.";
      this.setState("empty", { title: "No events yet", text });
    }
    this.touch();
  }

  /**
   * @param {LiveEvent} event
   * @param {boolean} old it was there when the page was opened
   * @param {number} nowMs
   */
  #row(event, old, nowMs) {
    const known = this.#rows.get(event.id);
    if (known !== undefined) return known.element;
    const iso = new Date(event.time).toISOString();
    const age = h("time", { class: "event-time", datetime: iso, title: dateAndClock(event.time) });
    age.textContent = ago(event.time, nowMs);
    const labels = Object.entries(event.labels);
    const text = h(
      "div",
      {},
      h("p", { class: "event-title", text: event.title }),
      event.text ? h("p", { class: "event-text", text: event.text }) : null,
      labels.length > 0
        ? h("p", { class: "chips" }, ...labels.map(([name, value]) => chip(`${name}=${value}`)))
        : null,
    );
    const element = h("li", { class: old ? "event" : "event is-new" }, age, text);
    this.#rows.set(event.id, { element, age });
    return element;
  }
}
