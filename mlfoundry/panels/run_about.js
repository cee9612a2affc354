// All that is known of a run beside its curves: description and tags (to edit), params, metrics, surroundings, packages.

import { button, codeToCopy, copyButton, element, replace, setText } from "./dom.js";
import { isOwnTag } from "./columns.js";
import { ABSENT, bytes, clock, count, exact, figure, fromJson } from "./numbers.js";

/** The inside of the tab Details. */
export class AboutTab {
  constructor(source, points) {
    this._source = source;
    this._points = points;
    this._key = "";
    this._metrics = element("div", {});
    this._say = element("div", { class: "mlf-about-said", role: "status" });
    this._edit = element("div", {});
    this._rest = element("div", { class: "mlf-about-rest" });
    this.node = element("div", { class: "mlf-about" }, this._say, this._edit, this._rest);
  }

  update(run) {
    this._showMetrics(run);
    const key = JSON.stringify([run.description, run.tags, run.params, run.facts, run.may_write, run.ended_at]);
    if (key === this._key) return;
    this._key = key;
    this._run = run;
    const isTyping = this._edit.contains(document.activeElement) && document.activeElement.matches("input, textarea");
    if (!isTyping) replace(this._edit, this._description(), this._tags());
    replace(
      this._rest,
      this._identity(),
      section("params", paramsTable(run)),
      section("metrics", this._metrics),
      this._surroundings(),
    );
  }

  _showMetrics(run) {
    const metrics = latest(run.metrics ?? {}, this._points);
    const key = JSON.stringify(metrics);
    if (key === this._metricsKey) return;
    this._metricsKey = key;
    replace(this._metrics, metricsTable(metrics));
  }

  // -- what can be edited --------------------------------------------------------------------------

  _description() {
    const { description, may_write: mayWrite } = this._run;
    const text = element(
      "p",
      { class: "mlf-description" },
      description || element("span", { class: "mlf-muted" }, "no description"),
    );
    const place = element("div", { class: "mlf-about-row" }, text);
    if (mayWrite)
      place.append(
        button("edit", () => this._editDescription(place), {
          class: "mlf-button mlf-plain",
          "aria-label": "edit the description",
        }),
      );
    return section("description", place);
  }

  _editDescription(place) {
    const area = element("textarea", { class: "mlf-input mlf-textarea", rows: 3, "aria-label": "description" });
    area.value = this._run.description ?? "";
    const done = () => this._redraw();
    const save = () =>
      this._ask("set_description", { text: area.value }, () => {
        this._run = { ...this._run, description: area.value };
        done();
      });
    const form = element(
      "form",
      { class: "mlf-about-form", onsubmit: (event) => (event.preventDefault(), save()) },
      area,
      element(
        "div",
        { class: "mlf-row" },
        element("button", { type: "submit", class: "mlf-button mlf-primary" }, "save"),
        button("cancel", done),
      ),
    );
    area.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Escape") done();
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) save();
    });
    replace(place, form);
    area.focus();
  }

  _tags() {
    const { tags, may_write: mayWrite } = this._run;
    const names = Object.keys(tags ?? {})
      .filter((name) => !isOwn(name))
      .sort();
    const list = element(
      "ul",
      { class: "mlf-tags" },
      names.map((name) => this._tag(name, tags[name], mayWrite)),
    );
    const none = names.length ? null : element("span", { class: "mlf-muted" }, "no tags");
    return section(
      "tags",
      element("div", { class: "mlf-about-row" }, names.length ? list : none, mayWrite ? this._tagForm() : null),
    );
  }

  _tag(name, text, mayWrite) {
    const remove = mayWrite
      ? button("×", () => this._setTag(name, null), {
          class: "mlf-button mlf-plain mlf-tag-remove",
          "aria-label": `remove the tag ${name}`,
        })
      : null;
    return element(
      "li",
      { class: "mlf-tag", title: `${name} = ${text}` },
      element("bdi", { class: "mlf-muted" }, name),
      element("bdi", {}, text),
      remove,
    );
  }

  _tagForm() {
    const name = element("input", {
      class: "mlf-input",
      placeholder: "tag",
      "aria-label": "name of a new tag",
      size: 10,
    });
    const value = element("input", {
      class: "mlf-input",
      placeholder: "value",
      "aria-label": "value of a new tag",
      size: 10,
    });
    const submit = (event) => {
      event.preventDefault();
      if (name.value.trim()) this._setTag(name.value.trim(), value.value);
      else name.focus();
    };
    const form = element(
      "form",
      { class: "mlf-row mlf-tag-form", onsubmit: submit },
      name,
      value,
      element("button", { type: "submit", class: "mlf-button" }, "add"),
    );
    form.addEventListener("keydown", (event) => event.stopPropagation());
    return form;
  }

  _setTag(name, text) {
    return this._ask("set_tags", { tags: { [name]: text } }, () => {
      const tags = { ...this._run.tags, [name]: text };
      if (text === null) delete tags[name];
      this._run = { ...this._run, tags };
      this._redraw();
    });
  }

  _redraw() {
    replace(this._edit, this._description(), this._tags());
  }

  /** Ask the source; say what waits, what went well, and why not. What was typed stays when it was refused. */
  async _ask(verb, args, onDone) {
    this._say.classList.remove("mlf-error");
    try {
      await this._source.ask(verb, args, {
        onQueued: () => setText(this._say, "queued: it is done as soon as the running cell ends"),
      });
      setText(this._say, "");
      onDone();
    } catch (error) {
      this._say.classList.add("mlf-error");
      setText(this._say, error.message);
    }
  }

  // -- what is read --------------------------------------------------------------------------------

  _identity() {
    const run = this._run;
    const rows = [
      ["run id", element("span", { class: "mlf-mono" }, run.run_id), run.run_id],
      ["full name", run.fqn, run.fqn],
      ["created by", run.created_by],
      ["started", clock(run.started_at)],
      ["ended", clock(run.ended_at) || ABSENT],
    ];
    return section(
      "run",
      table(
        rows.map(([name, shown, copied]) =>
          row(name, [
            shown,
            copied
              ? copyButton("copy", copied, { class: "mlf-button mlf-plain mlf-copy", "aria-label": `copy the ${name}` })
              : null,
          ]),
        ),
      ),
    );
  }

  _surroundings() {
    const { packages, ...told } = this._run.facts ?? {};
    const own = Object.entries(this._run.tags ?? {}).filter(([name]) => isOwn(name));
    const facts = { ...told, ...Object.fromEntries(own) };
    const names = Object.keys(facts)
      .filter((name) => !/^(cell|error)\./.test(name))
      .sort();
    const known = names.length
      ? table(names.map((name) => row(name, factText(name, facts[name]))))
      : element("p", { class: "mlf-muted" }, "nothing recorded");
    return [section("surroundings", known), packages ? section("packages", packageList(packages)) : null];
  }
}

