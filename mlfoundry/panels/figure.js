// One plotly figure of several charts: where each stands, its ranges, its axes and its lines. No drawing here.

import { cutMiddle, plain, statusWord } from "./dom.js";
import { lineLook } from "./colours.js";
import { scale } from "./numbers.js";
import { extent, ordered, smoothed, thinned } from "./curves.js";

/** Narrowest that a chart gets while there is another beside it, in pixels. */
const NARROWEST = 320;
/** Most lines of a chart that have a colour of their own; the rest are grey. */
export const COLOURED = 10;
const MOST_COLUMNS = 3;
const WIDEST = 900;
const HEIGHT = 196;
const HEADING = 26;
const INNER = { left: 54, right: 12, top: 30, bottom: 24 };
const LEGEND = 18;
const HEADROOM = 1.25;
/** A line at the very end of a fixed axis, such as 100 %, is drawn whole as well. */
const FULL = 1.015;
/** With fewer steps than these each has its tick: there is none between two. */
const FEW_STEPS = 4;
const SHORTEST = { step: 10, time: 30 };

/** Places of charts in rows of equal height; a section begins a row below its heading. All in pixels. */
export function placesOf(charts, width) {
  const columns = columnsOf(charts, width);
  const each = columns === 1 ? Math.min(width, WIDEST) : width / columns;
  const cells = [];
  const headings = [];
  let [column, top] = [0, 0];
  let section = charts.length ? (charts[0].section ?? "") : "";
  charts.forEach((chart, index) => {
    const own = chart.section ?? "";
    if (index === 0 ? own : own !== section) {
      if (column) top += HEIGHT;
      headings.push({ text: own || "others", top });
      [column, top, section] = [0, top + HEADING, own];
    }
    cells.push({ left: column * each, top, width: each, height: HEIGHT, hasLegend: chart.lines.length > 1 });
    column += 1;
    if (column === columns) [column, top] = [0, top + HEIGHT];
  });
  return { cells, headings, width, height: top + (column ? HEIGHT : 0) };
}

/** As few columns as make no more rows than the most that there is room for: the charts get all the width they can. */
function columnsOf(charts, width) {
  const most = Math.max(1, Math.min(MOST_COLUMNS, Math.floor(width / NARROWEST)));
  const sizes = new Map();
  for (const { section = "" } of charts) sizes.set(section, (sizes.get(section) ?? 0) + 1);
  const rows = (columns) => [...sizes.values()].reduce((sum, size) => sum + Math.ceil(size / columns), 0);
  let columns = most;
  while (columns > 1 && rows(columns - 1) === rows(most)) columns -= 1;
  return columns;
}

/** The part of a cell in which its lines are drawn. */
export function inner(cell) {
  const above = INNER.top + (cell.hasLegend ? LEGEND : 0);
  return {
    left: cell.left + INNER.left,
    top: cell.top + above,
    width: Math.max(20, cell.width - INNER.left - INNER.right),
    height: cell.height - above - INNER.bottom,
  };
}

/** Whether each line of a chart has a colour of its own: the first of those that are not grey anyhow. */
export function colouredOf(lines) {
  let left = COLOURED;
  return lines.map((line) => !line.grey && (left -= 1) >= 0);
}

/** The lines of a chart as they can be drawn: ordered, smoothed where asked, in the chart's unit. */
export function curvesOf(chart, settings) {
  const greatest = Math.max(...chart.lines.map((line) => largest(line.points)), 0);
  const { divisor, unit } = scale(chart.unit, greatest);
  const curves = [];
  const coloured = colouredOf(chart.lines);
  chart.lines.forEach((line, place) => {
    const raw = ordered(line.points, settings.x);
    if (divisor !== 1) raw.ys = raw.ys.subarray(0, raw.n).map((value) => value / divisor);
    const about = { line, isGrey: !coloured[place] };
    if (!settings.smoothing || raw.n < 3) {
      curves.push({ ...raw, ...about, isFaint: false });
      return;
    }
    curves.push({ ...raw, ...about, isFaint: true });
    curves.push({ ...raw, ys: smoothed(raw.ys, raw.n, settings.smoothing), ...about, isFaint: false });
  });
  return { curves, unit };
}

