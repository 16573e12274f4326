// The frame of every panel: title, menu, states. What is inside is drawn by the kinds.

import { h, icon, setText } from "./dom.js";
import { place } from "./layout.js";

/** @typedef {import("./types.js").PanelSpec} PanelSpec */
/** @typedef {import("./types.js").PanelContext} PanelContext */
/** @typedef {"loading" | "ready" | "empty" | "error"} PanelState */

/** Painted this far outside the screen, so that scrolling never shows a stale picture. */
const AHEAD_PX = 200;

export class Panel {
  visible = false;
  dirty = true;
  urgent = true;
  /** How long one pixel of the time axis lasts; Infinity: the picture does not move. */
  pixelMs = Infinity;
  /** @type {PanelState} */
  state = "loading";
  /** Size of the content in CSS pixels. */
  size = { width: 0, height: 0 };
  content = h("div", { class: "panel-content" });
  /** @type {HTMLElement} */
  element;
  body;
  menuItems = h("div");
  /** @type {HTMLElement | null} */
  #cover = null;
  #note = h("p", { class: "panel-note", role: "status", hidden: true });

  /**
   * @param {PanelSpec} spec
   * @param {PanelContext} context
   */
  constructor(spec, context) {
    this.spec = spec;
    this.context = context;
    this.body = h("div", { class: "panel-body" }, this.content);
    const titleId = `panel-${spec.id}-title`;
    this.element = h(
      "section",
      { class: `panel panel-kind-${spec.kind}`, id: `panel-${spec.id}`, "aria-labelledby": titleId },
      h(
        "header",
        { class: "panel-head" },
        h("h2", { class: "panel-title", id: titleId, text: spec.title, title: spec.title }),
        this.#menu(),
      ),
      this.body,
    );
    this.body.append(this.#note);
    place(this.element, spec);
    this.setState("loading");
  }

  /** Call once the element is in the page. */
  start() {
    const sizes = new ResizeObserver(([entry]) => {
      const { width, height } = entry.contentRect;
      if (width === this.size.width && height === this.size.height) return;
      this.size = { width, height };
      this.resized();
      this.touch();
    });
    sizes.observe(this.content);
    const sight = new IntersectionObserver(
      (entries) => {
        this.visible = entries[entries.length - 1].isIntersecting;
        if (this.visible) this.touch();
      },
      { rootMargin: `${AHEAD_PX}px 0px` },
    );
    sight.observe(this.element);
    this.context.loop.add(this);
  }

  /** Paint me at the next frame. */
  touch() {
    this.dirty = this.urgent = true;
    this.context.loop.wake();
  }

  /** New data: paint me soon. */
  renew() {
    this.dirty = true;
    if (this.visible) this.context.loop.soon();
  }

  /** @param {number} _nowMs by the server's clock */
  paint(_nowMs) {}

  resized() {}

  /**
   * @param {PanelState} state
   * @param {{title: string, text: string, code?: string}} [message] for "empty" and "error"
   */
  setState(state, message) {
    const same = this.state === state && this.element.dataset.state === state;
    if (same && message === undefined) return;
    this.state = state;
    this.element.dataset.state = state;
    this.#cover?.remove();
    this.#cover = state === "ready" ? null : this.#coverFor(state, message);
    if (this.#cover !== null) this.body.append(this.#cover);
    if (state !== "error") this.setNote("");
  }

  /**
   * A line over a picture that is still worth seeing.
   * @param {string} sentence "" takes it away
   */
  setNote(sentence) {
    if (this.#note.hidden !== (sentence === "")) this.#note.hidden = sentence === "";
    setText(this.#note, sentence);
  }

  /**
   * @param {"loading" | "empty" | "error"} state
   * @param {{title: string, text: string, code?: string}} [message]
   */
  #coverFor(state, message) {
    if (state === "loading" || message === undefined) {
      return h("div", { class: "skeleton", "aria-hidden": "true" });
    }
    const bad = state === "error";
    return h(
      "div",
      { class: bad ? "panel-message panel-message-bad" : "panel-message", role: "status" },
      icon(bad ? "alert" : "empty"),
      h("strong", { text: message.title }),
      h("p", {}, ...spoken(message.text)),
      message.code ? h("code", { text: message.code }) : null,
    );
  }

  #menu() {
    const { expr, title } = this.spec;
    const copy = h("button", { type: "button", class: "menu-item", "data-copy-text": expr });
    copy.append(icon("copy"), h("span", { text: "Copy expression" }));
    return h(
      "details",
      { class: "menu" },
      h(
        "summary",
        { class: "button button-quiet button-small button-icon", "aria-label": `About ${title}` },
        icon("more"),
      ),
      h(
        "div",
        { class: "menu-pop panel-menu" },
        h("p", { class: "menu-head", text: expr ? "Expression" : "Events" }),
        expr ? h("p", { class: "panel-expr", text: expr }) : null,
        this.menuItems,
        expr ? copy : null,
      ),
    );
  }
}

/**
 * @param {string} sentence of the server; what stands between backticks is code
 * @returns {Node[]}
 */
function spoken(sentence) {
  const capital = sentence.charAt(0).toUpperCase() + sentence.slice(1);
  return capital
    .split("`")
    .map((part, i) => (i % 2 === 1 ? h("code", { text: part }) : document.createTextNode(part)));
}
