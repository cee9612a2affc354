// What is drawn of a line's points: their order along x, smoothing, thinning to the pixels there are, and paths.
// Numbers only; no DOM, no plotly.

/** Places of a series' points in the order of their x; null where they already stand so. */
function orderBy(points, x) {
  const rises = x === "step" ? points.stepsRise : points.timesRise;
  if (rises !== false) return null;
  const xs = x === "step" ? points.steps : points.times;
  return Uint32Array.from({ length: points.n }, (_, index) => index).sort((a, b) => xs[a] - xs[b] || a - b);
}

/** The points of a line as {xs, ys, n, era}, in the order of x; without an era when they had to be sorted. */
export function ordered(points, x) {
  const from = x === "step" ? points.steps : points.times;
  const order = orderBy(points, x);
  const xs = order ? Float64Array.from(order, (place) => from[place]) : from;
  const ys = order ? Float64Array.from(order, (place) => points.values[place]) : points.values;
  return { xs, ys, n: points.n, era: order ? null : (points.era ?? null) };
}

/**
 * An exponential moving average without the pull to its first value (as in Adam: divided by what has been weighed).
 * Values that are not finite stay as they are and do not enter the mean.
 */
export function smoothed(ys, n, weight) {
  const out = new Float64Array(n);
  let mean = 0;
  let rest = 1;
  for (let index = 0; index < n; index += 1) {
    const value = ys[index];
    if (!Number.isFinite(value)) {
      out[index] = value;
      continue;
    }
    mean = weight * mean + (1 - weight) * value;
    rest *= weight;
    out[index] = mean / (1 - rest);
  }
  return out;
}

/**
 * Places of the points that draw the same picture with at most about four points a bucket: first, least, greatest and
 * last of each, and one point beyond either end of the range so that the line leaves the chart at its edges.
 */
export function thinned(curve, range, buckets) {
  const { xs, ys, n } = curve;
  let first = lowerBound(xs, n, range[0]) - 1;
  if (first < 0) first = 0;
  let end = upperBound(xs, n, range[1]) + 1;
  if (end > n) end = n;
  if (end - first <= buckets * 4) return Uint32Array.from({ length: end - first }, (_, index) => first + index);
  const places = [];
  const width = (xs[end - 1] - xs[first]) / buckets || 1;
  let start = first;
  while (start < end) {
    const limit = xs[start] + width;
    let stop = start + 1;
    while (stop < end && xs[stop] < limit) stop += 1;
    pushExtremes(places, ys, start, stop);
    start = stop;
  }
  return Uint32Array.from(places);
}

function pushExtremes(places, ys, start, stop) {
  let low = start;
  let high = start;
  for (let index = start; index < stop; index += 1) {
    if (!(ys[index] >= ys[low])) low = index;
    if (!(ys[index] <= ys[high])) high = index;
  }
  let before = -1;
  for (const place of [start, Math.min(low, high), Math.max(low, high), stop - 1]) {
    if (place > before) places.push(place);
    before = Math.max(before, place);
  }
}

function lowerBound(xs, n, x) {
  let [low, high] = [0, n];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (xs[middle] < x) low = middle + 1;
    else high = middle;
  }
  return low;
}

function upperBound(xs, n, x) {
  let [low, high] = [0, n];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (xs[middle] <= x) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Least and greatest finite value of a curve within a range of x; only those above 0 when `positive`. */
export function extent(curve, range, positive) {
  let least = Infinity;
  let greatest = -Infinity;
  for (
    let index = lowerBound(curve.xs, curve.n, range[0]);
    index < curve.n && curve.xs[index] <= range[1];
    index += 1
  ) {
    const value = curve.ys[index];
    if (!Number.isFinite(value) || (positive && value <= 0)) continue;
    if (value < least) least = value;
    if (value > greatest) greatest = value;
  }
  return [least, greatest];
}

/**
 * The SVG path of a curve that grows, within ranges that stay. What came since the last time is added at its end; the
 * whole is thinned anew once that has become too much.
 */
export class GrowingPath {
  constructor() {
    this._era = null;
  }

  /** `toX` and `toY` give pixels. A value that has none (NaN, or 0 on a log axis) is a gap. */
  of(curve, era, range, buckets, toX, toY) {
    const isNew = era === null || era !== this._era || curve.n < this._n || this._added > buckets;
    if (isNew) {
      this._era = era;
      this._path = "";
      this._isDown = false;
      this._added = 0;
      for (const place of thinned(curve, range, buckets)) this._add(curve, place, toX, toY);
    } else {
      for (let place = this._n; place < curve.n; place += 1) this._add(curve, place, toX, toY);
      this._added += curve.n - this._n;
    }
    this._n = curve.n;
    return this._path || "M0,0";
  }

  _add(curve, place, toX, toY) {
    const y = toY(curve.ys[place]);
    if (!Number.isFinite(y)) {
      this._isDown = false;
      return;
    }
    this._path += `${this._isDown ? "L" : "M"}${Math.round(toX(curve.xs[place]) * 10) / 10},${Math.round(y * 10) / 10}`;
    this._isDown = true;
  }
}
