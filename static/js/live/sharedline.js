// One socket that several tabs share: what it is asked for on whose behalf, and whose each frame is.

import { BINARY_FORMAT, BINARY_HEADER_BYTES, CLOSE } from "../protocol.js";
import { Connection } from "./socket.js";

/** @typedef {import("./sharedtab.js").Tab} Tab */

/** Where a binary frame has its watch's id. */
const ID_AT = 4;
const TOO_MANY = "too many watches for one socket: this page goes on with its own";
const TOO_SLOW = "this page did not take its frames: it goes on with a socket of its own";

export class Line {
  #env;
  #onEnd;
  #connection;
  /** @type {Set<Tab>} */
  #tabs = new Set();
  /** By the id on the socket. @type {Map<number, {tab: Tab, id: number}>} */
  #watches = new Map();
  /** Who waits for the answer to an annotation. @type {Map<string, Tab>} */
  #refs = new Map();
  // None is used twice on a socket: frames of what was watched before may still be under way.
  #nextId = 1;
  #protocol = "";
  /** As the server said it. @type {import("../protocol.js").WelcomeFrame | null} */
  #welcome = null;
  /** The server's newest time less our monotonic time. */
  #serverOffsetMs = 0;
  #isLeaving = false;

  /**
   * @param {import("./wire.js").Wire} env
   * @param {string} url
   * @param {readonly string[]} protocols
   * @param {() => void} onEnd nothing comes over it any more
   */
  constructor(env, url, protocols, onEnd) {
    this.#env = env;
    this.#onEnd = onEnd;
    this.url = url;
    this.#connection = new Connection(url, protocols, env, {
      onOpen: (protocol) => this.#opened(protocol),
      onMessage: (data) => this.#heard(data),
      onSent: () => {},
      onEnded: () => {},
      onLost: (loss) => this.#lost(loss),
    });
  }

  /** Whether a tab that comes now can use it: as many watches as the others have will fit. */
  get takesMore() {
    if (this.#isLeaving) return false;
    const most = Math.max(1, ...[...this.#tabs].map(({ ids }) => ids.size));
    return this.#watches.size + most <= this.#mostWatches;
  }

  /** It has ended or is about to, or somebody gave it up: who comes now needs another. */
  get isLeaving() {
    return this.#isLeaving;
  }

  get #mostWatches() {
    return this.#welcome?.limits?.watches ?? Infinity;
  }

  /** @param {Tab} tab */
  join(tab) {
    this.#tabs.add(tab);
    if (!this.#connection.isOpen) return;
    tab.tell({ type: "open", protocol: this.#protocol });
    if (this.#welcome !== null) tab.put(this.#welcomeNow(this.#welcome));
  }

  /** The tab has gone: whatever it watched ends. @param {Tab} tab */
  leave(tab) {
    if (!this.#tabs.delete(tab)) return;
    // Perhaps the network is another one by now, and this attempt leads nowhere.
    if (!this.#connection.isOpen) this.#isLeaving = true;
    for (const id of tab.ids.values()) this.#unwatch(id);
    tab.ids.clear();
    for (const [ref, whose] of this.#refs) if (whose === tab) this.#refs.delete(ref);
    if (this.#tabs.size > 0) return;
    this.#connection.close(CLOSE.NORMAL, "the last tab was left");
    this.#end();
  }

  /** A tab has heard nothing for too long. */
  checkSilence() {
    if (this.#connection.isOpen) this.#connection.checkSilence();
  }

  /**
   * @param {Tab} tab
   * @param {string} text a frame for the server
   */
  said(tab, text) {
    if (!this.#tabs.has(tab)) return;
    const frame = JSON.parse(text);
    if (typeof frame.ref === "string") this.#refs.set(frame.ref, tab);
    if (typeof frame.id !== "number") return this.#connection.send(frame);
    const known = tab.ids.get(frame.id);
    if (frame.type === "unwatch") {
      tab.ids.delete(frame.id);
      if (known !== undefined) this.#unwatch(known);
    } else if (known === undefined && this.#watches.size >= this.#mostWatches && this.#tabs.size > 1) {
      this.#sendAway(tab, CLOSE.NORMAL, TOO_MANY);
    } else {
      this.#connection.send({ ...frame, id: known ?? this.#newId(tab, frame.id) });
    }
  }

  /**
   * @param {Tab} tab
   * @param {number} id the tab's own
   * @returns {number} the one on the socket
   */
  #newId(tab, id) {
    const own = this.#nextId;
    this.#nextId += 1;
    this.#watches.set(own, { tab, id });
    tab.ids.set(id, own);
    return own;
  }

  /** @param {number} id on the socket */
  #unwatch(id) {
    this.#watches.delete(id);
    this.#connection.send({ type: "unwatch", id });
  }

  /** @param {string} protocol */
  #opened(protocol) {
    this.#protocol = protocol;
    for (const tab of this.#tabs) tab.tell({ type: "open", protocol });
  }

  /** @param {import("./socket.js").Loss} loss */
  #lost({ code, reason, silent, opened }) {
    // The same silence is about to be noticed in every tab, and said there in its own words.
    if (!(silent && opened)) {
      for (const tab of this.#tabs) tab.tell({ type: "close", code, reason, alone: false });
    }
    this.#tabs.clear();
    this.#end();
  }

  #end() {
    this.#isLeaving = true;
    this.#onEnd();
  }

  /** @param {any} data text or an ArrayBuffer */
  #heard(data) {
    if (data instanceof ArrayBuffer) return this.#heardBinary(data);
    const frame = parsed(data);
    if (frame?.type === "welcome") this.#welcomed(frame);
    else if (typeof frame?.id === "number") this.#answer(frame);
    else if (typeof frame?.ref === "string") this.#refAnswer(frame.ref, data);
    else {
      if (frame?.type === "heartbeat") this.#observe(frame.server_ms);
      if (frame?.type === "bye") {
        this.#isLeaving = true;
        this.#connection.bye(frame);
      }
      this.#giveAll(data);
    }
  }

  /** @param {ArrayBuffer} data */
  #heardBinary(data) {
    const head = new DataView(data);
    // What is of another kind cannot be told whose it is: everybody ignores it, and counts it.
    if (data.byteLength < BINARY_HEADER_BYTES || head.getUint8(0) !== BINARY_FORMAT) {
      return this.#giveAll(data);
    }
    const watch = this.#watches.get(head.getUint32(ID_AT, true));
    if (watch === undefined) return;
    head.setUint32(ID_AT, watch.id, true);
    this.#give(watch.tab, data, [data]);
  }

  /** @param {any} frame with the id of a watch */
  #answer(frame) {
    const watch = this.#watches.get(frame.id);
    if (watch === undefined) return;
    if (frame.type === "error") {
      // The watch has ended with it.
      this.#watches.delete(frame.id);
      watch.tab.ids.delete(watch.id);
    }
    this.#give(watch.tab, JSON.stringify({ ...frame, id: watch.id }));
  }

  /**
   * @param {string} ref
   * @param {string} data
   */
  #refAnswer(ref, data) {
    const tab = this.#refs.get(ref);
    this.#refs.delete(ref);
    if (tab !== undefined) this.#give(tab, data);
  }

  /** @param {import("../protocol.js").WelcomeFrame} frame */
  #welcomed(frame) {
    this.#welcome = frame;
    this.#observe(frame.server_ms);
    this.#connection.heartbeats(frame.heartbeat_ms);
    if (typeof frame.ack_ms === "number" && frame.ack_ms > 0) {
      this.#connection.acknowledge(frame.ack_ms);
    }
    this.#giveAll(this.#welcomeNow(frame));
  }

  /** @param {unknown} serverMs */
  #observe(serverMs) {
    if (typeof serverMs === "number") this.#serverOffsetMs = serverMs - this.#env.monotonicMs();
  }

  /**
   * As the server would say it now, but that what arrives is acknowledged here, for all tabs.
   * @param {import("../protocol.js").WelcomeFrame} frame
   */
  #welcomeNow({ ack_ms: _, ...frame }) {
    const serverMs = Math.round(this.#env.monotonicMs() + this.#serverOffsetMs);
    return JSON.stringify({ ...frame, server_ms: serverMs });
  }

  /** @param {string | ArrayBuffer} data */
  #giveAll(data) {
    for (const tab of [...this.#tabs]) this.#give(tab, data);
  }

  /**
   * @param {Tab} tab
   * @param {string | ArrayBuffer} data
   * @param {ArrayBuffer[]} [transfer]
   */
  #give(tab, data, transfer) {
    if (tab.isBehind) this.#sendAway(tab, CLOSE.SLOW, TOO_SLOW);
    else tab.put(data, transfer);
  }

  /**
   * From now on the tab has a socket of its own, on which the server can see how fast it is.
   * @param {Tab} tab
   * @param {number} code
   * @param {string} reason
   */
  #sendAway(tab, code, reason) {
    this.leave(tab);
    tab.put(JSON.stringify({ type: "bye", code, reason, retry_ms: [0, 0] }));
    tab.tell({ type: "close", code, reason, alone: true });
  }
}

/** @param {unknown} text @returns {any} null when it cannot be read */
function parsed(text) {
  try {
    return JSON.parse(String(text));
  } catch {
    return null;
  }
}
