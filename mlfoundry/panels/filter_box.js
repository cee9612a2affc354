// The one box above a runs table: plain words search at once, a comparison is a filter. It completes names
// and values, underlines what is not understood, and keeps one line below it for what there is to say.

import { element } from "./dom.js";
import { quoted, split } from "./columns.js";

const MOST_COMPLETIONS = 8;
const OPERATOR = /[=<>!~]|\b(?:in|like|ilike|contains)\s*[('"`]|\s(?:like|ilike|contains)\s|\sis\s+(?:not\s+)?null\b/i;
const WORD_BEFORE_CARET = /[\p{L}\p{N}_.`/@-]+$/u;
const VALUE_BEFORE_CARET = /([\p{L}\p{N}_./-]+|`[^`]+`|(?:params|tags|attributes)\.`[^`]+`)\s*(?:=|==|!=)\s*['"]?([^'"\s()]*)$/u;
const ATTRIBUTES = ["name", "status", "started_at", "ended_at", "duration", "created_by", "description", "error"];
const STATUSES = ["RUNNING", "FINISHED", "FAILED", "KILLED", "SCHEDULED"];
let boxes = 0;

/** Whether a text compares something, or is a list of words to look for. */
export function isComparison(text) {
  return OPERATOR.test(text);
}

export class FilterBox {
  /** Options: runs (see runs.js), text, onInput(text), onLeave() for Escape and arrow down into the table. */
  constructor(parent, options) {
    this.options = options;
    this._name = `mlf-filter-${(boxes += 1)}`;
    this._completions = [];
    this._chosen = -1;
    this._build(parent);
    this.text = options.text ?? "";
  }

  get text() {
    return this.input.value;
  }

  set text(text) {
    this.input.value = text;
    this._clear.hidden = text === "";
    this._underline(null);
  }

  /** Whether completions are open: then a word is likely not whole yet. */
  get isCompleting() {
    return !this._list.hidden;
  }

  focus() {
    this.input.focus();
    this.input.select();
  }

  /** Say something in the line below; nothing below moves. */
  say(text, tone = "") {
    this._line.textContent = text;
    this._line.title = text;
    this._line.dataset.tone = tone;
    this.input.setAttribute("aria-invalid", String(tone === "error"));
    if (tone !== "error") this._underline(null);
  }

  /** Underline the place of an error and say what to write. */
  sayError(message, position, length) {
    this.say(message, "error");
    if (Number.isInteger(position)) this._underline({ position, length: Math.max(length || 1, 1) });
  }

  _build(parent) {
    this.input = element("input", {
      class: "mlf-input mlf-filter-input",
      type: "text",
      role: "combobox",
      spellcheck: "false",
      autocomplete: "off",
      autocapitalize: "off",
      "aria-label": "Filter runs",
      "aria-autocomplete": "list",
      "aria-expanded": "false",
      "aria-controls": `${this._name}-list`,
      "aria-describedby": `${this._name}-line`,
      placeholder: "words, or a comparison: loss < 0.1 and model = svm",
      maxlength: "10000",
    });
    this._backdrop = element("div", { class: "mlf-filter-backdrop", "aria-hidden": "true" });
    this._clear = element("button", { class: "mlf-button mlf-plain mlf-filter-clear", type: "button", "aria-label": "Clear the filter" }, "×");
    this._list = element("div", { class: "mlf-completions", role: "listbox", id: `${this._name}-list`, "aria-label": "Completions" });
    this._line = element("div", { class: "mlf-filter-line", id: `${this._name}-line`, role: "status" });
    this._list.hidden = true;
    this.element = element(
      "div",
      { class: "mlf-filter", "data-lm-suppress-shortcuts": "true" },
      element("div", { class: "mlf-filter-field" }, this._backdrop, this.input, this._clear, this._list),
      this._line,
    );
    parent.append(this.element);
    this.input.addEventListener("input", () => this._onInput());
    this.input.addEventListener("keydown", (event) => this._onKey(event));
    this.input.addEventListener("scroll", () => this._followScroll());
    this.input.addEventListener("blur", () => this._close());
    this._clear.addEventListener("click", () => this.clear());
    // pressed, not clicked: a click would first take the focus and with it the list
    this._list.addEventListener("pointerdown", (event) => this._onPick(event));
  }

  _onInput() {
    this._clear.hidden = this.text === "";
    this._underline(null);
    this._complete();
    this.options.onInput(this.text);
  }

  /** Empty the box, and with it the filter. */
  clear() {
    this.text = "";
    this.options.onInput("");
    this.input.focus();
  }

  _onKey(event) {
    event.stopPropagation();
    const isOpen = !this._list.hidden;
    if (event.key === "Escape") {
      if (isOpen) this._close();
      else if (this.text) this.clear();
      else this.options.onLeave?.();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (isOpen) this._choose(this._chosen + (event.key === "ArrowDown" ? 1 : -1));
      else if (event.key === "ArrowDown") this.options.onLeave?.();
    } else if ((event.key === "Enter" || event.key === "Tab") && isOpen && this._chosen >= 0) {
      this._accept(this._completions[this._chosen]);
    } else if (event.key === "Enter") {
      this._close();
      this.options.onInput(this.text, true);
    } else {
      return;
    }
    event.preventDefault();
  }

  // -- completion ------------------------------------------------------------------------------

  _complete() {
    const caret = this.input.selectionStart ?? this.text.length;
    const before = this.text.slice(0, caret);
    this._completions = this._values(before) ?? this._names(before);
    this._chosen = -1;
    this._list.replaceChildren(...this._completions.map((each, index) => this._option(each, index)));
    this._list.hidden = this._completions.length === 0;
    this.input.setAttribute("aria-expanded", String(!this._list.hidden));
    this.input.removeAttribute("aria-activedescendant");
  }

  _option({ shown, kind, count }, index) {
    return element(
      "div",
      { class: "mlf-completion", role: "option", id: `${this._name}-${index}`, "aria-selected": "false", "data-index": String(index) },
      element("bdi", { class: "mlf-completion-name" }, shown),
      element("span", { class: "mlf-completion-kind" }, count === undefined ? kind : `${kind} · ${count}`),
    );
  }

  _names(before) {
    const word = WORD_BEFORE_CARET.exec(before)?.[0] ?? "";
    const plain = word.replaceAll("`", "").toLowerCase();
    if (!plain || isQuoted(before)) return [];
    const { runs } = this.options;
    const keys = runs.keys().filter((key) => !split(key).extreme);
    const known = [...keys.map((key) => ({ key, ...split(key) })), ...ATTRIBUTES.map((name) => ({ key: name, name, kind: "run" }))];
    const starts = known.filter(({ key, name }) => name.toLowerCase().startsWith(plain) || key.toLowerCase().startsWith(plain));
    const inside = known.filter((each) => !starts.includes(each) && each.name.toLowerCase().includes(plain));
    const isUnique = (name) => known.filter((each) => each.name === name).length === 1;
    const offered = [...starts, ...inside].filter(({ key, name }) => key !== word && name !== word).slice(0, MOST_COMPLETIONS);
    return offered.map(({ key, name, kind }) => ({
      shown: name,
      kind,
      count: kind === "run" ? undefined : `${runs.spread(key, 1).count} runs`,
      text: kind === "run" || (isUnique(name) && !plain.includes(".")) ? quoted(name) : `${kind}.${quoted(name)}`,
      from: before.length - word.length,
      to: before.length,
    }));
  }

  _values(before) {
    const match = VALUE_BEFORE_CARET.exec(before);
    if (!match) return null;
    const field = match[1].replaceAll("`", "");
    const typed = match[2].toLowerCase();
    const values = field === "status" ? STATUSES : this._texts(field);
    const fitting = values.filter((value) => value.toLowerCase().startsWith(typed) && value.toLowerCase() !== typed);
    const opening = /['"]$/.test(before.slice(0, before.length - match[2].length)) ? 1 : 0;
    return fitting.slice(0, MOST_COMPLETIONS).map((value) => ({
      shown: value,
      kind: "value",
      text: /^[\p{L}_][\p{L}\p{N}_.-]*$/u.test(value) ? value : `'${value.replaceAll("'", "''")}'`,
      from: before.length - match[2].length - opening,
      to: before.length,
    }));
  }

  _texts(field) {
    const { runs } = this.options;
    const key = [field, `params.${field}`, `tags.${field}`].find((each) => runs.keys().includes(each) || each === "created_by");
    if (!key || runs.isNumeric(key)) return [];
    const texts = new Set();
    for (const row of runs.rows()) {
      const value = runs.value(row, key);
      if (value !== undefined) texts.add(String(value));
      if (texts.size >= 200) break;
    }
    return [...texts].sort();
  }

  _choose(index) {
    const options = [...this._list.children];
    this._chosen = (index + options.length) % options.length;
    options.forEach((option, place) => option.setAttribute("aria-selected", String(place === this._chosen)));
    options[this._chosen].scrollIntoView({ block: "nearest" });
    this.input.setAttribute("aria-activedescendant", options[this._chosen].id);
  }

  _onPick(event) {
    const option = event.target.closest("[role=option]");
    if (!option) return;
    event.preventDefault();
    this._accept(this._completions[Number(option.dataset.index)]);
  }

  _accept({ text, from, to }) {
    this.input.setRangeText(`${text} `, from, to, "end");
    this._onInput();
    this._close();
  }

  _close() {
    this._list.hidden = true;
    this._chosen = -1;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }

  // -- the underline ---------------------------------------------------------------------------

  // An input cannot underline a part of its text, so the same text stands, unseen, behind it.
  _underline(place) {
    if (!place) {
      this._backdrop.replaceChildren();
      return;
    }
    const characters = [...this.text]; // places count characters, not the halves that a string is made of
    const part = (from, to) => characters.slice(from, to).join("");
    const end = place.position + place.length;
    const marked = element("span", { class: "mlf-wrong" }, part(place.position, end) || " ");
    this._backdrop.replaceChildren(part(0, place.position), marked, part(end));
    this._followScroll();
  }

  _followScroll() {
    this._backdrop.scrollLeft = this.input.scrollLeft;
  }
}

function isQuoted(before) {
  return (before.match(/'/g)?.length ?? 0) % 2 === 1 || (before.match(/"/g)?.length ?? 0) % 2 === 1;
}
