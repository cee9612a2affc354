// The charts of a run: which series stand in which chart, which charts are shown, and the controls above them.

import { element, setText } from "./dom.js";
import { ChartChooser } from "./chart_chooser.js";
import { LineCharts } from "./charts.js";
import { ranking } from "./columns.js";
import { bytes, count, duration } from "./numbers.js";

const ranked = ranking();

/** Most charts that are shown before somebody chooses. */
export const SHOWN = 12;
/** Groups that say in other units, or in detail, what another group says: shown when chosen. */
const SECONDARY = new Set([
  "CPU cores",
  "Load",
  "Memory size",
  "Swap",
  "Swap size",
  "Disk space",
  "Disk space used",
  "Processes and threads",
  "Open files",
  "Container memory size",
  "Container CPU limit",
  "Container CPU throttling",
  "GPU memory size",
  "GPU memory traffic",
  "GPU clock",
]);
/** The order of groups on the page; others follow. */
const ORDER = [
  "GPU",
  "GPU memory",
  "Process CPU",
  "CPU",
  "Process memory",
  "Memory",
  "Container CPU",
  "Container memory",
  "Disk",
  "Network",
  "GPU power",
  "GPU temperature",
];

/**
 * The charts of a run's metrics: one a metric, those that a person asks for first in front, in sections by the part of
 * the name before its last slash. A section of one would leave the rest of its row empty: its metric stands among those
 * without a section, by its whole name.
 */
export function metricCharts(points, { place, cross }) {
  const logged = points.all().filter((series) => !series.system);
  const places = new Map(ranked(logged.map((series) => series.name)).map((name, place) => [name, place]));
  logged.sort((left, right) => places.get(left.name) - places.get(right.name));
  const sizes = new Map();
  for (const { group } of logged) sizes.set(group, (sizes.get(group) ?? 0) + 1);
  const charts = logged.map((series) => {
    const section = sizes.get(series.group) > 1 ? series.group : "";
    const title = section ? series.name.slice(section.length + 1) : series.name;
    const lines = [{ key: series.name, name: series.name, points: series, place, cross }];
    return { key: series.name, title, section, unit: "", axis: null, lines };
  });
  const sections = [...new Set(charts.map((chart) => chart.section))];
  return sections.flatMap((section) => charts.filter((chart) => chart.section === section));
}

/** The charts of a run's machine: one a group. */
export function systemCharts(points, { cross }) {
  const groups = new Map();
  for (const series of points.all()) {
    if (!series.system) continue;
    if (!groups.has(series.group)) groups.set(series.group, []);
    groups.get(series.group).push(series);
  }
  const rank = (group) => (ORDER.indexOf(group) + 1 || ORDER.length + 1) + (SECONDARY.has(group) ? 100 : 0);
  const order = [...groups.keys()].sort((a, b) => rank(a) - rank(b));
  return order.map((group) => ({
    key: group,
    title: group,
    unit: groups.get(group)[0].unit,
    axis: groups.get(group)[0].axis,
    fromZero: true,
    summary: "load",
    lines: groups
      .get(group)
      .map((series, index) => ({ key: series.name, name: lineName(series.name), points: series, place: index, cross })),
  }));
}

/** What the catalogue's words leave open: whose memory it is. */
const LINES = new Map([
  ["system/process/memory_rss_bytes", "with child processes"],
  ["system/process/main_memory_rss_bytes", "this process"],
]);

function lineName(name) {
  if (LINES.has(name)) return LINES.get(name);
  const parts = name.split("/").slice(1);
  const number = parts.find((part) => /^\d+$/.test(part));
  const words = parts
    .at(-1)
    .replace(/_(bytes_per_s|bytes|percent|watts|celsius|mhz|cores|s_per_s)$/, "")
    .replaceAll("_", " ");
  if (number === undefined) return words;
  return words === "percent" || parts.length < 3 ? number : `${number} ${words}`;
}

/** Cells as bands of time, each with what it cost; one that still runs has no end. */
export function bandsOf(cells) {
  const timed = (cells ?? []).filter((cell) => Number.isFinite(cell.started_at));
  return timed.map((cell) => ({
    from: cell.started_at,
    to: Number.isFinite(cell.ended_at) ? cell.ended_at : Infinity,
    label: String(cell.n),
    text: costOf(cell),
  }));
}

function costOf(cell) {
  const parts = [`cell ${cell.n}`];
  if (!Number.isFinite(cell.ended_at)) parts.push("running");
  if (Number.isFinite(cell.wall_s)) parts.push(duration(cell.wall_s));
  if (Number.isFinite(cell.cpu_s)) parts.push(`CPU ${duration(cell.cpu_s)}`);
  if (Number.isFinite(cell.peak_bytes)) parts.push(`peak ${bytes(cell.peak_bytes)}`);
  if (Number.isFinite(cell.gpu_bytes) && cell.gpu_bytes > 0) parts.push(`GPU ${bytes(cell.gpu_bytes)}`);
  return parts.join(" · ");
}

