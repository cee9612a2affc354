// The runs of one project as columns: taking frames in, ordering, searching words. No DOM.
// A value is a number, a text, or undefined where a run has none. Rows keep their number for good,
// so that an order is a list of row numbers and a selection a list of run ids.

import { byName, isOwnTag } from "./columns.js";

const FIRST_CAPACITY = 256;
const ALWAYS = new Set(["run_id", "name", "status", "started_at", "ended_at", "created_by", "description", "error"]);

/** One column: numbers as doubles with a presence byte; anything else as an array of texts and numbers. */
class Column {
  constructor(capacity, isText) {
    this.numbers = isText ? null : new Float64Array(capacity);
    this.has = isText ? null : new Uint8Array(capacity);
    this.mixed = isText ? new Array(capacity) : null;
  }

  grow(capacity) {
    if (this.mixed) {
      this.mixed.length = capacity;
      return;
    }
    const numbers = new Float64Array(capacity);
    const has = new Uint8Array(capacity);
    numbers.set(this.numbers);
    has.set(this.has);
    this.numbers = numbers;
    this.has = has;
  }

  becomeMixed() {
    if (this.mixed) return;
    this.mixed = Array.from(this.numbers, (value, row) => (this.has[row] ? value : undefined));
    this.numbers = null;
    this.has = null;
  }

  get(row) {
    if (this.mixed) return this.mixed[row];
    return this.has[row] ? this.numbers[row] : undefined;
  }

  set(row, value) {
    if (typeof value === "string") this.becomeMixed();
    if (this.mixed) {
      this.mixed[row] = value;
    } else {
      this.has[row] = value === undefined ? 0 : 1;
      this.numbers[row] = value ?? 0;
    }
  }

  /** Take a whole frame's column for rows that follow one another. */
  setNumbers(start, values, has) {
    this.numbers.set(values, start);
    if (has) this.has.set(has, start);
    else this.has.fill(1, start, start + values.length);
  }
}

/** Every run that the page knows of, fed by `runs` frames. */
export class Runs {
  constructor() {
    this.project = {};
    this.total = 0;
    this.version = 0;
    this._columns = new Map();
    this._rows = new Map();
    this._ids = [];
    this._gone = new Uint8Array(FIRST_CAPACITY);
    this._capacity = FIRST_CAPACITY;
    this._haystacks = [];
    this._arriving = null;
  }

  /** Take a decoded frame: insert or replace its rows by run id. Returns the ids that are new. */
  take(header, columns) {
    if (header.project) this.project = { ...this.project, ...header.project };
    const byName = new Map(header.columns.map((column) => [column.name, column]));
    const ids = readColumn(byName.get("run_id"), columns);
    const fresh = [];
    const rows = ids.map((id) => this._place(id, fresh));
    const masks = new Set(header.columns.map((column) => column.has).filter(Boolean));
    for (const described of header.columns) {
      if (described.name !== "run_id" && !masks.has(described.name)) this._fill(described, columns, rows);
    }
    this._clear(byName, rows, new Set(fresh));
    for (const row of rows) this._haystacks[row] = undefined;
    this._forget(header.gone ?? []);
    this._generation(header, ids);
    this.total = Math.max(header.total ?? 0, this.rows().length);
    this.version += 1;
    return fresh;
  }

  /** Forget runs, for example those that were just deleted. */
  remove(ids) {
    this._forget(ids);
    this.total = this.rows().length;
    this.version += 1;
  }

  /** Bring forgotten runs back as they were. */
  restore(ids) {
    for (const id of ids) {
      const row = this._rows.get(id);
      if (row !== undefined) this._gone[row] = 0;
    }
    this.total = this.rows().length;
    this.version += 1;
  }

  /** Change one value of a run, as somebody here has just done; undefined takes it away. */
  change(id, key, value) {
    const row = this._rows.get(id);
    if (row === undefined) return;
    if (!this._columns.has(key)) this._columns.set(key, new Column(this._capacity, true));
    this._columns.get(key).set(row, value);
    this._haystacks[row] = undefined;
    this.version += 1;
  }

  /** Numbers of the rows that are there, in the order in which they came. */
  rows() {
    const rows = [];
    for (let row = 0; row < this._ids.length; row += 1) if (!this._gone[row]) rows.push(row);
    return rows;
  }

  /** Whether pieces of a whole list are still to come. */
  get isArriving() {
    return this._arriving !== null;
  }

  id(row) {
    return this._ids[row];
  }

  /** Row number of a run, -1 where there is no such run. */
  row(id) {
    const row = this._rows.get(id);
    return row === undefined || this._gone[row] ? -1 : row;
  }

  /** Value of a column key such as `metrics.loss`, `params.lr`, `name` or `took`. */
  value(row, key) {
    if (key === "run_id") return this._ids[row];
    if (key === "took") {
      const started = this.value(row, "started_at");
      const ended = this.value(row, "ended_at");
      return started === undefined || ended === undefined ? undefined : ended - started;
    }
    return this._columns.get(key)?.get(row);
  }

  /** Keys of params, metrics (with their extremes) and tags, sorted within each kind; without the tracker's own tags. */
  keys() {
    const keys = [...this._columns.keys()].filter((key) => !ALWAYS.has(key) && !isOwnTag(key));
    return keys.sort(byName);
  }

  /** Whether any run has ever come with a param, a metric or a tag. */
  has(key) {
    return this._columns.has(key);
  }

