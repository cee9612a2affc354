// The scatter and the parallel coordinates of a comparison, as plotly figures: data and layout, from plain values.

import { exact, figure } from "./numbers.js";
import { plainForPlotly } from "./figure.js";
import { cutMiddle } from "./dom.js";

const HEIGHT = 300;
const MOST_DIMENSIONS = 10;
const DIMENSION_WIDTH = 72;
const MOST_TICKS = 12;
// What the axes have to spare for words, in pixels: a letter at most, and beside the plot the bar of colours.
const LETTER = 7;
const LEFT = { least: 46, most: 126 };
const COLOUR_BAR = 105;
const TITLE_ROW = 16;
const LONGEST_TITLE = 18; // in letters
// Both go from far to near the ground in lightness alone, so that they read without colours as well.
const SCALE = [[0, "#7d86e8"], [0.35, "#c97fd0"], [0.7, "#ff9a70"], [1, "#ffe9a0"]];
const SCALE_ON_LIGHT = [[0, "#00204d"], [0.35, "#4d5a8a"], [0.7, "#8f7f4d"], [1, "#d9a300"]];

/** Params and metrics that an axis can show: those for which the runs have values. */
export function axisKeys(comparison) {
  const { differing, same } = comparison.splitParams();
  const metrics = comparison.names("metrics").map((name) => `metrics.${name}`);
  return [...differing.map((name) => `params.${name}`), ...metrics, ...same.map((name) => `params.${name}`)];
}

/** One point a run. */
export function scatter(comparison, state, theme, colourOf) {
  const { x, y } = state;
  const runs = comparison.runs.filter((run) => isPlaced(comparison.value(run, x)) && isPlaced(comparison.value(run, y)));
  const text = runs.map((run) => {
    const lines = [run.run_name, ...[x, y].map((key) => `${nameOf(key)} ${exact(comparison.value(run, key))}`)];
    return lines.map(plainForPlotly).join("<br>");
  });
  const trace = {
    type: "scatter",
    mode: "markers",
    x: runs.map((run) => comparison.value(run, x)),
    y: runs.map((run) => comparison.value(run, y)),
    text,
    hovertemplate: "%{text}<extra></extra>",
    marker: { size: 10, color: runs.map(colourOf), symbol: runs.map(symbolOf), line: { width: 1, color: theme.ground } },
  };
  const layout = {
    ...frame(theme),
    margin: { l: 62, r: 16, t: 10, b: 42 },
    xaxis: axis(comparison, x, theme),
    yaxis: axis(comparison, y, theme),
    hovermode: "closest",
    showlegend: false,
  };
  return { data: [trace], layout, left: comparison.runs.length - runs.length };
}

/**
 * One line a run over the params that differ and the metrics; coloured by a metric. Drawn as ordinary lines: what
 * plotly draws with WebGL has to compile code in the page, which a strict page forbids.
 */
export function parallel(comparison, state, theme, width) {
  const keys = parallelKeys(comparison, state, width);
  // Runs without one of the values are left out, and counted.
  const runs = comparison.runs.filter((run) => keys.every((key) => isPlaced(comparison.value(run, key))));
  const axes = keys.map((key) => dimension(comparison, runs, key));
  const left = roomOnTheLeft(axes[0]);
  const titles = axisTitles(axes, (width - left - COLOUR_BAR) / (keys.length - 0.5), theme);
  const values = runs.map((run) => comparison.value(run, state.colour));
  const colours = theme.dark ? SCALE : SCALE_ON_LIGHT;
  const bounds = [Math.min(...values), Math.max(...values)];
  const lines = runs.map((run, place) => ({
    type: "scatter",
    mode: "lines",
    x: keys.map((_, at) => at),
    y: axes.map(({ shares }) => shares[place]),
    line: { color: colourAt(colours, share(values[place], bounds)), width: 2 },
    text: keys.map(() => [run.run_name, ...keys.map((key) => `${nameOf(key)} ${exact(comparison.value(run, key))}`)].map(plainForPlotly).join("<br>")),
    hovertemplate: "%{text}<extra></extra>",
  }));
  const layout = {
    ...frame(theme),
    margin: { l: left, r: 40, t: 46 + titles.raised, b: 20 },
    xaxis: { range: [-0.08, keys.length - 0.6], visible: false, fixedrange: true },
    yaxis: { range: [-0.03, 1.03], visible: false, fixedrange: true },
    shapes: keys.map((_, at) => ({ type: "line", x0: at, x1: at, y0: 0, y1: 1, layer: "below", line: { color: theme.line, width: 1.5 } })),
    annotations: [...titles.texts, ...axes.flatMap(({ ticks }, at) => axisMarks(ticks, at, theme))],
    hovermode: "closest",
    showlegend: false,
  };
  const isDrawn = runs.length > 0 && keys.length > 1;
  return { data: [...lines, colourBar(state, values, colours, theme)], layout, left: comparison.runs.length - runs.length, isDrawn };
}

