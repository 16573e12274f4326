// A tab that is the only one has a socket of its own. As soon as there are two, they share one.

import { browser } from "./environment.js";
import { SharedSocket } from "./sharedsocket.js";
import { webLocks } from "./weblocks.js";
import { wire } from "./wire.js";

/**
 * @typedef {import("./environment.js").Environment} Environment
 * @typedef {import("./environment.js").PageChange} PageChange
 * @typedef {import("./sharedsocket.js").Parts & {
 *   tellOthers: () => void,
 *   whenOthersCome: (onOther: () => void) => void,
 * }} TabsParts
 */

/** A page that waits for data does not wait longer for the worker. */
const JOIN_WITHIN_MS = 1_000;
/** Beside a socket that works there is time: the worker may have to be loaded over a slow link. */
const JOIN_BESIDE_MS = 10_000;
/** How long the connection made beside is kept for the page's own to follow. */
const KEPT_BESIDE_MS = 5_000;

export class Tabs {
  #parts;
  #name;
  /**
   * asking: whether another tab is open is not known yet; own: never again in this page.
   * @type {"asking" | "first" | "shared" | "own"}
   */
  #mode = "asking";
  /** Not connected by either way yet. @type {Set<SharedSocket>} */
  #joining = new Set();
  /** How this page connected the last time; null: it has not. @type {{url: string, protocols: string[]} | null} */
  #server = null;
  /** The newest connection is a socket of this page's own. */
  #isOwn = false;
  /** A shared connection has been open in this page. */
  #worked = false;
  #othersCame = false;
  /** @type {SharedSocket | null} */
  #beside = null;
  /** @type {(change: PageChange) => void} */
  #onChange = () => {};

  /**
   * @param {string} name of those who share: the same for the same session and scripts
   * @param {TabsParts} parts
   */
  constructor(name, parts) {
    this.#name = `${name} tabs`;
    this.#parts = parts;
    parts.whenOthersCome(() => this.#otherCame());
    parts.locks.first(this.#name, (isFirst) => this.#counted(isFirst));
  }

  /**
   * In place of the environment's.
   * @param {string} url
   * @param {string[]} protocols
   */
  openSocket(url, protocols) {
    this.#server = { url, protocols };
    this.#isOwn = this.#mode === "first" || this.#mode === "own";
    if (this.#isOwn) return this.#parts.wire.openSocket(url, protocols);
    const socket = new SharedSocket(url, protocols, this.#parts, JOIN_WITHIN_MS, {
      onRefused: (refusal) => this.#refused(socket, refusal),
      onOpened: () => this.#opened(socket),
      onFailed: () => this.#failed(socket),
    });
    this.#joining.add(socket);
    if (this.#mode === "shared") socket.join();
    return socket;
  }

  /**
   * @param {(onChange: (change: PageChange) => void) => () => void} listen the environment's
   * @returns {typeof listen} which tells too when a shared connection is there
   */
  listening(listen) {
    return (onChange) => {
      this.#onChange = onChange;
      return listen(onChange);
    };
  }

  /** @param {boolean} isFirst */
  #counted(isFirst) {
    if (this.#mode !== "asking") return;
    if (isFirst) return this.#isAlone();
    this.#mode = "shared";
    this.#parts.tellOthers();
    for (const socket of this.#joining) socket.join();
    // So that a new tab always finds somebody. Free already, it was held by the page that was left
    // for this one.
    this.#parts.locks.hold(this.#name, () => {
      if (this.#mode === "shared" && !this.#worked && !this.#othersCame) this.#isAlone();
    });
  }

  #isAlone() {
    this.#mode = "first";
    for (const socket of this.#joining) this.#goOwn(socket);
  }

  #otherCame() {
    this.#othersCame = true;
    if (this.#mode !== "first") return;
    this.#mode = "shared";
    this.#joinBeside();
  }

  /**
   * @param {SharedSocket} socket of the page's connection
   * @param {import("./sharedsocket.js").Refusal} refusal
   */
  #refused(socket, refusal) {
    if (refusal !== "late") this.#mode = "own";
    this.#goOwn(socket);
    if (this.#mode === "shared") this.#joinBeside();
  }

  /** @param {SharedSocket} socket */
  #opened(socket) {
    this.#worked = true;
    this.#joining.delete(socket);
  }

  /** @param {SharedSocket} socket */
  #failed(socket) {
    this.#joining.delete(socket);
    // Perhaps only the worker is not allowed to: its script may have come with another policy.
    if (!this.#worked) this.#mode = "own";
  }

  /** @param {SharedSocket} socket */
  #goOwn(socket) {
    this.#joining.delete(socket);
    this.#isOwn = true;
    socket.goOwn();
  }

  /** Opens a shared connection beside the page's own socket; the page follows when it is open. */
  #joinBeside() {
    if (this.#server === null || this.#beside !== null) return;
    const { url, protocols } = this.#server;
    const end = () => {
      beside.close();
      this.#beside = null;
    };
    const beside = new SharedSocket(url, protocols, this.#parts, JOIN_BESIDE_MS, {
      onRefused: () => {
        this.#mode = "own";
        end();
      },
      onOpened: () => {
        this.#opened(beside);
        this.#parts.wire.setTimer(end, KEPT_BESIDE_MS);
        if (this.#isOwn) this.#onChange("shared");
      },
      onFailed: () => {
        this.#failed(beside);
        end();
      },
    });
    this.#beside = beside;
    beside.join();
  }
}

/**
 * @param {string} name of those who share, as the page has it
 * @returns {Partial<Environment>} nothing where the browser cannot: each tab has a socket of its own
 */
export function sharedByTabs(name) {
  const canShare = "SharedWorker" in globalThis && "BroadcastChannel" in globalThis;
  // Web Locks are there in secure contexts only: HTTPS, or this machine itself.
  if (name === "" || !canShare || !("locks" in navigator)) return {};
  const channel = new BroadcastChannel(`pulseboard ${name}`);
  /** One for all connections of the page: browsers keep each until the page is left. @type {SharedWorker | null} */
  let worker = null;
  const tabs = new Tabs(`pulseboard ${name}`, {
    wire,
    locks: webLocks,
    openWorker: () => {
      const address = new URL("./sharedworker.js", import.meta.url);
      const started = (worker ??= new SharedWorker(address, { type: "module", name: `pulseboard ${name}` }));
      const { port1, port2 } = new MessageChannel();
      started.port.postMessage(null, [port2]);
      return {
        port: port1,
        whenBroken: (onBroken) => {
          started.onerror = onBroken;
        },
      };
    },
    forgetWorker: () => {
      worker = null;
    },
    newName: () => `pulseboard tab ${crypto.randomUUID()}`,
    tellOthers: () => channel.postMessage("here"),
    whenOthersCome: (onOther) => {
      channel.onmessage = onOther;
    },
  });
  return {
    openSocket: (url, protocols) => tabs.openSocket(url, protocols),
    listen: tabs.listening(browser.listen),
  };
}
