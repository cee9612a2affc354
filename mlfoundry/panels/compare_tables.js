// The tables of a comparison: params that differ, and metrics with their difference to a baseline run.

import { element, fateOf, statusMark } from "./dom.js";
import { exact, figure, ABSENT } from "./numbers.js";
import { cutInTheMiddle } from "./table_cells.js";

/** Params by run. `state.differing` hides those that are the same everywhere. */
export function paramsTable(comparison, state, look) {
  const { differing, same } = comparison.splitParams();
  const names = state.differing ? differing : [...differing, ...same];
  const rows = names.map((name) => {
    const base = comparison.param(look.baseline, name);
    const cells = comparison.runs.map((run) => {
      const value = comparison.param(run, name);
      const isOther = run !== look.baseline && !Object.is(value, base);
      return valueCell(value, isOther ? "mlf-differs" : "");
    });
    return element("tr", {}, rowHead(name), cells);
  });
  const isEmpty = rows.length === 0;
  const said = comparison.names("params").length ? "All params are the same." : "These runs have no params.";
  return { node: isEmpty ? element("p", { class: "mlf-muted" }, said) : grid("Params by run", "mlf-compare-params", comparison, look, rows), same: same.length };
}

/** Metrics by run, with the difference to the baseline; in the order of the curves above. */
export function metricsTable(comparison, state, look) {
  const rows = comparison.rankedMetrics().map((name) => {
    const base = comparison.metric(look.baseline, name, state.which);
    const cells = comparison.runs.map((run) => {
      const value = comparison.metric(run, name, state.which);
      const cell = valueCell(value, "");
      const delta = run === look.baseline ? null : comparison.delta(value, base, name);
      if (delta) cell.append(deltaMark(delta));
      return cell;
    });
    return element("tr", {}, rowHead(name), cells);
  });
  if (!rows.length) return element("p", { class: "mlf-muted" }, "These runs have no metrics yet.");
  return grid("Metrics by run", "mlf-compare-metrics", comparison, look, rows);
}

/** A run's name beside the line that it has in the charts. */
export function runLabel(run, look) {
  return element(
    "span",
    { class: "mlf-run-label", title: run.run_name },
    look.swatch(run),
    element("span", { class: "mlf-cut" }, named(run, look)),
    run.status === "FINISHED" ? null : statusMark(fateOf(run.status, run.error), { compact: true }),
  );
}

function named(run, look) {
  const href = look.link?.(run.run_id);
  return href ? element("a", { href }, cutInTheMiddle(run.run_name)) : cutInTheMiddle(run.run_name);
}

function grid(label, className, comparison, look, rows) {
  const heads = comparison.runs.map((run) => {
    const isBase = run === look.baseline;
    return element("th", { scope: "col", class: isBase ? "mlf-base" : "" }, runLabel(run, look), isBase ? element("span", { class: "mlf-base-word" }, "baseline") : null);
  });
  const head = element("thead", {}, element("tr", {}, element("td", { class: "mlf-compare-corner" }), heads));
  return element(
    "div",
    { class: "mlf-compare-scroll", tabindex: "0", role: "group", "aria-label": label },
    element("table", { class: `mlf-compare-table ${className}`, "aria-label": label }, head, element("tbody", {}, rows)),
  );
}

function rowHead(name) {
  return element("th", { scope: "row", title: name }, element("span", { class: "mlf-cut" }, cutInTheMiddle(name)));
}

function valueCell(value, className) {
  const isNumber = typeof value === "number";
  const classes = [className, isNumber ? "mlf-number" : "", value === undefined ? "mlf-muted" : ""].filter(Boolean).join(" ");
  const text = value === undefined ? ABSENT : isNumber ? figure(value) : String(value);
  return element("td", { class: classes, title: value === undefined ? "not recorded" : exact(value) }, element("bdi", {}, text));
}

function deltaMark(delta) {
  if (delta.difference === 0) return element("span", { class: "mlf-delta mlf-muted", title: "equal to the baseline" }, "=");
  const sign = delta.difference > 0 ? "+" : "−";
  const percent = delta.percent === null ? "" : ` ${sign}${figure(Math.abs(Number(delta.percent.toPrecision(3))))} %`;
  const tone = delta.isBetter === null ? "mlf-muted" : delta.isBetter ? "mlf-better" : "mlf-worse";
  const word = delta.isBetter === null ? "" : delta.isBetter ? "better" : "worse";
  const title = `${sign}${exact(Math.abs(delta.difference))} to the baseline${word ? `: ${word}` : ""}`;
  return element(
    "span",
    { class: `mlf-delta ${tone}`, title },
    `${sign}${figure(Math.abs(delta.difference))}${percent}`,
    word ? element("span", { class: "mlf-sr" }, ` ${word}`) : null,
  );
}
