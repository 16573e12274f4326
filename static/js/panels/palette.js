// The colours of charts, read from the style sheet so that they are named in one place.

const SERIES_COLOURS = 8;
const DASHES = 3;

/**
 * Every series has its own colour, and from the ninth on its own dash, in both themes.
 * @param {number} slot
 * @returns {{colour: number, dash: number}} colour 1 to 8, dash 0 to 2
 */
export function strokeOf(slot) {
  return { colour: (slot % SERIES_COLOURS) + 1, dash: Math.floor(slot / SERIES_COLOURS) % DASHES };
}

/** The lengths of line and gap for each dash, in CSS pixels. */
export const DASH_PATTERNS = [[], [7, 3], [2, 3]];

/** Hands out slots so that a series keeps its colour while others come and go. */
export class Slots {
  /** @type {Map<string, number>} */
  #slots = new Map();
  #most;

  /** @param {number} [most] keys remembered; then it begins anew */
  constructor(most = 4000) {
    this.#most = most;
  }

  /**
   * @param {readonly string[]} keys of the series of now
   * @returns {number[]}
   */
  take(keys) {
    if (this.#slots.size + keys.length > this.#most) this.#slots.clear();
    return keys.map((key) => {
      const known = this.#slots.get(key);
      if (known !== undefined) return known;
      this.#slots.set(key, this.#slots.size);
      return this.#slots.size - 1;
    });
  }
}

/** Fires "change" when the theme has changed. */
export class Palette extends EventTarget {
  /** @type {Map<string, string>} */
  #cache = new Map();

  constructor() {
    super();
    const renew = () => {
      this.#cache.clear();
      this.dispatchEvent(new Event("change"));
    };
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", renew);
    const observer = new MutationObserver(renew);
    observer.observe(document.documentElement, { attributeFilter: ["data-theme"] });
  }

  /**
   * @param {string} name of a custom property, without its dashes
   * @returns {string}
   */
  get(name) {
    let value = this.#cache.get(name);
    if (value === undefined) {
      value = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
      this.#cache.set(name, value);
    }
    return value;
  }

  /** @param {number} slot */
  series(slot) {
    return this.get(`series-${strokeOf(slot).colour}`);
  }

  /**
   * @param {number} slot
   * @param {number} alpha 0 to 1
   */
  fill(slot, alpha) {
    return withAlpha(this.series(slot), alpha);
  }
}

/**
 * @param {string} colour "#rrggbb"
 * @param {number} alpha 0 to 1
 * @returns {string} "#rrggbbaa"
 */
export function withAlpha(colour, alpha) {
  return colour + Math.round(alpha * 255).toString(16).padStart(2, "0");
}

/**
 * The small line in legends and tooltips.
 * @param {HTMLElement} element
 * @param {number} slot
 */
export function paintSwatch(element, slot) {
  const { colour, dash } = strokeOf(slot);
  element.style.setProperty("--swatch", `var(--series-${colour})`);
  element.dataset.dash = String(dash);
}
