// The project "digits" that the dashboards were compared with: 60 runs, 53 finished, 5 failed, 2 live,
// 3 metrics, 8 params, every ninth name long. Made from a seed, so that every page shows the same.
// cnn-28 (failed) has the lowest last val_loss, cnn-53 the lowest of those that finished, cnn-23 the lowest of any step.

export const NOW = 1_790_000_000;
const ERRORS = [
  "KeyError: 'label'",
  "ValueError: Input X contains NaN.",
  "RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB",
  "ZeroDivisionError: float division by zero",
  "FileNotFoundError: [Errno 2] No such file or directory: 'digits.npz'",
];

export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Runs as plain objects: {run_id, name, status, started_at, ended_at, created_by, error, params, metrics, ...}. */
export function digits() {
  const next = random(7);
  const pick = (list) => list[Math.floor(next() * list.length)];
  const runs = [];
  for (let number = 1; number <= 60; number += 1) {
    const model = number % 5 === 3 ? "cnn" : ["logreg", "svm", "cnn", "mlp"][number % 4];
    runs.push(oneRun(number, model, next, pick));
  }
  const byName = (start) => runs.find((run) => run.name.startsWith(start));
  finish(byName("cnn-53"), 0.0931, 0.09);
  finish(byName("cnn-23"), 0.2143, 0.0099);
  const failed = byName("cnn-28");
  failed.metrics.val_loss = 0.0666;
  return runs;
}

function oneRun(number, model, next, pick) {
  const isFailed = [9, 28, 36, 41, 50].includes(number);
  const isLive = number > 58;
  const started = NOW - (61 - number) * 3700 - 40;
  const loss = 0.12 + next() * 0.5;
  const called = [23, 28, 53, 58].includes(number) ? "cnn" : model;
  const suffix = number % 9 === 0 ? `-with-a-very-long-name-that-says-everything-about-what-was-tried-on-${number}th-day` : "";
  return {
    run_id: number.toString(16).padStart(2, "0").repeat(16),
    name: `${called}-${String(number).padStart(2, "0")}${suffix}`,
    status: isFailed ? "FAILED" : isLive ? "RUNNING" : "FINISHED",
    started_at: started,
    ended_at: isLive ? undefined : started + (isFailed ? 3 + next() * 60 : 120 + next() * 3000),
    created_by: "ann",
    description: undefined,
    error: isFailed ? ERRORS[[9, 28, 36, 41, 50].indexOf(number)] : undefined,
    params: {
      model: called,
      lr: pick([0.0001, 0.001, 0.003, 0.01, 0.03, 0.1]),
      batch_size: pick([32, 64, 128]),
      epochs: 40,
      dropout: pick([0, 0.1, 0.25]),
      optimizer: pick(["sgd", "adam"]),
      seed: number,
      dataset: "digits",
    },
    metrics: { val_loss: loss, loss: loss * 0.7, accuracy: 1 - loss / 3 },
    minima: { val_loss: loss * 0.9 },
    tags: number % 10 === 0 ? { baseline: "true" } : {},
  };
}

function finish(run, last, least) {
  run.status = "FINISHED";
  run.error = undefined;
  run.metrics.val_loss = last;
  run.minima.val_loss = least;
}

/** Many runs of many columns: 4 of text, the rest numbers. */
export function many(total, width = 30) {
  const next = random(11);
  const names = Array.from({ length: width - 8 }, (_, index) => `m${index}`);
  return Array.from({ length: total }, (_, index) => ({
    run_id: index.toString(16).padStart(32, "0"),
    name: `sweep-${index}`,
    status: index % 17 === 0 ? "FAILED" : "FINISHED",
    started_at: NOW - index * 60,
    ended_at: NOW - index * 60 + 30,
    created_by: index % 3 ? "ann" : "bob",
    error: index % 17 === 0 ? ERRORS[index % 5] : undefined,
    params: { model: ["svm", "cnn", "mlp"][index % 3], lr: 10 ** (-4 * next()), kernel: ["rbf", "poly"][index % 2] },
    metrics: Object.fromEntries([["val_loss", next()], ...names.map((name) => [name, next() * 100])]),
    tags: {},
  }));
}

