// The head of a table: sorting by a click, widths and order of the columns by dragging.

import { element } from "./dom.js";

const LEAST_WIDTH = 34;
const MOST_WIDTH = 800;
const DRAG_STARTS_AT = 5;

/** Make the head of one column. */
export function columnHead(table, column, index) {
  const { sort } = table.options;
  const isSorted = sort?.key === column.key;
  const direction = isSorted ? (sort.descending ? "descending" : "ascending") : "none";
  const handle = element("span", { class: "mlf-resize", "aria-hidden": "true" });
  const head = element(
    "div",
    {
      class: `mlf-th mlf-th-${column.kind}${table._isPinned(column, index) ? " mlf-pinned" : ""}`,
      role: "columnheader",
      "aria-colindex": String(index + 2),
      "aria-sort": direction,
      title: `${column.full}\nclick: sort · drag: move · Shift+←→: move · Alt+←→: width`,
    },
    element("span", { class: column.kind === "status" ? "mlf-th-title mlf-sr" : "mlf-th-title" }, column.title),
    element("span", { class: "mlf-th-sort", "aria-hidden": "true" }, isSorted ? (sort.descending ? "▾" : "▴") : ""),
    handle,
  );
  head.style.width = `${table._places[index].width}px`;
  if (table._isPinned(column, index)) head.style.setProperty("--mlf-left", `${table._places[index].left}px`);
  handle.addEventListener("pointerdown", (event) => dragWidth(table, column, handle, event));
  head.addEventListener("pointerdown", (event) => dragHead(table, column, head, event));
  return head;
}

/** Sort by a column; by the same one again, the other way round. */
export function sortBy(table, column) {
  const { sort, onSort } = table.options;
  // Times and durations are asked for latest and longest first; everything else from its least.
  const first = column.kind === "time" || column.kind === "duration";
  onSort?.(column.key, sort?.key === column.key ? !sort.descending : first);
}

/** Put a column at another place. */
export function moveColumn(table, key, target) {
  const columns = [...table.columns];
  const from = columns.findIndex((column) => column.key === key);
  const to = Math.min(Math.max(target, 0), columns.length - 1);
  if (from === to || from < 0) return;
  columns.splice(to, 0, ...columns.splice(from, 1));
  table.active = { ...table.active, column: to };
  table.setColumns(columns);
  table.options.onColumns?.(columns);
}

/** Give a column another width. */
export function resizeColumn(table, column, width, isDone = true) {
  const bounded = Math.round(Math.min(Math.max(width, LEAST_WIDTH), MOST_WIDTH));
  const columns = table.columns.map((each) => (each.key === column.key ? { ...each, width: bounded, isSized: true } : each));
  table.setColumns(columns);
  if (isDone) table.options.onColumns?.(columns);
}

function dragWidth(table, column, handle, event) {
  event.preventDefault();
  event.stopPropagation();
  const start = { x: event.clientX, width: column.width };
  const width = (at) => start.width + at.clientX - start.x;
  follow(handle, {
    move: (at) => resizeColumn(table, column, width(at), false),
    drop: (at) => resizeColumn(table, column, width(at)),
    cancel: () => resizeColumn(table, column, start.width),
  });
}

function dragHead(table, column, head, event) {
  if (event.button !== 0) return;
  const start = event.clientX;
  let isDragging = false;
  const mark = element("div", { class: "mlf-drop", "aria-hidden": "true" });
  const finish = () => {
    mark.remove();
    head.classList.remove("mlf-dragged");
  };
  follow(head, {
    move: (at) => {
      if (!isDragging && Math.abs(at.clientX - start) < DRAG_STARTS_AT) return;
      if (!isDragging) {
        isDragging = true;
        head.classList.add("mlf-dragged");
        table.grid.append(mark);
      }
      mark.style.left = `${gapLeft(table, gapAt(table, at.clientX))}px`;
    },
    drop: (at) => {
      finish();
      if (!isDragging) {
        sortBy(table, column);
        return;
      }
      const gap = gapAt(table, at.clientX);
      const from = table.columns.findIndex((each) => each.key === column.key);
      moveColumn(table, column.key, gap > from ? gap - 1 : gap);
    },
    cancel: finish,
  });
}

// Heads are made anew while widths are dragged, so the pointer is followed on the window.
function follow(node, { move, drop, cancel }) {
  const view = node.ownerDocument.defaultView;
  const stop = () => {
    view.removeEventListener("pointermove", move);
    view.removeEventListener("pointerup", onDrop);
    view.removeEventListener("pointercancel", onCancel);
    view.removeEventListener("keydown", onEscape, true);
  };
  const onDrop = (event) => {
    stop();
    drop(event);
  };
  const onCancel = () => {
    stop();
    cancel();
  };
  const onEscape = (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    onCancel();
  };
  view.addEventListener("pointermove", move);
  view.addEventListener("pointerup", onDrop);
  view.addEventListener("pointercancel", onCancel);
  view.addEventListener("keydown", onEscape, true);
}

function gapAt(table, clientX) {
  const heads = [...table.grid.querySelectorAll(".mlf-th")].slice(1);
  const after = heads.findIndex((head) => {
    const box = head.getBoundingClientRect();
    return clientX < box.left + box.width / 2;
  });
  return after < 0 ? heads.length : after;
}

function gapLeft(table, gap) {
  const heads = [...table.grid.querySelectorAll(".mlf-th")].slice(1);
  const box = (heads[gap] ?? heads.at(-1)).getBoundingClientRect();
  const grid = table.grid.getBoundingClientRect();
  return (gap < heads.length ? box.left : box.right) - grid.left + table.grid.scrollLeft - 1;
}
