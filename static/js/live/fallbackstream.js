// Server-sent events in the shape of a WebSocket: frames come down one answer without an end, and
// go up by requests.

import { annotate } from "./fallbackannotate.js";
import { BROKEN_OFF, EventReader, ask, endingOf } from "./fallbackhttp.js";
import { WatchLedger } from "./fallbackwatches.js";

export class StreamSocket {
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
  #abort = new AbortController();
  #opened = false;
  #ended = false;
  /** Where frames go up; null while the stream is not open. @type {string | null} */
  #path = null;
  /** @type {any[]} */
  #waiting = [];
  #isSending = false;

  /** @param {import("./fallbackhttp.js").Way} way */
  constructor(way) {
    this.#way = way;
    void this.#open();
  }

  /** @param {string} text */
  send(text) {
    const frame = JSON.parse(text);
    if (frame.type === "hello" || frame.type === "ack") return; // the token is in a header
    if (frame.type === "annotate") {
      void this.#annotate(frame);
      return;
    }
    this.#ledger.said(frame);
    this.#waiting.push(frame);
    this.bufferedAmount += text.length;
    // What is asked for together goes up together.
    if (this.#waiting.length === 1) this.#way.env.setTimer(() => void this.#flush(), 0);
  }

  /** @param {number} [_code] @param {string} [_reason] */
  close(_code, _reason) {
    this.#ended = true;
    this.#abort.abort();
  }

  /** Opens the stream, with everything that is watched. */
  async #open() {
    this.#abort.abort();
    const abort = (this.#abort = new AbortController());
    this.#path = null;
    this.#forgetWaiting();
    try {
      const question = { watches: this.#ledger.questions() };
      const response = await ask(this.#way, "events", question, abort.signal);
      if (!response.ok || response.body === null) return this.#end(await endingOf(response));
      await this.#read(response.body.getReader());
      if (!abort.signal.aborted) this.#end(BROKEN_OFF);
    } catch {
      if (!abort.signal.aborted) this.#end(BROKEN_OFF);
    }
  }

  /** @param {ReadableStreamDefaultReader<Uint8Array>} reader */
  async #read(reader) {
    const abort = this.#abort;
    const decoder = new TextDecoder();
    const events = new EventReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done || abort.signal.aborted) return;
      for (const event of events.read(decoder.decode(value, { stream: true }))) {
        if (!abort.signal.aborted) this.#take(event);
      }
    }
  }

  /** @param {{kind: string, data: string}} event */
  #take({ kind, data }) {
    const frame = JSON.parse(data);
    if (kind === "close") this.#end(frame);
    else if (kind === "stream") this.#path = frame.path;
    else if (frame.type !== "welcome") this.#deliver(frame, data);
    else if (!this.#opened) {
      // Not before: whoever gathers answers on the way lets nothing through.
      this.#opened = true;
      this.onopen?.({});
      this.onmessage?.({ data });
    } else void this.#flush();
  }

  /** @param {any} frame @param {string} data */
  #deliver(frame, data) {
    this.#ledger.heard(frame);
    this.onmessage?.({ data });
  }

  /** @param {any} frame */
  async #annotate(frame) {
    const answer = await annotate(this.#way, frame);
    if (!this.#ended) this.onmessage?.({ data: JSON.stringify(answer) });
  }

  async #flush() {
    if (this.#path === null || this.#isSending || this.#waiting.length === 0) return;
    const path = this.#path;
    const frames = this.#waiting;
    this.#forgetWaiting();
    this.#isSending = true;
    try {
      const response = await ask(this.#way, path, frames, this.#abort.signal);
      if (!response.ok) await this.#refused(response);
    } catch {
      if (path === this.#path) this.#end(BROKEN_OFF);
    } finally {
      this.#isSending = false;
    }
    void this.#flush();
  }

  /** @param {Response} response */
  async #refused(response) {
    // Another process of the site has the stream: whichever opens a new one is told everything.
    const elsewhere = response.status === 404 || response.status === 409;
    if (!elsewhere) this.#end(await endingOf(response));
    else if (!this.#ended) void this.#open();
  }

  #forgetWaiting() {
    this.#waiting = [];
    this.bufferedAmount = 0;
  }

  /** @param {import("./fallbackhttp.js").Ending} ending */
  #end({ code, reason }) {
    if (this.#ended) return;
    this.close();
    this.onclose?.({ code, reason });
  }
}
