// What a comparison of runs knows: their snapshots and curves, which params differ, deltas to a baseline. No DOM.

import { direction, rankedNames } from "./columns.js";
import { fromJson } from "./numbers.js";
import { RunPoints } from "./series.js";

/** Most runs that are compared; the rest is said to be left out. */
export const MOST_RUNS = 50;
/** Most runs whose lines have a colour. */
export const MOST_COLOURED = 10;

export class Comparison {
  constructor(ids, snapshots, frames) {
    const byId = new Map(snapshots.map((snapshot) => [snapshot.run_id, snapshot]));
    this.runs = ids.map((id) => byId.get(id)).filter(Boolean);
    this.points = new Map();
    this.addFrames(frames);
  }

  /** Take `points` frames as the source gives them. */
  addFrames(frames) {
    for (const { header, columns } of frames) {
      if (!this.points.has(header.run)) this.points.set(header.run, new RunPoints());
      this.points.get(header.run).take(header, columns);
    }
  }

  /** Names of params, of metrics or of tags, those that most runs have first. */
  names(kind) {
    const counts = new Map();
    for (const run of this.runs) for (const name of Object.keys(run[kind])) counts.set(name, (counts.get(name) ?? 0) + 1);
    return [...counts.keys()].sort((left, right) => counts.get(right) - counts.get(left) || left.localeCompare(right));
  }

  /** Names of metrics, the one that a person asks for first in front; one that few of the runs have comes later. */
  rankedMetrics() {
    const has = (name) => this.runs.filter((run) => Object.hasOwn(run.metrics, name)).length;
    return rankedNames(this.names("metrics"), (name) => has(name) / this.runs.length);
  }

  /** A param as a number where it is one, else as text; undefined where the run has none. */
  param(run, name) {
    const told = Object.hasOwn(run.params, name) ? run.params[name] : undefined;
    if (told === undefined) return undefined;
    const [text, number] = told;
    return number === null || number === undefined ? text : fromJson(number);
  }

  /** `last`, `min` or `max` of a metric; undefined where the run has none. */
  metric(run, name, which = "last") {
    const told = Object.hasOwn(run.metrics, name) ? run.metrics[name] : undefined;
    return told === undefined ? undefined : fromJson(told[which]);
  }

  /** The value that a scatter or a parallel axis shows: `params.lr`, `metrics.loss`. */
  value(run, key) {
    const dot = key.indexOf(".");
    const name = key.slice(dot + 1);
    return key.startsWith("params.") ? this.param(run, name) : this.metric(run, name);
  }

  /** The run that others are measured by: the chosen one, else the first that has metrics or may get some. */
  baseline(chosen) {
    const { runs } = this;
    const isMeasure = (run) => run.status === "RUNNING" || Object.keys(run.metrics).length > 0;
    return runs.find((run) => run.run_id === chosen) ?? runs.find(isMeasure) ?? runs[0];
  }

  /** Params whose values differ between the runs, and those that are the same in all. */
  splitParams() {
    const differing = [];
    const same = [];
    for (const name of this.names("params")) {
      const first = this.param(this.runs[0], name);
      const isSame = this.runs.every((run) => Object.is(this.param(run, name), first));
      (isSame ? same : differing).push(name);
    }
    return { differing, same };
  }

  /**
   * How a value stands to the baseline's: {difference, percent, isBetter}; isBetter is null where the metric's name
   * does not tell which way is better, or nothing differs. Null where one of them is no finite number.
   */
  delta(value, base, metric) {
    if (!Number.isFinite(value) || !Number.isFinite(base)) return null;
    const difference = value - base;
    const percent = base === 0 ? null : (difference / Math.abs(base)) * 100;
    const known = direction(metric);
    const isBetter = known === 0 || difference === 0 ? null : Math.sign(difference) === known;
    return { difference, percent, isBetter };
  }

  /** Ids of the runs that get a colour: all when they are few, else the running ones and the best by a metric. */
  coloured(metric) {
    if (this.runs.length <= MOST_COLOURED) return new Set(this.runs.map((run) => run.run_id));
    const sign = direction(metric ?? "") > 0 ? -1 : 1;
    const rank = (run) => {
      const value = metric === undefined ? NaN : this.metric(run, metric);
      return run.status === "RUNNING" ? -Infinity : Number.isFinite(value) ? sign * value : Infinity;
    };
    const ranked = [...this.runs].sort((left, right) => (rank(left) < rank(right) ? -1 : rank(left) > rank(right) ? 1 : 0));
    return new Set(ranked.slice(0, MOST_COLOURED).map((run) => run.run_id));
  }
}
