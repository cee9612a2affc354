// The runs of a project: counts, the best, filter, table, and what can be done with the selected ones.
// Fed by a source (see the panels' contract); knows nothing of kernels or of HTTP.

import { ColumnChooser } from "./column_chooser.js";
import { orderText, readOrder, resolveOrder, split } from "./columns.js";
import { BestLine } from "./best_line.js";
import { mountCompare } from "./compare_view.js";
import { MOST_RUNS } from "./comparison.js";
import { button, element, setText } from "./dom.js";
import { FilterBox } from "./filter_box.js";
import { count } from "./numbers.js";
import { RowOrder } from "./row_order.js";
import { RunActions } from "./run_actions.js";
import { RunDetails } from "./run_details.js";
import { RunSearch } from "./run_search.js";
import { Runs } from "./runs.js";
import { countsText, showFirstLine, showNoMatch, showSkeleton } from "./runs_words.js";
import { ShownColumns } from "./shown_columns.js";
import { Table } from "./table.js";

const SKELETON_AFTER_MS = 200;
const ROWS_HIGH = 16;
const NEWEST_FIRST = { key: "started_at", descending: true };

/** Put the runs browser into an element. Returns {dispose}. */
export function mountRuns(parent, source) {
  const view = new RunsView(parent, source);
  return { dispose: () => view.dispose() };
}

class RunsView {
  constructor(parent, source) {
    this.source = source;
    this.runs = new Runs();
    this.order = new RowOrder(this.runs, (offset) => this._askPage(offset));
    this.order.sort = readOrder(source.get("order_by")) ?? NEWEST_FIRST;
    this._build(parent);
    // Before the source is heard: it may have something to tell at once.
    this._skeletonTimer = setTimeout(() => showSkeleton(this._empty), SKELETON_AFTER_MS);
    this._offs = [
      source.listen((message) => this._hear(message)),
      source.onChange("selected", () => this._takeSelection()),
      source.onChange("filter", (filter) => this._search.take(filter)),
      source.onChange("quick", (words) => this._search.take(words)),
      source.onChange("order_by", (text) => this._takeOrder(text)),
      source.onChange("columns", () => this.columns.follow()),
    ];
    this._clock = setInterval(() => this._tick(), 1000);
    this._size = new ResizeObserver(() => this.table && !this._isBusy() && this.columns.renew());
    this._size.observe(this.element);
  }

  dispose() {
    clearTimeout(this._skeletonTimer);
    this._search.dispose();
    clearInterval(this._clock);
    this._size.disconnect();
    this._offs.forEach((off) => off?.());
    this._compare?.dispose();
    this._chooser.dispose();
    this.table?.dispose();
    this.element.remove();
  }

  // -- the parts -------------------------------------------------------------------------------

  _build(parent) {
    const { source, runs } = this;
    this.element = element("div", { class: "mlfoundry mlf-runs", "data-lm-suppress-shortcuts": "true" });
    this._title = element("bdi", {});
    this._counts = element("span", { class: "mlf-runs-counts", role: "status" });
    this._new = button("", () => this._settle(), { class: "mlf-button mlf-runs-new" });
    this._new.hidden = true;
    this.columns = new ShownColumns({ source, runs, order: this.order, node: this.element, table: () => this.table });
    const choose = button("columns", () => {}, { class: "mlf-button" });
    const head = element("div", { class: "mlf-runs-head" }, element("h2", { class: "mlf-runs-title" }, this._title), this._counts, this._new);
    this.element.append(head);
    this._best = new BestLine(this.element, { source, runs, onReveal: (id) => this._reveal(id) });
    const bar = element("div", { class: "mlf-runs-bar" });
    this._bar = bar;
    this.element.append(bar);
    const text = source.get("filter") || source.get("quick") || "";
    this._filter = new FilterBox(bar, { runs, text, onInput: (...typed) => this._search.type(...typed), onLeave: () => this.table?.grid.focus() });
    this._search = new RunSearch({ source, runs, order: this.order, box: this._filter, onResult: (isRepeat) => this._filtered(isRepeat === true) });
    bar.append(choose);
    this._chooser = new ColumnChooser(bar, choose, {
      runs,
      columns: () => this.columns.list,
      onChange: (columns) => this.columns.choose(columns),
      onDefault: () => this.columns.choose(null),
    });
    this._stage = element("div", { class: "mlf-runs-stage" });
    this._empty = element("div", { class: "mlf-runs-empty" });
    this._empty.hidden = true;
    this._stage.append(this._empty);
    this.element.append(this._stage);
    this._buildBelow();
    parent.append(this.element);
  }

