// Rows of elements that follow a list of series: made once, then only written to.

/**
 * @template {{element: Element}} T
 */
export class KeyedChildren {
  /** @type {Map<string, T>} */
  #items = new Map();
  #parent;
  #make;
  #order = "";

  /**
   * @param {Element} parent
   * @param {() => T} make
   */
  constructor(parent, make) {
    this.#parent = parent;
    this.#make = make;
  }

  /**
   * @param {readonly string[]} keys in the order of the page
   * @returns {T[]}
   */
  follow(keys) {
    const order = keys.join("\n");
    const items = keys.map((key) => {
      const item = this.#items.get(key) ?? this.#make();
      this.#items.set(key, item);
      return item;
    });
    if (order !== this.#order) {
      this.#order = order;
      const wanted = new Set(keys);
      for (const [key, { element }] of this.#items) {
        if (wanted.has(key)) continue;
        this.#items.delete(key);
        element.remove();
      }
      this.#arrange(items);
    }
    return items;
  }

  /**
   * Moves only what stands in a wrong place: focus and animations of the others go on.
   * @param {readonly T[]} items
   */
  #arrange(items) {
    let next = this.#parent.firstElementChild;
    for (const { element } of items) {
      if (element === next) next = element.nextElementSibling;
      else this.#parent.insertBefore(element, next);
    }
  }

  /** @returns {Iterable<T>} all that are on the page */
  items() {
    return this.#items.values();
  }
}
