// A table of any length of which only the visible rows exist. It draws what a `rows` provider holds and
// keeps the selection, by id; what an order or a filter means is its owner's business.
//
// rows = { total, id(position), value(position, key), position(id) -> -1, ensure(from, to) -> Promise }

import { element } from "./dom.js";
import { columnHead } from "./table_head.js";
import { onKey } from "./table_keys.js";
import { drawCell, emptyCell } from "./table_cells.js";
import { listenToPointer } from "./table_pointer.js";

const ROW_HEIGHT = 28;
const CARD_HEIGHT = 44;
const TOUCHED_HEIGHT = 36;
/** Most that a column beside the name takes of a card. */
const CARD_VALUE_WIDTH = 100;
const HEAD_HEIGHT = 30;
const CHECK_WIDTH = 30;
const OVERSCAN = 8;
// Cells this far out of sight to either side are drawn as well, in pixels.
const ASIDE = 240;
const CARDS_BELOW = 480;
let tables = 0;

/**
 * The grid.
 *
 * Options: label; columns (see columns.js); now() in seconds; sort {key, descending}; and what to call:
 * onSort(key, descending), onSelect(ids), onOpen(id), onColumns(columns), onFilterKey(), cardKeys(columns).
 */
export class Table {
  constructor(parent, rows, options) {
    this.rows = rows;
    this.options = options;
    this.columns = options.columns;
    this.selected = new Set();
    this.active = { id: null, position: 0, column: 0, inHead: false };
    this.anchor = null;
    this._name = `mlf-table-${(tables += 1)}`;
    this._pool = [];
    this._version = 0;
    this._build(parent);
    this._resizing = new ResizeObserver(() => this._measure());
    this._resizing.observe(this.grid);
    this._measure();
  }

  dispose() {
    this._resizing.disconnect();
    this.grid.remove();
  }

  /** Draw again: rows came, went, changed or stand in another order. */
  refresh() {
    this._version += 1;
    if (this.active.id !== null && this.rows.position(this.active.id) >= 0) {
      this.active.position = this.rows.position(this.active.id);
    } else if (this.rows.total) {
      this.active.position = Math.min(this.active.position, this.rows.total - 1);
      this.active.id = null;
    }
    this.body.style.height = `${this.rows.total * this.rowHeight}px`;
    this.grid.setAttribute("aria-rowcount", String(this.rows.total + 1));
    this._draw();
  }

  setColumns(columns) {
    this.columns = columns;
    this.active.column = Math.min(this.active.column, columns.length - 1);
    this._layOut();
  }

  setSort(sort) {
    this.options.sort = sort;
    this._layOut();
  }

  /** Select exactly these ids. */
  select(ids) {
    this.selected = new Set(ids);
    this.refresh();
  }

  /** Make a row active and bring it into view. */
  reveal(id) {
    const position = this.rows.position(id);
    if (position >= 0) this.moveTo(position, this.active.column);
  }

  /** The row at the top of the view and how far it has been scrolled past; `hold` puts it back there. */
  held() {
    const position = Math.floor(this.grid.scrollTop / this.rowHeight);
    return { id: this.rows.id(position), past: this.grid.scrollTop - position * this.rowHeight };
  }

  hold({ id, past }) {
    const position = id === undefined ? -1 : this.rows.position(id);
    if (position >= 0) this.grid.scrollTop = position * this.rowHeight + past;
  }

  get shownColumns() {
    if (!this.isNarrow) return this.columns;
    const keys = this.options.cardKeys?.(this.columns) ?? ["status", "name"];
    return keys.map((key) => this.columns.find((column) => column.key === key)).filter(Boolean);
  }

  // -- movement and selection ------------------------------------------------------------------

  moveTo(position, column = this.active.column) {
    if (!this.rows.total) return;
    const bounded = Math.min(Math.max(position, 0), this.rows.total - 1);
    const lastColumn = this.shownColumns.length - 1;
    this.active = {
      id: this.rows.id(bounded) ?? null,
      position: bounded,
      column: Math.min(Math.max(column, 0), lastColumn),
      inHead: false,
    };
    this._scrollIntoView(bounded, this.active.column);
    this._version += 1;
    this._draw();
  }

  moveToHead(column) {
    const lastColumn = this.shownColumns.length - 1;
    this.active = { ...this.active, column: Math.min(Math.max(column, 0), lastColumn), inHead: true };
    this._version += 1;
    this._draw();
  }

  toggle(position) {
    const id = this.rows.id(position);
    if (id === undefined) return;
    if (!this.selected.delete(id)) this.selected.add(id);
    this.anchor = id;
    this._changed();
  }