/** Whether a tag is one that the tracker set: it is told among the surroundings, where nobody edits. */
function isOwn(name) {
  return isOwnTag(`tags.${name}`);
}

function factText(name, text) {
  return /_bytes$/.test(name) && Number.isFinite(Number(text)) ? bytes(Number(text)) : String(text);
}

function packageList(text) {
  const lines = String(text).split("\n").filter(Boolean);
  const list = element("pre", { class: "mlf-pre", tabindex: 0 }, lines.join("\n"));
  return element(
    "details",
    { class: "mlf-fold" },
    element("summary", {}, count(lines.length, "package")),
    list,
    copyButton("copy as requirements", lines.join("\n")),
  );
}

function paramsTable(run) {
  const names = Object.keys(run.params ?? {}).sort();
  if (!names.length)
    return [
      element("p", { class: "mlf-muted" }, "No params were logged. For example:"),
      codeToCopy('run.log_params({"lr": 0.01})'),
    ];
  return table(names.map((name) => row(name, run.params[name][0])));
}

/** Summaries of metrics; from the points where these are newer than what was told. */
function latest(metrics, points) {
  const found = Object.entries(metrics).map(([name, { last, min, max, count: number }]) => [
    name,
    [last, min, max].map(fromJson),
    number,
  ]);
  const known = new Map(found.map((each) => [each[0], each]));
  for (const series of points.all()) {
    if (series.system || !series.finite || series.count < (known.get(series.name)?.[2] ?? 0)) continue;
    known.set(series.name, [series.name, [series.last, series.least, series.greatest], series.count]);
  }
  return [...known.values()]
    .sort((a, b) => (a[0] < b[0] ? -1 : 1))
    .map(([name, values, number]) => [name, values.map(exact), number]);
}

function metricsTable(metrics) {
  if (!metrics.length) return element("p", { class: "mlf-muted" }, "No metrics were logged.");
  const heads = ["last", "least", "greatest", "points"].map((name) =>
    element("th", { scope: "col", class: "mlf-number" }, name),
  );
  const head = element("tr", {}, element("th", { scope: "col" }, "name"), heads);
  const cell = (text, title) => element("td", { class: "mlf-number", title }, text);
  const rows = metrics.map(([name, values, number]) => {
    const cells = values.map((text) => cell(figure(numberOf(text)), text));
    return element("tr", {}, element("th", { scope: "row" }, element("bdi", {}, name)), cells, cell(figure(number)));
  });
  return element("table", { class: "mlf-plain-table" }, element("thead", {}, head), element("tbody", {}, rows));
}

function numberOf(text) {
  return { inf: Infinity, "-inf": -Infinity, nan: NaN }[text] ?? Number(text);
}

function section(title, ...content) {
  return element("section", { class: `mlf-about-section mlf-about-${title}` }, element("h3", {}, title), content);
}

function table(rows) {
  return element("table", { class: "mlf-plain-table" }, element("tbody", {}, rows));
}

function row(name, shown) {
  return element(
    "tr",
    {},
    element("th", { scope: "row" }, element("bdi", {}, name)),
    element("td", {}, Array.isArray(shown) ? shown : element("bdi", {}, shown ?? ABSENT)),
  );
}
