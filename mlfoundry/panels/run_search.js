// What is typed above a runs table, carried out: words at once in the page, comparisons by the source. A filter
// that is not understood changes nothing: the last good rows stay, and it is never kept as state.

import { split } from "./columns.js";
import { isComparison } from "./filter_box.js";
import { count } from "./numbers.js";

const WAITS_MS = 180;
const AGAIN_AFTER_MS = 2000;

export class RunSearch {
  /** Options: source, runs, order (see row_order.js), box (see filter_box.js), onResult(). */
  constructor(options) {
    this.options = options;
    this.isWaiting = false;
    this._asked = 0;
    this._good = "";
  }

  dispose() {
    clearTimeout(this._timer);
    clearTimeout(this._againTimer);
    this._asked += 1;
  }

  /** Carry out what stands in the box; `isNow` does not wait for further keys. */
  type(text, isNow = false) {
    clearTimeout(this._timer);
    this._asked += 1;
    const wished = text.trim();
    if (!isComparison(wished)) {
      this._lookFor(wished);
    } else if (isNow) {
      this._filter(wished);
    } else {
      this._timer = setTimeout(() => this._filter(wished), WAITS_MS);
    }
  }

  /** Take a text that came from outside, such as a trait that was set from Python. */
  take(text) {
    const { box, source } = this.options;
    const wished = text || source.get("filter") || source.get("quick") || "";
    if (wished === box.text.trim() || box.input === document.activeElement) return;
    box.text = wished;
    this.type(wished, true);
  }

  /** Filter again, because runs have come or changed; at most every two seconds. */
  again() {
    if (!this._good || this._againTimer) return;
    this._againTimer = setTimeout(() => {
      this._againTimer = undefined;
      if (!document.hidden && this._good) this._filter(this._good, true);
    }, AGAIN_AFTER_MS);
  }

  _lookFor(words) {
    const { box, order, source } = this.options;
    if (order.isPaged && words) {
      this._filter(namesHolding(words), false, words);
      return;
    }
    if (order.isPaged && order.filter) this._page("", this.options.runs.total);
    const found = words ? order.matching(words, null).length : 0;
    if (words && !found && this._isBeginning(words)) {
      box.say(`To filter, go on: ${words.split(/\s+/).at(-1)} < 0.1, or = a value.`, "hint");
      return;
    }
    this._good = "";
    order.matched = null;
    order.words = words;
    this._keep("filter", "");
    this._keep("quick", words);
    box.say(words ? `${count(found, "run")} with “${words}” in the name, params, tags or error` : "");
    this.options.onResult(source);
  }

  /** Whether the last word begins a name that can be compared: then a filter is being written. */
  _isBeginning(words) {
    const last = words.split(/\s+/).at(-1).replaceAll("`", "").toLowerCase();
    const known = [...this.options.runs.keys(), "name", "status", "started_at", "ended_at", "duration", "created_by"];
    return known.some((key) => key.toLowerCase().startsWith(last) || split(key).name.toLowerCase().startsWith(last));
  }

  async _filter(text, isRepeat = false, words = "") {
    const { box, order, source } = this.options;
    const asked = (this._asked += 1);
    const isStale = () => asked !== this._asked;
    let answer;
    try {
      answer = await source.ask("search", { filter: text }, {
        onQueued: () => !isStale() && box.say("queued: the kernel is busy; this filters when its cell ends", "hint"),
      });
    } catch (error) {
      if (!isStale() && !isRepeat) box.sayError(error.message, error.position, error.length);
      return;
    }
    if (isStale()) return;
    if (answer.total !== undefined) {
      this._take(text, words, answer);
      return;
    }
    const ids = Array.isArray(answer) ? answer : answer.runs;
    const hints = Array.isArray(answer) ? [] : (answer.hints ?? []);
    if (!ids.length && box.isCompleting) {
      box.say("No run is like that so far.", "hint");
      return;
    }
    this._good = text;
    order.matched = new Set(ids);
    order.words = "";
    this._keep("quick", "");
    this._keep("filter", text);
    const found = order.matching().length;
    box.say(hints.length ? hints.join(" ") : `${count(found, "run")} of ${this.options.runs.rows().length.toLocaleString("en")}`, hints.length ? "hint" : "");
    this.options.onResult(isRepeat);
  }

  /** A source that holds more than it has sent filters its pages itself, and says how many runs there are. */
  _take(text, words, { total, hints = [] }) {
    const { box, runs } = this.options;
    this._keep("filter", words ? "" : text);
    this._keep("quick", words);
    box.say(hints.length ? hints.join(" ") : `${count(total, "run")} of ${runs.total.toLocaleString("en")}${words ? " by name" : ""}`, hints.length ? "hint" : "");
    this._page(text, total);
    this.options.onResult(false);
  }

  _page(text, total) {
    const { order } = this.options;
    this._good = "";
    order.matched = null;
    order.words = "";
    order.filter = text;
    order.startPages(total);
  }

  _keep(name, text) {
    const { source } = this.options;
    if ((source.get(name) ?? "") !== text) source.set(name, text);
  }
}

/** A filter for runs whose name holds every word. */
function namesHolding(words) {
  const plain = words.replaceAll(/['"`\\]/g, " ").split(/\s+/).filter(Boolean);
  return plain.map((word) => `run_name ~ '${word}'`).join(" and ");
}
