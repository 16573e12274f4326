// The live connection of a page: one socket for everything that the page watches.

import { CLOSE, SUBPROTOCOLS } from "../protocol.js";
import { afterLoss } from "./afterloss.js";
import { Annotations } from "./annotations.js";
import { Backoff } from "./backoff.js";
import { ServerClock } from "./clock.js";
import { browser, socketUrl } from "./environment.js";
import { Ways } from "./fallback.js";
import { Inbox } from "./inbox.js";
import { PresenceWatch } from "./presencewatch.js";
import { WatchRegistry } from "./registry.js";
import { Connection } from "./socket.js";
import { StatusLight } from "./status.js";
import { EventsWatch, MetricsWatch, QueryWatch } from "./watches.js";

/**
 * @typedef {import("./status.js").State} State
 * @typedef {import("./status.js").Status} Status
 *
 * @typedef {object} Tap
 * @property {(protocol: string) => void} opened
 * @property {(data: unknown, frame: import("./inbox.js").ServerFrame | null) => void} received
 * @property {(text: string) => void} sent
 * @property {(code: number, reason: string, byUs: boolean) => void} ended
 *
 * @typedef {object} ClientOptions
 * @property {string} [path] of the socket on this page's host
 * @property {string} [url] the whole address instead
 * @property {string} [token] to read with where there is no session
 * @property {Partial<import("./environment.js").Environment>} [environment] stand-ins, for tests
 */

/** A connection that held for so long has ended the row of failures. */
const HELD_MS = 5_000;

/**
 * Fires "status" (CustomEvent, detail: Status) at every change of the light, and "problem" (detail:
 * {code, message}) for an error of the server that belongs to no watch.
 */
