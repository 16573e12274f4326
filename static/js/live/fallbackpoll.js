// Long polling in the shape of a WebSocket: questions that are answered when there is news.

import { HEARTBEAT_MS } from "../protocol.js";
import { annotate } from "./fallbackannotate.js";
import { BROKEN_OFF, ask, endingOf } from "./fallbackhttp.js";
import { WatchLedger } from "./fallbackwatches.js";

export class PollSocket {
  protocol = "pulseboard.v1.json";
  bufferedAmount = 0;
  /** @type {((event: any) => void) | null} */
  onopen = null;
  /** @type {((event: any) => void) | null} */
  onmessage = null;
  /** @type {((event: any) => void) | null} */
  onclose = null;
  #way;
  #ledger = new WatchLedger();
  #ended = new AbortController();
  /** Of the question under way. @type {AbortController | null} */
  #asking = null;
  /** @type {unknown} */
  #askTimer = null;
  /** @type {unknown} */
  #pulseTimer = null;

  /** @param {import("./fallbackhttp.js").Way} way */
  constructor(way) {
    this.#way = way;
    void this.#open();
  }

  /** @param {string} text */
  send(text) {
    const frame = JSON.parse(text);
    if (frame.type === "annotate") void this.#annotate(frame);
    this.#ledger.said(frame);
    // What is asked for together is one question; the one under way does not know of it.
    if (frame.type.startsWith("watch")) this.#askSoon();
  }

  /** @param {number} [_code] @param {string} [_reason] */
  close(_code, _reason) {
    this.#way.env.clearTimer(this.#askTimer);
    this.#way.env.clearTimer(this.#pulseTimer);
    this.#ended.abort();
    this.#asking?.abort();
  }

  async #open() {
    const frames = await this.#ask([], this.#ended.signal);
    if (frames === null) return;
    this.onopen?.({});
    this.#deliver(frames);
    this.#askSoon();
  }

  #askSoon() {
    this.#asking?.abort();
    this.#asking = null;
    this.#way.env.clearTimer(this.#askTimer);
    this.#askTimer = this.#way.env.setTimer(() => void this.#poll(), 0);
  }

  async #poll() {
    const asking = (this.#asking = new AbortController());
    while (!this.#ledger.isEmpty && !asking.signal.aborted) {
      const frames = await this.#ask(this.#ledger.questions(), asking.signal);
      if (frames === null || asking.signal.aborted) return;
      this.#deliver(frames);
    }
  }

  /** While a question waits for news: that the server is there, and its clock. */
  async #pulse() {
    const frames = await this.#ask([], this.#ended.signal);
    if (frames !== null) this.#deliver(frames.filter((frame) => frame.type === "heartbeat"));
  }

  /** @param {any} frame */
  async #annotate(frame) {
    this.#deliver([await annotate(this.#way, frame)]);
  }

  /**
   * @param {unknown[]} watches
   * @param {AbortSignal} signal
   * @returns {Promise<any[] | null>} null when it has ended, or the question is not wanted any more
   */
  async #ask(watches, signal) {
    try {
      const response = await ask(this.#way, "poll", { watches }, signal);
      if (response.ok) return await response.json();
      this.#end(await endingOf(response));
    } catch {
      if (!signal.aborted) this.#end(BROKEN_OFF);
    }
    return null;
  }

  /** @param {any[]} frames */
  #deliver(frames) {
    for (const frame of frames) {
      if (this.#ended.signal.aborted) return;
      this.#ledger.heard(frame);
      this.onmessage?.({ data: JSON.stringify(frame) });
      if (frame.type === "bye") this.#end(frame);
    }
    if (this.#ended.signal.aborted) return;
    this.#way.env.clearTimer(this.#pulseTimer);
    this.#pulseTimer = this.#way.env.setTimer(() => void this.#pulse(), HEARTBEAT_MS);
  }

  /** @param {import("./fallbackhttp.js").Ending} ending */
  #end({ code, reason }) {
    if (this.#ended.signal.aborted) return;
    this.close();
    this.onclose?.({ code, reason });
  }
}
