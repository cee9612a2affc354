// What the pointer and the clipboard do in a table's rows: ticking, stretches, opening, whole values on hover, copying.

import { wholeText } from "./table_cells.js";

/** Begin to listen in a table. */
export function listenToPointer(table) {
  table.grid.addEventListener("click", (event) => onClick(table, event));
  table.grid.addEventListener("dblclick", (event) => onDoubleClick(table, event));
  table.grid.addEventListener("pointerover", (event) => onHover(table, event));
  table.grid.addEventListener("copy", (event) => onCopy(table, event));
}

/** The selected rows (or, without any, the active cell) as text with tabs, whole values. */
export function copyText(table) {
  const { columns, rows } = table;
  const positions = [...table.selected].map((id) => rows.position(id)).filter((place) => place >= 0);
  if (!positions.length) {
    const column = table.shownColumns[table.active.column];
    return wholeText(rows.value(table.active.position, column.key), column, true);
  }
  positions.sort((left, right) => left - right);
  const cell = (text) => (/[\t\r\n"]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const line = (place) => columns.map((column) => cell(wholeText(rows.value(place, column.key), column, true)));
  return [columns.map((column) => cell(column.full)), ...positions.map(line)].map((cells) => cells.join("\t")).join("\n");
}

function placeOf(table, event) {
  const row = event.target.closest?.(".mlf-tr");
  if (!row || !table.body.contains(row)) return null;
  const cell = event.target.closest(".mlf-td");
  return { row, cell, position: row.mlfPosition, column: cell ? [...row.children].indexOf(cell) - 1 : 0 };
}

function onClick(table, event) {
  const place = placeOf(table, event);
  if (!place || event.target.closest("a")) return;
  table.moveTo(place.position, Math.max(place.column, 0));
  if (event.shiftKey) table.extendTo(place.position);
  else if (event.detail < 2) table.toggle(place.position);
}

function onDoubleClick(table, event) {
  const place = placeOf(table, event);
  if (!place || place.column < 0 || event.target.closest("a")) return;
  table.toggle(place.position); // a double click opens; the tick that its first half made goes again
  table.options.onOpen?.(table.rows.id(place.position));
}

function onHover(table, event) {
  const place = placeOf(table, event);
  if (!place?.cell || place.column < 0 || place.row.mlfIsEmpty) return;
  const column = table.shownColumns[place.column];
  let text = wholeText(table.rows.value(place.position, column.key), column, false);
  const isAboutRun = column.kind === "name" || column.kind === "status";
  const error = isAboutRun ? table.rows.value(place.position, "error") : undefined;
  if (error) text += `\n${error}`;
  place.cell.title = text;
}

function onCopy(table, event) {
  const isTextSelected = String(table.grid.ownerDocument.defaultView.getSelection()) !== "";
  if (isTextSelected || !table.rows.total) return;
  event.clipboardData.setData("text/plain", copyText(table));
  event.preventDefault();
}
