// Which columns a runs table shows, and in which order: a list with search, ticked and moved by mouse or keyboard.

import { element } from "./dom.js";
import { describe, split } from "./columns.js";

const RUN_KEYS = ["status", "name", "took", "started_at", "ended_at", "created_by", "description", "error", "run_id"];
const KIND_TITLES = { run: "run", metrics: "metrics", params: "params", tags: "tags" };
const MOST_LISTED = 300;
let choosers = 0;

export class ColumnChooser {
  /** Options: runs, columns() now shown, onChange(columns), onDefault(). `button` opens and closes it. */
  constructor(parent, button, options) {
    this.options = options;
    this._button = button;
    this._id = `mlf-columns-${(choosers += 1)}`;
    this._build(parent);
    button.setAttribute("aria-haspopup", "dialog");
    button.setAttribute("aria-expanded", "false");
    button.setAttribute("aria-controls", this._id);
    button.addEventListener("click", () => (this.element.hidden ? this.open() : this.close()));
    this._outside = (event) => {
      if (!this.element.contains(event.target) && !button.contains(event.target)) this.close(false);
    };
  }

  dispose() {
    this.close(false);
    this.element.remove();
  }

  open() {
    this.element.hidden = false;
    this._button.setAttribute("aria-expanded", "true");
    this._search.value = "";
    this._listAll();
    this._search.focus();
    this.element.ownerDocument.addEventListener("pointerdown", this._outside, true);
  }

  close(takesFocusBack = true) {
    if (this.element.hidden) return;
    this.element.hidden = true;
    this._button.setAttribute("aria-expanded", "false");
    this.element.ownerDocument.removeEventListener("pointerdown", this._outside, true);
    if (takesFocusBack) this._button.focus();
  }

  _build(parent) {
    this._search = element("input", { type: "text", class: "mlf-input mlf-columns-search", placeholder: "search columns", "aria-label": "Search columns" });
    this._list = element("div", { class: "mlf-columns-list", role: "group", "aria-label": "Columns" });
    this._default = element("button", { type: "button", class: "mlf-button mlf-plain" }, "as at first");
    const hint = element("span", { class: "mlf-muted" }, "Alt+↑↓ moves");
    this.element = element(
      "div",
      { class: "mlf-columns", role: "dialog", id: this._id, "aria-label": "Choose columns", "data-lm-suppress-shortcuts": "true" },
      this._search,
      this._list,
      element("div", { class: "mlf-columns-foot" }, this._default, hint),
    );
    this.element.hidden = true;
    parent.append(this.element);
    this._search.addEventListener("input", () => this._listAll());
    this._list.addEventListener("change", (event) => this._onTick(event));
    this._default.addEventListener("click", () => {
      this.options.onDefault();
      this._listAll();
    });
    this.element.addEventListener("keydown", (event) => this._onKey(event));
  }

  /** The shown columns first, in their order; then everything else by kind. */
  _listAll() {
    const { runs } = this.options;
    const shown = this.options.columns().map(({ key }) => key);
    const others = [...RUN_KEYS, ...runs.keys()].filter((key) => !shown.includes(key));
    const wanted = this._search.value.trim().toLowerCase();
    const fits = (key) => !wanted || `${key} ${describe(key, runs).title}`.toLowerCase().includes(wanted);
    const groups = new Map([["shown", shown.filter(fits)]]);
    for (const key of others.filter(fits)) {
      const kind = split(key).kind ?? "run";
      groups.set(kind, [...(groups.get(kind) ?? []), key]);
    }
    let room = MOST_LISTED;
    const rows = [];
    for (const [kind, keys] of groups) {
      if (!keys.length) continue;
      rows.push(element("div", { class: "mlf-columns-kind" }, `${KIND_TITLES[kind] ?? kind} · ${keys.length}`));
      for (const key of keys.slice(0, room)) rows.push(this._row(key, kind === "shown"));
      room -= Math.min(room, keys.length);
    }
    if (rows.length === 0) rows.push(element("div", { class: "mlf-muted" }, `No column is called “${this._search.value}”.`));
    if (room === 0) rows.push(element("div", { class: "mlf-muted" }, "More are there: search for them."));
    this._list.replaceChildren(...rows);
  }

  _row(key, isShown) {
    const { runs } = this.options;
    const column = describe(key, runs);
    const box = element("input", { type: "checkbox", "data-key": key });
    box.checked = isShown;
    const count = runs.spread(key, 1).count;
    return element(
      "label",
      { class: "mlf-columns-row", title: column.full },
      box,
      element("bdi", { class: "mlf-columns-name" }, column.title),
      element("span", { class: "mlf-muted" }, `${isShown ? `${split(key).kind ?? "run"} · ` : ""}${count.toLocaleString("en")} runs`),
    );
  }

  _onTick(event) {
    const { key } = event.target.dataset;
    const columns = this.options.columns();
    const changed = event.target.checked
      ? [...columns, describe(key, this.options.runs)]
      : columns.filter((column) => column.key !== key);
    if (!changed.length) {
      event.target.checked = true;
      return;
    }
    this.options.onChange(changed);
    this._keepFocus(key);
  }

  _onKey(event) {
    event.stopPropagation();
    const boxes = [...this._list.querySelectorAll("input")];
    const index = boxes.indexOf(event.target);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") {
      this.close();
    } else if (step && event.altKey && index >= 0) {
      this._move(event.target.dataset.key, step);
    } else if (step) {
      (boxes[index + step] ?? (step < 0 ? this._search : boxes.at(-1)))?.focus();
    } else {
      return;
    }
    event.preventDefault();
  }

  _move(key, step) {
    const columns = [...this.options.columns()];
    const from = columns.findIndex((column) => column.key === key);
    const to = from + step;
    if (from < 0 || to < 0 || to >= columns.length) return;
    columns.splice(to, 0, ...columns.splice(from, 1));
    this.options.onChange(columns);
    this._keepFocus(key);
  }

  _keepFocus(key) {
    const top = this._list.scrollTop;
    this._listAll();
    this._list.scrollTop = top;
    [...this._list.querySelectorAll("input")].find((box) => box.dataset.key === key)?.focus();
  }
}