/** A `runs` message as a source gives it, from plain objects. */
export function runsMessage(runs, { project = {}, total = runs.length, offset = 0, ...extra } = {}) {
  const told = [];
  const columns = {};
  const add = (name, values) => {
    if (values.every((value) => value === undefined)) return;
    if (values.some((value) => typeof value === "string")) addText(name, values, told, columns);
    else addNumbers(name, values, told, columns);
  };
  for (const name of ["run_id", "name", "status", "started_at", "ended_at", "created_by", "description", "error"]) {
    add(name, runs.map((run) => run[name]));
  }
  for (const [kind, field] of [["params", "params"], ["metrics", "metrics"], ["tags", "tags"]]) {
    for (const name of namesOf(runs, field)) add(`${kind}.${name}`, runs.map((run) => run[field]?.[name]));
  }
  for (const name of namesOf(runs, "minima")) add(`min(metrics.${name})`, runs.map((run) => run.minima?.[name]));
  if (!runs.length) addText("run_id", [], told, columns);
  const about = { owner: "ann", name: "digits", permission: "ADMIN", ...project };
  return { kind: "runs", header: { kind: "runs", project: about, total, offset, whole: true, columns: told, ...extra }, columns };
}

function namesOf(runs, field) {
  return [...new Set(runs.flatMap((run) => Object.keys(run[field] ?? {})))].sort();
}

function addText(name, values, told, columns) {
  const codes = new Map();
  const data = Uint32Array.from(values, (value) => {
    if (value === undefined) return 0;
    if (!codes.has(value)) codes.set(value, codes.size + 1);
    return codes.get(value);
  });
  told.push({ name, type: "u4", length: values.length, dict: ["", ...[...codes.keys()].map(String)] });
  columns[name] = data;
}

function addNumbers(name, values, told, columns) {
  const isTime = name.endsWith("_at");
  const isWhole = values.every((value) => value !== undefined);
  const has = isWhole || isTime ? {} : { has: `has:${name}` };
  told.push({ name, type: "f8", length: values.length, ...has });
  columns[name] = Float64Array.from(values, (value) => value ?? NaN);
  if (!has.has) return;
  told.push({ name: has.has, type: "u1", length: values.length });
  columns[has.has] = Uint8Array.from(values, (value) => (value === undefined ? 0 : 1));
}

/** A curve of a run's metric: {steps, times, values}. */
export function curve(run, name) {
  const next = random(Number.parseInt(run.run_id.slice(0, 6), 16) + name.length);
  const length = 40 + Math.floor(next() * 60);
  const last = run.metrics[name];
  const from = name === "accuracy" ? 0.1 : last + 1.5;
  const values = Array.from({ length }, (_, step) => {
    const share = step / (length - 1);
    return share === 1 ? last : last + (from - last) * Math.exp(-4 * share) + (next() - 0.5) * 0.04;
  });
  return { steps: values.map((_, step) => step), times: values.map((_, step) => run.started_at + step), values };
}

/** What `series` answers for one run: a decoded `points` frame. */
export function pointsFrame(run, names) {
  const wanted = (names ?? Object.keys(run.metrics)).filter((name) => name in run.metrics);
  const curves = wanted.map((name) => curve(run, name));
  const joined = (key) => Float64Array.from(curves.flatMap((each) => each[key]));
  const series = wanted.map((name, index) => {
    const n = curves[index].values.length;
    return { name, system: false, n, count: n, unit: "", group: "", axis: null };
  });
  return {
    header: { kind: "points", run: run.run_id, whole: true, series },
    columns: { steps: joined("steps"), times: joined("times"), values: joined("values") },
  };
}

/** The snapshot of a run, as `runs_detail` gives it. */
export function snapshot(run) {
  const text = (value) => [String(value), typeof value === "number" ? value : null];
  return {
    run_id: run.run_id,
    run_name: run.name,
    status: run.status,
    started_at: run.started_at,
    ended_at: run.ended_at ?? null,
    created_by: run.created_by,
    error: run.error ?? "",
    description: run.description ?? "",
    params: Object.fromEntries(Object.entries(run.params).map(([name, value]) => [name, text(value)])),
    tags: run.tags ?? {},
    metrics: Object.fromEntries(
      Object.entries(run.metrics).map(([name, last]) => {
        const { values } = curve(run, name);
        return [name, { last, last_step: values.length - 1, min: Math.min(...values), max: Math.max(...values), count: values.length }];
      }),
    ),
  };
}
