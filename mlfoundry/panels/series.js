// The points of one run as the page holds them: takes whole frames and what is new, tells when something is missing.

const FIRST = 256;
/** A series longer than this is halved, each stretch by its least and greatest point. */
export const MOST_POINTS = 16_384;

/**
 * One series; `steps`, `times` and `values` hold its points in their first `n` places, in the order they came.
 * Within one `era` points are only added; a new one means that those before have changed.
 */
class Series {
  constructor(told) {
    this.capacity = 0;
    this.describe(told);
    this.clear();
  }

  describe(told) {
    this.name = told.name;
    this.system = Boolean(told.system);
    this.unit = told.unit ?? "";
    this.group = told.group ?? "";
    this.axis = told.axis ?? null;
  }

  clear() {
    this.era = (this.era ?? 0) + 1;
    this.n = 0;
    this.count = 0;
    this.sum = 0;
    this.finite = 0;
    this.least = Infinity;
    this.greatest = -Infinity;
    this.stepsRise = true;
    this.timesRise = true;
  }

  append(steps, times, values) {
    this._makeRoom(this.n + values.length);
    for (let index = 0; index < values.length; index += 1) this._push(steps[index], times[index], values[index]);
    if (this.n > MOST_POINTS) this._halve();
  }

  _push(step, time, value) {
    const place = this.n;
    if (place && step < this.steps[place - 1]) this.stepsRise = false;
    if (place && time < this.times[place - 1]) this.timesRise = false;
    this.steps[place] = step;
    this.times[place] = time;
    this.values[place] = value;
    this.n = place + 1;
    if (!Number.isFinite(value)) return;
    this.sum += value;
    this.finite += 1;
    if (value < this.least) this.least = value;
    if (value > this.greatest) this.greatest = value;
  }

  /** Mean of the finite values that came; NaN without one. */
  get mean() {
    return this.finite ? this.sum / this.finite : NaN;
  }

  get last() {
    return this.n ? this.values[this.n - 1] : undefined;
  }

  _makeRoom(length) {
    if (length <= this.capacity) return;
    this.capacity = Math.max(FIRST, 2 ** Math.ceil(Math.log2(length)));
    for (const name of ["steps", "times", "values"]) {
      const grown = new Float64Array(this.capacity);
      if (this[name]) grown.set(this[name].subarray(0, this.n));
      this[name] = grown;
    }
  }

  /** Keep two of every four points: the least and the greatest, in their order. */
  _halve() {
    let kept = 0;
    for (let start = 0; start < this.n; start += 4) {
      const end = Math.min(start + 4, this.n);
      let [low, high] = [start, start];
      for (let index = start + 1; index < end; index += 1) {
        if (!(this.values[index] >= this.values[low])) low = index;
        if (!(this.values[index] <= this.values[high])) high = index;
      }
      for (const index of [...new Set(end === this.n ? [low, high, end - 1] : [low, high])].sort((a, b) => a - b)) {
        this.steps[kept] = this.steps[index];
        this.times[kept] = this.times[index];
        this.values[kept] = this.values[index];
        kept += 1;
      }
    }
    this.n = kept;
    this.era += 1;
  }
}

/** Every series of one run. */
export class RunPoints {
  constructor() {
    this._byName = new Map();
    this._order = [];
    this.version = 0;
    this.shape = 0;
    this.total = null;
  }

  /** How many logged series (of the machine: `system`) the run has, of which not all may be here. */
  totalOf(system) {
    const here = this._order.filter((series) => series.system === system).length;
    return Math.max(here, this.total?.[system ? "system" : "logged"] ?? 0);
  }

  /** When the newest point was logged, in seconds since 1970; -Infinity without one. */
  get newest() {
    return Math.max(-Infinity, ...this._order.map((series) => (series.n ? series.times[series.n - 1] : -Infinity)));
  }

  /** All series, logged ones first, in the order of the last whole frame. */
  all() {
    return this._order;
  }

  get(name, system = false) {
    return this._byName.get(key(name, system));
  }

  /**
   * Take a decoded `points` frame.
   *
   * Returns "taken", or "missing" when points lie between what is here and what came: then nothing of that series
   * was taken, and a whole frame is needed. `shape` counts how often a series was added, `version` every change.
   */
  take(header, columns) {
    this.version += 1;
    return header.whole ? this._takeWhole(header, columns) : this._takeNew(columns);
  }

  _takeWhole(header, columns) {
    let start = 0;
    this.total = header.total ?? null;
    this._order = header.series.map((told) => {
      const known = this._byName.get(key(told.name, told.system));
      const series = known ?? new Series(told);
      if (!known) {
        this._byName.set(key(told.name, told.system), series);
        this.shape += 1;
      }
      // What came point by point is finer than an overview of the same points.
      if (told.count > series.count || (told.n > series.n && told.count === series.count)) {
        series.describe(told);
        series.clear();
        series.append(...["steps", "times", "values"].map((name) => columns[name].subarray(start, start + told.n)));
        series.count = told.count;
      }
      start += told.n;
      return series;
    });
    return "taken";
  }

  _takeNew(columns) {
    let start = 0;
    let missing = false;
    for (let place = 0; place < columns.index.length; place += 1) {
      const series = this._order[columns.index[place]];
      const length = columns.n[place];
      const since = columns.since[place];
      // Some of it may be here already, from a whole frame that overtook it.
      const skip = series ? series.count - since : -1;
      if (skip < 0) missing = true;
      else if (skip < length) {
        const span = [start + skip, start + length];
        series.append(...["steps", "times", "values"].map((name) => columns[name].subarray(...span)));
        series.count = since + length;
      }
      start += length;
    }
    return missing ? "missing" : "taken";
  }
}

function key(name, system) {
  return `${system ? "system" : "logged"} ${name}`;
}
