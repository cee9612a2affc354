// What can stand in a column of a runs table: its key, title, width and kind; which are shown at first;
// and an order as text of the filter language. No DOM.

/** Widest a name is drawn before its middle is cut, in pixels. */
export const NAME_WIDTH = 280;
const SHOWN_METRICS = 3;
const SHOWN_PARAMS = 4;

const FIXED = {
  status: { title: "state", kind: "status", width: 34 },
  name: { title: "name", kind: "name", width: NAME_WIDTH },
  started_at: { title: "started", kind: "time", width: 100 },
  ended_at: { title: "ended", kind: "time", width: 100 },
  took: { title: "took", kind: "duration", width: 78 },
  created_by: { title: "by", kind: "text", width: 90 },
  description: { title: "description", kind: "text", width: 220 },
  error: { title: "error", kind: "text", width: 220 },
  run_id: { title: "run id", kind: "text", width: 260 },
};

// Words of the filter language that differ from the column's key.
const ORDER_WORDS = { name: "run_name", took: "duration" };
const SINGULAR = { metrics: "metric", params: "param", tags: "tag" };
const LESS_IS_BETTER = /(^|[^a-z])(loss|nll|err|error|mae|mse|rmse|mape|perplexity|ppl|cer|wer|fid|cost|regret)([^a-z]|$)/i;
const MORE_IS_BETTER =
  /(^|[^a-z])(acc|accuracy|auc|auroc|f1|f1_score|precision|recall|score|r2|reward|return|bleu|rouge|iou|miou|map|dice|elo)([^a-z]|$)/i;
const HELD_OUT = /(^|[^a-z])(val|valid|validation|test|eval|dev|holdout)([^a-z]|$)/i;
const ASKED_FOR = /^(model|arch|architecture|kernel|optimizer|optimiser|lr|learning_rate|batch_size|dataset|C)$/i;

/** Compare names as people count: metric-9 before metric-10. */
export const byName = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" }).compare;

/** Whether a key is of a tag that the tracker set for itself, which no table offers. */
export function isOwnTag(key) {
  return key.startsWith("tags.mlfoundry.");
}

/** Split `metrics.loss` into its kind and its name; a fixed column has no kind. */
export function split(key) {
  const extreme = /^(min|max)\(metrics\.(.*)\)$/s.exec(key);
  if (extreme) return { kind: "metrics", name: extreme[2], extreme: extreme[1] };
  const dot = key.indexOf(".");
  return dot < 0 ? { kind: null, name: key } : { kind: key.slice(0, dot), name: key.slice(dot + 1) };
}

/** Whether something of another kind has the same name: a metric and a param, say. */
function isShared(key, runs) {
  const { kind, name } = split(key);
  return kind in SINGULAR && Object.keys(SINGULAR).some((other) => other !== kind && runs.has(`${other}.${name}`));
}

/** Describe a column: what it is called and how its cells are drawn. */
export function describe(key, runs) {
  if (FIXED[key]) return { key, full: FIXED[key].title, ...FIXED[key] };
  const { kind, name, extreme } = split(key);
  const isNumeric = runs.isNumeric(key);
  const title = extreme ? `${extreme} ${name}` : isShared(key, runs) ? `${name} (${SINGULAR[kind]})` : name;
  const width = Math.min(Math.max(title.length * 7.2 + 34, isNumeric ? 84 : 92), 170);
  return { key, title, full: key, kind: isNumeric ? "number" : "text", width: Math.round(width) };
}

/** Whether a param is one that people ask for before others: a learning rate, a model. */
export function isAskedFor(param) {
  return ASKED_FOR.test(param);
}

/** -1 when less is better, 1 when more is better, 0 when the name does not tell. */
export function direction(metric) {
  if (LESS_IS_BETTER.test(metric)) return -1;
  return MORE_IS_BETTER.test(metric) ? 1 : 0;
}

