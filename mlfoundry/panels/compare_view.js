// Several runs side by side: their curves, the params that differ, their metrics beside a baseline, and how values
// hang together. One page; what is chosen here is the source's state `compare_state`.

import { ChartChooser } from "./chart_chooser.js";
import { LineCharts } from "./charts.js";
import { RunColours, isDark, lineLook, onThemeChange, themeOf } from "./colours.js";
import { isAskedFor } from "./columns.js";
import { axisKeys, nameOf, parallel, scatter } from "./compare_figures.js";
import { metricsTable, paramsTable, runLabel } from "./compare_tables.js";
import { Comparison, MOST_COLOURED, MOST_RUNS } from "./comparison.js";
import { button, element, replace, svg } from "./dom.js";
import { count } from "./numbers.js";

const MAX_POINTS = 1000;
const SKELETON_AFTER_MS = 200;
const LIVE_EVERY_MS = 4000;
const FIRST_CHARTS = 3;
const MOST_CHARTS = 12;
/** More metrics than these are searched in a list; fewer stand there to be ticked. */
const MOST_TICKS = 12;

/** Put a comparison of the source's selected runs into an element. Returns {dispose}. */
export function mountCompare(parent, source) {
  const view = new CompareView(parent, source);
  return { dispose: () => view.dispose() };
}

class CompareView {
  constructor(parent, source) {
    this.source = source;
    this.colours = new RunColours();
    this._asked = 0;
    this._build(parent);
    this._offs = [
      source.onChange("selected", () => this._load()),
      source.onChange("compare_state", () => this._drawSoon()),
      onThemeChange(() => this._drawSoon()),
    ];
    this._load();
  }

  dispose() {
    this._asked += 1;
    clearTimeout(this._waiting);
    clearTimeout(this._live);
    cancelAnimationFrame(this._frame);
    this._offs.forEach((off) => off?.());
    this._charts?.dispose();
    for (const place of [this._scatter, this._parallel]) if (this._Plotly) this._Plotly.purge(place);
    this.element.remove();
  }

  get state() {
    const { baseline, differing, which, metrics, log, smoothing, x, y, colour } = this.source.get("compare_state") ?? {};
    return { baseline, differing: differing ?? true, which: which ?? "last", metrics, log: log ?? false, smoothing: smoothing ?? 0, x, y, colour };
  }

  _set(part) {
    this.source.set("compare_state", { ...(this.source.get("compare_state") ?? {}), ...part });
    this._drawSoon();
  }

  _build(parent) {
    this._said = element("div", { class: "mlf-compare-said", role: "status" });
    this._legend = element("div", { class: "mlf-compare-legend", role: "list", "aria-label": "Compared runs" });
    this._curves = element("div", { class: "mlf-compare-curves" });
    this._metricChoice = element("div", { class: "mlf-compare-choice" });
    this._chooser = new ChartChooser("choose metrics", (names) => this._set({ metrics: names.slice(0, MOST_CHARTS) }));
    this._params = element("div");
    this._metrics = element("div");
    this._scatter = element("div", { class: "mlf-compare-figure" });
    this._parallel = element("div", { class: "mlf-compare-figure" });
    this._scatterHead = element("div", { class: "mlf-compare-head" });
    this._parallelHead = element("div", { class: "mlf-compare-head" });
    this._body = element(
      "div",
      { class: "mlf-compare-body" },
      element("h2", { class: "mlf-sr" }, "Comparison"),
      this._legend,
      section("Curves", this._metricChoice, this._chooser.node, this._curves),
      section("Params", this._params),
      section("Metrics", this._metrics),
      element("div", { class: "mlf-compare-pair" }, section("Scatter", this._scatterHead, this._scatter), section("Parallel coordinates", this._parallelHead, this._parallel)),
    );
    this._body.hidden = true;
    this.element = element("section", { class: "mlfoundry mlf-compare", "aria-label": "Comparison of runs", "data-lm-suppress-shortcuts": "true" }, this._said, this._body);
    parent.append(this.element);
  }

  // -- loading ---------------------------------------------------------------------------------

