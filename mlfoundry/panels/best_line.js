// The line of a runs table that names the best run and the rule it is best by; the rule can be changed.

import { button, element, replace } from "./dom.js";
import { figure } from "./numbers.js";
import { askBestRun, bestRun, defaultRule, ruleText } from "./best.js";
import { rankedMetrics, direction } from "./columns.js";
import { cutInTheMiddle } from "./table_cells.js";

const FATES = { FAILED: "failed", KILLED: "was killed", RUNNING: "still runs" };

export class BestLine {
  /** Options: source, runs, onReveal(id). The rule is kept as the source's state `best`. */
  constructor(parent, options) {
    this.options = options;
    this.element = element("div", { class: "mlf-best" });
    // One stop for the Tab key, as toolbars are: the table is near. The arrow keys go on from there.
    const bar = { class: "mlf-best-bar", role: "toolbar", "aria-label": "the best run", onkeydown: (event) => this._key(event) };
    this._form = element("span", { class: "mlf-best-form" });
    this._form.hidden = true;
    this._text = element("span", { class: "mlf-best-text" });
    this._change = button("rule…", () => this._toggle(), { class: "mlf-button mlf-plain", "aria-expanded": "false" });
    this.element.append(element("span", bar, this._text, this._change), this._form);
    parent.append(this.element);
  }

  get rule() {
    return this.options.source.get("best") ?? defaultRule(this.options.runs);
  }

  refresh(rows) {
    if (this.options.runs.isArriving) {
      // Which is the best of all cannot be said of some.
      if (!this._told) this._say(element("span", { class: "mlf-muted" }, "best: as soon as all runs are here"));
      return;
    }
    this._rows = rows;
    this._again = null;
    const { runs } = this.options;
    const { rule } = this;
    const metrics = rankedMetrics(runs);
    // Of all runs, not of those shown: the line must not come and go while somebody types a filter.
    this.element.hidden = !metrics.length || runs.rows().length < 2;
    if (this.element.hidden) return;
    const found = rule ? bestRun(runs, rows, rule) : null;
    const told = `${JSON.stringify(rule)} ${found?.row} ${found?.value} ${found?.finished} ${found?.other?.row} ${found?.other?.value}`;
    if (told === this._told) return;
    this._told = told;
    this._say(rule ? this._outcome(rule, found) : "best: choose a metric");
  }

  _say(...parts) {
    replace(this._text, ...parts);
    const [first, ...others] = this._stops();
    first.tabIndex = 0;
    for (const each of others) each.tabIndex = -1;
  }

  _stops() {
    return [...this._text.querySelectorAll("button"), this._change];
  }

  _key(event) {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const stops = this._stops();
    const place = stops.indexOf(document.activeElement);
    const next = stops[(place + step + stops.length) % stops.length];
    for (const each of stops) each.tabIndex = each === next ? 0 : -1;
    next.focus();
  }

  /** The same where the list has not come whole; `filter` narrows it, `version` says whether it has changed. */
  async refreshAsked(filter, version) {
    this._rows = [];
    const { runs, source } = this.options;
    const { rule } = this;
    this._again = () => this.refreshAsked(filter, version);
    this.element.hidden = !rankedMetrics(runs).length;
    const told = JSON.stringify([rule, filter, version]);
    if (this.element.hidden || told === this._told) return;
    this._told = told;
    if (!rule) {
      this._say("best: choose a metric");
      return;
    }
    const isStale = () => this._told !== told;
    try {
      const found = await askBestRun(source, runs, filter, rule);
      if (!isStale()) this._say(this._outcome(rule, found));
    } catch (error) {
      if (isStale()) return;
      this._told = null; // asked again when something changes
      this._say(element("span", { class: "mlf-muted" }, `best by ${rule.metric}: ${error.message}`));
    }
  }

  _outcome(rule, found) {
    if (!found) return `best by ${rule.metric}: none of these runs has finished with it`;
    const { runs } = this.options;
    const parts = ["best: ", this._link(found.row), ` ${ruleText(rule, found)}`];
    if (!found.other) return parts;
    const fate = FATES[runs.value(found.other.row, "status")] ?? "did not finish";
    return [...parts, element("span", { class: "mlf-muted" }, " · ", this._link(found.other.row), ` ${fate}, with ${figure(found.other.value)}`)];
  }

  _link(row) {
    const { runs, onReveal } = this.options;
    const name = runs.value(row, "name") ?? "";
    const shown = element("span", { class: "mlf-cut" }, cutInTheMiddle(name));
    return button(shown, () => onReveal(runs.id(row)), { class: "mlf-link", title: name });
  }

  _toggle() {
    this._form.hidden = !this._form.hidden;
    this._change.setAttribute("aria-expanded", String(!this._form.hidden));
    if (this._form.hidden) return;
    const rule = this.rule ?? { metric: rankedMetrics(this.options.runs)[0], of: "last", isLess: true };
    const choose = (label, values, chosen, change) => {
      const options = values.map((value) => element("option", { value, selected: value === chosen }, value));
      return element("select", { "aria-label": label, class: "mlf-select", onchange: (event) => change(event.target.value) }, options);
    };
    const set = (part) => {
      const changed = { ...(this.rule ?? rule), ...part };
      this.options.source.set("best", changed);
      if (this._again) this._again();
      else this.refresh(this._rows);
    };
    const metrics = rankedMetrics(this.options.runs);
    replace(
      this._form,
      choose("Direction", ["lowest", "highest"], rule.isLess ? "lowest" : "highest", (text) => set({ isLess: text === "lowest" })),
      choose("Value", this._kinds(), rule.of, (of) => set({ of })),
      choose("Metric", metrics, rule.metric, (metric) => this._chooseMetric(metric, set)),
    );
    this._form.querySelector("select").focus();
  }

  _kinds() {
    return this.options.runs.keys().some((key) => key.startsWith("min(")) ? ["last", "any step"] : ["last"];
  }

  _chooseMetric(metric, set) {
    const known = direction(metric);
    set(known ? { metric, isLess: known < 0 } : { metric });
    const direct = this._form.querySelector("select");
    direct.value = this.rule.isLess ? "lowest" : "highest";
  }
}
