// A browser with tabs, a SharedWorker, locks and a channel between the tabs, driven by hand.

import { LiveClient } from "../../static/js/live/client.js";
import { SharedHub } from "../../static/js/live/sharedhub.js";
import { Tabs } from "../../static/js/live/tabs.js";
import { PARAMS, Viewer } from "./viewer.js";
import { START_MS, World } from "./world.js";

/** @typedef {{name: string, owner: Process, granted: () => void, stays: boolean}} Claim */

/** What ends together: a tab, or the worker. */
class Process {
  alive = true;
  /** What it would do now waits until it runs again. @type {(() => void)[] | null} */
  held = null;

  /** @param {World} world */
  constructor(world) {
    this.world = world;
  }

  /** As soon as what runs now has ended. @param {() => void} task @param {number} [delayMs] */
  later(task, delayMs = 0) {
    const run = () => {
      if (!this.alive) return;
      if (this.held === null) task();
      else this.held.push(run);
    };
    return this.world.environment.setTimer(run, delayMs);
  }

  freeze() {
    this.held = [];
  }

  thaw() {
    const tasks = this.held ?? [];
    this.held = null;
    for (const task of tasks) task();
  }
}

/** One end of a MessageChannel. */
class FakePort {
  /** @type {((event: any) => void) | null} */
  onmessage = null;
  /** @type {FakePort | null} */
  other = null;
  /** Messages on their way to this end. */
  waiting = 0;

  /** @param {Process} process */
  constructor(process) {
    this.process = process;
  }

  /** @param {any} message @param {{transfer?: ArrayBuffer[]}} [options] */
  postMessage(message, { transfer = [] } = {}) {
    const { other } = this;
    if (other === null) return;
    const data = structuredClone(message, { transfer });
    other.waiting += 1;
    other.process.later(() => {
      other.waiting -= 1;
      if (other.other !== null) other.onmessage?.({ data });
    });
  }

  close() {
    this.other = null;
  }
}

class FakeLocks {
  /** In the order of asking; of each name the first holds it. @type {Claim[]} */
  claims = [];

  /** As one process sees them. @param {Process} owner */
  of(owner) {
    const ask = (/** @type {string} */ name, /** @type {() => void} */ granted, stays = true) => {
      const claim = { name, owner, granted, stays };
      this.claims.push(claim);
      this.#grant(name, claim);
      return () => this.#drop([claim]);
    };
    return {
      hold: (/** @type {string} */ name, /** @type {() => void} */ onHeld) => ask(name, onHeld),
      whenFree: (/** @type {string} */ name, /** @type {() => void} */ onFree) => ask(name, onFree, false),
      first: (/** @type {string} */ name, /** @type {(isFirst: boolean) => void} */ onAnswer) => {
        const isFirst = !this.claims.some((claim) => claim.name === name);
        if (isFirst) ask(name, () => onAnswer(true));
        else owner.later(() => onAnswer(false));
      },
    };
  }

  /** @param {Process} owner */
  dropAll(owner) {
    this.#drop(this.claims.filter((claim) => claim.owner === owner));
  }

  /** @param {Claim[]} gone */
  #drop(gone) {
    this.claims = this.claims.filter((claim) => !gone.includes(claim));
    for (const name of new Set(gone.map((claim) => claim.name))) {
      const next = this.claims.find((claim) => claim.name === name);
      if (next !== undefined) this.#grant(name, next);
    }
  }

  /** @param {string} name @param {Claim} claim */
  #grant(name, claim) {
    if (this.claims.find((one) => one.name === name) !== claim) return;
    claim.owner.later(() => {
      if (!this.claims.includes(claim)) return;
      if (!claim.stays) this.#drop([claim]);
      claim.granted();
    });
  }
}

export class Tab extends Process {
  /** Ends of channels to workers, the newest last. @type {FakePort[]} */
  ports = [];
  /** @type {(() => void) | null} */
  whenOther = null;
  /** @type {(() => void) | null} */
  breaks = null;
  /** @type {string[]} */
  states = [];

  /** @param {Browser} browser @param {string} session @param {Partial<import("../../static/js/live/client.js").ClientOptions>} options */
  constructor(browser, session, options) {
    super(browser.world);
    this.browser = browser;
    this.session = session;
    const wire = browser.wireOf(this);
    const tabs = new Tabs(session, {
      wire,
      locks: browser.locks.of(this),
      openWorker: () => browser.openWorker(this),
      forgetWorker: () => {},
      newName: () => browser.newName(),
      tellOthers: () => browser.tellOthers(this),
      whenOthersCome: (onOther) => {
        this.whenOther = onOther;
      },
    });
    const environment = { ...browser.world.environment, ...wire };
    this.client = new LiveClient({
      url: "ws://host/live/",
      ...options,
      environment: {
        ...environment,
        openSocket: (url, protocols) => tabs.openSocket(url, protocols),
        listen: tabs.listening(environment.listen),
      },
    });
    this.client.onStatus(({ state }) => this.states.push(state));
  }