/** Names of metrics, the one that a person asks for first in front; `coverage(name)` is the share of runs that have it. */
export function rankedNames(names, coverage = () => 1, wished = undefined) {
  const rank = (name) => {
    const known = direction(name) ? 2 : 0;
    const held = known * (HELD_OUT.test(name) ? 2 : 1);
    // A metric that few runs have would leave its column, and the rule of the best, without values.
    return (name === wished ? 100 : 0) + (held + (direction(name) < 0 ? 0.5 : 0) + 2) * coverage(name);
  };
  const ranks = new Map(names.map((name) => [name, rank(name)]));
  return [...names].sort((left, right) => ranks.get(right) - ranks.get(left));
}

/** A function that ranks names, and does it anew only when they are others than the last time: a panel asks every second. */
export function ranking() {
  let [told, ranked] = [null, []];
  return (names) => {
    const sorted = [...names].sort(byName);
    const now = sorted.join("\n");
    if (now !== told) [told, ranked] = [now, rankedNames(sorted)];
    return ranked;
  };
}

/** Names of all metrics that the runs have, ranked. */
export function rankedMetrics(runs) {
  const size = Math.max(runs.rows().length, 1);
  const found = runs.keys().map(split).filter(({ kind, extreme }) => kind === "metrics" && !extreme);
  const coverage = (name) => runs.spread(`metrics.${name}`, 1).count / size;
  return rankedNames(found.map(({ name }) => name), coverage, runs.project.primary_metric);
}

/** The keys shown until a person chooses: state, name, metrics, params that vary, took, started, by. */
export function defaultKeys(runs) {
  const metrics = rankedMetrics(runs).slice(0, SHOWN_METRICS).map((name) => `metrics.${name}`);
  const people = runs.spread("created_by", 3).distinct > 1 ? ["created_by"] : [];
  return ["status", "name", ...metrics, ...varyingParams(runs), "took", "started_at", ...people];
}

function varyingParams(runs) {
  const size = runs.rows().length;
  const candidates = [];
  for (const key of runs.keys()) {
    const { kind, name } = split(key);
    if (kind !== "params") continue;
    const { count, distinct } = runs.spread(key);
    const varies = distinct > 1 || (distinct === 1 && count < size);
    // A value of its own in every run (a seed, a path) tells runs apart no better than their names.
    const isLabel = distinct > 12 && distinct > count / 2;
    if (varies) candidates.push({ key, rank: (isAskedFor(name) ? 100 : 0) + (isLabel ? -50 : 0) + Math.min(distinct, 12) });
  }
  candidates.sort((left, right) => right.rank - left.rank);
  return candidates.slice(0, SHOWN_PARAMS).map(({ key }) => key);
}

/** An order as the filter language writes it: `metrics.loss desc`. */
export function orderText(key, descending) {
  const { kind, name, extreme } = split(key);
  let field = ORDER_WORDS[key] ?? key;
  if (kind) field = extreme ? `${extreme}(metrics.${quoted(name)})` : `${kind}.${quoted(name)}`;
  return descending ? `${field} desc` : field;
}

/** Read what `orderText` wrote (and `-metrics.loss`); null where it names no column. */
export function readOrder(text) {
  const match = /^\s*(-?)\s*(.+?)(?:\s+(asc|desc))?\s*$/is.exec(text ?? "");
  if (!match) return null;
  const descending = match[1] === "-" || (match[3] ?? "").toLowerCase() === "desc";
  const field = match[2].replace(/`((?:[^`]|``)*)`/g, (_, name) => name.replaceAll("``", "`"));
  const fixed = Object.keys(ORDER_WORDS).find((key) => ORDER_WORDS[key] === field);
  return { key: fixed ?? field, descending };
}

/** The order that a bare name such as `loss` means among these runs; any other as it is. */
export function resolveOrder(sort, runs) {
  if (FIXED[sort.key] || split(sort.key).kind) return sort;
  const keys = runs.keys();
  const key = ["metrics", "params", "tags"].map((kind) => `${kind}.${sort.key}`).find((each) => keys.includes(each));
  return key ? { ...sort, key } : sort;
}

/** A name as the filter language takes it: in backticks unless it is a plain word. */
export function quoted(name) {
  return /^[A-Za-z_][A-Za-z0-9_/]*(?:[.-][A-Za-z0-9_/]+)*$/.test(name) ? name : `\`${name.replaceAll("`", "``")}\``;
}
