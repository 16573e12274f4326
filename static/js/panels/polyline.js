// A row of values as the few points that a chart of so many pixels can show.

/**
 * @typedef {object} Frame how times and values lie on the canvas, in its own pixels
 * @property {number} fromMs at `left`
 * @property {number} left
 * @property {number} perMs pixels of a millisecond
 * @property {number} low at `bottom`
 * @property {number} bottom
 * @property {number} perUnit pixels of a value of 1, upwards
 *
 * @typedef {Pick<CanvasPath, "moveTo" | "lineTo" | "closePath">} Pen
 */

const LEAST_ROOM = 512;

export class Polyline {
  /** Positions of values that stand alone between two gaps: no line shows them. @type {number[]} */
  lone = [];
  #xs = new Float64Array(LEAST_ROOM);
  #ys = new Float64Array(LEAST_ROOM);
  #count = 0;
  /** Where each stretch without a gap begins. @type {number[]} */
  #runs = [];

  /** How many points it has. */
  get count() {
    return this.#count;
  }

  /**
   * Follows a row anew: of all values of one pixel column the lowest and the highest stay, in an
   * order that ends nearer to the last, so that no peak is lost and a sparse row stays as it is.
   * @param {ArrayLike<number>} times ascending, ms
   * @param {{row: ArrayLike<number>, low: ArrayLike<number>, high: ArrayLike<number>}} rows NaN: no
   *   value; `low` and `high`: what was passed since the step before, or the row itself
   * @param {number} first position
   * @param {number} last position, included
   * @param {number} stepMs two values further apart than this are not joined; 0: all are
   * @param {Frame} frame
   */
  follow(times, { row, low: lows, high: highs }, first, last, stepMs, { fromMs, left, perMs, low, bottom, perUnit }) {
    this.#reset(2 * (last - first + 1));
    const xs = this.#xs;
    const ys = this.#ys;
    const joined = stepMs > 0 ? stepMs : Infinity;
    const pixelMs = 1 / perMs;
    let count = 0;
    let i = first;
    while (i <= last) {
      if (row[i] !== row[i]) {
        i += 1;
        continue;
      }
      const run = count;
      this.#runs.push(run);
      const begin = i;
      let beforeMs = times[i];
      for (;;) {
        const column = Math.round(left + (beforeMs - fromMs) * perMs);
        const untilMs = fromMs + (column + 0.5 - left) * pixelMs;
        let latest = row[i];
        let least = lows[i];
        let most = highs[i];
        let goesOn = false;
        for (i += 1; i <= last; i += 1) {
          const value = row[i];
          const timeMs = times[i];
          if (value !== value || timeMs - beforeMs > joined) break;
          beforeMs = timeMs;
          goesOn = timeMs >= untilMs;
          if (goesOn) break;
          if (lows[i] < least) least = lows[i];
          if (highs[i] > most) most = highs[i];
          latest = value;
        }
        const up = most - latest <= latest - least;
        const start = Math.round(bottom - ((up ? least : most) - low) * perUnit);
        // A level stretch is one piece: the joints of thin lines would show as dots.
        if (count - run >= 2 && ys[count - 1] === start && ys[count - 2] === start) count -= 1;
        xs[count] = column;
        ys[count] = start;
        count += 1;
        const end = Math.round(bottom - ((up ? most : least) - low) * perUnit);
        if (end !== start) {
          xs[count] = column;
          ys[count] = end;
          count += 1;
        }
        if (!goesOn) break;
      }
      if (i - begin === 1) this.lone.push(begin);
    }
    this.#count = count;
  }

  /** @param {Pen} pen */
  stroke(pen) {
    this.#eachRun((from, to) => {
      pen.moveTo(this.#xs[from], this.#ys[from]);
      for (let i = from + 1; i < to; i += 1) pen.lineTo(this.#xs[i], this.#ys[i]);
    });
  }

  /**
   * The area down to a height, or to the line below with the same times and gaps.
   * @param {Pen} pen
   * @param {number | Polyline} ground
   */
  fill(pen, ground) {
    this.#eachRun((from, to, run) => {
      pen.moveTo(this.#xs[from], this.#ys[from]);
      for (let i = from + 1; i < to; i += 1) pen.lineTo(this.#xs[i], this.#ys[i]);
      if (ground instanceof Polyline) {
        ground.#backwards(pen, run);
      } else {
        pen.lineTo(this.#xs[to - 1], ground);
        pen.lineTo(this.#xs[from], ground);
      }
      pen.closePath();
    });
  }

  /**
   * @param {Pen} pen
   * @param {number} run
   */
  #backwards(pen, run) {
    const end = this.#runs[run + 1] ?? this.#count;
    for (let i = end - 1; i >= (this.#runs[run] ?? end); i -= 1) pen.lineTo(this.#xs[i], this.#ys[i]);
  }

  /** @param {(from: number, to: number, run: number) => void} visit */
  #eachRun(visit) {
    for (let run = 0; run < this.#runs.length; run += 1) {
      const to = this.#runs[run + 1] ?? this.#count;
      if (to > this.#runs[run]) visit(this.#runs[run], to, run);
    }
  }

  /** @param {number} room points that may come */
  #reset(room) {
    this.#count = 0;
    this.#runs.length = 0;
    this.lone.length = 0;
    if (this.#xs.length >= room) return;
    this.#xs = new Float64Array(room);
    this.#ys = new Float64Array(room);
  }
}

/**
 * @param {ArrayLike<number>} row NaN: no value
 * @param {number} first
 * @param {number} last included
 * @returns {number} Infinity: there is none
 */
export function least(row, first, last) {
  let found = Infinity;
  for (let i = first; i <= last; i += 1) if (row[i] < found) found = row[i];
  return found;
}

/**
 * @param {ArrayLike<number>} row NaN: no value
 * @param {number} first
 * @param {number} last included
 * @returns {number} -Infinity: there is none
 */
export function greatest(row, first, last) {
  let found = -Infinity;
  for (let i = first; i <= last; i += 1) if (row[i] > found) found = row[i];
  return found;
}