  /** Closed, left or crashed: it says nothing any more. */
  dies() {
    this.alive = false;
    this.browser.tabs.delete(this);
    this.browser.locks.dropAll(this);
  }
}

export class Browser {
  world = new World();
  locks = new FakeLocks();
  /** @type {Set<Tab>} */
  tabs = new Set();
  /** By the session. @type {Map<string, {process: Process, hub: SharedHub}>} */
  workers = new Map();
  /** What becomes of a worker that a tab asks for. @type {"runs" | "forbidden" | "missing" | "deaf"} */
  fate = "runs";
  /** The worker may not open sockets, as its own policy says. */
  workerIsOffline = false;
  #names = 0;

  /** @param {string} [session] @param {Partial<import("../../static/js/live/client.js").ClientOptions>} [options] */
  tab(session = "ann", options = {}) {
    const tab = new Tab(this, session, options);
    this.tabs.add(tab);
    this.settle();
    return tab;
  }

  /** Everything that can happen now happens. */
  settle() {
    this.world.pass(0);
  }

  /** Time passes with the server alive. @param {number} seconds */
  beat(seconds) {
    for (let second = 0; second < seconds; second += 1) {
      this.world.pass(1_000);
      for (const socket of this.sockets) {
        socket.says({ type: "heartbeat", server_ms: START_MS + this.world.ms });
      }
      this.settle();
    }
  }

  /** The sockets that nobody here has closed. */
  get sockets() {
    return this.world.sockets.filter(({ closedByClient }) => closedByClient === null);
  }

  newName() {
    this.#names += 1;
    return `name ${this.#names}`;
  }

  /** @param {Process} process @returns {import("../../static/js/live/wire.js").Wire} */
  wireOf(process) {
    const { openSocket, clearTimer, monotonicMs, warn } = this.world.environment;
    return {
      openSocket: (url, protocols) => {
        const socket = openSocket(url, protocols);
        if (this.workerIsOffline && !(process instanceof Tab)) {
          process.later(() => socket.onclose?.({ code: 1006, reason: "" }));
        }
        return socket;
      },
      setTimer: (callback, delayMs) => process.later(callback, delayMs),
      clearTimer,
      monotonicMs,
      warn,
    };
  }

  /** @param {Tab} tab */
  openWorker(tab) {
    if (this.fate === "forbidden") throw new Error("SecurityError");
    const port = new FakePort(tab);
    tab.ports.push(port);
    if (this.fate === "runs") {
      const { process, hub } = this.workers.get(tab.session) ?? this.#start(tab.session);
      const other = new FakePort(process);
      port.other = other;
      other.other = port;
      process.later(() => hub.connect(other));
    }
    const whenBroken = (/** @type {() => void} */ onBroken) => {
      if (this.fate === "missing") tab.later(onBroken);
    };
    return { port, whenBroken };
  }

  /** @param {string} session */
  #start(session) {
    const process = new Process(this.world);
    const lock = this.newName();
    const locks = this.locks.of(process);
    locks.hold(lock, () => {});
    const worker = { process, hub: new SharedHub(this.wireOf(process), locks, lock) };
    this.workers.set(session, worker);
    return worker;
  }

  /** The worker crashes. @param {string} session */
  killWorker(session) {
    const worker = this.workers.get(session);
    if (worker === undefined) return;
    this.workers.delete(session);
    worker.process.alive = false;
    this.locks.dropAll(worker.process);
  }

  /** @param {Tab} from */
  tellOthers(from) {
    for (const tab of this.tabs) {
      if (tab !== from && tab.session === from.session) tab.later(() => tab.whenOther?.());
    }
  }
}

/** Two tabs that are live over one socket. */
export function twoTabs() {
  const browser = new Browser();
  const first = browser.tab();
  browser.world.socket.welcome();
  const second = browser.tab();
  browser.world.socket.welcome();
  browser.settle();
  // The connection that the first tab had opened beside its own is not kept for long.
  browser.beat(6);
  return { browser, world: browser.world, first, second, socket: browser.world.socket };
}

/** A watch in each. @param {ReturnType<typeof twoTabs>} tabs */
export function watchBoth({ browser, first, second }) {
  const viewers = [first, second].map(({ client }) => {
    const viewer = new Viewer();
    client.watchQuery(PARAMS, viewer.handlers);
    return viewer;
  });
  browser.settle();
  return viewers;
}

/** @param {ReturnType<typeof twoTabs>} tabs */
export function states({ first, second }) {
  return [first.client.status.state, second.client.status.state];
}
