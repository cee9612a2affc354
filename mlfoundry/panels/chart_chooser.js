// A list of charts to tick, with a search where there are many; below a chart of several series, each of these.

import { button, element, freshId, replace, setText } from "./dom.js";
import { count } from "./numbers.js";

const SEARCH_FROM = 12;

export class ChartChooser {
  /** `onChoose(keys)` hears what is to be shown: keys of charts, and of single series where not all of a chart are. */
  constructor(label, onChoose) {
    this._onChoose = onChoose;
    this._boxes = new Map();
    this._told = "";
    const id = freshId("chooser");
    this.toggle = button("", () => this._open(this.node.hidden), {
      "aria-expanded": "false",
      "aria-controls": id,
      "aria-label": label,
      hidden: true,
    });
    this._search = element("input", {
      type: "search",
      class: "mlf-input",
      placeholder: "search",
      "aria-label": "search charts",
      oninput: () => this._filter(),
    });
    this._list = element("div", { class: "mlf-chooser-list", role: "group", "aria-label": label });
    const all = button("all", () => this._setAll(true), { class: "mlf-button mlf-plain" });
    const none = button("none", () => this._setAll(false), { class: "mlf-button mlf-plain" });
    this.node = element(
      "div",
      { class: "mlf-chooser", id, hidden: true, onkeydown: (event) => this._key(event) },
      element("div", { class: "mlf-row" }, this._search, all, none),
      this._list,
    );
  }

  /** Tell which charts there are, and which of them, with which of their lines, are shown. */
  update(all, shown) {
    const lines = all.reduce((sum, chart) => sum + chart.lines.length, 0);
    this.toggle.hidden = lines < 2;
    const isAll = shown.length === all.length;
    setText(this.toggle, `${isAll ? "all" : `${shown.length.toLocaleString("en")} of`} ${count(all.length, "chart")}`);
    this._search.hidden = all.length <= SEARCH_FROM;
    const told = all.map((chart) => [chart.key, ...chart.lines.map((line) => line.key)].join("\t")).join("\n");
    if (told !== this._told) this._make(all);
    this._told = told;
    const keys = new Map(shown.map((chart) => [chart.key, new Set(chart.lines.map((line) => line.key))]));
    for (const [key, { box, lines: ofChart }] of this._boxes) {
      const on = keys.get(key);
      box.checked = Boolean(on);
      box.indeterminate = Boolean(on) && on.size < ofChart.size && ofChart.size > 0;
      for (const [line, each] of ofChart) each.checked = Boolean(on?.has(line));
    }
  }

  _make(all) {
    this._boxes.clear();
    replace(this._list, all.map((chart) => this._entry(chart)));
    this._filter();
  }

  _entry(chart) {
    const name = chart.section ? `${chart.section}/${chart.title}` : chart.title;
    const box = element("input", { type: "checkbox" });
    const lines = new Map();
    box.addEventListener("change", () => {
      for (const each of lines.values()) each.checked = box.checked;
      this._tell();
    });
    const label = element("label", { class: "mlf-tick", title: name }, box, element("bdi", {}, name));
    const several = chart.lines.length > 1 ? chart.lines.map((line) => this._line(line, lines, box)) : [];
    const node = element("div", { class: "mlf-chooser-chart" }, label, several);
    this._boxes.set(chart.key, { box, node, lines, name: [name, ...chart.lines.map((line) => line.name)].join(" ") });
    return node;
  }

  _line(line, lines, ofChart) {
    const box = element("input", { type: "checkbox" });
    box.addEventListener("change", () => {
      ofChart.checked = [...lines.values()].some((each) => each.checked);
      this._tell();
    });
    lines.set(line.key, box);
    const attributes = { class: "mlf-tick mlf-chooser-line", title: line.name };
    return element("label", attributes, box, element("bdi", {}, line.name));
  }

  _tell() {
    const keys = [...this._boxes].flatMap(([key, { box, lines }]) => {
      if (!box.checked) return [];
      const on = [...lines].filter(([, each]) => each.checked).map(([line]) => line);
      return on.length === lines.size ? [key] : on;
    });
    this._onChoose(keys);
  }

  _setAll(is) {
    for (const { box, node, lines } of this._boxes.values()) {
      if (node.hidden) continue;
      for (const each of [box, ...lines.values()]) each.checked = is;
    }
    this._tell();
  }

  _filter() {
    const words = this._search.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const { node, name } of this._boxes.values())
      node.hidden = !words.every((word) => name.toLowerCase().includes(word));
  }

  _open(is) {
    this.node.hidden = !is;
    this.toggle.setAttribute("aria-expanded", String(is));
    if (is && !this._search.hidden) this._search.focus();
  }

  _key(event) {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    this._open(false);
    this.toggle.focus();
  }
}
