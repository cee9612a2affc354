// The scatter and the parallel coordinates of a comparison, as plotly figures: data and layout, from plain values.

import { exact, figure } from "./numbers.js";
import { plainForPlotly } from "./figure.js";
import { cutMiddle } from "./dom.js";

const HEIGHT = 300;
const MOST_DIMENSIONS = 10;
const DIMENSION_WIDTH = 72;
const MOST_TICKS = 12;
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

/** One line a run over the params that differ and the metrics; coloured by a metric. */
export function parallel(comparison, state, theme, width) {
  const { differing } = comparison.splitParams();
  const metrics = comparison.names("metrics").map((name) => `metrics.${name}`);
  const room = Math.max(2, Math.min(MOST_DIMENSIONS, Math.floor(width / DIMENSION_WIDTH) - 1));
  const others = metrics.filter((key) => key !== state.colour).slice(0, room > 6 ? 2 : 0);
  // A value of its own in every run, such as a seed, explains nothing: it comes last.
  const isLabel = (name) => new Set(comparison.runs.map((run) => comparison.param(run, name))).size === comparison.runs.length && comparison.runs.length > 3;
  const telling = [...differing.filter((name) => !isLabel(name)), ...differing.filter(isLabel)];
  const params = telling.map((name) => `params.${name}`).slice(0, room - others.length - 1);
  const keys = [...params, ...others, state.colour];
  // plotly draws no line through a gap: runs without one of the values are left out, and counted.
  const runs = comparison.runs.filter((run) => keys.every((key) => isPlaced(comparison.value(run, key))));
  const values = runs.map((run) => comparison.value(run, state.colour));
  const trace = {
    type: "parcoords",
    dimensions: keys.map((key) => dimension(comparison, runs, key)),
    line: {
      color: values,
      colorscale: theme.dark ? SCALE : SCALE_ON_LIGHT,
      showscale: true,
      colorbar: { thickness: 10, title: { text: plainForPlotly(nameOf(state.colour)), side: "right" }, tickfont: { color: theme.muted } },
    },
    labelfont: { size: 12, color: theme.text },
    tickfont: { size: 11, color: theme.muted },
    rangefont: { size: 10, color: "rgba(0,0,0,0)" },
  };
  const layout = { ...frame(theme), margin: { l: 60, r: 30, t: 46, b: 20 } };
  return { data: [trace], layout, left: comparison.runs.length - runs.length };
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

function dimension(comparison, runs, key) {
  const values = runs.map((run) => comparison.value(run, key));
  const label = plainForPlotly(cutMiddle(nameOf(key), 18));
  if (values.some((value) => typeof value === "string")) {
    const texts = [...new Set(values.map(String))].sort();
    const places = values.map((value) => texts.indexOf(String(value)));
    const every = Math.ceil(texts.length / MOST_TICKS);
    const ticks = texts.map((_, place) => place).filter((place) => place % every === 0);
    const range = [-0.3, Math.max(texts.length - 0.7, 0.3)];
    return { label, values: places, range, tickvals: ticks, ticktext: ticks.map((place) => plainForPlotly(cutMiddle(texts[place], 16))) };
  }
  const distinct = [...new Set(values)].sort((left, right) => left - right);
  const isLog = isWide(values);
  const scaled = isLog ? values.map(Math.log10) : values;
  const few = distinct.length <= 8 ? { tickvals: isLog ? distinct.map(Math.log10) : distinct, ticktext: distinct.map(figure) } : {};
  if (isLog && distinct.length > 8) {
    const decades = [];
    for (let power = Math.ceil(Math.log10(distinct[0])); power <= Math.log10(distinct.at(-1)); power += 1) decades.push(power);
    return { label, values: scaled, tickvals: decades, ticktext: decades.map((power) => figure(10 ** power)) };
  }
  return { label, values: scaled, ...few };
}
