// What stands above a chart in words: its name, what it comes to, a legend. Text of the page, not of plotly.

import { element } from "./dom.js";
import { COLOURED, colouredOf, inner } from "./figure.js";
import { exact, figure, withUnit } from "./numbers.js";

const ENTRIES = 4;

/** The line above a section of charts. */
export function headingOf(heading) {
  return element(
    "h3",
    { class: "mlf-section", style: { top: `${heading.top}px` }, title: heading.text },
    element("bdi", {}, heading.text),
  );
}

/** The title of a chart, its legend and the numbers of its bands: {node, summary, swatches, lines, bands}. */
export function titleOf(chart, cell) {
  const summary = element("span", { class: "mlf-chart-summary" });
  const coloured = colouredOf(chart.lines);
  // Grey lines lie below the others, so they come first; a legend is for those with a colour.
  const ordered = [true, false].flatMap((is) => chart.lines.filter((_, place) => coloured[place] === is));
  const shown = chart.lines.length > 1 ? ordered.slice(0, ENTRIES) : [];
  const swatches = shown.map(() => element("i", { class: "mlf-swatch", "aria-hidden": "true" }));
  const names = shown.map((line, place) =>
    element("span", { class: "mlf-legend-entry", title: line.name }, swatches[place], element("bdi", {}, line.name)),
  );
  const rest = chart.lines.length - shown.length;
  const more =
    shown.length && rest ? element("span", { class: "mlf-legend-more", title: restOf(ordered) }, `+${rest}`) : null;
  const bands = element("div", { class: "mlf-band-numbers", "aria-hidden": "true" });
  const name = element("span", { class: "mlf-chart-name", title: chart.title }, element("bdi", {}, chart.title));
  const head = element("div", { class: "mlf-chart-head" }, name, summary);
  const legend = shown.length ? element("div", { class: "mlf-legend" }, names, more) : null;
  const height = inner(cell).top - cell.top;
  const style = { left: `${cell.left}px`, top: `${cell.top}px`, width: `${cell.width}px`, height: `${height}px` };
  return { node: element("div", { class: "mlf-chart-title", style }, head, legend, bands), summary, swatches, lines: shown, bands };
}

function restOf(lines) {
  const names = lines
    .slice(ENTRIES)
    .map((line) => line.name)
    .join(", ");
  const grey = lines.length > COLOURED ? `; ${COLOURED} of ${lines.length} lines have a colour` : "";
  return names + grey;
}

/** The text beside a chart's title, and the whole values for its own title. */
export function summaryOf(chart, settings, prepared) {
  const all = chart.lines.map((line) => line.points).filter((points) => points.n);
  if (!all.length) return { text: "no points yet", whole: "" };
  if (chart.summary === "load") {
    const peak = Math.max(...all.map((points) => points.greatest));
    const isExact = all[0].finite === all[0].count;
    const mean = all.length === 1 ? `avg ${isExact ? "" : "≈ "}${withUnit(all[0].mean, chart.unit)} · ` : "";
    return { text: `${mean}peak ${withUnit(peak, chart.unit)}`, whole: `peak ${exact(peak)} ${chart.unit}` };
  }
  if (all.length > 1) return { text: "", whole: "" };
  const { last } = all[0];
  const curve = prepared.curves.at(-1);
  const smooth = settings.smoothing && curve.n >= 3 ? ` · ${figure(curve.ys[curve.n - 1])} smoothed` : "";
  return { text: `${figure(last)}${smooth}`, whole: exact(last) };
}