function largest(points) {
  return Math.max(Math.abs(points.least), Math.abs(points.greatest)) || 0;
}

/**
 * The range of x that all charts of a figure share. While a run lives it leaves room, so that it can stay where it is
 * for a while: nothing moves but the lines' ends, and a redraw that moves no axis costs a tenth.
 */
export function rangeOfX(all, settings, before) {
  let [first, last] = [Infinity, -Infinity];
  for (const { xs, n } of all) {
    if (n && xs[0] < first) first = xs[0];
    if (n && xs[n - 1] > last) last = xs[n - 1];
  }
  if (first > last) return before ?? (settings.x === "time" ? [settings.now - 30, settings.now] : [0, SHORTEST.step]);
  if (!settings.live) return first === last ? [first - 1, last + 1] : [first, last];
  if (before && before[0] <= first && before[1] >= last && first - before[0] <= (last - first) * 0.1) return before;
  return [first, first + Math.max((last - first) * HEADROOM, SHORTEST[settings.x])];
}

/** The range of y of a chart; in powers of ten when it is logarithmic. */
export function rangeOfY(chart, curves, settings, x, before) {
  if (chart.axis && !settings.log) return { range: [chart.axis[0], chart.axis[1] * FULL], isLog: false };
  let [least, greatest] = extentOf(curves, x, settings.log);
  const isLog = Boolean(settings.log) && least <= greatest;
  if (settings.log && !isLog) [least, greatest] = extentOf(curves, x, false);
  if (least > greatest) return { range: before?.range ?? [0, 1], isLog: false };
  const isFromZero = Boolean(chart.fromZero) && !isLog && least >= 0;
  const data = isLog ? [Math.log10(least), Math.log10(greatest)] : [isFromZero ? 0 : least, greatest];
  if (before?.isLog === isLog && settings.live && holds(before.range, data)) return before;
  if (isFromZero) {
    return { range: [0, chart.unit === "%" ? Math.max(100, greatest * 1.08) : greatest * 1.15 || 1], isLog };
  }
  const pad = (data[1] - data[0]) * 0.08 || Math.abs(data[0]) * 0.1 || 1;
  return { range: [data[0] - pad, data[1] + pad], isLog };
}

function extentOf(curves, x, positive) {
  let [least, greatest] = [Infinity, -Infinity];
  for (const curve of curves) {
    const [low, high] = extent(curve, x, positive);
    [least, greatest] = [Math.min(least, low), Math.max(greatest, high)];
  }
  return [least, greatest];
}

function holds(range, data) {
  const [size, used] = [range[1] - range[0], data[1] - data[0]];
  return range[0] <= data[0] && range[1] >= data[1] && (used >= size * 0.4 || used === 0);
}

/** A place on the time axis as plotly wants it: milliseconds that read as the viewer's clock. */
function toAxis(x, isTime) {
  return isTime ? Math.round((x - new Date(x * 1000).getTimezoneOffset() * 60) * 1000) : x;
}

/** The same backwards, from what plotly says a range is. */
export function fromAxis(x, isTime) {
  if (!isTime) return Number(x);
  const shown = typeof x === "number" ? x : Date.parse(`${String(x).replace(" ", "T")}Z`);
  return shown / 1000 + new Date(shown).getTimezoneOffset() * 60;
}

/** Functions from values to pixels of a box, within the ranges of its axes. */
export function scalesOf(box, x, { range, isLog }) {
  const toX = (value) => ((value - x[0]) / (x[1] - x[0])) * box.width;
  const toY = (value) => ((range[1] - (isLog ? Math.log10(value) : value)) / (range[1] - range[0])) * box.height;
  return { toX, toY };
}