  /** Select from the anchor to a row, beside what is selected already. */
  async extendTo(position) {
    const start = this.anchor === null ? this.active.position : this.rows.position(this.anchor);
    const from = Math.min(start < 0 ? position : start, position);
    const to = Math.max(start, position);
    await this.rows.ensure(from, to + 1);
    for (let place = from; place <= to; place += 1) this.selected.add(this.rows.id(place));
    if (this.anchor === null) this.anchor = this.rows.id(start);
    this._changed();
  }

  async selectAll() {
    await this.rows.ensure(0, this.rows.total);
    for (let place = 0; place < this.rows.total; place += 1) this.selected.add(this.rows.id(place));
    this._changed();
  }

  _changed() {
    this._version += 1;
    this._draw();
    this.options.onSelect?.([...this.selected]);
  }

  // -- drawing ---------------------------------------------------------------------------------

  _build(parent) {
    this._head = element("div", { class: "mlf-table-head", role: "row", "aria-rowindex": "1" });
    this.body = element("div", { class: "mlf-table-body", role: "rowgroup" });
    this.grid = element(
      "div",
      {
        class: "mlf-table",
        role: "grid",
        tabindex: "0",
        "aria-label": this.options.label,
        "aria-multiselectable": "true",
        // JupyterLab takes j, k, x, Enter and the arrows for its own cells wherever this is not said.
        "data-lm-suppress-shortcuts": "true",
      },
      this._head,
      this.body,
    );
    parent.append(this.grid);
    this.grid.addEventListener("scroll", () => this._onScroll(), { passive: true });
    this.grid.addEventListener("keydown", (event) => onKey(this, event));
    listenToPointer(this);
    this.grid.addEventListener("focus", () => this._draw());
    this.grid.addEventListener("blur", () => this._draw());
  }

  _measure() {
    const isNarrow = this.grid.clientWidth > 0 && this.grid.clientWidth < CARDS_BELOW;
    const width = this.grid.clientWidth;
    this._height = this.grid.clientHeight;
    if (isNarrow !== this.isNarrow || width !== this._width) {
      this._width = width;
      this.isNarrow = isNarrow;
      this.rowHeight = isNarrow ? CARD_HEIGHT : matchMedia("(pointer: coarse)").matches ? TOUCHED_HEIGHT : ROW_HEIGHT;
      this.grid.classList.toggle("mlf-table-cards", isNarrow);
      this._layOut();
    } else {
      this._draw();
    }
  }

  /** Give every column its place; called when columns or the width change, never while scrolling. */
  _layOut() {
    const columns = this.shownColumns;
    let left = CHECK_WIDTH;
    this._places = columns.map((column) => {
      const width = this.isNarrow ? this._widthOnCards(column, columns) : column.width;
      const place = { left, width };
      left += width;
      return place;
    });
    this.body.style.width = `${left}px`;
    this._head.style.width = `${left}px`;
    this.body.style.setProperty("--mlf-row", `${this.rowHeight}px`);
    this.grid.setAttribute("aria-colcount", String(columns.length + 1));
    this._head.replaceChildren(
      element("div", { class: "mlf-th mlf-check", role: "columnheader", "aria-colindex": "1" }, element("span", { class: "mlf-sr" }, "selected")),
      ...columns.map((column, index) => columnHead(this, column, index)),
    );
    this._pool.forEach((row) => row.remove());
    this._pool = [];
    this.refresh();
  }

  _widthOnCards(column, columns) {
    const value = ({ width }) => Math.min(width, CARD_VALUE_WIDTH);
    if (column.kind !== "name") return value(column);
    const others = columns.filter(({ kind }) => kind !== "name").reduce((sum, other) => sum + value(other), 0);
    return Math.max(this._width - CHECK_WIDTH - others, 120);
  }

  _drawSoon() {
    if (this._awaitsFrame) return;
    this._awaitsFrame = true;
    requestAnimationFrame(() => {
      this._awaitsFrame = false;
      this._draw();
    });
  }

  _draw() {
    if (!this._places) return;
    const visible = Math.ceil(Math.max(this._height, ROW_HEIGHT) / this.rowHeight) + 1;
    // Both are read before anything is written: reading them after makes the browser lay out the whole page at once.
    const first = Math.floor(this.grid.scrollTop / this.rowHeight);
    this._aside = this.grid.scrollLeft;
    const from = Math.max(0, first - OVERSCAN);
    const to = Math.min(this.rows.total, first + visible + OVERSCAN);
    this._enlargePool(visible + 2 * OVERSCAN);
    let isMissing = false;
    const used = new Set();
    for (let position = from; position < to; position += 1) {
      const row = this._pool[position % this._pool.length];
      used.add(row);
      if (row.mlfPosition !== position || row.mlfVersion !== this._version) this._fill(row, position);
      isMissing ||= row.mlfIsEmpty;
    }
    for (const row of this._pool) if (!used.has(row)) hide(row);
    this._markActive();
    if (isMissing) this._fetch(from, to);
  }