  async _load() {
    const asked = (this._asked += 1);
    clearTimeout(this._live);
    const selected = this.source.get("selected") ?? [];
    const ids = selected.slice(0, MOST_RUNS);
    if (!ids.length) {
      this._body.hidden = true;
      replace(this._said, "Select runs to compare them.");
      return;
    }
    clearTimeout(this._waiting);
    if (!this.comparison) this._waiting = setTimeout(() => this._showWaiting(), SKELETON_AFTER_MS);
    const onQueued = () => asked === this._asked && replace(this._said, "queued: the kernel is busy; the comparison comes when its cell ends");
    try {
      const [snapshots, frames] = await Promise.all([
        this.source.ask("runs_detail", { runs: ids }, { onQueued }),
        this.source.ask("series", { runs: ids, names: null, max_points: MAX_POINTS }, { onQueued }),
      ]);
      if (asked !== this._asked) return;
      this.comparison = new Comparison(ids, snapshots, frames);
    } catch (error) {
      if (asked === this._asked) this._fail(error);
      return;
    } finally {
      if (asked === this._asked) clearTimeout(this._waiting);
    }
    this._left = selected.length - this.comparison.runs.length;
    this._draw();
    this._keepLive();
  }

  _keepLive() {
    if (!this.comparison.runs.some((run) => run.status === "RUNNING")) return;
    this._live = setTimeout(() => (document.hidden ? this._keepLive() : this._load()), LIVE_EVERY_MS);
  }

  _showWaiting() {
    replace(this._said, element("div", { class: "mlf-skeleton mlf-compare-waits" }, element("span", { class: "mlf-sr" }, "Loading the comparison")));
  }

  _fail(error) {
    const again = button("try again", () => this._load());
    replace(this._said, element("span", { class: "mlf-error" }, `The runs could not be compared: ${error.message} `), again);
  }

  // -- drawing ---------------------------------------------------------------------------------

  _drawSoon() {
    cancelAnimationFrame(this._frame);
    this._frame = requestAnimationFrame(() => this.comparison?.runs.length && this._draw());
  }

  _draw() {
    const { comparison } = this;
    this._body.hidden = comparison.runs.length === 0;
    if (!comparison.runs.length) {
      replace(this._said, "None of the selected runs is there any more.");
      return;
    }
    const state = this._wholeState();
    const [primary] = comparison.rankedMetrics();
    this._coloured = comparison.coloured(primary);
    this._places = this.colours.show([...this._coloured]);
    const look = {
      baseline: comparison.baseline(state.baseline),
      swatch: (run) => this._swatch(run),
      link: this.source.link,
    };
    this._sayCounts(primary);
    this._drawLegend(look);
    this._drawCurves(state);
    this._drawTables(state, look);
    this._drawFigures(state);
  }

  /** The state with what follows from the runs wherever nothing was chosen, or what was chosen is not there. */
  _wholeState() {
    const { state, comparison } = this;
    const names = comparison.rankedMetrics();
    const keys = axisKeys(comparison);
    const known = (key, ...others) => [key, ...others].find((each) => each !== undefined && keys.includes(each)) ?? keys[0];
    const metrics = (state.metrics ?? names.slice(0, FIRST_CHARTS)).filter((name) => names.includes(name));
    const metric = names.length ? `metrics.${names[0]}` : undefined;
    const isNumeric = (key) => key.startsWith("params.") && comparison.runs.every((run) => typeof comparison.value(run, key) === "number");
    const numbers = keys.filter(isNumeric);
    const numeric = numbers.find((key) => isAskedFor(nameOf(key))) ?? numbers[0];
    const colours = names.map((name) => `metrics.${name}`);
    const colour = colours.includes(state.colour) ? state.colour : colours[0];
    return { ...state, metrics, x: known(state.x, numeric), y: known(state.y, metric), colour };
  }

  _sayCounts(primary) {
    const { comparison } = this;
    const parts = [`Comparing ${count(comparison.runs.length, "run")}.`];
    if (this._left > 0) parts.push(`${count(this._left, "selected run")} left out: at most ${MOST_RUNS} are compared.`);
    if (comparison.runs.length > MOST_COLOURED) {
      parts.push(`${MOST_COLOURED} of ${comparison.runs.length} in colour${primary ? `, the best by last ${primary} and those that run` : ""}.`);
    }
    replace(this._said, parts.join(" "));
  }

  _swatch(run) {
    const place = this._coloured.has(run.run_id) ? this._places.get(run.run_id) : undefined;
    const look = place === undefined ? { color: "var(--mlf-line-strong)", dash: "solid" } : lineLook(place, isDark(this.element));
    const dashes = { dash: "6 3", dot: "2 3", dashdot: "6 3 2 3", longdash: "9 3" }[look.dash];
    const line = svg("line", { x1: "1", x2: "19", y1: "5", y2: "5", "stroke-width": "3", "stroke-dasharray": dashes, style: { stroke: look.color } });
    return svg("svg", { width: "20", height: "10", viewBox: "0 0 20 10", class: "mlf-run-swatch", "aria-hidden": "true" }, line);
  }

