// The drawer that shows what goes over the connection. Closed, it records nothing.

import { InspectorLog, jsonLines, matches } from "../live/inspectorlog.js";
import { h, setText } from "../panels/dom.js";
import { clock } from "../panels/times.js";

/** @typedef {import("../live/inspectorlog.js").Entry} Entry */

/** The newest that are written out; the filter finds older ones. */
const MOST_ROWS = 200;

export class Inspector {
  #drawer;
  #client;
  #log;
  #rows;
  #filter;
  #pause;
  #count;
  #content;
  #frame = 0;
  /** Number of the newest entry that is on the page. */
  #shown = 0;
  /** @type {Element | null} what had the focus before */
  #cameFrom = null;

  /**
   * @param {HTMLElement} drawer as the template has it
   * @param {import("../live/client.js").LiveClient} client
   */
  constructor(drawer, client) {
    /** @template {HTMLElement} E @param {string} name @param {new () => E} kind @returns {E} */
    const part = (name, kind) => {
      const found = drawer.querySelector(`[data-part="${name}"]`);
      if (!(found instanceof kind)) throw new Error(`The inspector has no part "${name}".`);
      return found;
    };
    this.#drawer = drawer;
    this.#client = client;
    this.#log = new InspectorLog(Date.now, () => client.serverNow(), () => this.#schedule());
    this.#rows = part("rows", HTMLTableSectionElement);
    this.#filter = part("filter", HTMLInputElement);
    this.#pause = part("pause", HTMLButtonElement);
    this.#count = part("count", HTMLElement);
    this.#content = part("content", HTMLElement);
    this.#filter.addEventListener("input", () => this.#renewAll());
    this.#pause.addEventListener("click", () => this.#log.pause(!this.#log.paused));
    part("clear", HTMLButtonElement).addEventListener("click", () => this.#clear());
    part("export", HTMLButtonElement).addEventListener("click", () => this.#export());
    part("close", HTMLButtonElement).addEventListener("click", () => this.toggle());
    this.#rows.addEventListener("click", (event) => this.#choose(event.target));
    drawer.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      this.toggle();
    });
  }

  toggle() {
    const opens = this.#drawer.hidden !== false;
    this.#drawer.hidden = !opens;
    document.documentElement.toggleAttribute("data-inspecting", opens);
    this.#client.tap = opens ? this.#log : null;
    if (opens) {
      this.#cameFrom = document.activeElement;
      this.#log.pause(false);
      this.#filter.focus();
    } else {
      this.#clear();
      if (this.#cameFrom instanceof HTMLElement) this.#cameFrom.focus();
    }
  }

  #clear() {
    this.#log.clear();
    this.#content.hidden = true;
    this.#renewAll();
  }

  #renewAll() {
    this.#rows.replaceChildren();
    this.#shown = 0;
    this.#schedule();
  }

  #schedule() {
    if (this.#frame === 0) this.#frame = requestAnimationFrame(() => this.#show());
  }

  #matching() {
    return this.#log.entries.filter((entry) => matches(entry, this.#filter.value));
  }

  #show() {
    this.#frame = 0;
    if (this.#drawer.hidden) return;
    const { entries, paused, missed } = this.#log;
    const found = this.#matching();
    const fresh = found.filter(({ number }) => number > this.#shown).slice(-MOST_ROWS);
    this.#rows.prepend(...fresh.map(rowOf).reverse());
    while (this.#rows.childElementCount > MOST_ROWS) this.#rows.lastElementChild?.remove();
    this.#shown = entries[entries.length - 1]?.number ?? this.#shown;
    setText(this.#pause, paused ? "Go on" : "Pause");
    this.#pause.setAttribute("aria-pressed", String(paused));
    setText(this.#count, countWords(found.length, entries.length, paused ? missed : null));
  }

  /** @param {EventTarget | null} target */
  #choose(target) {
    const row = target instanceof Element ? target.closest("tr") : null;
    const entry = this.#log.entries.find(({ number }) => String(number) === row?.dataset.number);
    if (row === null || entry === undefined) return;
    for (const other of this.#rows.querySelectorAll("[aria-current]")) other.removeAttribute("aria-current");
    row.setAttribute("aria-current", "true");
    this.#content.hidden = false;
    setText(this.#content, entry.text);
  }

  #export() {
    const lines = new Blob([jsonLines(this.#matching())], { type: "application/jsonl" });
    const href = URL.createObjectURL(lines);
    h("a", { href, download: `frames-${new Date().toISOString().replaceAll(":", "-")}.jsonl` }).click();
    // Not before the browser has begun to read it.
    setTimeout(() => URL.revokeObjectURL(href), 10_000);
  }
}

/** @param {Entry} entry */
function rowOf({ number, timeMs, direction, type, id, bytes, lagMs, text }) {
  const ms = String(timeMs % 1000).padStart(3, "0");
  const button = h("button", { type: "button", class: "inspector-type", text: type });
  const way = direction === "in" ? "↓" : "↑";
  return h(
    "tr",
    { "data-number": number, "data-type": type },
    h("td", { class: "mono", text: `${clock(timeMs)}.${ms}` }),
    h("td", { "aria-label": direction === "in" ? "received" : "sent", text: way }),
    h("td", {}, button),
    h("td", { class: "num", text: id === null ? "" : String(id) }),
    h("td", { class: "num", text: bytes === 0 ? "" : bytes.toLocaleString("en") }),
    h("td", { class: "num", text: lagMs === null ? "" : `${lagMs.toLocaleString("en")} ms` }),
    h("td", { class: "mono inspector-text", text: text.slice(0, 200) }),
  );
}

/**
 * @param {number} found
 * @param {number} all
 * @param {number | null} missed in this pause; null: it is not paused
 */
function countWords(found, all, missed) {
  const shown = found === all ? `${all} frames` : `${found} of ${all} frames`;
  return missed === null ? shown : `${shown}; paused, ${missed} not recorded`;
}
