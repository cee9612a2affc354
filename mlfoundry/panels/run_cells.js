// The cells of a run: when each ran, what it cost, and its source with secrets masked.

import { button, element, replace, setText, statusMark } from "./dom.js";
import { ABSENT, bytes, clock, duration } from "./numbers.js";

const HEADS = ["cell", "state", "took", "CPU", "peak memory", "GPU memory", "source"];
const NUMBERS = new Set(["took", "CPU", "peak memory", "GPU memory"]);

/** The inside of the tab Cells. */
export class CellsTab {
  constructor() {
    this._key = "";
    this._open = new Set();
    this._body = element("tbody", {});
    this._head = element("thead", {});
    this._table = element("table", { class: "mlf-plain-table mlf-cells" }, this._head, this._body);
    this._empty = element(
      "div",
      { class: "mlf-empty" },
      "No cell has been recorded: this run was not started by %mlfoundry_run or %%mlfoundry_run.",
    );
    this.node = element(
      "div",
      { class: "mlf-scroll", tabindex: 0, role: "region", "aria-label": "cells" },
      this._empty,
      this._table,
    );
  }

  update(cells) {
    const key = JSON.stringify(cells);
    if (key === this._key) return;
    this._key = key;
    this._empty.hidden = cells.length > 0;
    this._table.hidden = !cells.length;
    const hasGpu = cells.some((cell) => cell.gpu_bytes > 0);
    const heads = HEADS.filter((head) => hasGpu || head !== "GPU memory");
    replace(
      this._head,
      element(
        "tr",
        {},
        heads.map((head) => element("th", { scope: "col", class: NUMBERS.has(head) ? "mlf-number" : null }, head)),
      ),
    );
    replace(
      this._body,
      cells.map((cell) => this._row(cell, hasGpu)),
    );
  }

  _row(cell, hasGpu) {
    const isOver = Number.isFinite(cell.ended_at);
    const number = (text) => element("td", { class: "mlf-number" }, text);
    return element(
      "tr",
      {},
      element("th", { scope: "row", title: clock(cell.started_at) }, String(cell.n)),
      element("td", {}, statusMark(cell.status ?? (isOver ? "FINISHED" : "RUNNING"))),
      number(duration(cell.wall_s)),
      number(duration(cell.cpu_s)),
      number(bytes(cell.peak_bytes)),
      hasGpu ? number(bytes(cell.gpu_bytes)) : null,
      element("td", { class: "mlf-cell-source" }, this._source(cell)),
    );
  }

  _source(cell) {
    const text = String(cell.source ?? "").trimEnd();
    if (!text) return ABSENT;
    const lines = text.split("\n");
    const code = element("code", { class: "mlf-mono" });
    const show = () => {
      const isOpen = this._open.has(cell.n);
      setText(code, isOpen ? text : lines[0]);
      code.classList.toggle("mlf-first-line", !isOpen);
      more.textContent = isOpen ? "less" : `+${lines.length - 1} ${lines.length === 2 ? "line" : "lines"}`;
      more.setAttribute("aria-expanded", String(isOpen));
    };
    const more = button(
      "",
      () => {
        if (!this._open.delete(cell.n)) this._open.add(cell.n);
        show();
      },
      { class: "mlf-button mlf-plain", "aria-label": `whole source of cell ${cell.n}` },
    );
    show();
    return [code, lines.length > 1 ? more : null];
  }
}
