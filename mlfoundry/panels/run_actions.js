// The bar below a runs table: what is selected and what can be done with it. Its height never changes, so that
// no row moves; questions and answers stand in the bar itself.

import { button, copyText, element, replace } from "./dom.js";
import { count } from "./numbers.js";

const NAMES_SAID = 3;
const MOST_COMPARED = 50;

export class RunActions {
  /**
   * Options: source, label(id) -> name, onCompare(), onCompareShown(), shownCount(), onDetails(id), onClear(), onDeleted(ids), onRestored(ids),
   * mayWrite(), mayDelete(), isComparing().
   */
  constructor(parent, options) {
    this.options = options;
    this._ids = [];
    this._mode = "selection";
    this.element = element("div", { class: "mlf-actions", role: "toolbar", "aria-label": "Selected runs", "data-lm-suppress-shortcuts": "true" });
    this.status = element("div", { class: "mlf-sr", role: "status" });
    parent.append(this.element, this.status);
    this.show([]);
  }

  /** Tell which runs are selected. */
  show(ids) {
    this._ids = ids;
    this._showSelection();
  }

  _showSelection() {
    this._mode = "selection";
    const { options } = this;
    const ids = this._ids;
    this._toldOf = undefined;
    if (!ids.length) {
      const shown = (this._toldOf = options.shownCount());
      const all = shown > 1 ? button(shown > MOST_COMPARED ? `compare the first ${MOST_COMPARED}` : `compare all ${shown}`, options.onCompareShown) : null;
      replace(this.element, element("span", { class: "mlf-muted" }, "Tick runs to compare, describe or delete them."), all, keysHint(options.enterWord ?? "details"));
      return;
    }
    const single = ids.length === 1;
    replace(
      this.element,
      element("span", { class: "mlf-actions-count" }, `${count(ids.length, "run")} selected`),
      button(options.isComparing() ? "close comparison" : `compare ${ids.length}`, options.onCompare, { class: "mlf-button mlf-primary" }),
      single ? button("details", () => options.onDetails(ids[0])) : null,
      button(single ? "copy id" : "copy ids", () => this._copy()),
      button("delete…", () => this.askDelete(), {
        disabled: !options.mayDelete(),
        title: options.mayDelete() ? "" : "Deleting runs takes the permission ADMIN on this project.",
      }),
      button("clear", options.onClear, { class: "mlf-button mlf-plain" }),
    );
  }

  async _copy() {
    const copied = await copyText(this._ids.join("\n"));
    this.say(copied ? `Copied ${count(this._ids.length, "run id")}.` : "The browser did not allow copying.");
  }

  /** Draw the bar again, for what it says beside the selection may have changed. */
  refresh() {
    const isSame = !this._ids.length && this._toldOf === this.options.shownCount();
    if (this._mode === "selection" && !isSame) this._showSelection();
  }

  /** Say something in the bar until the selection changes or it is put away. */
  say(text, ...buttons) {
    this._mode = "message";
    this.status.textContent = text;
    const close = button("×", () => this._showSelection(), { class: "mlf-button mlf-plain", "aria-label": "Put this message away" });
    replace(this.element, element("span", { class: "mlf-actions-said" }, text), buttons, close);
  }

  askDelete() {
    if (!this._ids.length || !this.options.mayDelete()) return;
    this._mode = "question";
    const ids = [...this._ids];
    const keep = button("keep", () => this._showSelection());
    const many = ids.length === 1 ? "its" : "their";
    const question = `Delete ${this._names(ids)}? ${count(ids.length, "run")} with ${many} metrics, params and files; this can be undone.`;
    replace(
      this.element,
      element("span", { class: "mlf-actions-said", title: question }, question),
      button(`delete ${count(ids.length, "run")}`, () => this._delete(ids), { class: "mlf-button mlf-danger" }),
      keep,
    );
    this.status.textContent = question;
    this.element.onkeydown = (event) => {
      if (event.key !== "Escape" || this._mode !== "question") return;
      event.stopPropagation();
      this._showSelection();
    };
    keep.focus();
  }

  async _delete(ids) {
    const done = await this._ask("delete", { runs: ids }, `Deleting ${count(ids.length, "run")}…`);
    if (!done) return;
    this.options.onDeleted(ids);
    this.say(`Deleted ${this._names(ids)}.`, button("undo", () => this._restore(ids), { class: "mlf-button mlf-primary" }));
  }

  async _restore(ids) {
    const done = await this._ask("restore", { runs: ids }, `Restoring ${count(ids.length, "run")}…`);
    if (!done) return;
    this.options.onRestored(ids);
    this.say(`Restored ${this._names(ids)}.`);
  }

  async _ask(verb, args, doing) {
    this.say(doing);
    try {
      await this.options.source.ask(verb, args, { onQueued: () => this.say(`${doing} queued: the kernel is busy.`) });
      return true;
    } catch (error) {
      this.say(`${doing.replace("…", "")} did not work: ${error.message}`);
      this.element.firstChild.classList.add("mlf-error");
      return false;
    }
  }

  _names(ids) {
    const said = ids.slice(0, NAMES_SAID).map((id) => this.options.label(id));
    const rest = ids.length - said.length;
    return rest > 0 ? `${said.join(", ")} and ${rest} more` : said.join(", ");
  }
}

function keysHint(enterWord) {
  const key = (text) => element("kbd", {}, text);
  return element("span", { class: "mlf-muted mlf-keys" }, key("j"), key("k"), " move ", key("x"), " tick ", key("Enter"), ` ${enterWord} `, key("/"), " filter");
}
