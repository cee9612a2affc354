// The columns that a runs table shows: those that a person chose, or else as many of the first ones as there is room for.

import { defaultKeys, describe, split } from "./columns.js";
import { fitWidths } from "./table_cells.js";

const FITTED_ROWS = 200;
const LEAST_PARAMS = 2;
const LEAST_METRICS = 1;
const WORD = 58; // of a state, beside its sign
const NAME_LEAST = 160;
const BESIDE = 48; // the boxes to tick, the scrollbar and the border

export class ShownColumns {
  /** Options: source, runs, order, node (whose font and width the table has), table() -> the table or null. */
  constructor(options) {
    this.options = options;
    this.list = [];
    this._keysBefore = "";
  }

  get isChosen() {
    const chosen = this.options.source.get("columns");
    return Array.isArray(chosen) && chosen.length > 0;
  }

  /** Read again what is chosen; the widths of columns that are shown already stay. */
  read() {
    this.list = this._wished();
    return this.list;
  }

  /** Show columns that a person chose, ordered or widened; null gives the first ones back. */
  choose(columns) {
    const { source } = this.options;
    if (columns) {
      this.list = this._fitted(columns);
      source.set("columns", this._told());
    } else {
      source.set("columns", []);
      this.list = [];
      this.list = this._wished();
    }
    this.options.table()?.setColumns(this.list);
  }

  /** Follow a choice that was made elsewhere. */
  follow() {
    const table = this.options.table();
    if (!table || JSON.stringify(this.options.source.get("columns") ?? []) === JSON.stringify(this._told())) return;
    table.setColumns(this.read());
  }

  /**
   * Choose the first columns anew when there are other params or metrics, or another width; and let columns grow whose
   * runs have come to need more, as far as there is room.
   */
  renew() {
    const { runs, node } = this.options;
    const keys = `${runs.keys().join("\n")} ${node.clientWidth}`;
    if (keys === this._keysBefore && runs.version === this._versionBefore) return;
    const columns = keys === this._keysBefore ? this.list : this._wished();
    [this._keysBefore, this._versionBefore] = [keys, runs.version];
    const grown = this._grown(columns);
    const look = (list) => list.map(({ key, title, width }) => `${key} ${title} ${width}`).join("\n");
    if (look(grown) === look(this.list)) return;
    this.list = grown;
    this.options.table().setColumns(grown);
  }

  _grown(columns) {
    const fitted = this._fitted(columns.map((column) => ({ ...column, isFitted: false })));
    let room = this.options.node.clientWidth - BESIDE - columns.reduce((sum, { width }) => sum + width, 0);
    return columns.map((column, place) => {
      const more = Math.min(Math.max(0, fitted[place].width - column.width), Math.max(0, room));
      room -= more;
      return more ? { ...column, width: column.width + more } : column;
    });
  }

  _told() {
    return this.list.map(({ key, width, isSized }) => (isSized ? [key, width] : key));
  }

  _wished() {
    if (!this.isChosen) return this._inWords(this._withinRoom(this._fitted(this._firstKeys().map((key) => this._column(key)))));
    const chosen = this.options.source.get("columns");
    return this._fitted(chosen.map((entry) => (Array.isArray(entry) ? this._column(...entry) : this._column(entry))));
  }

  _column(key, width) {
    const made = describe(key, this.options.runs);
    const held = this.list.find((each) => each.key === key && each.kind !== "status"); // that has a word or none
    const column = held ? { ...held, title: made.title } : made; // another run may bring a param of a metric's name
    return width ? { ...column, width, isSized: true } : column;
  }

  _firstKeys() {
    const keys = defaultKeys(this.options.runs);
    const { key } = this.options.order.sort;
    if (!keys.includes(key)) keys.splice(2, 0, key); // what is sorted by is always seen
    return keys;
  }

  /**
   * Leave out the last params, then the last metrics, until the rest is seen without scrolling; a few stay always, and
   * long names give way to them.
   */
  _withinRoom(columns) {
    const room = this.options.node.clientWidth - BESIDE;
    const shown = [...columns];
    const width = () => shown.reduce((sum, column) => sum + column.width, 0);
    for (const [kind, least] of [["params", LEAST_PARAMS], ["metrics", LEAST_METRICS]]) {
      const isSpare = (column) => split(column.key).kind === kind && column.key !== this.options.order.sort.key;
      while (room > 0 && width() > room && shown.filter(isSpare).length > least) shown.splice(shown.findLastIndex(isSpare), 1);
    }
    const over = room > 0 ? Math.max(0, width() - room) : 0;
    const narrowed = (column) => ({ ...column, width: Math.min(column.width, Math.max(NAME_LEAST, column.width - over)) });
    return shown.map((column) => (column.kind === "name" && !column.isSized && over ? narrowed(column) : column));
  }

  /** The state as a word beside its sign, where all columns leave room for it. */
  _inWords(columns) {
    const room = this.options.node.clientWidth - BESIDE - columns.reduce((sum, { width }) => sum + width, 0);
    if (room < WORD) return columns;
    return columns.map((column) => (column.kind === "status" ? { ...column, width: column.width + WORD } : column));
  }

  _fitted(columns) {
    const { order, runs, node, source } = this.options;
    const rows = order.shown.length ? order.shown : runs.rows();
    const { fontSize, fontFamily } = getComputedStyle(node);
    return fitWidths(columns, rows.slice(0, FITTED_ROWS), runs, { now: source.now(), font: `${fontSize} ${fontFamily}` });
  }
}
