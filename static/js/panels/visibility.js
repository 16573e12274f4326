// Which series of a legend are shown.

/**
 * A click toggles one series; with a modifier key only that one stays, and again brings all back.
 * When the last one would vanish, all come back: an empty chart helps nobody.
 * @param {ReadonlySet<string>} hidden keys
 * @param {string} key that was clicked
 * @param {readonly string[]} all keys
 * @param {boolean} only a modifier key was held
 * @returns {Set<string>} the keys hidden from now on
 */
export function toggled(hidden, key, all, only) {
  const shown = all.filter((other) => !hidden.has(other));
  if (only) {
    const alone = shown.length === 1 && shown[0] === key;
    return alone ? new Set() : new Set(all.filter((other) => other !== key));
  }
  const next = new Set(hidden);
  if (!next.delete(key)) next.add(key);
  return all.every((other) => next.has(other)) ? new Set() : next;
}