  _buildBelow() {
    const { source, runs } = this;
    this._actions = new RunActions(this.element, {
      source,
      label: (id) => runs.value(runs.row(id), "name") ?? id.slice(0, 8),
      onCompare: () => this._toggleCompare(),
      onCompareShown: () => this._compareShown(),
      shownCount: () => (this.table ? this.order.shown.length : 0),
      onDetails: (id) => this._details.open(id),
      onClear: () => this._select([]),
      onDeleted: (ids) => this._forget(ids),
      onRestored: (ids) => {
        runs.restore(ids);
        this._arrange();
      },
      isComparing: () => Boolean(this._compare),
      enterWord: source.link ? "open" : "details",
      mayDelete: () => runs.project.permission === "ADMIN",
    });
    this._details = new RunDetails(this.element, {
      source,
      runs,
      mayWrite: () => ["WRITE", "ADMIN"].includes(runs.project.permission),
      onClose: () => this.table?.grid.focus({ preventScroll: true }),
      onSaved: (verb, args) => this._saved(verb, args),
    });
    this._comparePlace = element("div", { class: "mlf-compare-place" });
    this.element.append(this._comparePlace);
  }

  _makeTable() {
    this.table = new Table(this._stage, this.order, {
      label: `Runs of ${this._projectName()}`,
      columns: this.columns.read(),
      sort: this.order.sort,
      now: () => this.source.now(),
      cardKeys: (columns) => ["status", "name", this._cardMetric(columns)].filter(Boolean),
      onSort: (key, descending) => this._sortBy(key, descending),
      onSelect: (ids) => this._select(ids),
      onOpen: (id) => id !== undefined && this._open(id),
      link: this.source.link,
      onColumns: (columns) => this.columns.choose(columns),
      onFilterKey: () => this._filter.focus(),
    });
    this.table.select(this._knownSelection());
    this._actions.show(this._knownSelection());
    if (this._compareWished()) this._openCompare();
  }

  // On a narrow card stands the metric sorted by, else the first one.
  _cardMetric(columns) {
    const isMetric = (column) => split(column.key).kind === "metrics";
    return (columns.find((column) => isMetric(column) && column.key === this.order.sort.key) ?? columns.find(isMetric))?.key;
  }

  // -- what comes from the source --------------------------------------------------------------

  _hear(message) {
    if (message.kind !== "runs") return;
    this._store = message.header.store ?? this._store;
    const isFirst = !this._hasHeard;
    this._hasHeard = true;
    clearTimeout(this._skeletonTimer);
    const fresh = this.runs.take(message.header, message.columns);
    if (message.header.paged && !message.header.offset) {
      this.order.startPages(message.header.total, this.runs.rows().map((row) => this.runs.id(row)));
    }
    this._fresh = (this._fresh ?? 0) + (isFirst ? 0 : fresh.length);
    if (!this._awaitsFrame) {
      this._awaitsFrame = true;
      // A hidden page gets no frames; what came meanwhile is drawn in one go when it is seen again.
      requestAnimationFrame(() => {
        this._awaitsFrame = false;
        this._update(isFirst);
      });
    }
  }

