// Rows of float64 side by side that grow at the end and shrink at the front without being moved.

/**
 * All rows have the same length. They lie in buffers with room behind them, so that appending
 * writes one number a row, and dropping the oldest only moves the beginning.
 */
const LEAST_ROOM = 64;

export class Columns {
  /** The rows as they are now: views, valid until the next change. @type {Float64Array[]} */
  views = [];
  /** @type {Float64Array[]} */
  #buffers;
  #from = 0;
  #to = 0;
  #room;

  /**
   * @param {number} rows
   * @param {number} [room] numbers a row for which there is room from the start
   */
  constructor(rows, room = LEAST_ROOM) {
    this.#room = Math.max(LEAST_ROOM, room);
    this.#buffers = Array.from({ length: rows }, () => new Float64Array(this.#room));
    this.#look();
  }

  get length() {
    return this.#to - this.#from;
  }

  /**
   * @param {number} at
   * @param {ArrayLike<number> | null} [numbers] as many as the other rows have; absent: NaN
   */
  insertRow(at, numbers = null) {
    const row = new Float64Array(this.#room);
    if (numbers === null) row.fill(NaN, this.#from, this.#to);
    else row.set(numbers, this.#from);
    this.#buffers.splice(at, 0, row);
    this.#look();
  }

  /**
   * Makes room for `count` more in every row, without values yet.
   * @param {number} at where they stand
   * @param {number} count
   */
  open(at, count) {
    this.#ensure(count);
    const begin = this.#from + at;
    if (begin < this.#to) {
      for (const buffer of this.#buffers) buffer.copyWithin(begin + count, begin, this.#to);
    }
    this.#to += count;
    this.#look();
  }

  /** @param {number} count the oldest ones are forgotten */
  drop(count) {
    this.#from += count;
    this.#look();
  }

  #look() {
    this.views = this.#buffers.map((buffer) => buffer.subarray(this.#from, this.#to));
  }

  /** @param {number} more */
  #ensure(more) {
    if (this.#to + more <= this.#room) return;
    const length = this.length;
    // Moving to the front pays only when it makes room for many: else every append would move.
    if (length + more <= this.#room * 0.75) {
      for (const buffer of this.#buffers) buffer.copyWithin(0, this.#from, this.#to);
    } else {
      this.#room = Math.max(LEAST_ROOM, Math.ceil((length + more) * 1.5));
      this.#buffers = this.#buffers.map((buffer) => {
        const larger = new Float64Array(this.#room);
        larger.set(buffer.subarray(this.#from, this.#to));
        return larger;
      });
    }
    this.#from = 0;
    this.#to = length;
  }
}