/** The inside of the tabs Metrics and System. `kind` is "metrics" or "system". */
export class ChartsTab {
  constructor(kind, source, { charts, settings, empty, shownAtFirst, points }) {
    this._kind = kind;
    this._source = source;
    this._chartsOf = charts;
    this._settingsOf = settings;
    this._shownAtFirst = shownAtFirst;
    this._points = points;
    this._key = "";
    this._chooser = new ChartChooser(`choose ${kind === "system" ? "system charts" : "metrics"}`, (keys) =>
      this._choose(keys),
    );
    this._message = element("div", { class: "mlf-error", role: "alert", hidden: true });
    this._empty = element("div", { class: "mlf-empty" }, empty);
    this._rest = element("p", { class: "mlf-charts-rest mlf-muted", hidden: true });
    this._place = element("div", { class: "mlf-charts-place" });
    this.node = element(
      "div",
      { class: "mlf-charts-tab" },
      this._chooser.node,
      this._message,
      this._empty,
      this._rest,
      this._place,
    );
    this._view = new LineCharts(this._place, () => source.plotly(), { onError: (error) => this._fail(error) });
  }

  /** The button that opens the list of charts; it stands among the controls. */
  get chooseButton() {
    return this._chooser.toggle;
  }

  /** Bring the charts up to date. Only what changed is drawn, and not while nobody can see it. */
  update({ isSettled = true } = {}) {
    const all = this._chartsOf();
    const shown = this._shown(all);
    const settings = this._settingsOf();
    const key = JSON.stringify([
      shown.map((chart) => [chart.key, chart.lines.map((line) => [line.key, line.place, line.cross])]),
      { ...settings, now: 0 },
    ]);
    this._empty.hidden = all.length > 0 || !isSettled;
    this._showRest();
    this._chooser.update(all, shown);
    if (key === this._key) {
      this._view.touch();
      return;
    }
    this._key = key;
    this._view.show(shown, settings);
  }

  /** Say where only a part of the series is here, and where the others are. */
  _showRest() {
    const isSystem = this._kind === "system";
    const here = this._points.all().filter((series) => series.system === isSystem).length;
    const words = restText(here, this._points.totalOf(isSystem), isSystem);
    this._rest.hidden = !words;
    setText(this._rest, words);
  }

  /** What the charts have cost so far; for those who measure. */
  get drawn() {
    return this._view.drawn;
  }

  dispose() {
    this._view.dispose();
  }

  /**
   * What was chosen is {metrics: [names], system: [groups]}, or one list, as a person writes it. The name of a group
   * stands for all of its series; the name of a series for that one.
   */
  _shown(all) {
    const chosen = this._source.get("selected_series");
    const isList = Array.isArray(chosen);
    const keys = new Set(isList ? chosen : (chosen?.[this._kind] ?? []));
    const shown = all.flatMap((chart) => {
      const lines = keys.has(chart.key) ? chart.lines : chart.lines.filter((line) => keys.has(line.key));
      return lines.length ? [{ ...chart, lines }] : [];
    });
    const isChosen = isList ? shown.length > 0 : Array.isArray(chosen?.[this._kind]);
    return isChosen ? shown : this._shownAtFirst(all);
  }

  _choose(keys) {
    const before = this._source.get("selected_series");
    const others = Array.isArray(before) ? { metrics: before, system: before } : before;
    this._source.set("selected_series", { ...others, [this._kind]: keys });
    this.update();
  }

  _fail(error) {
    this._message.hidden = false;
    setText(this._message, `The charts cannot be drawn: ${error.message}`);
  }
}

/** What is said of series that are not here; empty when all are. */
export function restText(here, total, isSystem) {
  if (total <= here) return "";
  const [one, verb] = isSystem ? ["system metric", "get_system_metrics"] : ["metric", "get_metrics"];
  const details = isSystem ? "" : "Details has the latest values of all; ";
  const charts = `There are charts of the first ${here.toLocaleString("en")} of ${count(total, one)}, by name.`;
  return `${charts} ${details}run.${verb}("NAME") reads the points of any.`;
}

/** The charts of metrics that are shown before anybody chose. */
export function firstMetrics(all) {
  return all.slice(0, SHOWN);
}

/** The charts of the machine that are shown before anybody chose. */
export function firstSystem(all) {
  const primary = all.filter((chart) => !SECONDARY.has(chart.key));
  return (primary.length ? primary : all).slice(0, SHOWN);
}
