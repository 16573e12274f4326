// What the worker does: tabs come by their ports and share a socket.

import { Line } from "./sharedline.js";
import { Tab } from "./sharedtab.js";
import { NOT_HEARD } from "./socket.js";

/** @typedef {import("./sharedtab.js").Port} Port */

export class SharedHub {
  #env;
  #locks;
  #ownLock;
  /** @type {Line | null} */
  #line = null;

  /**
   * @param {import("./wire.js").Wire} env
   * @param {Pick<import("./weblocks.js").Locks, "whenFree">} locks
   * @param {string} ownLock held by this worker
   */
  constructor(env, locks, ownLock) {
    this.#env = env;
    this.#locks = locks;
    this.#ownLock = ownLock;
  }

  /** A tab wants a connection. @param {Port} port */
  connect(port) {
    const tab = new Tab(this.#env, port);
    /** @type {Line | null} */
    let line = null;
    port.onmessage = ({ data }) => {
      if (typeof data === "string") {
        line?.said(tab, data);
        return;
      }
      /** @type {import("./sharedtab.js").FromTab} */
      const message = data;
      if (message.type === "open") line = this.#open(tab, message);
      else if (message.type === "mark") tab.cameBack(message.number);
      else if (message.type === "close") {
        if (message.code === NOT_HEARD) line?.checkSilence();
        line?.leave(tab);
        port.close();
      }
    };
  }

  /**
   * @param {Tab} tab
   * @param {{url: string, protocols: string[], lock: string}} asked
   * @returns {Line | null}
   */
  #open(tab, { url, protocols, lock }) {
    tab.tell({ type: "joined", lock: this.#ownLock });
    if (this.#line?.isLeaving) this.#line = null;
    const line = (this.#line ??= this.#begin(url, protocols));
    if (line.url !== url || !line.takesMore) {
      tab.tell({ type: "alone" });
      return null;
    }
    line.join(tab);
    this.#locks.whenFree(lock, () => line.leave(tab));
    return line;
  }

  /**
   * @param {string} url
   * @param {readonly string[]} protocols
   */
  #begin(url, protocols) {
    const line = new Line(this.#env, url, protocols, () => {
      if (this.#line === line) this.#line = null;
    });
    return line;
  }
}