  _update(isFirst) {
    const isWholeList = this.runs.rows().length !== this._sizeBefore && (isFirst || this._isArriving());
    this._sizeBefore = this.runs.rows().length;
    this._showHead();
    this._showEmpty();
    if (!this.runs.rows().length && !this.table) return;
    if (!this.table) {
      this.order.sort = resolveOrder(this.order.sort, this.runs);
      this.order.arrange();
      this._makeTable();
      this._showHead();
      if (this._filter.text) this._search.type(this._filter.text, true);
    } else if (isWholeList || !this._isBusy()) {
      this._arrange();
      this.columns.renew();
    } else {
      this._holdStill();
    }
    this._search.again();
    this._actions.refresh();
    this._details.refresh();
  }

  _isArriving() {
    return this.runs.isArriving;
  }

  /** Somebody points at a row or moves among them with keys: nothing may jump under their hand. */
  _isBusy() {
    return this.table.grid.matches(":hover") || this.table.grid.matches(":focus");
  }

  _holdStill() {
    this.order.dropGone();
    this.table.refresh();
    this._showBest();
    const waiting = this.order.matching().filter((row) => this.order.position(this.runs.id(row)) < 0).length;
    this._new.hidden = waiting === 0;
    setText(this._new, `${count(waiting, "new run")} · show`);
  }

  _settle() {
    this._arrange();
    this.columns.renew();
    this.table.grid.focus({ preventScroll: true });
  }

  _tick() {
    if (document.hidden || !this.table || this._new.hidden === false) return;
    const isRunning = this.order.shown.some((row) => this.runs.value(row, "status") === "RUNNING");
    if (isRunning) this.table.refresh(); // the clocks of running runs
  }

  async _askPage(offset) {
    const { sort } = this.order;
    return this.source.ask("page", { filter: this.order.filter, order_by: orderText(sort.key, sort.descending), offset });
  }

  // -- arranging -------------------------------------------------------------------------------

  _arrange({ keepsPlace = true } = {}) {
    const held = keepsPlace && this.table.grid.scrollTop > 0 ? this.table.held() : null;
    this.order.arrange();
    this._new.hidden = true;
    this.table.refresh();
    if (held) this.table.hold(held);
    else if (!keepsPlace) this.table.grid.scrollTop = 0;
    this._showHead();
    this._showEmpty();
    this._actions.refresh();
  }

  _sortBy(key, descending) {
    this.order.sort = { key, descending };
    this.source.set("order_by", orderText(key, descending));
    if (this.order.isPaged) this.order.startPages(this.order.filter ? this.order.total : this.runs.total);
    this.order.arrange();
    this.table.setSort(this.order.sort);
    this.table.grid.scrollTop = 0;
  }

  _takeOrder(text) {
    const wished = resolveOrder(readOrder(text) ?? NEWEST_FIRST, this.runs);
    const { sort } = this.order;
    if (wished.key === sort.key && wished.descending === sort.descending) return;
    this.order.sort = wished;
    if (!this.table) return;
    this.order.arrange();
    this.table.setSort(wished);
  }

  _filtered(isRepeat) {
    if (!this.table) return;
    if (isRepeat && this._isBusy()) this._holdStill();
    else this._arrange({ keepsPlace: isRepeat });
  }

  // -- selection, comparison, details ----------------------------------------------------------

  _knownSelection() {
    const ids = this.source.get("selected") ?? [];
    return ids.filter((id) => this.runs.row(id) >= 0);
  }

  _takeSelection() {
    if (!this.table) return;
    const ids = this._knownSelection();
    if (JSON.stringify(ids) !== JSON.stringify([...this.table.selected])) this.table.select(ids);
    this._actions.show(ids);
  }

  _select(ids) {
    this.source.set("selected", ids);
    if (ids.length !== this.table.selected.size) this.table.select(ids);
    this._actions.show(ids);
    if (!ids.length) this._closeCompare();
  }