  _enlargePool(size) {
    if (this._pool.length >= size) return;
    // Rows find their place by their position modulo the pool, so a larger pool lays all out anew.
    for (const row of this._pool) hide(row);
    while (this._pool.length < size) {
      const row = this._newRow();
      this._pool.push(row);
      this.body.append(row);
    }
  }

  _newRow() {
    const check = element("div", { class: "mlf-td mlf-check", role: "gridcell", "aria-colindex": "1" });
    check.append(element("span", { class: "mlf-box", "aria-hidden": "true" }));
    const cells = this.shownColumns.map((column, index) => {
      const cell = element("div", { role: "gridcell", "aria-colindex": String(index + 2) });
      cell.className = `mlf-td mlf-td-${column.kind}${this._isPinned(column, index) ? " mlf-pinned" : ""}`;
      cell.style.width = `${this._places[index].width}px`;
      if (this._isPinned(column, index)) cell.style.setProperty("--mlf-left", `${this._places[index].left}px`);
      return cell;
    });
    const row = element("div", { class: "mlf-tr", role: "row" }, check, ...cells);
    row.hidden = true;
    return row;
  }

  /** State and name stay in sight while the rest is scrolled sideways, where the room allows it. */
  _isPinned(column, index) {
    const isFirst = index < 2 && (column.kind === "name" || column.kind === "status");
    return isFirst && this._places[index].left + this._places[index].width < this._width * 0.55;
  }

  _fill(row, position) {
    const id = this.rows.id(position);
    const isSelected = id !== undefined && this.selected.has(id);
    if (row.mlfPosition !== position) row.style.transform = `translateY(${position * this.rowHeight}px)`;
    row.hidden = false;
    row.mlfPosition = position;
    row.mlfVersion = this._version;
    row.mlfIsEmpty = id === undefined;
    row.setAttribute("aria-rowindex", String(position + 2));
    row.setAttribute("aria-selected", String(isSelected));
    const cells = row.children;
    this.shownColumns.forEach((column, index) => {
      const cell = cells[index + 1];
      if (!this._isInSight(index)) return;
      if (id === undefined) emptyCell(cell);
      else drawCell(cell, column, this.rows.value(position, column.key), (key) => this.rows.value(position, key), this);
    });
  }

  _markActive() {
    const hasFocus = this.grid.ownerDocument.activeElement === this.grid || this.grid.matches(":focus");
    this._marked?.classList.remove("mlf-active");
    this._marked?.removeAttribute("id");
    const row = this.active.inHead ? this._head : this._pool.find((each) => !each.hidden && each.mlfPosition === this.active.position);
    this._marked = row?.children[this.active.column + 1] ?? null;
    if (!this._marked) {
      this.grid.removeAttribute("aria-activedescendant");
      return;
    }
    this._marked.id = `${this._name}-active`;
    this._marked.classList.toggle("mlf-active", hasFocus);
    this.grid.setAttribute("aria-activedescendant", this._marked.id);
  }

  async _fetch(from, to) {
    await this.rows.ensure(from, to);
    this._version += 1;
    this._drawSoon();
  }

  _scrollIntoView(position, column) {
    const top = position * this.rowHeight;
    const room = this._height - HEAD_HEIGHT - this.rowHeight;
    if (top < this.grid.scrollTop) this.grid.scrollTop = top;
    else if (top > this.grid.scrollTop + room) this.grid.scrollTop = top - room;
    const { left, width } = this._places[column];
    const pinned = this._places.reduce((sum, place, index) => sum + (this._isPinned(this.shownColumns[index], index) ? place.width : 0), CHECK_WIDTH);
    if (this._isPinned(this.shownColumns[column], column)) return;
    if (left - pinned < this.grid.scrollLeft) this.grid.scrollLeft = left - pinned;
    else if (left + width > this.grid.scrollLeft + this._width) this.grid.scrollLeft = left + width - this._width;
  }

  _isInSight(index) {
    const { left, width } = this._places[index];
    const from = this._aside;
    return this._isPinned(this.shownColumns[index], index) || (left + width > from - ASIDE && left < from + this._width + ASIDE);
  }

  _onScroll() {
    const { scrollLeft } = this.grid;
    this.grid.classList.toggle("mlf-table-aside", scrollLeft > 0);
    if (Math.abs(scrollLeft - (this._filledAt ?? 0)) > ASIDE / 2) {
      this._filledAt = scrollLeft;
      this._version += 1;
    }
    this._drawSoon();
  }
}

function hide(row) {
  if (row.hidden) return;
  row.hidden = true;
  row.mlfPosition = -1;
}
