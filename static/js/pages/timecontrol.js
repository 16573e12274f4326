// The time of a page: the range picker, pause, and the way back to live.

import { h, icon, setText } from "../panels/dom.js";
import { span } from "../panels/times.js";
import { PRESETS, describeRange, fromLocalInput, toLocalInput } from "../timerange.js";

/** @typedef {import("../panels/timeview.js").TimeView} TimeView */

/**
 * @param {string} fromText of an <input type="datetime-local">
 * @param {string} toText
 * @returns {{fromMs: number, toMs: number} | {problem: string}}
 */
export function readSpan(fromText, toText) {
  const fromMs = fromLocalInput(fromText);
  const toMs = fromLocalInput(toText);
  if (fromMs === null) return { problem: "From: give a date and a time." };
  if (toMs === null) return { problem: "To: give a date and a time." };
  if (toMs <= fromMs) return { problem: "To must be later than From." };
  return { fromMs, toMs };
}

export class TimeControl {
  #view;
  #now;
  #menu = h("details", { class: "menu" });
  #label = h("span");
  #from = h("input", { type: "datetime-local", step: "1", id: "range-from", required: true });
  #to = h("input", { type: "datetime-local", step: "1", id: "range-to", required: true });
  #problem = h("p", { class: "field-error", role: "alert", hidden: true });
  /** @type {HTMLButtonElement[]} */
  #presets = [];
  #toggle = h("button", { type: "button", class: "button" });
  #toggleIcon = h("span");
  #toggleText = h("span");

  /**
   * @param {HTMLElement} slot
   * @param {TimeView} view
   * @param {() => number} now ms, by the server's clock
   */
  constructor(slot, view, now) {
    this.#view = view;
    this.#now = now;
    const summary = h("summary", { class: "button" }, icon("clock"), this.#label, icon("chevron"));
    this.#menu.append(summary, h("div", { class: "menu-pop range-pop" }, this.#presetList(), this.#form()));
    this.#menu.addEventListener("toggle", () => this.#fill());
    this.#toggle.append(this.#toggleIcon, this.#toggleText);
    this.#toggle.addEventListener("click", () => this.toggle());
    slot.replaceChildren(this.#menu, this.#toggle);
    view.addEventListener("change", () => this.#show());
    this.#show();
  }

  /** Pauses, or goes back to live. */
  toggle() {
    if (this.#view.following) this.#view.pause(this.#now());
    else this.#view.follow();
  }

  #presetList() {
    const list = h("div", { class: "range-presets", role: "group", "aria-label": "Live ranges" });
    this.#presets = PRESETS.map(({ name, rangeMs }) => {
      const button = h("button", { type: "button", class: "menu-item", text: name });
      button.addEventListener("click", () => {
        this.#menu.open = false;
        this.#view.follow(rangeMs);
      });
      list.append(button);
      return button;
    });
    return list;
  }

  #form() {
    const form = h(
      "form",
      { class: "range-form", "aria-label": "Absolute range", novalidate: true },
      h("div", { class: "field" }, h("label", { for: "range-from", text: "From" }), this.#from),
      h("div", { class: "field" }, h("label", { for: "range-to", text: "To" }), this.#to),
      this.#problem,
      h("button", { type: "submit", class: "button button-primary", text: "Show this range" }),
      h("p", { class: "range-note", text: `Times are in ${zoneName()}.` }),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const answer = readSpan(this.#from.value, this.#to.value);
      this.#problem.hidden = !("problem" in answer);
      if ("problem" in answer) {
        this.#problem.textContent = answer.problem;
        return;
      }
      this.#menu.open = false;
      this.#view.show(answer.fromMs, answer.toMs);
    });
    return form;
  }

  #fill() {
    if (!this.#menu.open) return;
    const { fromMs, toMs } = this.#view.window(this.#now());
    this.#from.value = toLocalInput(fromMs);
    this.#to.value = toLocalInput(toMs);
    this.#problem.hidden = true;
  }

  #show() {
    const { following, range } = this.#view;
    const { fromMs, toMs } = this.#view.window(this.#now());
    setText(this.#label, following ? describeRange(range) : span(fromMs, toMs, this.#now()));
    this.#presets.forEach((button, i) => {
      const pressed = following && PRESETS[i].rangeMs === range.rangeMs;
      button.setAttribute("aria-pressed", String(pressed));
    });
    this.#toggle.className = following ? "button" : "button button-live";
    this.#toggleIcon.replaceChildren(icon(following ? "pause" : "play"));
    setText(this.#toggleText, following ? "Pause" : "Back to live");
    this.#toggle.title = following ? "Pause (P)" : "Back to live (L)";
    this.#toggle.setAttribute("aria-keyshortcuts", following ? "p" : "l");
  }
}

/** @returns {string} "Europe/Berlin" */
function zoneName() {
  return Intl.DateTimeFormat().resolvedOptions().timeZone || "your time zone";
}
