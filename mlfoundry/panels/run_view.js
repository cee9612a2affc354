// The live view of one run: its state, charts of what it logs and of its machine, its cells, and all details.

import { button, codeToCopy, copyButton, element, fateOf, replace, setText, statusWord, tabList } from "./dom.js";
import { RunColours } from "./colours.js";
import { bytes, clock, duration, elapsed, figure, percent } from "./numbers.js";
import { RunPoints } from "./series.js";
import { RunHeader, isLive } from "./run_header.js";
import { ChartsTab, bandsOf, firstMetrics, firstSystem, metricCharts, systemCharts } from "./run_charts.js";
import { CellsTab } from "./run_cells.js";
import { AboutTab } from "./run_about.js";

/** States of the tracker that a person should hear of. */
const TROUBLES = new Set(["offline", "refused", "losing"]);
const SETTLED_MS = 4000;
/** A run that has logged nothing for so long, not even of its machine, may be stuck. */
const SILENT_S = 60;
/** In a run shorter than this the tracker's share of the time says nothing: to begin a run takes the same in each. */
const SHARE_FROM_S = 60;
const STATES = ["paused", "smoothing", "log", "x_axis", "selected_series", "tab"];

/** Show a run in an element; `source` says what it is and hears what a person does. Returns {dispose}. */
export function mountRun(element, source) {
  const view = new RunView(element, source);
  return { dispose: () => view.dispose(), view };
}

class RunView {
  constructor(host, source) {
    this._source = source;
    this._points = new RunPoints();
    this._place = new RunColours().place("");
    this._header = new RunHeader(source);
    this._makeTabs();
    this._makeControls();
    this._fresh = element("span", { class: "mlf-run-fresh mlf-muted", hidden: true });
    this._health = element("div", { class: "mlf-run-health" });
    this._said = element("div", { class: "mlf-sr", role: "status" });
    this._goneLine = element("div", { class: "mlf-run-gone", role: "status", hidden: true });
    this._whole = element(
      "div",
      { class: "mlf-run-whole", hidden: true },
      this._header.node,
      this._goneLine,
      element("div", { class: "mlf-run-bar" }, this._tabs.list, this._controls),
      this._tabs.panels,
      this._health,
      this._said,
    );
    this._waiting = element(
      "div",
      { class: "mlf-run-waiting", "aria-label": "waiting for the run" },
      [30, 60, 100].map((width) => element("div", { class: "mlf-skeleton", style: { width: `${width}%` } })),
    );
    this.node = element(
      "section",
      { class: "mlf-run", "aria-label": "run", "data-lm-suppress-shortcuts": "true" },
      this._waiting,
      this._whole,
    );
    host.classList.add("mlfoundry");
    host.append(this.node);
    this._offs = STATES.map((name) => source.onChange(name, () => this._show()));
    this._offs.push(source.listen((message) => this._hear(message)));
    this._clock = setInterval(() => this._tick(), 1000);
    this._settling = setTimeout(() => this._settle(), SETTLED_MS);
    this._tabs.select(source.get("tab") || "metrics");
    this._show();
  }

  dispose() {
    clearInterval(this._clock);
    clearTimeout(this._settling);
    for (const off of this._offs) off();
    this._metrics.dispose();
    this._system.dispose();
    this.node.remove();
  }

  // -- what stands where ---------------------------------------------------------------------------

  _makeTabs() {
    const about = () => ({ place: this._place, cross: this._cross() });
    this._none = element("span", {});
    const line = element("div", {}, this._none, codeToCopy('run.log_metrics({"loss": loss}, step=step)'));
    this._metrics = new ChartsTab("metrics", this._source, {
      charts: () => metricCharts(this._points, about()),
      settings: () => this._settings("metrics"),
      empty: line,
      shownAtFirst: firstMetrics,
      points: this._points,
    });
    const none = element(
      "div",
      {},
      "No system metrics: this run was created with ",
      element("code", { class: "mlf-mono" }, "log_system_metrics=False"),
      ", or it has not been sampled yet.",
    );
    this._system = new ChartsTab("system", this._source, {
      charts: () => systemCharts(this._points, about()),
      settings: () => this._settings("system"),
      empty: none,
      shownAtFirst: firstSystem,
      points: this._points,
    });
    this._cells = new CellsTab();
    this._about = new AboutTab(this._source, this._points);
    this._more = this._source.tabs?.() ?? []; // what only this kind of page has
    const tabs = [
      ["metrics", "Metrics", this._metrics],
      ["system", "System", this._system],
      ["cells", "Cells", this._cells],
      ["details", "Details", this._about],
      ...this._more,
    ];
    this._tabs = tabList(
      "parts of the run",
      tabs.map(([name, title, tab]) => ({ name, title, content: tab.node })),
      (name) => this._selectTab(name),
    );
  }