  _colourOf(run) {
    const place = this._coloured.has(run.run_id) ? this._places.get(run.run_id) : undefined;
    return place === undefined ? "#8a9099" : lineLook(place, isDark(this.element)).color;
  }

  _drawLegend(look) {
    const isGrey = ({ run_id: id }) => Number(!this._coloured.has(id)); // those with a colour are looked for here
    const chips = [...this.comparison.runs].sort((left, right) => isGrey(left) - isGrey(right)).map((run) => {
      const isBase = run === look.baseline;
      const choose = button(isBase ? "baseline" : "as baseline", () => this._set({ baseline: run.run_id }), {
        class: "mlf-button mlf-plain mlf-base-button",
        "aria-pressed": String(isBase),
        "aria-label": isBase ? `${run.run_name} is the baseline` : `Make ${run.run_name} the baseline`,
      });
      return element("div", { class: "mlf-compare-chip", role: "listitem" }, runLabel(run, look), choose);
    });
    replace(this._legend, chips);
  }

  _drawCurves(state) {
    const { comparison } = this;
    const names = comparison.rankedMetrics();
    const choice = names.length > MOST_TICKS ? this._chosenFrom(names, state) : this._ticks(names, state);
    const smoothing = element("input", { type: "range", min: "0", max: "0.99", step: "0.01", value: String(state.smoothing), "aria-label": "Smoothing" });
    smoothing.addEventListener("change", () => this._set({ smoothing: Number(smoothing.value) }));
    const log = element("input", { type: "checkbox", onchange: (event) => this._set({ log: event.target.checked }) });
    log.checked = state.log;
    if (!this._metricChoice.contains(document.activeElement) || this._choiceTold !== names.join("\n")) {
      this._choiceTold = names.join("\n");
      const controls = element("span", { class: "mlf-compare-controls" }, element("label", { class: "mlf-tick" }, "smoothing", smoothing), element("label", { class: "mlf-tick" }, log, "log y"));
      replace(this._metricChoice, choice, controls);
    }
    this._charts ??= new LineCharts(this._curves, () => this._plotly(), { onError: (error) => this._fail(error) });
    const isLive = comparison.runs.some((run) => run.status === "RUNNING");
    const settings = { x: "step", log: state.log, smoothing: state.smoothing, live: isLive, paused: false, bands: [], now: () => this.source.now() };
    this._charts.show(state.metrics.map((name) => this._chart(name)), settings);
  }

  _ticks(names, state) {
    const ticks = names.map((name) => {
      const box = element("input", { type: "checkbox", onchange: (event) => this._tickMetric(name, event.target.checked, state.metrics) });
      box.checked = state.metrics.includes(name);
      return element("label", { class: "mlf-tick" }, box, element("bdi", { class: "mlf-cut-name", title: name }, name));
    });
    this._chooser.node.hidden = true;
    return element("span", { class: "mlf-compare-ticks", role: "group", "aria-label": "Metrics to draw" }, ticks);
  }

  _chosenFrom(names, state) {
    const charts = names.map((name) => ({ key: name, title: name, lines: [{ key: name, name }] }));
    this._chooser.update(charts, charts.filter(({ key }) => state.metrics.includes(key)));
    const isFull = state.metrics.length >= MOST_CHARTS;
    return [this._chooser.toggle, isFull ? element("span", { class: "mlf-muted" }, `at most ${MOST_CHARTS} at a time`) : null];
  }

  _tickMetric(name, isOn, shown) {
    this._set({ metrics: isOn ? [...shown, name] : shown.filter((each) => each !== name) });
  }

  _chart(name) {
    const { comparison } = this;
    const lines = [];
    for (const run of comparison.runs) {
      const points = comparison.points.get(run.run_id)?.get(name);
      if (!points?.n) continue;
      const isColoured = this._coloured.has(run.run_id);
      const cross = ["FAILED", "KILLED"].includes(run.status) ? run.status : null;
      lines.push({ key: run.run_id, name: run.run_name, points, place: this._places.get(run.run_id) ?? 0, grey: !isColoured, cross });
    }
    lines.sort((left, right) => Number(right.grey) - Number(left.grey)); // grey lines lie below the coloured ones
    return { key: name, title: name, section: "", unit: "", axis: null, fromZero: false, lines };
  }

