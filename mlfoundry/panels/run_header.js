// The first lines of a run: its state, name, place and time, what it uses now, its params and latest values.

import { button, cutText, element, fateOf, freshId, replace, setText, statusMark } from "./dom.js";
import { ranking } from "./columns.js";
import { cutInTheMiddle } from "./table_cells.js";
import { ago, bytes, clock, duration, elapsed, exact, figure, fromJson, percent } from "./numbers.js";


const LONG_NUMBER = 8;

/** Whether a status is one of a run that still goes on. */
export function isLive(status) {
  return status === "RUNNING" || status === "SCHEDULED";
}

/** The lines above the tabs. */
export class RunHeader {
  constructor(source) {
    this._source = source;
    this._status = element("span", {});
    this._name = element("h2", { class: "mlf-run-name" });
    this._place = element("span", { class: "mlf-muted mlf-run-place" });
    this._time = element("span", { class: "mlf-run-time" });
    this._use = element("span", { class: "mlf-run-use" });
    this._params = new Values("params");
    this._metrics = new Values("metrics");
    this._error = element("div", { class: "mlf-run-error", hidden: true });
    this.node = element(
      "header",
      { class: "mlf-run-header" },
      element("div", { class: "mlf-run-line" }, this._status, this._name, this._place, this._time, this._use),
      element("div", { class: "mlf-run-values" }, this._params.node, this._metrics.node),
      this._error,
    );
  }

  /** Show what a snapshot says. */
  update(run) {
    const fate = fateOf(run.status, run.error);
    if (fate !== this._fate) replace(this._status, statusMark(fate));
    this._fate = fate;
    if (run.run_name !== this._run?.run_name) {
      replace(this._name, element("span", { class: "mlf-cut", title: run.run_name }, cutInTheMiddle(run.run_name)));
    }
    const place = `${run.owner}/${run.project}`;
    if (this._place.title !== place) replace(this._place, cutText(place, 40)).title = place;
    const params = Object.entries(run.params ?? {}).map(([name, value]) => ({ name, text: shortParam(value), whole: value[0] }));
    this._params.show(params);
    this._showError(run);
    this._run = run;
    this.tick();
  }

  /** Move the clock. */
  tick() {
    const run = this._run;
    if (!run) return;
    const now = this._source.now();
    const started = `started ${clock(run.started_at)}`;
    if (isLive(run.status)) {
      setText(this._time, elapsed(now - run.started_at));
      this._time.title = started;
      return;
    }
    setText(this._time, `took ${duration(run.ended_at - run.started_at)}, ended ${ago(run.ended_at, now)}`);
    this._time.title = `${started}, ended ${clock(run.ended_at)}`;
  }

  /** What the machine does now is known no more. */
  stop() {
    setText(this._use, "");
  }

  /** Show the newest values: of the machine while the run lives, of each metric always. */
  values(points) {
    const live = this._run && isLive(this._run.status);
    setText(this._use, live ? useOf(points) : "");
    this._use.title = live && this._use.textContent ? "of the run's processes and the machine, now" : "";
    this._metrics.show(metricsOf(this._run, points));
  }

  _showError(run) {
    const text = run.error || (run.status === "KILLED" ? "This run was stopped before its end." : "");
    const key = JSON.stringify([run.status, text, run.traceback]);
    if (key === this._errorKey) return;
    this._errorKey = key;
    this._error.hidden = !text || run.status === "FINISHED";
    const id = freshId("traceback");
    const whole = element(
      "pre",
      { class: "mlf-pre", id, hidden: true, tabindex: 0, "aria-label": "traceback" },
      run.traceback ?? "",
    );
    const toggle = button(
      "traceback",
      () => {
        whole.hidden = !whole.hidden;
        whole.scrollTop = whole.scrollHeight; // where it went wrong stands in its last lines
        toggle.setAttribute("aria-expanded", String(!whole.hidden));
      },
      { class: "mlf-button mlf-plain", "aria-expanded": "false", "aria-controls": id },
    );
    const line = element("span", { class: "mlf-run-error-text", tabindex: 0, role: "group", "aria-label": "error" }, lastStep(run), element("bdi", {}, text));
    const quiet = this._fate === "LOST" || run.status === "KILLED" ? "mlf-killed-line" : "mlf-error-line";
    replace(
      this._error,
      element("div", { class: `${quiet} mlf-row` }, line, run.traceback ? toggle : null),
      run.traceback ? whole : null,
    );
  }
}

/** A param as it was written, unless it is a number with a long tail of digits. */
function shortParam([text, number]) {
  return text.length > LONG_NUMBER && Number.isFinite(number) ? figure(number) : text;
}