/** The axes that there is room for: params that tell runs apart, two metrics, and the one that colours. */
function parallelKeys(comparison, state, width) {
  const { differing } = comparison.splitParams();
  const metrics = comparison.names("metrics").map((name) => `metrics.${name}`);
  const room = Math.max(2, Math.min(MOST_DIMENSIONS, Math.floor(width / DIMENSION_WIDTH) - 1));
  const shared = sharing(comparison, state.colour);
  const others = shared(metrics.filter((key) => key !== state.colour), room > 6 ? 2 : 0);
  // A value of its own in every run, such as a seed, explains nothing: it comes last.
  const isLabel = (name) => new Set(comparison.runs.map((run) => comparison.param(run, name))).size === comparison.runs.length && comparison.runs.length > 3;
  const telling = [...differing.filter((name) => !isLabel(name)), ...differing.filter(isLabel)];
  const params = shared(telling.map((name) => `params.${name}`), room - others.length - 1);
  return [...params, ...others, state.colour];
}

/**
 * A function that keeps of keys the first few that leave at least half of the runs with every value: a line has no way
 * through a gap, and runs of several kinds have params of their own.
 */
function sharing(comparison, colour) {
  const all = comparison.runs.filter((run) => isPlaced(comparison.value(run, colour)));
  let left = all;
  return (keys, most) => {
    const kept = [];
    for (const key of keys) {
      const rest = left.filter((run) => isPlaced(comparison.value(run, key)));
      if (kept.length >= most || 2 * rest.length < all.length) continue;
      kept.push(key);
      left = rest;
    }
    return kept;
  };
}

/** What the words of the first axis need: its ticks end there, and its title reaches as far to the left as to the right. */
function roomOnTheLeft({ name, ticks }) {
  const ticked = 12 + LETTER * Math.max(0, ...ticks.map(([, text]) => text.length));
  const titled = 4 + (LETTER * Math.min(name.length, LONGEST_TITLE)) / 2;
  return Math.min(LEFT.most, Math.max(LEFT.least, ticked, titled));
}

/** Titles above the axes; where one is wider than the distance to the next, every second stands a row higher. */
function axisTitles(axes, distance, theme) {
  const fits = Math.floor(distance / LETTER) - 1;
  const isStaggered = axes.some(({ name }) => name.length > fits);
  const most = Math.min(LONGEST_TITLE, Math.max(6, isStaggered ? 2 * fits : fits));
  const texts = axes.map(({ name }, at) => ({
    x: at,
    y: 1,
    yshift: 22 + (isStaggered && at % 2 ? TITLE_ROW : 0),
    text: plainForPlotly(cutMiddle(name, most)),
    hovertext: plainForPlotly(name),
    showarrow: false,
    font: { size: 12, color: theme.text },
    name: "axis-title",
  }));
  return { texts, raised: isStaggered ? TITLE_ROW : 0 };
}

function axisMarks(ticks, at, theme) {
  return ticks.map(([place, text]) => ({ x: at, y: place, xshift: -6, xanchor: "right", text, showarrow: false, bgcolor: theme.ground, borderpad: 1, font: { size: 11, color: theme.muted } }));
}

/** Points that are not drawn: they bring the bar that tells what the colours mean. */
function colourBar(state, values, colorscale, theme) {
  const title = { text: plainForPlotly(nameOf(state.colour)), side: "right" };
  const bar = { thickness: 10, title, tickfont: { color: theme.muted }, outlinewidth: 0 };
  return {
    type: "scatter",
    mode: "markers",
    x: values.map(() => null),
    y: values.map(() => null),
    hoverinfo: "skip",
    marker: { color: values, colorscale, showscale: true, colorbar: bar },
  };
}