  _drawTables(state, look) {
    const { node, same } = paramsTable(this.comparison, state, look);
    const box = element("input", { type: "checkbox", onchange: (event) => this._set({ differing: event.target.checked }) });
    box.checked = state.differing;
    const hidden = state.differing && same ? `${same} same hidden` : "";
    const toggle = element("label", { class: "mlf-tick" }, box, "differing only", element("span", { class: "mlf-muted" }, hidden));
    keepingFocus(this._params, () => replace(this._params, element("div", { class: "mlf-compare-head" }, toggle), node));
    const which = choose("Value shown", ["last", "min", "max"], state.which, (value) => this._set({ which: value }));
    const table = metricsTable(this.comparison, state, look);
    const hasDeltas = table.querySelector(".mlf-delta") !== null;
    const said = hasDeltas ? "with the difference to the baseline" : this.comparison.runs.length > 1 ? "nothing to compare with the baseline" : "";
    const note = element("span", { class: "mlf-muted" }, said);
    keepingFocus(this._metrics, () => replace(this._metrics, element("div", { class: "mlf-compare-head" }, which, note), table));
  }

  // -- scatter and parallel coordinates --------------------------------------------------------

  async _plotly() {
    this._Plotly = await this.source.plotly();
    return this._Plotly;
  }

  async _drawFigures(state) {
    const { comparison } = this;
    const keys = axisKeys(comparison);
    const isEnough = comparison.runs.length > 1 && keys.length > 1 && state.colour !== undefined;
    for (const head of [this._scatterHead, this._parallelHead]) head.parentElement.hidden = !isEnough;
    if (!isEnough) return;
    const asked = this._asked;
    const theme = themeOf(this.element);
    const points = scatter(comparison, state, theme, (run) => this._colourOf(run));
    const lines = parallel(comparison, state, theme, this._parallel.clientWidth || 600);
    this._drawFigureHeads(state, keys, points, lines);
    this._parallel.hidden = !lines.isDrawn;
    const Plotly = await this._plotly();
    if (asked !== this._asked || !this.element.isConnected) return;
    const config = { displayModeBar: false, responsive: true };
    Plotly.react(this._scatter, points.data, points.layout, config);
    // plotly keeps the axes that parallel coordinates had, so others are drawn from nothing.
    const told = JSON.stringify(lines.data) + theme.dark;
    if (told !== this._parallelTold) Plotly.newPlot(this._parallel, lines.data, lines.layout, config);
    this._parallelTold = told;
  }

  _drawFigureHeads(state, keys, points, lines) {
    const axisChoice = (label, part) => element("label", { class: "mlf-tick" }, label, choose(`${label} axis`, keys, state[part], (key) => this._set({ [part]: key })));
    const left = ({ left: without }) => (without ? element("span", { class: "mlf-muted" }, `${count(without, "run")} without these values`) : null);
    const metrics = this.comparison.names("metrics").map((name) => `metrics.${name}`);
    const nothing = element("span", { class: "mlf-muted" }, "these runs have no values in common beside it");
    const colour = element("label", { class: "mlf-tick" }, "colour", choose("Colour by", metrics, state.colour, (key) => this._set({ colour: key })));
    keepingFocus(this._scatterHead, () => replace(this._scatterHead, axisChoice("x", "x"), axisChoice("y", "y"), left(points)));
    keepingFocus(this._parallelHead, () => replace(this._parallelHead, colour, lines.isDrawn ? left(lines) : nothing));
  }
}

function section(title, ...children) {
  return element("section", { class: "mlf-compare-section", "aria-label": title }, element("h3", {}, title), children);
}

function choose(label, values, chosen, change) {
  const options = values.map((value) => element("option", { value, selected: value === chosen }, value.includes(".") ? `${nameOf(value)} (${value.split(".")[0]})` : value));
  return element("select", { class: "mlf-select", "aria-label": label, onchange: (event) => change(event.target.value) }, options);
}

/** Draw a part anew and give the focus back to the control that has the same name as before. */
function keepingFocus(place, draw) {
  const held = place.contains(document.activeElement) ? document.activeElement : null;
  const order = held ? [...place.querySelectorAll("input, select, button")].indexOf(held) : -1;
  draw();
  if (order >= 0) place.querySelectorAll("input, select, button")[order]?.focus({ preventScroll: true });
}