  _selectTab(name) {
    if (this._source.get("tab") !== name) this._source.set("tab", name);
    this._show();
  }

  _makeControls() {
    const smooth = (event) => this._source.set("smoothing", Number(event.target.value));
    this._smoothing = element("input", {
      type: "range",
      min: 0,
      max: 0.99,
      step: 0.01,
      "aria-label": "smoothing",
      oninput: smooth,
    });
    this._smoothingText = element("output", { class: "mlf-smoothing-text" });
    const set = (name, value) => () => this._source.set(name, value);
    this._step = button("step", set("x_axis", "step"));
    this._time = button("time", set("x_axis", "time"));
    this._log = button("log y", () => this._source.set("log", !this._source.get("log")));
    this._pause = button("❚❚", () => this._source.set("paused", !this._source.get("paused")));
    this._smoothingLabel = element("label", { class: "mlf-tick" }, "smoothing", this._smoothing, this._smoothingText);
    this._axis = element(
      "span",
      { class: "mlf-switch", role: "group", "aria-label": "x axis" },
      this._step,
      this._time,
    );
    this._controls = element(
      "div",
      { class: "mlf-run-controls", role: "group", "aria-label": "charts" },
      this._metrics.chooseButton,
      this._system.chooseButton,
      this._smoothingLabel,
      this._axis,
      this._log,
      this._pause,
    );
  }

  // -- what comes ----------------------------------------------------------------------------------

  _hear(message) {
    if (this._isGone && message.kind !== "gone") this._takeBack();
    const takers = {
      run: () => this._takeRun(message.run),
      points: () => this._takePoints(message),
      health: () => this._takeHealth(message.health),
      ended: () => this._settle(),
      gone: () => this._takeGone(),
    };
    takers[message.kind]?.();
  }

  _takeRun(run) {
    const before = this._run?.status;
    this._run = run;
    if (this._colourOf !== run.run_id) {
      this._colourOf = run.run_id;
      this._place = new RunColours().place(run.run_id);
    }
    this._waiting.hidden = true;
    this._whole.hidden = false;
    this.node.setAttribute("aria-label", `run ${run.run_name}`);
    this._header.update(run);
    this._header.values(this._points);
    if (run.health) this._takeHealth(run.health);
    else if (!this._healthTold) this._takeHealth(null);
    if (before && before !== run.status) setText(this._said, `run ${run.run_name} ${statusWord(fateOf(run.status, run.error))}`);
    this._show();
  }

  _takePoints({ header, columns }) {
    if (this._run && header.run && header.run !== this._run.run_id) return;
    const shape = this._points.shape;
    if (this._points.take(header, columns) === "missing") this._askWhole();
    if (header.whole) this._isSettled = true;
    if (document.hidden) return;
    this._header.values(this._points);
    this._showFresh();
    if (this._points.shape !== shape || this._tabs.selected === "details") this._show();
    else this._chartsTab()?.update({ isSettled: true });
  }

  _askWhole() {
    if (this._isAsking) return;
    this._isAsking = true;
    const done = () => (this._isAsking = false);
    this._source.ask("whole", {}).then(done, done); // a whole frame comes by itself as well
  }

  _takeHealth(health) {
    this._healthTold = health ?? this._healthTold;
    const run = this._run;
    if (!run) return;
    const words = health ? wordsOf(health, run, this._source.now()) : [this._source.note?.(run) ?? (isLive(run.status) ? "logged by another process" : `by ${run.created_by}`)];
    const key = JSON.stringify([words, run.run_id, run.dashboard_link]);
    if (key === this._healthKey) return;
    this._healthKey = key;
    const link =
      run.dashboard_link && /^https?:/.test(run.dashboard_link)
        ? element("a", { href: run.dashboard_link, target: "_blank", rel: "noopener noreferrer" }, "open in dashboard")
        : null;
    const isTroubled = health && (health.lost > 0 || TROUBLES.has(health.state));
    replace(
      this._health,
      this._fresh,
      element("span", { class: isTroubled ? "mlf-error" : "mlf-muted" }, words.join(" · ")),
      element("span", { class: "mlf-grow" }),
      copyButton("copy run id", run.run_id, { class: "mlf-button mlf-plain", title: run.run_id }),
      link,
    );
  }

  /** Nobody tells any more how the run goes on: its clock stands, and a run that went on may have ended since. */
  _takeGone() {
    this._isGone = true;
    const run = this._run;
    const isOpen = run && isLive(run.status);
    const last = Number.isFinite(this._points.newest) ? `, of ${clock(this._points.newest)}` : "";
    const how = isOpen ? [" See how the run is now:", codeToCopy(`%mlfoundry_attach ${run.run_id}`)] : [];
    this._goneLine.classList.toggle("mlf-killed-line", Boolean(isOpen));
    replace(this._goneLine, element("span", {}, `The kernel is gone; this is the last state${last}.`), how);
    this._goneLine.hidden = false;
    this._show();
    this._showFresh();
  }

