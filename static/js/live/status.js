// What the light of the page says: live, or since when not, and why.

/**
 * @typedef {"connecting" | "live" | "reconnecting" | "offline" | "signed-out"} State
 * @typedef {object} Status
 * @property {State} state
 * @property {number} since ms since 1970: when it went live, or when live data ended
 * @property {string} detail a sentence for people
 * @property {number | null} retryAtMs when the next attempt begins; null when none is planned
 */

const OFFLINE_AFTER_MS = 15_000;

export class StatusLight {
  #env;
  #onChange;
  #everLive = false;
  #lostSinceMs;
  #lostSinceMonotonicMs;
  /** @type {unknown} */
  #offlineTimer = null;
  /** @type {{detail: string, retryAtMs: number | null}} */
  #loss = { detail: "Connecting.", retryAtMs: null };
  /** @type {Readonly<Status>} */
  #status;

  /**
   * @param {import("./environment.js").Environment} env
   * @param {(status: Readonly<Status>) => void} onChange
   */
  constructor(env, onChange) {
    this.#env = env;
    this.#onChange = onChange;
    this.#lostSinceMs = env.nowMs();
    this.#lostSinceMonotonicMs = env.monotonicMs();
    this.#status = { state: "connecting", since: this.#lostSinceMs, ...this.#loss };
    this.#startOfflineTimer();
  }

  get status() {
    return this.#status;
  }

  /** The server has welcomed us. */
  live() {
    this.#everLive = true;
    this.stop();
    this.#show({ state: "live", since: this.#env.nowMs(), detail: "Live.", retryAtMs: null });
  }

  /** Not live any more, or still not. @param {string} detail @param {number | null} retryAtMs */
  lost(detail, retryAtMs) {
    if (this.#status.state === "live") {
      this.#lostSinceMs = this.#env.nowMs();
      this.#lostSinceMonotonicMs = this.#env.monotonicMs();
    }
    if (this.#offlineTimer === null) this.#startOfflineTimer();
    this.#loss = { detail, retryAtMs };
    this.refresh();
  }

  /** No attempt follows by itself. @param {"signed-out" | "offline"} state @param {string} detail */
  halted(state, detail) {
    const since = this.#status.state === "live" ? this.#env.nowMs() : this.#lostSinceMs;
    this.#lostSinceMs = since;
    this.stop();
    this.#show({ state, since, detail, retryAtMs: null });
  }

  /** Looks again whether a loss has become "offline". */
  refresh() {
    const online = this.#env.isOnline();
    const lostForMs = this.#env.monotonicMs() - this.#lostSinceMonotonicMs;
    const early = this.#everLive ? "reconnecting" : "connecting";
    this.#show({
      state: !online || lostForMs >= OFFLINE_AFTER_MS ? "offline" : early,
      since: this.#lostSinceMs,
      detail: online ? this.#loss.detail : "This device has no network.",
      retryAtMs: this.#loss.retryAtMs,
    });
  }

  stop() {
    this.#env.clearTimer(this.#offlineTimer);
    this.#offlineTimer = null;
  }

  #startOfflineTimer() {
    this.stop();
    this.#offlineTimer = this.#env.setTimer(() => this.refresh(), OFFLINE_AFTER_MS);
  }

  /** @param {Status} status */
  #show(status) {
    const before = this.#status;
    this.#status = status;
    if (JSON.stringify(before) !== JSON.stringify(status)) this.#onChange(status);
  }
}