export class LiveClient extends EventTarget {
  stats = {
    framesIn: 0,
    bytesIn: 0,
    framesOut: 0,
    bytesOut: 0,
    reconnects: 0,
    /** Frames that could not be read or are of a kind that is not known here. */
    ignored: 0,
    /** @type {number | null} */
    lastFrameMs: null,
  };
  /** What the server allows, from its welcome. @type {import("../protocol.js").Limits | null} */
  limits = null;
  /** Sees all that goes over the connection, while it is set. @type {Tap | null} */
  tap = null;
  #env;
  #url;
  #token;
  #ways;
  #clock;
  #backoff;
  #watches;
  /** What people have to say of a moment. */
  annotations = new Annotations((frame) => this.#send(frame));
  #inbox;
  #light;
  #stopListening;
  /** @type {Connection | null} */
  #connection = null;
  #welcomes = 0;
  /** Monotonic; null while not welcomed. @type {number | null} */
  #liveSinceMs = null;
  /** Monotonic: the server has asked not to come back earlier. */
  #notBeforeMs = 0;
  /** @type {unknown} */
  #retryTimer = null;
  /** Why no attempt is made. @type {"" | "signed-out" | "stop" | "closed"} */
  #halted = "";

  /** @param {ClientOptions} [options] */
  constructor({ path = "/live/", url, token, environment = {} } = {}) {
    super();
    this.#env = { ...browser, ...environment };
    this.#url = url ?? socketUrl(path);
    this.#token = token;
    this.#ways = new Ways(this.#env, { url: this.#url, token }, () => this.#connectAnew());
    this.#clock = new ServerClock(this.#env);
    this.#backoff = new Backoff({ random: this.#env.random });
    this.#watches = new WatchRegistry(this.#env, (frame) => this.#send(frame));
    this.#inbox = new Inbox(this.#env, this.stats, {
      onTime: (serverMs) => this.#clock.observe(serverMs),
      onWelcome: (frame) => this.#welcome(frame),
      onAnswer: (frame) => {
        if ("conflated" in frame && frame.conflated === true) this.#light.merging();
        if (frame.type === "stored") return this.annotations.stored(frame.ref);
        return this.#watches.deliver(frame);
      },
      onError: (frame) => this.#error(frame),
      onBye: (frame) => this.#connection?.bye(frame),
    });
    this.#light = new StatusLight(this.#env, (status) => {
      this.dispatchEvent(new CustomEvent("status", { detail: status }));
    });
    this.#stopListening = this.#env.listen((change) => this.#pageChanged(change));
    this.#connect();
  }

  /** @returns {Readonly<Status>} */
  get status() {
    return this.#light.status;
  }

  /** @returns {number} watches asked for afresh because a frame did not continue what was there */
  get resyncs() {
    return this.#watches.resyncs;
  }

  /** @returns {number} ms since 1970 by the server's clock */
  serverNow() {
    return this.#clock.now();
  }

  /**
   * @param {(status: Readonly<Status>) => void} callback called now and after every change
   * @returns {() => void} stops it
   */
  onStatus(callback) {
    const listener = () => callback(this.status);
    this.addEventListener("status", listener);
    callback(this.status);
    return () => this.removeEventListener("status", listener);
  }

  /**
   * Watches an expression: its history now, then its continuation.
   * @param {import("./watches.js").QueryParams} params
   * @param {import("./watches.js").QueryHandlers} handlers
   */
  watchQuery(params, handlers) {
    return this.#watches.add(new QueryWatch(this.#watches, params, handlers));
  }

  /**
   * @param {{limit?: number}} params how many past events to begin with
   * @param {import("./watches.js").EventsHandlers} handlers
   */
  watchEvents({ limit = 100 }, handlers) {
    return this.#watches.add(new EventsWatch(this.#watches, { limit }, handlers));
  }

  /** @param {import("./watches.js").MetricsHandlers} handlers */
  watchMetrics(handlers) {
    return this.#watches.add(new MetricsWatch(this.#watches, handlers));
  }

  /**
   * Is on a dashboard, and watches who else is.
   * @param {import("./presencewatch.js").PresenceParams} params
   * @param {import("./presencewatch.js").PresenceHandlers} handlers
   */
  watchPresence(params, handlers) {
    return this.#watches.add(new PresenceWatch(this.#watches, params, handlers));
  }

  /** Connects again now; also after a sign-in, or after the server had told us to stay away. */
  reconnect() {
    if (this.#halted === "closed" || this.#connection?.isOpen) return;
    this.#halted = "";
    this.#backoff.reset();
    this.#connect();
    this.#light.lost("Connecting again.", null);
  }

  /** Ends everything for good. */
  close() {
    this.#halted = "closed";
    this.#stopListening();
    this.#watches.removeAll();
    this.annotations.disconnected("The page is done.");
    this.#light.stop();
    this.#ways.stop();
    this.#env.clearTimer(this.#retryTimer);
    this.#connection?.close(1000, "the page is done");
    this.#connection = null;
  }

  #connect() {
    this.#env.clearTimer(this.#retryTimer);
    this.#connection?.close(1000, "another attempt takes over");
    this.#connection = new Connection(
      this.#url,
      SUBPROTOCOLS,
      { ...this.#env, openSocket: (url, protocols) => this.#ways.open(url, protocols) },
      {
        onOpen: (protocol) => {
          this.tap?.opened(protocol);
          if (this.#token !== undefined) this.#send({ type: "hello", token: this.#token });
        },
        onMessage: (data) => {
          const frame = this.#inbox.receive(data);
          this.tap?.received(data, frame);
        },
        onSent: (text) => {
          this.stats.framesOut += 1;
          this.stats.bytesOut += text.length;
          this.tap?.sent(text);
        },
        onEnded: (code, reason, byUs) => this.tap?.ended(code, reason, byUs),
        onLost: (loss) => this.#lost(loss),
      },
    );
  }

  /** By a better way than the present one. */
  #connectAnew() {
    this.#connection?.close(1000, "another connection takes over");
    this.#lost({ code: 1000, reason: "", silent: false, opened: true, retryMs: [0, 0] });
  }

  /** @param {number} waitMs */
  #connectIn(waitMs) {
    this.#env.clearTimer(this.#retryTimer);
    this.#retryTimer = this.#env.setTimer(() => this.#connect(), waitMs);
  }

  /** @param {import("../protocol.js").ClientFrame} frame */
  #send(frame) {
    this.#connection?.send(frame);
  }

  /** @param {import("./socket.js").Loss} loss */
  #lost(loss) {
    const now = this.#env.monotonicMs();
    this.#connection = null;
    this.#ways.lost(loss);
    if (this.#liveSinceMs !== null && now - this.#liveSinceMs >= HELD_MS) this.#backoff.reset();
    this.#liveSinceMs = null;
    const decision = afterLoss(loss, this.#backoff);
    this.#watches.disconnected(decision);
    this.annotations.disconnected(decision.action === "retry" ? undefined : decision.sentence);
    if (decision.action !== "retry") {
      this.#halted = decision.action;
      this.#light.halted(
        decision.action === "signed-out" ? "signed-out" : "offline",
        decision.sentence,
      );
      return;
    }
    this.#notBeforeMs = now + decision.notBeforeMs;
    this.#connectIn(decision.waitMs);
    const retryAtMs = Math.round(this.#env.nowMs() + decision.waitMs);
    this.#light.lost(decision.sentence, retryAtMs, loss.code === CLOSE.SLOW);
  }

  /** @param {import("./environment.js").PageChange} change */
  #pageChanged(change) {
    if (this.#halted !== "") return;
    if (change === "online") this.#ways.online();
    if (this.#connection?.isOpen) {
      if (change === "shared" && this.#ways.label === "") return this.#connectAnew();
      // The browser may be wrong about the network: to this machine itself there always is one.
      this.#connection.checkSilence();
      return;
    }
    if (change === "online" || (change === "visible" && this.#connection === null)) {
      // An attempt begun without a network would only run into its time limit.
      this.#connection?.close(1000, "the network is back");
      this.#connection = null;
      this.#backoff.reset();
      this.#connectIn(Math.max(0, this.#notBeforeMs - this.#env.monotonicMs()));
    }
    this.#light.refresh();
  }

  /** @param {import("../protocol.js").WelcomeFrame} frame */
  #welcome(frame) {
    if (this.#liveSinceMs !== null || this.#connection === null) return;
    this.#liveSinceMs = this.#env.monotonicMs();
    this.#welcomes += 1;
    this.stats.reconnects = this.#welcomes - 1;
    this.limits = frame.limits ?? null;
    this.#connection.heartbeats(frame.heartbeat_ms);
    if (typeof frame.ack_ms === "number" && frame.ack_ms > 0) {
      this.#connection.acknowledge(frame.ack_ms);
    }
    this.#ways.welcomed();
    this.#light.live(this.#ways.label);
    this.#watches.connected();
    this.annotations.connected();
  }

  /** @param {import("../protocol.js").ErrorFrame} frame */
  #error(frame) {
    const error = { code: String(frame.code), message: String(frame.message) };
    if (typeof frame.id === "number") {
      this.#watches.fail(frame.id, error);
      return;
    }
    if (typeof frame.ref === "string") {
      this.annotations.refused(frame.ref, error.code, error.message);
      return;
    }
    this.dispatchEvent(new CustomEvent("problem", { detail: error }));
    this.#inbox.warnOnce(`error ${error.code}`, `The server says: ${error.message}`);
  }
}