/** The dress of a curve: colour, width, dash. */
export function lookOf(curve, theme) {
  const look = curve.isGrey ? { color: theme.rest, dash: "solid" } : lineLook(curve.line.place ?? 0, theme.dark);
  return { ...look, width: curve.isFaint ? 1 : 1.6, opacity: curve.isFaint ? 0.35 : 1 };
}

/** Whether single points of a curve would be lost without marks: no line joins them. */
export function needsMarks(curve) {
  if (curve.n <= 1) return true;
  if (curve.n > 60) return false;
  for (let index = 0; index < curve.n; index += 1) if (!Number.isFinite(curve.ys[index])) return true;
  return false;
}

/** Stretches of x, about two pixels each, of which four points at most are drawn. */
export function bucketsOf(pixels) {
  return Math.max(50, Math.ceil(pixels / 2));
}

/** Text that plotly shows as it is: it reads tags and, in templates, `%{…}`. */
export function plainForPlotly(text) {
  return cutMiddle(plain(text), 60)
    .replace(/&/g, "&amp;")
    .replace(/</g, "&lt;")
    .replace(/>/g, "&gt;")
    .replace(/%\{/g, "%&#123;");
}

/** The trace of a curve in the chart of that number, counted from 1. */
export function traceOf(curve, number, uid, context) {
  const { x, pixels, theme, settings, unit, hasSeveral } = context;
  const places = thinned(curve, x, bucketsOf(pixels));
  const isTime = settings.x === "time";
  const look = lookOf(curve, theme);
  const name = plainForPlotly(curve.line.name);
  const marks = needsMarks(curve);
  const value = `%{y:.4~g}${unit ? ` ${plainForPlotly(unit)}` : ""}${settings.smoothing && !curve.isFaint ? " smoothed" : ""}`;
  return {
    type: "scatter",
    mode: marks ? "lines+markers" : "lines",
    uid,
    name,
    showlegend: false,
    xaxis: `x${number}`,
    yaxis: `y${number}`,
    connectgaps: false,
    opacity: look.opacity,
    x: Array.from(places, (place) => toAxis(curve.xs[place], isTime)),
    y: Array.from(places, (place) => curve.ys[place]),
    line: { color: look.color, width: look.width, dash: look.dash, simplify: false },
    marker: { color: look.color, size: 5 },
    ...(curve.isFaint
      ? { hoverinfo: "skip" }
      : { hovertemplate: `${hasSeveral ? `${name}  ` : ""}${value}<extra></extra>` }),
  };
}

/** A trace of the crosses at which the lines of ended runs stop, or null. */
export function crossesOf(curves, number, theme, isTime) {
  const ended = curves.filter((curve) => curve.line.cross && !curve.isFaint && curve.n);
  if (!ended.length) return null;
  const last = (values, curve) => values[curve.n - 1];
  return {
    type: "scatter",
    mode: "markers",
    uid: `cross${number}`,
    showlegend: false,
    cliponaxis: false,
    xaxis: `x${number}`,
    yaxis: `y${number}`,
    x: ended.map((curve) => toAxis(last(curve.xs, curve), isTime)),
    y: ended.map((curve) => last(curve.ys, curve)),
    text: ended.map((curve) => statusWord(curve.line.cross)),
    marker: { symbol: "x-thin", size: 8, line: { width: 2, color: ended.map((curve) => lookOf(curve, theme).color) } },
    hovertemplate: "%{text}<extra></extra>",
  };
}

/** Both axes of a chart. */
export function axesOf(number, cell, total, ranges, context) {
  const { theme, settings, unit } = context;
  const box = inner(cell);
  const isTime = settings.x === "time";
  const shared = {
    gridcolor: theme.line,
    linecolor: theme.line,
    zeroline: false,
    tickfont: { size: 11, color: theme.muted },
    ticks: "",
    automargin: false,
    autorange: false,
    showspikes: false,
    separatethousands: true,
  };
  const xaxis = {
    ...shared,
    type: isTime ? "date" : "linear",
    anchor: `y${number}`,
    showgrid: false,
    showline: true,
    domain: [box.left / total.width, (box.left + box.width) / total.width],
    range: ranges.x.map((each) => toAxis(each, isTime)),
    exponentformat: "B",
    ...(!isTime && ranges.x[1] - ranges.x[0] < FEW_STEPS ? { dtick: 1 } : {}),
    nticks: Math.max(2, Math.floor(box.width / (isTime ? 75 : 60))),
    ...(isTime
      ? { tickformat: ranges.x[1] - ranges.x[0] < 600 ? "%H:%M:%S" : "%H:%M", hoverformat: "%H:%M:%S" }
      : { hoverformat: ",d" }),
    ...(isTime && ranges.x[1] - ranges.x[0] > 86_400 ? { tickformat: "%d %b %H:%M" } : {}),
  };
  const yaxis = {
    ...shared,
    type: ranges.y.isLog ? "log" : "linear",
    anchor: `x${number}`,
    showgrid: true,
    domain: [1 - (box.top + box.height) / total.height, 1 - box.top / total.height],
    range: ranges.y.range.slice(),
    ticklabeloverflow: "allow", // its labels lie within the chart; else plotly measures each of them
    // 20k and 1.2M, but 2e-5 and never 20µ; a logarithmic axis has both ends.
    exponentformat: !ranges.y.isLog && Math.max(...ranges.y.range.map(Math.abs)) >= 1e4 ? "B" : "e",
    nticks: 5,
    ...(unit ? { ticksuffix: ` ${plainForPlotly(unit)}`, showticksuffix: "last" } : {}),
    ...(ranges.y.isLog ? { dtick: ranges.y.range[1] - ranges.y.range[0] > 1.5 ? 1 : undefined } : {}),
  };
  return { xaxis, yaxis };
}

/** At most two shapes, which paint the bands of a chart that lie in a range of time, in turns of two shades. */
export function bandsOf(bands, range, number, theme) {
  const paths = ["", ""];
  bands.forEach((band, place) => {
    if (band.to < range[0] || band.from > range[1]) return;
    const ends = [Math.max(band.from, range[0]), Math.min(band.to, range[1])];
    const [from, to] = ends.map((x) => new Date(toAxis(x, true)).toISOString().slice(0, -1).replace("T", "_"));
    paths[place % 2] += `M${from},0L${to},0L${to},1L${from},1Z`;
  });
  return paths.flatMap((path, turn) =>
    path
      ? [
          {
            type: "path",
            path,
            xref: `x${number}`,
            yref: `y${number} domain`,
            layer: "below",
            line: { width: 0 },
            fillcolor: theme.bands[turn],
          },
        ]
      : [],
  );
}

/** What of a curve asks for a redraw by plotly when it changes. */
export function signatureOf(curve) {
  const marks = needsMarks(curve);
  return [
    curve.line.key,
    curve.line.name,
    curve.line.place,
    curve.isGrey,
    curve.isFaint,
    curve.line.cross,
    marks,
    marks && curve.n,
  ];
}

/** The axes of which plotly says that somebody has chosen their range: {letter, place of the chart, ends}. */
export function zoomedAxes(changes) {
  return Object.keys(changes).flatMap((name) => {
    const [, letter, number] = name.match(/^([xy])axis(\d*)\.range\[0\]$/) ?? [];
    if (!letter) return [];
    const ends = [0, 1].map((end) => changes[`${letter}axis${number}.range[${end}]`]);
    return [{ letter, place: Number(number || 1) - 1, ends }];
  });
}

/** Whether a place lies in a box. */
export function isIn(box, left, top) {
  return left >= box.left && left <= box.left + box.width && top >= box.top && top <= box.top + box.height;
}
