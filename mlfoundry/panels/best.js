// Which run is the best, and by which rule: a winner without its rule is a rumour. No DOM.

import { direction, orderText, rankedMetrics } from "./columns.js";
import { count, figure } from "./numbers.js";

/** The rule that holds until a person chooses another; null where no metric is there or its direction is unknown. */
export function defaultRule(runs) {
  const metric = rankedMetrics(runs).find((name) => direction(name) !== 0);
  return metric === undefined ? null : { metric, of: "last", isLess: direction(metric) < 0 };
}

/** Keys that hold a metric's last value, or its extreme over all steps where the source sent that. */
function ruleKey(runs, { metric, of, isLess }) {
  const extreme = `${isLess ? "min" : "max"}(metrics.${metric})`;
  return of === "any step" && runs.keys().includes(extreme) ? extreme : `metrics.${metric}`;
}

/**
 * The best of the finished runs by a rule, and the run that would beat it had it not failed, been killed or were it
 * not still running. Null without a finished run that has a number there.
 */
export function bestRun(runs, rows, rule) {
  const key = ruleKey(runs, rule);
  const beats = (left, right) => (rule.isLess ? left < right : left > right);
  let best = null;
  let other = null;
  let finished = 0;
  for (const row of rows) {
    const value = runs.value(row, key);
    if (typeof value !== "number" || Number.isNaN(value)) continue;
    if (runs.value(row, "status") === "FINISHED") {
      finished += 1;
      if (!best || beats(value, best.value)) best = { row, value };
    } else if (!other || beats(value, other.value)) {
      other = { row, value };
    }
  }
  if (!best) return null;
  return { ...best, finished, other: other && beats(other.value, best.value) ? other : null };
}

/**
 * The same of a list that has not come whole: whoever has all of it is asked. `filter` is what narrows the list.
 * The two runs are then known to `runs` as well.
 */
export async function askBestRun(source, runs, filter, rule) {
  const key = ruleKey(runs, rule);
  const order = orderText(key, !rule.isLess);
  const finished = filter ? `(${filter}) and status = FINISHED` : "status = FINISHED";
  const first = async (text) => {
    const frames = await source.ask("page", { filter: text, order_by: order, offset: 0, count: 1 });
    for (const { header, columns } of frames) {
      runs.take({ ...header, whole: false }, columns);
      const { dict } = header.columns.find((column) => column.name === "run_id");
      if (!columns.run_id.length) continue;
      const row = runs.row(dict[columns.run_id[0]]);
      const value = runs.value(row, key);
      if (typeof value === "number" && !Number.isNaN(value)) return { row, value };
    }
    return null;
  };
  const [best, any, found] = await Promise.all([first(finished), first(filter), source.ask("search", { filter: finished })]);
  if (!best) return null;
  const beats = any && runs.value(any.row, "status") !== "FINISHED" && (rule.isLess ? any.value < best.value : any.value > best.value);
  return { ...best, finished: found.total ?? (found.runs ?? found).length, other: beats ? any : null };
}

/** The rule and its outcome in words: `lowest last val_loss 0.0931 of 53 finished runs`. */
export function ruleText(rule, found) {
  const which = rule.isLess ? "lowest" : "highest";
  const of = rule.of === "last" ? `last ${rule.metric}` : `${rule.metric} at any step`;
  return `${which} ${of} ${figure(found.value)} of ${count(found.finished, "finished run")}`;
}
