// A tab's end of a shared connection, in the shape of a WebSocket.

/**
 * @typedef {import("./sharedtab.js").Port} Port
 * @typedef {import("./sharedtab.js").ToTab} ToTab
 *
 * @typedef {object} Worker a connection to the worker
 * @property {Port} port
 * @property {(onBroken: () => void) => void} whenBroken its script cannot be had
 *
 * @typedef {object} Parts what sharing needs of the browser
 * @property {import("./wire.js").Wire} wire
 * @property {import("./weblocks.js").Locks} locks
 * @property {() => Worker} openWorker starts it, unless it runs; throws where that is forbidden
 * @property {() => void} forgetWorker it does not answer (any more): the next one is to be another
 * @property {() => string} newName that nobody else has
 *
 * @typedef {"late" | "broken" | "alone"} Refusal late: the worker has not answered in time; broken:
 *   it cannot be had; alone: it wants this tab to go on by itself
 *
 * @typedef {object} Observer
 * @property {(refusal: Refusal) => void} onRefused goOwn() or close() follows
 * @property {() => void} onOpened by the worker
 * @property {() => void} onFailed the worker could not open a socket, and nobody said why
 */

export class SharedSocket {
  protocol = "";
  /** @type {((event: any) => void) | null} */
  onopen = null;
  /** @type {((event: any) => void) | null} */
  onmessage = null;
  /** @type {((event: any) => void) | null} */
  onclose = null;
  #url;
  #protocols;
  #parts;
  #observer;
  /** The worker has answered. */
  #joined = false;
  #opened = false;
  #ended = false;
  /** @type {import("./environment.js").SocketLike | null} */
  #own = null;
  /** @type {Port | null} */
  #port = null;
  /** @type {unknown} */
  #timer;
  #release = () => {};
  #stopWaiting = () => {};

  /**
   * Not connected yet: join() or goOwn() follows.
   * @param {string} url
   * @param {string[]} protocols
   * @param {Parts} parts
   * @param {number} limitMs for the worker to answer
   * @param {Observer} observer
   */
  constructor(url, protocols, parts, limitMs, observer) {
    this.#url = url;
    this.#protocols = protocols;
    this.#parts = parts;
    this.#observer = observer;
    this.#timer = parts.wire.setTimer(() => this.#refuse("late"), limitMs);
  }

  /** Bytes that wait here: none, the worker's outbox has them. */
  get bufferedAmount() {
    return this.#own?.bufferedAmount ?? 0;
  }

  /** By way of the worker. */
  join() {
    if (this.#ended || this.#own !== null || this.#port !== null) return;
    const lock = this.#parts.newName();
    try {
      const worker = this.#parts.openWorker();
      worker.whenBroken(() => this.#refuse("broken"));
      this.#port = worker.port;
    } catch {
      this.#refuse("broken");
      return;
    }
    const port = this.#port;
    port.onmessage = ({ data }) => this.#heard(data);
    // Held before the worker hears of it: free, it means that this tab has gone.
    this.#release = this.#parts.locks.hold(lock, () => {
      if (this.#port !== port) return;
      port.postMessage({ type: "open", url: this.#url, protocols: this.#protocols, lock });
    });
  }

  /** By a WebSocket of this tab's own. */
  goOwn() {
    if (this.#ended || this.#own !== null) return;
    this.#leave(1000);
    try {
      const own = (this.#own = this.#parts.wire.openSocket(this.#url, this.#protocols));
      own.onopen = (event) => {
        this.protocol = own.protocol ?? "";
        this.onopen?.(event);
      };
      own.onmessage = (event) => this.onmessage?.(event);
      own.onclose = (event) => this.onclose?.(event);
    } catch (error) {
      this.#parts.wire.warn(`The live connection to ${this.#url} cannot be opened`, error);
      this.#ended = true;
      this.onclose?.({ code: 1006, reason: "" });
    }
  }

  /** @param {string} text */
  send(text) {
    if (this.#own !== null) this.#own.send(text);
    else this.#port?.postMessage(text);
  }

  /**
   * @param {number} [code]
   * @param {string} [reason]
   */
  close(code = 1000, reason) {
    if (this.#ended) return;
    this.#ended = true;
    this.#leave(code);
    this.#own?.close(code, reason);
  }

  /** @param {string | ArrayBuffer | ToTab} data */
  #heard(data) {
    if (this.#port === null) return;
    if (typeof data === "string" || data instanceof ArrayBuffer) this.onmessage?.({ data });
    else if (data.type === "mark") this.#port.postMessage(data);
    else if (data.type === "joined") this.#join(data.lock);
    else if (data.type === "alone") this.#refuse("alone");
    else if (data.type === "open") {
      this.#opened = true;
      this.protocol = data.protocol;
      this.#observer.onOpened();
      this.onopen?.({});
    } else if (data.type === "close") {
      this.#leave(data.code);
      this.#ended = true;
      if (data.alone) this.#observer.onRefused("alone");
      else if (!this.#opened && data.code === 1006) this.#observer.onFailed();
      this.onclose?.({ code: data.code, reason: data.reason });
    }
  }

  /** @param {string} lock that the worker holds */
  #join(lock) {
    this.#joined = true;
    this.#parts.wire.clearTimer(this.#timer);
    this.#stopWaiting = this.#parts.locks.whenFree(lock, () => {
      if (this.#port === null) return;
      this.#parts.forgetWorker();
      this.#leave(1006);
      this.#ended = true;
      this.onclose?.({ code: 1006, reason: "" });
    });
  }

  /** @param {Refusal} refusal */
  #refuse(refusal) {
    if (this.#ended || this.#own !== null || (this.#joined && refusal !== "alone")) return;
    if (refusal !== "alone") this.#parts.forgetWorker();
    this.#leave(1000);
    this.#observer.onRefused(refusal);
  }

  /** @param {number} code */
  #leave(code) {
    this.#parts.wire.clearTimer(this.#timer);
    this.#stopWaiting();
    this.#port?.postMessage({ type: "close", code });
    this.#port?.close();
    this.#port = null;
    this.#release();
  }
}
