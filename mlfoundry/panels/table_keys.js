// The keyboard of a table: what each key does in the rows and in the head.

import { moveColumn, resizeColumn, sortBy } from "./table_head.js";

const RESIZE_STEP = 16;

/** Handle a key that was pressed in a table; keys that mean nothing to it go on to the page. */
export function onKey(table, event) {
  if (event.target !== table.grid) return;
  const isHandled = table.active.inHead ? headKey(table, event) : rowKey(table, event);
  if (!isHandled) return;
  event.preventDefault();
  event.stopPropagation();
}

function rowKey(table, event) {
  const { position, column } = table.active;
  const hasCommand = event.ctrlKey || event.metaKey;
  if (hasCommand && event.key.toLowerCase() === "a") {
    table.selectAll();
    return true;
  }
  if (event.key === "/" && !hasCommand) {
    table.options.onFilterKey?.();
    return true;
  }
  if (event.altKey) return false;
  const target = rowTarget(table, event.key, position);
  if (target !== null && !(hasCommand && target.isLetter)) return goTo(table, event, target.position);
  switch (event.key) {
    case "ArrowLeft":
      table.moveTo(position, hasCommand ? 0 : column - 1);
      return true;
    case "ArrowRight":
      table.moveTo(position, hasCommand ? table.shownColumns.length - 1 : column + 1);
      return true;
    case " ":
    case "x":
      if (hasCommand) return false;
      if (event.shiftKey) table.extendTo(position);
      else table.toggle(position);
      return true;
    case "Enter":
      table.options.onOpen?.(table.rows.id(position));
      return true;
    default:
      return false;
  }
}

function rowTarget(table, key, position) {
  const page = Math.max(Math.floor(table.grid.clientHeight / table.rowHeight) - 2, 1);
  const targets = {
    ArrowDown: position + 1,
    j: position + 1,
    ArrowUp: position - 1,
    k: position - 1,
    PageDown: position + page,
    PageUp: position - page,
    Home: 0,
    End: table.rows.total - 1,
  };
  const known = key === "J" || key === "K" ? key.toLowerCase() : key;
  return Object.hasOwn(targets, known) ? { position: targets[known], isLetter: known.length === 1 } : null;
}

function goTo(table, event, target) {
  const { position, column } = table.active;
  if (target < 0 && position === 0 && !event.shiftKey) {
    table.moveToHead(column);
    return true;
  }
  if (event.shiftKey && table.anchor === null) table.anchor = table.rows.id(position) ?? null;
  table.moveTo(target);
  if (event.shiftKey) table.extendTo(table.active.position);
  return true;
}

function headKey(table, event) {
  const index = table.active.column;
  const column = table.shownColumns[index];
  const sideways = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (sideways && event.shiftKey) moveColumn(table, column.key, index + sideways);
  else if (sideways && event.altKey) resizeColumn(table, column, column.width + sideways * RESIZE_STEP);
  else if (sideways) table.moveToHead(index + sideways);
  else if (event.key === "Enter" || event.key === " ") sortBy(table, column);
  else if (event.key === "ArrowDown" || event.key === "j") table.moveTo(table.active.position, index);
  else if (event.key === "/") table.options.onFilterKey?.();
  else return false;
  return true;
}