  /** Where runs have pages, to that of a run; else its details lie open below. */
  _open(id) {
    const href = this.source.link?.(id);
    if (href) location.assign(href);
    else this._details.open(id);
  }

  _reveal(id) {
    if (this.order.position(id) < 0) {
      if (this.order.isPaged) {
        this._open(id); // where it stands among those that have not come nobody here knows
        return;
      }
      this._filter.clear();
    }
    this.table.reveal(id);
    this.table.grid.focus({ preventScroll: true });
  }

  _forget(ids) {
    const gone = new Set(ids);
    this.runs.remove(ids);
    this._select([...this.table.selected].filter((id) => !gone.has(id)));
    this._details.refresh();
    this._arrange();
  }

  _saved(verb, args) {
    if (verb === "set_description") this.runs.change(args.run, "description", args.text || undefined);
    for (const [name, text] of Object.entries(args.tags ?? {})) this.runs.change(args.run, `tags.${name}`, text ?? undefined);
    this.table.refresh();
  }

  _compareWished() {
    return this.source.get("compare") === true && this._knownSelection().length > 0;
  }

  _toggleCompare() {
    if (this._compare) this._closeCompare();
    else this._openCompare();
    this._actions.refresh();
  }

  /** Compare what the filter leaves, as far as a comparison goes. */
  _compareShown() {
    this._select(this.order.shown.slice(0, MOST_RUNS).map((row) => this.runs.id(row)));
    this._openCompare();
    this._actions.refresh();
  }

  _openCompare() {
    this.source.set("compare", true);
    this._compare = mountCompare(this._comparePlace, this.source);
    this._setHeight(); // it may be lower while there is something to see below it
    this._comparePlace.scrollIntoView({ block: "nearest" });
  }

  _closeCompare() {
    if (!this._compare) return;
    this.source.set("compare", false);
    this._compare.dispose();
    this._compare = null;
    this._setHeight();
    this._actions.refresh();
  }

  // -- what it says ----------------------------------------------------------------------------

  _projectName() {
    const { owner, name } = this.runs.project;
    return owner ? `${owner}/${name}` : (name ?? "");
  }

  _showHead() {
    const rows = this.runs.rows();
    const running = rows.filter((row) => this.runs.value(row, "status") === "RUNNING").length;
    const total = Math.max(this.runs.total, rows.length);
    const isNarrowed = Boolean(this.order.matched || this.order.words || this.order.filter);
    setText(this._title, this._projectName());
    setText(this._counts, countsText({ total, running, shown: isNarrowed ? this.order.total : null }));
    this._setHeight();
    this._showBest();
  }

  /** As high as the whole list needs, so that a filter does not move what stands below. */
  _setHeight() {
    const total = Math.max(this.runs.total, this.runs.rows().length, 1);
    const rows = Math.min(total, this.source.rowsHigh?.() ?? ROWS_HIGH);
    this._stage.style.setProperty("--mlf-rows", String(rows));
  }

  _showBest() {
    // Of a list that has not come whole nobody here can say which run is the best: whoever has all of it is asked.
    if (this.order.isPaged) this._best.refreshAsked(this.order.filter, this.runs.project.run_count);
    else this._best.refresh(this.order.shown);
  }

  _showEmpty() {
    const isEmpty = this.runs.rows().length === 0;
    const isNoMatch = !isEmpty && this.table && this.order.total === 0;
    this._empty.hidden = !isEmpty && !isNoMatch;
    this._best.element.classList.toggle("mlf-best-away", isEmpty);
    if (this.table) this.table.grid.hidden = isEmpty;
    // Nothing to filter and nothing to tick yet.
    this._bar.hidden = isEmpty;
    this._actions.element.hidden = isEmpty;
    if (isEmpty) showFirstLine(this._empty, this.runs.project, this._store);
    else if (isNoMatch) showNoMatch(this._empty, () => this._filter.clear());
  }
}
