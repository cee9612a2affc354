// Which runs a table shows, and in which order: the `rows` that table.js draws. Filtering, searching and sorting
// happen here when every run is at hand; where the source holds more than it has sent, it is asked page by page.

const PAGE = 200;

export class RowOrder {
  /** `ask(offset) -> Promise<[{header, columns}]>` fetches a page of the source's own order; only used when paged. */
  constructor(runs, ask) {
    this.runs = runs;
    this.matched = null;
    this.words = "";
    this.sort = { key: "started_at", descending: true };
    this.isPaged = false;
    this.filter = ""; // of the pages
    this._ask = ask;
    this._order = [];
    this._positions = null;
    this._pages = new Map();
    this._pagedTotal = 0;
  }

  get total() {
    return this.isPaged ? this._pagedTotal : this._order.length;
  }

  /** Row numbers in the order shown. */
  get shown() {
    return this._order.filter((row) => row !== undefined);
  }

  id(position) {
    const row = this._order[position];
    return row === undefined ? undefined : this.runs.id(row);
  }

  value(position, key) {
    const row = this._order[position];
    return row === undefined ? undefined : this.runs.value(row, key);
  }

  position(id) {
    this._positions ??= new Map(this._order.map((row, position) => [row, position]));
    const row = this.runs.row(id);
    return row < 0 ? -1 : (this._positions.get(row) ?? -1);
  }

  /** Rows that filter and words leave, in no particular order. */
  matching(words = this.words, matched = this.matched) {
    let rows = this.runs.rows();
    if (matched) rows = rows.filter((row) => matched.has(this.runs.id(row)));
    return words ? this.runs.holding(rows, words) : rows;
  }

  /** Filter, search and sort anew. */
  arrange() {
    const isWhole = !this.isPaged || this.matched || this.words;
    if (!isWhole) return;
    this._order = this.runs.ordered(this.matching(), this.sort.key, this.sort.descending);
    this._pagedTotal = this._order.length;
    this._positions = null;
  }

  /** Take away what is gone and leave everything else where it stands. */
  dropGone() {
    this._order = this._order.filter((row) => row === undefined || this.runs.row(this.runs.id(row)) >= 0);
    this._positions = null;
  }

  /** Begin to ask page by page, in the source's order. */
  startPages(total, firstIds = []) {
    this.isPaged = true;
    this._pages.clear();
    this._order = [];
    this._pagedTotal = total;
    this._put(0, firstIds);
    const whole = Math.floor(firstIds.length / PAGE);
    for (let page = 0; page < whole; page += 1) this._pages.set(page, Promise.resolve());
  }

  /** Have the rows of these positions; resolves once they are there. */
  async ensure(from, to) {
    if (!this.isPaged || this.matched || this.words) return;
    const wanted = [];
    for (let page = Math.floor(from / PAGE); page * PAGE < Math.min(to, this.total); page += 1) wanted.push(this._page(page));
    await Promise.all(wanted);
  }

  _page(page) {
    if (!this._pages.has(page)) {
      const asked = this._fetch(page).catch((error) => {
        this._pages.delete(page);
        throw error;
      });
      this._pages.set(page, asked);
    }
    return this._pages.get(page);
  }

  async _fetch(page) {
    const frames = await this._ask(page * PAGE);
    let offset = page * PAGE;
    for (const { header, columns } of frames) {
      this.runs.take({ ...header, whole: false }, columns);
      const told = header.columns.find((column) => column.name === "run_id");
      const ids = Array.from(columns.run_id, (code) => told.dict[code]);
      this._put(offset, ids);
      offset += ids.length;
    }
  }

  _put(offset, ids) {
    ids.forEach((id, index) => {
      this._order[offset + index] = this.runs.row(id);
    });
    this._positions = null;
  }
}
