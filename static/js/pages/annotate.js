// The dialog in which somebody says what happened at a moment.

import { newRef } from "../live/annotations.js";
import { h } from "../panels/dom.js";
import { fromLocalInput, toLocalInput } from "../timerange.js";

/** As the server takes them; it counts characters, a browser UTF-16 units, which are no fewer. */
const TITLE_CHARACTERS = 200;
const TEXT_CHARACTERS = 10_000;

/**
 * @param {string} text of the time field
 * @param {number} pointedAtMs what it was filled with, of which it shows whole seconds only
 * @returns {number | null} ms; null: no time
 */
export function chosenTime(text, pointedAtMs) {
  const timeMs = fromLocalInput(text);
  const filledMs = fromLocalInput(toLocalInput(pointedAtMs));
  return timeMs !== null && timeMs === filledMs ? Math.round(pointedAtMs) : timeMs;
}

export class AnnotateDialog {
  #client;
  #announce;
  #title = h("input", {
    id: "annotate-title",
    class: "input",
    required: true,
    maxlength: TITLE_CHARACTERS,
    autocomplete: "off",
  });
  #text = h("textarea", {
    id: "annotate-text",
    class: "input",
    rows: 3,
    maxlength: TEXT_CHARACTERS,
  });
  #time = h("input", { id: "annotate-time", class: "input", type: "datetime-local", step: 1, required: true });
  #problem = h("p", { class: "field-error", role: "alert", hidden: true });
  #wait = h("p", { class: "muted", role: "status", hidden: true });
  #save = h("button", { type: "submit", class: "button button-primary", text: "Annotate" });
  #dialog = h("dialog", { class: "sheet", "aria-labelledby": "annotate-heading" });
  #pointedAtMs = 0;
  /** Of the present wording, so that a second try is stored once. */
  #ref = "";
  #said = "";

  /**
   * @param {import("../live/client.js").LiveClient} client
   * @param {(sentence: string) => void} announce
   */
  constructor(client, announce) {
    this.#client = client;
    this.#announce = announce;
  }

  /** @param {number} timeMs the moment that was pointed at */
  open(timeMs) {
    if (this.#dialog.open) return;
    if (!this.#dialog.isConnected) this.#build();
    this.#pointedAtMs = timeMs;
    this.#said = "";
    this.#title.value = this.#text.value = "";
    this.#time.value = toLocalInput(timeMs);
    this.#show({});
    this.#dialog.showModal();
    this.#title.focus();
  }

  #build() {
    const cancel = h("button", { type: "button", class: "button", text: "Cancel" });
    cancel.addEventListener("click", () => this.#dialog.close());
    const form = h(
      "form",
      {},
      field("Title", this.#title),
      field("Text (optional)", this.#text),
      field("Time", this.#time),
      this.#problem,
      this.#wait,
      h("div", { class: "actions" }, this.#save, cancel),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#submit();
    });
    this.#dialog.append(h("h1", { id: "annotate-heading", text: "Annotate the charts" }), form);
    this.#dialog.addEventListener("close", () => this.#client.annotations.withdraw(this.#ref));
    document.body.append(this.#dialog);
  }

  async #submit() {
    const title = this.#title.value.trim();
    const text = this.#text.value.trim();
    const timeMs = chosenTime(this.#time.value, this.#pointedAtMs);
    if (title === "") return this.#show({ problem: "Title: say what happened." });
    if (timeMs === null) return this.#show({ problem: "Time: give a date and a time." });
    const said = JSON.stringify([title, text, timeMs]);
    if (said !== this.#said) [this.#said, this.#ref] = [said, newRef()];
    const ref = this.#ref;
    const live = this.#client.status.state === "live";
    this.#show({ wait: live ? "Being stored." : "Not connected. It is stored when the connection is back." });
    try {
      await this.#client.annotations.add(ref, { title, text, timeMs });
    } catch (error) {
      if (ref === this.#ref) this.#show({ problem: sentenceOf(error) });
      return;
    }
    this.#dialog.close();
    this.#announce(`Annotated: ${title}`);
  }

  /** @param {{problem?: string, wait?: string}} what is to be said; nothing: it can be filled in */
  #show({ problem = "", wait = "" }) {
    this.#problem.hidden = problem === "";
    this.#problem.textContent = problem;
    this.#wait.hidden = wait === "";
    this.#wait.textContent = wait;
    this.#save.disabled = wait !== "";
  }
}

/**
 * @param {string} label
 * @param {HTMLInputElement | HTMLTextAreaElement} input
 */
function field(label, input) {
  return h("div", { class: "field" }, h("label", { for: input.id, text: label }), input);
}

/** @param {unknown} error @returns {string} the server's sentence, as people write them */
function sentenceOf(error) {
  const sentence = error instanceof Error ? error.message : String(error);
  return `${sentence.charAt(0).toUpperCase()}${sentence.slice(1)}.`.replace(/\.\.$/, ".");
}