function share(value, [least, greatest]) {
  return greatest > least ? (value - least) / (greatest - least) : 0.5;
}

/** The colour at a share of a scale, between the two stops around it. */
function colourAt(scale, at) {
  const upper = Math.max(1, scale.findIndex(([place]) => place >= at));
  const [from, to] = [scale[upper - 1], scale[upper]];
  const part = (at - from[0]) / (to[0] - from[0]);
  const channel = (colour, place) => Number.parseInt(colour.slice(place, place + 2), 16);
  const mixed = [1, 3, 5].map((place) => Math.round(channel(from[1], place) * (1 - part) + channel(to[1], place) * part));
  return `rgb(${mixed.join(",")})`;
}

/** The part of `params.lr` that people say. */
export function nameOf(key) {
  return key.slice(key.indexOf(".") + 1);
}

function isPlaced(value) {
  return value !== undefined && (typeof value === "string" || Number.isFinite(value));
}

function symbolOf(run) {
  return { FAILED: "x", KILLED: "square", RUNNING: "circle-open" }[run.status] ?? "circle";
}

function frame(theme) {
  return {
    height: HEIGHT,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: theme.font, size: 12, color: theme.text },
    hoverlabel: { bgcolor: theme.ground, bordercolor: theme.line, font: { color: theme.text, family: theme.font, size: 12 }, align: "left" },
  };
}

function axis(comparison, key, theme) {
  const values = comparison.runs.map((run) => comparison.value(run, key)).filter(isPlaced);
  const type = values.some((value) => typeof value === "string") ? "category" : isWide(values) ? "log" : "linear";
  return {
    type,
    title: { text: plainForPlotly(nameOf(key)), standoff: 8 },
    gridcolor: theme.line,
    linecolor: theme.line,
    zeroline: false,
    automargin: true,
    ...(type === "log" ? { dtick: 1, exponentformat: "power" } : {}),
  };
}

/** Positive values over two decades or more, such as learning rates, are read on a logarithmic scale. */
function isWide(values) {
  const least = Math.min(...values);
  return values.length > 0 && least > 0 && Math.max(...values) / least >= 100;
}

/** One axis: its name, where each run stands on it (0 at its foot, 1 at its head), and its ticks as [place, text]. */
function dimension(comparison, runs, key) {
  const values = runs.map((run) => comparison.value(run, key));
  const name = nameOf(key);
  if (values.some((value) => typeof value === "string")) {
    const texts = [...new Set(values.map(String))].sort();
    const every = Math.ceil(texts.length / MOST_TICKS);
    const placeOf = (text) => (texts.length > 1 ? texts.indexOf(text) / (texts.length - 1) : 0.5);
    const ticks = texts.filter((_, place) => place % every === 0).map((text) => [placeOf(text), plainForPlotly(cutMiddle(text, 16))]);
    return { name, shares: values.map((value) => placeOf(String(value))), ticks };
  }
  const scaled = isWide(values) ? Math.log10 : (value) => value;
  const distinct = [...new Set(values)].sort((left, right) => left - right);
  const bounds = [scaled(distinct[0]), scaled(distinct.at(-1))];
  const placeOf = (value) => share(scaled(value), bounds);
  const marks = distinct.length > 6 ? [distinct[0], ...between(bounds, scaled), distinct.at(-1)] : distinct;
  return { name, shares: values.map(placeOf), ticks: apart(marks.map((value) => [placeOf(value), figure(value)])) };
}

/** Three values at even distances within the bounds of an axis. */
function between([least, greatest], scaled) {
  const back = scaled === Math.log10 ? (value) => 10 ** value : (value) => value;
  return [0.25, 0.5, 0.75].map((part) => Number(back(least + part * (greatest - least)).toPrecision(3)));
}

/** Ticks without those that would stand upon the one before. */
function apart(ticks) {
  const kept = [];
  for (const tick of ticks) if (!kept.length || tick[0] - kept.at(-1)[0] > 0.055) kept.push(tick);
  return kept;
}
