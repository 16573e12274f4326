// Signs of life between tabs and their worker: a lock is free as soon as who held it has ended,
// however it ended.

/**
 * @typedef {object} Locks
 * @property {(name: string, onHeld: () => void) => () => void} hold takes it when it is free;
 *   returns how to let it go
 * @property {(name: string, onFree: () => void) => () => void} whenFree returns how to stop waiting
 * @property {(name: string, onAnswer: (isFirst: boolean) => void) => void} first tells whether it
 *   was free, and then holds it for good
 *
 * Where the browser refuses (all storage is blocked, say) nothing is ever held, and everybody is first.
 */

/** @type {Readonly<Locks>} */
export const webLocks = Object.freeze({
  hold(/** @type {string} */ name, /** @type {() => void} */ onHeld) {
    let release = () => {};
    /** @type {Promise<void>} */
    const released = new Promise((resolve) => (release = resolve));
    const held = navigator.locks.request(name, () => {
      onHeld();
      return released;
    });
    held.catch(() => {});
    return release;
  },
  whenFree(/** @type {string} */ name, /** @type {() => void} */ onFree) {
    const stop = new AbortController();
    // Refused, too, when nobody waits any more.
    navigator.locks.request(name, { signal: stop.signal }, onFree).catch(() => {});
    return () => stop.abort();
  },
  first(/** @type {string} */ name, /** @type {(isFirst: boolean) => void} */ onAnswer) {
    const answered = navigator.locks.request(name, { ifAvailable: true }, (lock) => {
      onAnswer(lock !== null);
      return lock === null ? undefined : new Promise(() => {});
    });
    answered.catch(() => onAnswer(true));
  },
});