function lastStep(run) {
  const steps = Object.values(run.metrics ?? {})
    .map((metric) => metric.last_step)
    .filter(Number.isFinite);
  if (!steps.length || run.status !== "FAILED") return null;
  return element("span", { class: "mlf-run-error-step" }, `at step ${figure(Math.max(...steps))}  `);
}

/** A line of names with values: as many as fit, the rest behind a button that counts them. */
class Values {
  constructor(what) {
    this._what = what;
    this._entries = new Map();
    this._list = element("dl", { class: "mlf-values-list", "aria-label": what });
    this._more = button("", () => this._open(!this._isOpen), {
      class: "mlf-button mlf-plain mlf-values-more",
      "aria-expanded": "false",
      hidden: true,
    });
    this.node = element("div", { class: `mlf-values mlf-values-${what}`, hidden: true }, this._list, this._more);
    this._isOpen = false;
    this._order = "";
    new ResizeObserver(() => this._measure()).observe(this._list);
  }

  show(values) {
    this.node.hidden = !values.length;
    for (const { name, text, whole, change } of values) {
      const entry = this._entries.get(name) ?? this._add(name);
      setText(entry.value, text);
      setText(entry.change, change ?? "");
      if (entry.value.title !== whole) entry.value.title = whole;
    }
    const order = values.map(({ name }) => name).join("\n");
    if (this._order === order) return;
    this._order = order;
    for (const { name } of values) this._list.append(this._entries.get(name).node);
    this._measure();
  }

  _add(name) {
    const value = element("bdi", { class: "mlf-value" });
    const change = element("span", { class: "mlf-change", "aria-hidden": "true" });
    const node = element(
      "div",
      { class: "mlf-value-entry" },
      element("dt", { title: name }, element("bdi", {}, name)),
      element("dd", {}, value, change),
    );
    this._entries.set(name, { node, value, change });
    return this._entries.get(name);
  }

  _open(is) {
    this._isOpen = is;
    this.node.classList.toggle("mlf-values-open", is);
    this._more.setAttribute("aria-expanded", String(is));
    this._measure();
  }

  /** Count the entries that stand below the first line. */
  _measure() {
    const all = [...this._list.children];
    const hidden = all.filter((each) => each.offsetTop > all[0].offsetTop + 4).length;
    this._more.hidden = !hidden && !this._isOpen;
    setText(this._more, this._isOpen ? "fewer" : `+${hidden}`);
    this._more.setAttribute(
      "aria-label",
      this._isOpen ? `show fewer ${this._what}` : `show ${hidden} more ${this._what}`,
    );
  }
}

/** The latest value of each metric, those first that a person asks for; from points where they are newer. */
function metricsOf(run, points) {
  const told = new Map(
    Object.entries(run?.metrics ?? {}).map(([name, metric]) => [
      name,
      { last: fromJson(metric.last), step: metric.last_step, count: metric.count },
    ]),
  );
  for (const series of points.all()) {
    if (series.system || !series.n || series.count < (told.get(series.name)?.count ?? 0)) continue;
    const before = series.n > 1 ? series.values[series.n - 2] : NaN;
    told.set(series.name, {
      last: series.last,
      step: series.steps[series.n - 1],
      change: changeOf(before, series.last),
    });
  }
  const values = ranked([...told.keys()]).map((name) => {
    const { last, change } = told.get(name);
    return { name, text: figure(last), whole: exact(last), change };
  });
  const steps = [...told.values()].map((each) => each.step).filter(Number.isFinite);
  if (values.length && steps.length)
    values.unshift({ name: "step", text: figure(Math.max(...steps)), whole: exact(Math.max(...steps)) });
  return values;
}

const ranked = ranking();

function changeOf(before, last) {
  if (last > before) return "▴";
  return last < before ? "▾" : "";
}

/** CPU, memory and GPUs of a run now, as one line. */
function useOf(points) {
  const last = (name) => points.get(`system/${name}`, true)?.last;
  const parts = [];
  const cpu = last("process/cpu_percent") ?? last("cpu/percent");
  if (cpu !== undefined) parts.push(`CPU ${percent(cpu)} %`);
  const used = last("process/memory_rss_bytes") ?? last("memory/used_bytes");
  const limit = last("container/memory_limit_bytes") ?? last("memory/total_bytes");
  if (used !== undefined) parts.push(`RAM ${bytes(used)}${limit === undefined ? "" : ` of ${bytes(limit)}`}`);
  const gpus = points
    .all()
    .filter((series) => series.system && series.n && /^system\/gpu\/\d+\/utilization_percent$/.test(series.name));
  if (gpus.length > 2) {
    const mean = gpus.reduce((sum, series) => sum + series.last, 0) / gpus.length;
    parts.push(`${gpus.length} GPUs ${percent(mean)} %`);
  } else for (const gpu of gpus) parts.push(`GPU ${gpu.name.split("/")[2]} ${percent(gpu.last)} %`);
  return parts.join("   ");
}