  isNumeric(key) {
    return key === "took" || Boolean(this._columns.get(key)?.numbers);
  }

  /** How many runs hold a value, and how many different ones (counted up to `limit`). */
  spread(key, limit = 200) {
    const seen = new Set();
    let count = 0;
    for (const row of this.rows()) {
      const value = this.value(row, key);
      if (value === undefined) continue;
      count += 1;
      if (seen.size < limit) seen.add(value);
    }
    return { count, distinct: seen.size };
  }

  /** The given rows by a column; absent values last in both directions, NaN just before them. */
  ordered(rows, key, descending) {
    const present = [];
    const notNumbers = [];
    const absent = [];
    for (const row of rows) {
      const value = this.value(row, key);
      if (value === undefined) absent.push(row);
      else if (Number.isNaN(value)) notNumbers.push(row);
      else present.push(row);
    }
    const ranks = this._ranks(present, key);
    const sign = descending ? -1 : 1;
    // Runs with equal values stand newest first, in both directions.
    present.sort((left, right) => sign * (ranks[left] - ranks[right]) || this._newer(left, right));
    return present.concat(notNumbers, absent);
  }

  /** The given rows whose name, params, tags, status, user or error hold every word. */
  holding(rows, text) {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    if (!words.length) return rows;
    return rows.filter((row) => {
      const haystack = (this._haystacks[row] ??= this._haystack(row));
      return words.every((word) => haystack.includes(word));
    });
  }

  _place(id, fresh) {
    let row = this._rows.get(id);
    if (row === undefined) {
      row = this._ids.length;
      this._ids.push(id);
      this._rows.set(id, row);
      fresh.push(id);
      if (row >= this._capacity) this._grow();
    }
    this._gone[row] = 0;
    return row;
  }

  _grow() {
    this._capacity *= 2;
    const gone = new Uint8Array(this._capacity);
    gone.set(this._gone);
    this._gone = gone;
    for (const column of this._columns.values()) column.grow(this._capacity);
  }

  _fill(described, columns, rows) {
    const isText = Boolean(described.dict);
    let column = this._columns.get(described.name);
    if (!column) {
      column = new Column(this._capacity, isText);
      this._columns.set(described.name, column);
    }
    const data = columns[described.name];
    const has = described.has ? columns[described.has] : null;
    const isTime = described.name === "started_at" || described.name === "ended_at";
    if (!isText && column.numbers && !isTime && isContiguous(rows)) {
      column.setNumbers(rows[0], data, has);
      return;
    }
    const dictionary = described.dict;
    rows.forEach((row, index) => {
      if (isText) column.set(row, data[index] ? dictionary[data[index]] : undefined);
      else if (has && !has[index]) column.set(row, undefined);
      else column.set(row, isTime && Number.isNaN(data[index]) ? undefined : data[index]);
    });
  }

  // A frame holds all that its runs have: a tag that it does not name has been taken away.
  _clear(byName, rows, fresh) {
    const known = rows.filter((row) => !fresh.has(this._ids[row]));
    for (const [key, column] of known.length ? this._columns : []) {
      if (!byName.has(key)) for (const row of known) column.set(row, undefined);
    }
  }

  _forget(ids) {
    for (const id of ids) {
      const row = this._rows.get(id);
      if (row !== undefined) this._gone[row] = 1;
    }
  }

  // A whole list comes in pieces; once it is complete, what was not in it has been deleted.
  _generation(header, ids) {
    if (!header.whole) return;
    if (!header.offset) this._arriving = new Set();
    if (!this._arriving) return;
    for (const id of ids) this._arriving.add(id);
    if (this._arriving.size < (header.total ?? 0)) return;
    this._forget(this._ids.filter((id) => !this._arriving.has(id)));
    this._arriving = null;
  }

  _newer(left, right) {
    return (this.value(right, "started_at") ?? 0) - (this.value(left, "started_at") ?? 0) || right - left;
  }

  // Texts are compared once per different text, not once per pair of rows.
  _ranks(rows, key) {
    const ranks = new Float64Array(this._ids.length);
    const texts = new Set();
    for (const row of rows) {
      const value = this.value(row, key);
      if (typeof value === "number") ranks[row] = value;
      else texts.add(value);
    }
    if (!texts.size) return ranks;
    const numbers = [...new Set(rows.map((row) => this.value(row, key)).filter((value) => typeof value === "number"))];
    const order = [...numbers.sort((left, right) => left - right), ...[...texts].sort(byName)];
    const places = new Map(order.map((value, place) => [value, place]));
    for (const row of rows) ranks[row] = places.get(this.value(row, key));
    return ranks;
  }

  _haystack(row) {
    const parts = [this._ids[row]];
    for (const [key, column] of this._columns) {
      if (key.includes("metrics.") || key.endsWith("_at") || isOwnTag(key)) continue;
      const value = column.get(row);
      if (value !== undefined) parts.push(String(value));
    }
    return parts.join("\n").toLowerCase();
  }
}

function readColumn(described, columns) {
  const data = columns[described.name];
  if (!described.dict) return Array.from(data);
  return Array.from(data, (code) => described.dict[code]);
}

function isContiguous(rows) {
  for (let index = 1; index < rows.length; index += 1) if (rows[index] !== rows[index - 1] + 1) return false;
  return rows.length > 0;
}
