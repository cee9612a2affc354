// How one cell of a table is drawn, and its whole value as text for a hover and for the clipboard.
// Cells are used again and again while scrolling: what stands in one already is not written again.

import { NAME_WIDTH } from "./columns.js";
import { element, fateOf, setText, statusMark } from "./dom.js";
import { ABSENT, ago, clock, duration, exact, figure } from "./numbers.js";

const TAIL = 9;
const FROM_RIGHT = /[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}]/u;
const ONE_EACH = /^[\x20-\x7e]*$/;
const CELL_PADDING = 20;
const SORT_MARK = 11;
const SLACK = 2;
const WORD_FROM = 80;
const segmenter = new Intl.Segmenter();

/** Draw a value into a cell. `other(key)` gives the row's other values. */
export function drawCell(cell, column, value, other, table) {
  setClass(cell, "mlf-waits", false);
  if (column.kind === "status") drawStatus(cell, value, other("error"), column.width < WORD_FROM);
  else if (column.kind === "name") drawName(cell, value ?? "", other, table);
  else drawText(cell, shortText(column, value, other, table.options.now()), value === undefined);
}

/** Set a class only where it differs: to a class list, setting what is set is a change of the element as well. */
function setClass(cell, name, is) {
  if (cell.classList.contains(name) !== is) cell.classList.toggle(name, is);
}

/** Draw a cell whose row has not arrived. */
export function emptyCell(cell) {
  if (cell.mlfShown === null) return;
  cell.mlfShown = null;
  cell.replaceChildren();
  setClass(cell, "mlf-waits", true);
}

/** The whole value: for people on hover, or `isData` for the clipboard (ISO times, seconds, nothing for absent). */
export function wholeText(value, column, isData) {
  if (value === undefined || value === null) return isData ? "" : "not recorded";
  if (column.kind === "time") return isData ? new Date(value * 1000).toISOString() : clock(value);
  if (column.kind === "duration" && !isData) return `${exact(value)} s`;
  return exact(value);
}

/** The exception's type out of `ValueError: text`. */
export function errorType(error) {
  return /^[^\s:]{1,60}(?=:|$)/.exec(error ?? "")?.[0] ?? (error ? "error" : "");
}

/** Elements that show a text cut in its middle where there is no room for it. */
export function cutInTheMiddle(text) {
  const [head, tail] = headAndTail(text);
  const end = tail ? [element("bdi", { class: "mlf-cut-tail" }, tail)] : [];
  return [element("bdi", { class: "mlf-cut-head" }, head), ...end];
}

/** A text and its last characters, as a reader counts them; a short one is in one piece. */
function headAndTail(text) {
  // Two pieces side by side would turn a text from right to left around: it is cut at its end.
  if (FROM_RIGHT.test(text)) return [text, ""];
  // Nearly all names: characters are what a string counts, and finding them costs nothing.
  const parts = ONE_EACH.test(text) ? text : [...segmenter.segment(text)].map(({ segment }) => segment);
  if (parts.length <= TAIL * 2) return [text, ""];
  const join = (some) => (typeof some === "string" ? some : some.join(""));
  return [join(parts.slice(0, -TAIL)), join(parts.slice(-TAIL))];
}

/** Columns as wide as their first rows need, within bounds; a width that a person chose stays. */
export function fitWidths(columns, rows, runs, { now, font }) {
  const pen = document.createElement("canvas").getContext("2d");
  return columns.map((column) => {
    if (column.isSized || column.isFitted || !rows.length || column.kind === "status") return column;
    pen.font = `600 ${font}`; // as the title of the column that is sorted by
    let widest = pen.measureText(column.title).width + SORT_MARK;
    pen.font = font;
    for (const row of rows) {
      const text = shortText(column, runs.value(row, column.key), (key) => runs.value(row, key), now);
      const error = column.kind === "name" ? errorType(runs.value(row, "error")) : "";
      widest = Math.max(widest, pen.measureText(text).width + (error ? pen.measureText(error).width + 8 : 0));
    }
    const [least, most] = column.kind === "name" ? [120, NAME_WIDTH] : [56, 190];
    return { ...column, width: Math.round(Math.min(Math.max(widest + CELL_PADDING + SLACK, least), most)), isFitted: true };
  });
}

function shortText(column, value, other, now) {
  if (column.key === "took" && value === undefined && other("status") === "RUNNING") {
    return duration(now - other("started_at"));
  }
  if (value === undefined || value === null) return ABSENT;
  if (column.kind === "time") return ago(value, now);
  if (column.kind === "duration") return duration(value);
  return typeof value === "number" ? figure(value) : value;
}

function drawText(cell, text, isAbsent) {
  if (cell.mlfShown === text) return;
  cell.mlfShown = text;
  setText(cell, text);
  setClass(cell, "mlf-absent", isAbsent);
}

function drawStatus(cell, status, error, compact) {
  const fate = fateOf(status, error);
  const shown = `${fate} ${compact}`;
  if (cell.mlfShown === shown) return;
  cell.mlfShown = shown;
  cell.replaceChildren(statusMark(fate, { compact }));
}

function drawName(cell, name, other, table) {
  const error = errorType(other("error"));
  const isLost = fateOf(other("status"), other("error")) === "LOST";
  const detail = table.isNarrow ? cardDetail(other, table.options.now()) : "";
  const shown = `${name}\n${isLost}${error}\n${detail}\n${table.options.link ? other("run_id") : ""}`;
  if (cell.mlfShown === shown) return;
  cell.mlfShown = shown;
  const href = table.options.link?.(other("run_id"));
  const [head, tail] = headAndTail(name);
  const shape = `${Boolean(tail)} ${Boolean(error)} ${table.isNarrow} ${Boolean(href)}`;
  // While scrolling a cell mostly gets a name of the same shape: then only its texts are written.
  if (cell.mlfName?.shape !== shape || cell.mlfName.first !== cell.firstChild) cell.mlfName = nameParts(cell, shape, { tail, error, href, table });
  const { texts, link } = cell.mlfName;
  setText(texts.head, head);
  if (tail) setText(texts.tail, tail);
  if (error) setText(texts.error, isLost ? "lost" : error);
  setClass(texts.error, "mlf-status-lost", isLost);
  if (table.isNarrow) setText(texts.times, detail);
  if (href) link.href = href;
}

function nameParts(cell, shape, { tail, error, href, table }) {
  const texts = {
    head: element("bdi", { class: "mlf-cut-head" }),
    tail: element("bdi", { class: "mlf-cut-tail" }),
    error: element("span", { class: "mlf-error-type" }),
    times: element("span", { class: "mlf-card-times" }),
  };
  const failure = error ? [texts.error] : [];
  const below = table.isNarrow ? [element("span", { class: "mlf-card-detail" }, ...failure, texts.times)] : failure;
  const cut = [texts.head, tail ? texts.tail : null];
  // Not a stop of its own for the Tab key: the grid is one, and Enter opens its active row.
  const link = href ? element("a", { href, class: "mlf-row-link", tabindex: "-1", draggable: "false" }, ...cut) : null;
  const first = element("span", { class: "mlf-cut" }, ...(link ? [link] : cut));
  cell.replaceChildren(first, ...below);
  return { shape, first, texts, link };
}

function cardDetail(other, now) {
  const started = other("started_at");
  const ended = other("ended_at") ?? now;
  return started === undefined ? "" : `${ago(started, now)} · ${duration(ended - started)}`;
}
