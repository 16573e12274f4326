// What the light of the page says: live, or since when not, and why.

/**
 * @typedef {"connecting" | "live" | "reconnecting" | "offline" | "signed-out"} State
 * @typedef {object} Status
 * @property {State} state
 * @property {number} since ms since 1970: when it went live, or when live data ended
 * @property {string} detail a sentence for people
 * @property {number | null} retryAtMs when the next attempt begins; null when none is planned
 * @property {"merged" | "closed"} [slow] this page reads too slowly: updates come merged, or the server
 *   has closed the connection for it
 * @property {string} [via] how it is live where no WebSocket can be opened: "SSE" or "polling"
 */

const OFFLINE_AFTER_MS = 15_000;
/** So long it is said that the page was slow. */
const SLOW_FOR_MS = 5_000;

export class StatusLight {
  #env;
  #onChange;
  #everLive = false;
  #lostSinceMs;
  #lostSinceMonotonicMs;
  /** @type {unknown} */
  #offlineTimer = null;
  /** @type {unknown} */
  #slowTimer = null;
  #slowMs = 0;
  /** @type {{detail: string, retryAtMs: number | null, slow?: "closed"}} */
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

  /** The server has welcomed us. @param {string} [via] another way than a socket */
  live(via = "") {
    this.#everLive = true;
    this.stop();
    const { slow } = this.#loss;
    this.#loss = { detail: "", retryAtMs: null };
    const live = { since: this.#env.nowMs(), detail: "Live.", retryAtMs: null };
    this.#show({ state: "live", ...live, ...(via === "" ? {} : { via }) });
    if (slow !== undefined) this.#slow(slow);
  }

  /** A frame came that stands for several, since this page had not read them. */
  merging() {
    if (this.#status.state === "live") this.#slow("merged");
  }

  /**
   * Not live any more, or still not.
   * @param {string} detail
   * @param {number | null} retryAtMs
   * @param {boolean} [slow] the server has closed the connection since this page was too slow
   */
  lost(detail, retryAtMs, slow = false) {
    if (this.#status.state === "live") {
      this.#lostSinceMs = this.#env.nowMs();
      this.#lostSinceMonotonicMs = this.#env.monotonicMs();
    }
    this.#env.clearTimer(this.#slowTimer);
    this.#slowTimer = null;
    if (this.#offlineTimer === null) this.#startOfflineTimer();
    const wasSlow = slow || this.#loss.slow !== undefined;
    this.#loss = { detail, retryAtMs, ...(wasSlow ? { slow: "closed" } : {}) };
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
      ...(this.#loss.slow === undefined ? {} : { slow: this.#loss.slow }),
    });
  }

  stop() {
    this.#env.clearTimer(this.#offlineTimer);
    this.#offlineTimer = null;
    this.#env.clearTimer(this.#slowTimer);
    this.#slowTimer = null;
  }

  /** @param {"merged" | "closed"} slow */
  #slow(slow) {
    this.#slowMs = this.#env.monotonicMs();
    if (this.#status.slow !== slow) this.#show({ ...this.#status, slow });
    this.#slowTimer ??= this.#env.setTimer(() => this.#slowDue(), SLOW_FOR_MS);
  }

  #slowDue() {
    this.#slowTimer = null;
    if (this.#status.state !== "live") return;
    const leftMs = this.#slowMs + SLOW_FOR_MS - this.#env.monotonicMs();
    if (leftMs > 0) this.#slowTimer = this.#env.setTimer(() => this.#slowDue(), leftMs);
    else this.#show(withoutSlow(this.#status));
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

/**
 * @param {Status} status
 * @returns {Status}
 */
function withoutSlow({ slow: _, ...rest }) {
  return rest;
}
