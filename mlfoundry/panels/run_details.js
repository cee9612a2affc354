// One run of a runs table laid open below it: its error, description and tags (to edit), params and metrics.

import { button, copyButton, element, fateOf, replace, statusMark } from "./dom.js";
import { duration, clock, exact } from "./numbers.js";
import { split } from "./columns.js";

export class RunDetails {
  /** Options: source, runs, mayWrite(), onClose(). */
  constructor(parent, options) {
    this.options = options;
    this.id = null;
    this.element = element("section", { class: "mlf-details", "aria-label": "Run details", "data-lm-suppress-shortcuts": "true" });
    this.element.hidden = true;
    this.element.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.close();
      event.stopPropagation();
    });
    parent.append(this.element);
  }

  open(id) {
    this.id = id;
    this.element.hidden = false;
    this._draw();
    this.element.querySelector("button")?.focus({ preventScroll: true });
    this.element.scrollIntoView?.({ block: "nearest" });
  }

  close() {
    if (this.element.hidden) return;
    this.element.hidden = true;
    this.id = null;
    this.options.onClose();
  }

  /** Draw again when the run has changed, unless somebody is typing here. */
  refresh() {
    if (this.element.hidden || this.element.querySelector("textarea, input:focus")) return;
    if (this.options.runs.row(this.id) < 0) this.close();
    else this._draw();
  }

  _value(key) {
    return this.options.runs.value(this.options.runs.row(this.id), key);
  }

  _draw() {
    const error = this._value("error");
    const held = this.element.contains(document.activeElement);
    this._line = element("div", { class: "mlf-details-line", role: "status" });
    replace(
      this.element,
      element(
        "div",
        { class: "mlf-details-head" },
        statusMark(fateOf(this._value("status"), this._value("error"))),
        element("bdi", { class: "mlf-details-name" }, this._value("name") ?? ""),
        element("span", { class: "mlf-muted" }, this._times()),
        this.options.source.link ? element("a", { href: this.options.source.link(this.id) }, "open the run's page") : null,
        copyButton("copy id", this.id, { title: this.id, class: "mlf-button" }),
        button("×", () => this.close(), { class: "mlf-button mlf-plain mlf-end", "aria-label": "Close the details" }),
      ),
      error ? element("div", { class: "mlf-error mlf-details-error" }, error) : null,
      this._description(),
      this._tags(),
      this._line,
      element("div", { class: "mlf-details-columns" }, this._list("params"), this._list("metrics")),
    );
    if (held) this.element.querySelector("button")?.focus({ preventScroll: true });
  }

  _times() {
    const started = this._value("started_at");
    const ended = this._value("ended_at");
    const took = ended === undefined ? "still running" : `took ${duration(ended - started)}`;
    return `by ${this._value("created_by") ?? "?"} · started ${clock(started)} · ${took}`;
  }

  _list(kind) {
    const { runs } = this.options;
    const keys = runs.keys().filter((key) => split(key).kind === kind && !split(key).extreme && this._value(key) !== undefined);
    const rows = keys.map((key) => [element("dt", {}, element("bdi", {}, split(key).name)), element("dd", {}, element("bdi", {}, exact(this._value(key))))]);
    const title = `${kind} · ${keys.length}`;
    return element("div", {}, element("h4", {}, title), keys.length ? element("dl", {}, rows) : element("p", { class: "mlf-muted" }, "none"));
  }

  // -- description -----------------------------------------------------------------------------

  _description() {
    const text = this._value("description") ?? "";
    const place = element("div", { class: "mlf-run-description" });
    const edit = this._editButton(text ? "edit" : "describe this run", () => this._editDescription(place, text));
    replace(place, text ? element("span", { class: "mlf-prose" }, text) : null, edit);
    return place;
  }

  _editDescription(place, before) {
    const area = element("textarea", { class: "mlf-input", rows: "3", "aria-label": "Description", maxlength: "20000" });
    area.value = before;
    const save = () => this._change("set_description", { run: this.id, text: area.value }, "description");
    area.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) save();
      else if (event.key === "Escape") this._draw();
      event.stopPropagation();
    });
    replace(place, area, button("save", save, { class: "mlf-button mlf-primary" }), button("cancel", () => this._draw()));
    area.focus();
  }

  // -- tags ------------------------------------------------------------------------------------

  _tags() {
    const { runs } = this.options;
    const keys = runs.keys().filter((key) => split(key).kind === "tags" && this._value(key) !== undefined);
    const place = element("div", { class: "mlf-run-tags" });
    const chips = keys.map((key) => this._chip(split(key).name, this._value(key)));
    replace(place, chips, this._editButton("add a tag", () => this._editTag(place)));
    return place;
  }

  _chip(name, text) {
    const remove = () => this._change("set_tags", { run: this.id, tags: { [name]: null } }, `tag ${name}`);
    return element(
      "span",
      { class: "mlf-run-tag" },
      element("bdi", {}, text && text !== "true" ? `${name}: ${text}` : name),
      this.options.mayWrite() ? button("×", remove, { class: "mlf-button mlf-plain", "aria-label": `Remove the tag ${name}` }) : null,
    );
  }

  _editTag(place) {
    const name = element("input", { type: "text", class: "mlf-input", placeholder: "tag", "aria-label": "Name of the tag", size: "12", maxlength: "250" });
    const text = element("input", { type: "text", class: "mlf-input", placeholder: "value", "aria-label": "Value of the tag", size: "18" });
    const save = () => {
      if (!name.value.trim()) {
        name.focus();
        return;
      }
      this._change("set_tags", { run: this.id, tags: { [name.value.trim()]: text.value } }, `tag ${name.value.trim()}`);
    };
    const onKey = (event) => {
      if (event.key === "Enter") save();
      else if (event.key === "Escape") this._draw();
      event.stopPropagation();
    };
    const form = element("span", { class: "mlf-run-tag-form", onkeydown: onKey }, name, text, button("save", save, { class: "mlf-button mlf-primary" }), button("cancel", () => this._draw()));
    place.lastChild.replaceWith(form);
    name.focus();
  }

  _editButton(label, onclick) {
    const may = this.options.mayWrite();
    const why = may ? "" : "Changing runs takes the permission WRITE on this project.";
    return button(label, onclick, { class: "mlf-button mlf-plain mlf-edit", disabled: !may, title: why });
  }

  // What was typed stays until the answer is there: an error must not take it away.
  async _change(verb, args, what) {
    const id = this.id;
    this._say("saving…");
    try {
      await this.options.source.ask(verb, args, { onQueued: () => this._say("queued: the kernel is busy; this is saved when its cell ends") });
    } catch (error) {
      this._say(`The ${what} was not saved: ${error.message}`, true);
      return;
    }
    if (this.id !== id) return;
    this.options.onSaved(verb, args);
    this._draw();
    this._say("saved");
  }

  _say(text, isError = false) {
    this._line.textContent = text;
    this._line.classList.toggle("mlf-error", isError);
  }
}