  _takeBack() {
    this._isGone = false;
    this._goneLine.hidden = true;
  }

  _settle() {
    this._isSettled = true;
    this._show();
  }

  // -- showing -------------------------------------------------------------------------------------

  _cross() {
    return ["FAILED", "KILLED"].includes(this._run?.status) ? this._run.status : null;
  }

  _settings(kind) {
    const get = (name) => this._source.get(name);
    const isSystem = kind === "system";
    return {
      x: isSystem || get("x_axis") === "time" ? "time" : "step",
      log: !isSystem && Boolean(get("log")),
      smoothing: isSystem ? 0 : Math.min(0.999, Math.max(0, Number(get("smoothing")) || 0)),
      live: Boolean(this._run && isLive(this._run.status)),
      paused: Boolean(get("paused")),
      bands: isSystem ? bandsOf(this._run?.cells) : [],
      now: this._source.now(),
    };
  }

  _chartsTab() {
    return { metrics: this._metrics, system: this._system }[this._tabs.selected];
  }

  _show() {
    const name = this._source.get("tab") || "metrics";
    if (name !== this._tabs.selected) this._tabs.select(name);
    this._showControls();
    if (!this._run) return;
    setText(this._none, isLive(this._run.status) ? "No metrics yet. Log some:" : "This run logged no metrics. A run logs them so:");
    const cells = this._run.cells ?? [];
    this._tabs.setTitle("cells", cells.length ? `Cells ${figure(cells.length)}` : "Cells");
    if (this._tabs.selected === "cells") this._cells.update(cells);
    else if (this._tabs.selected === "details") this._about.update(this._run);
    else if (this._chartsTab()) this._chartsTab().update({ isSettled: this._isSettled });
    else this._more.find(([each]) => each === this._tabs.selected)?.[2].update();
  }

  _showControls() {
    const tab = this._tabs.selected;
    const get = (name) => this._source.get(name);
    this._controls.hidden = tab !== "metrics" && tab !== "system";
    this._metrics.chooseButton.classList.toggle("mlf-away", tab !== "metrics");
    this._system.chooseButton.classList.toggle("mlf-away", tab !== "system");
    for (const each of [this._smoothingLabel, this._axis, this._log]) each.hidden = tab !== "metrics";
    const smoothing = Number(get("smoothing")) || 0;
    if (Number(this._smoothing.value) !== smoothing) this._smoothing.value = smoothing;
    setText(this._smoothingText, smoothing ? smoothing.toFixed(2) : "off");
    const isTime = get("x_axis") === "time";
    this._step.setAttribute("aria-pressed", String(!isTime));
    this._time.setAttribute("aria-pressed", String(isTime));
    this._log.setAttribute("aria-pressed", String(Boolean(get("log"))));
    const isPaused = Boolean(get("paused"));
    this._pause.hidden = this._isGone || !this._run || !isLive(this._run.status);
    this._pause.setAttribute("aria-pressed", String(isPaused));
    this._pause.setAttribute("aria-label", "pause the charts");
    setText(this._pause, isPaused ? "▶ paused" : "❚❚");
  }

  _tick() {
    if (document.hidden || this._isGone) return;
    this._header.tick();
    this._showFresh();
  }

  /** Say how old the newest point of a run that lives is: a curve that stands still does not tell why. */
  _showFresh() {
    const { run, newest } = { run: this._run, newest: this._points.newest };
    this._fresh.hidden = this._isGone || !run || !isLive(run.status) || !Number.isFinite(newest);
    if (this._fresh.hidden) return;
    const age = Math.max(0, this._source.now() - newest);
    const isSilent = age > SILENT_S;
    setText(this._fresh, isSilent ? `silent for ${elapsed(age)}` : `live · ${elapsed(age)} ago`);
    this._fresh.classList.toggle("mlf-run-silent", isSilent);
  }
}

/** How the tracker does, in a few words. */
function wordsOf(health, run, now) {
  const words = [];
  if (health.message) words.push(health.message);
  else words.push(health.pending_bytes > 0 ? `${bytes(health.pending_bytes)} on their way` : "all stored");
  words.push(health.lost > 0 ? `${figure(health.lost)} lost` : "nothing refused");
  const seconds = (run.ended_at ?? now) - run.started_at;
  if (Number.isFinite(health.tracker_cpu_s) && seconds > 0) {
    const share = `${percent((100 * health.tracker_cpu_s) / seconds)} %`;
    words.push(`tracker ${seconds < SHARE_FROM_S ? `${duration(health.tracker_cpu_s)} of` : share} CPU`);
    if (health.tracker_cpu_s > 60) words.push(duration(health.tracker_cpu_s));
  }
  return words;
}
