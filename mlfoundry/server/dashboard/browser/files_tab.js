// The files of a run, and a look into each: images, text, tables and figures. What users wrote runs nowhere.

import { button, element, replace, setText } from "../panels/dom.js";
import { bytes, count } from "../panels/numbers.js";
import { readTable } from "./delimited.js";
import { address } from "./http.js";
import { LoadedTab } from "./loaded_tab.js";

const IMAGES = new Set(["apng", "avif", "bmp", "gif", "ico", "jpeg", "jpg", "png", "webp"]);
const DOCUMENTS = new Set(["html", "htm", "svg"]);
const TABLES = { csv: ",", tsv: "\t" };
const ROWS_MOST = 200;
const SEARCH_FROM = 12;

/** The inside of the tab Files. */
export class FilesTab extends LoadedTab {
  constructor(run, place, source) {
    super(`${place}/files`, "The files");
    this._run = run;
    this._place = place;
    this._plotly = () => source().plotly();
    this._search = element("input", { type: "search", class: "mlf-input", placeholder: "search", "aria-label": "search files", hidden: true });
    this._search.addEventListener("input", () => this._drawList());
    this._list = element("ul", { class: "dash-files-list", "aria-label": "files" });
    this._look = element("section", { class: "dash-look", "aria-label": "preview" });
    this.node = element("div", { class: "dash-files" }, element("div", { class: "dash-files-side" }, this._search, this._list), this._look);
  }

  get failurePlace() {
    return this._look;
  }

  draw() {
    const { files } = this.told;
    this._search.hidden = files.length < SEARCH_FROM;
    this._drawList();
    if (!files.length) {
      replace(this._look, element("div", { class: "mlf-empty" }, "No files yet. For example: ", element("code", { class: "mlf-mono" }, 'run.log_artifact("model.pkl")')));
    } else if (!this._shown) replace(this._look, element("p", { class: "mlf-muted" }, `${count(files.length, "file")}. Choose one to look into it.`));
  }

  _drawList() {
    const wanted = this._search.value.trim().toLowerCase();
    const shown = this.told.files.filter(({ path }) => path.toLowerCase().includes(wanted));
    replace(
      this._list,
      shown.map((file) => {
        const open = button(element("bdi", {}, file.path), () => this._open(file), { class: "mlf-link dash-file", title: file.path, "aria-pressed": String(file.path === this._shown) });
        return element("li", {}, open, element("span", { class: "mlf-muted mlf-number" }, bytes(file.size_bytes)));
      }),
    );
  }

  async _open(file) {
    this._shown = file.path;
    this._drawList();
    const download = element(
      "a",
      { class: "mlf-button", href: address(`/api/v1/projects/${this._run.project_id}/runs/${this._run.run_id}/artifacts/content`, { path: file.path }), download: file.path.split("/").at(-1) },
      "download",
    );
    const head = element("div", { class: "mlf-row" }, element("bdi", { class: "dash-look-name" }, file.path), element("span", { class: "mlf-muted" }, bytes(file.size_bytes)), download);
    const body = element("div", { class: "dash-look-body" }, element("div", { class: "mlf-skeleton" }));
    replace(this._look, head, body);
    try {
      const content = await this._content(file, body);
      if (this._shown === file.path) replace(body, content);
    } catch (error) {
      if (this._shown === file.path) replace(body, element("p", { class: "mlf-error" }, error.message));
    }
  }

  async _content(file, body) {
    const suffix = file.path.includes(".") ? file.path.split(".").at(-1).toLowerCase() : "";
    const src = address(`${this._place}/preview`, { path: file.path });
    if (IMAGES.has(suffix)) return element("img", { class: "dash-image", src, alt: file.path });
    if (DOCUMENTS.has(suffix)) {
      const frame = element("iframe", { class: "dash-frame", sandbox: "", src, title: file.path, referrerpolicy: "no-referrer" });
      return [element("p", { class: "mlf-muted" }, "Shown without scripts and without what lies elsewhere; download it to see all."), frame];
    }
    const { text, isCut } = await read(src);
    if (text.includes("\u0000")) return element("p", { class: "mlf-muted" }, "This file is no text; download it.");
    if (suffix === "json") {
      const figure = figureOf(text);
      if (figure) return this._figure(figure, body);
    }
    const cut = isCut ? element("p", { class: "mlf-muted" }, "This is its beginning; download it to see all.") : null;
    if (TABLES[suffix]) return [table(text, TABLES[suffix]), cut];
    return [element("pre", { class: "dash-code", tabindex: 0 }, text), cut];
  }

  async _figure({ data, layout }, body) {
    const Plotly = await this._plotly();
    const place = element("div", { class: "dash-figure" });
    replace(body, place);
    await Plotly.newPlot(place, data, { ...layout, autosize: true, width: undefined }, { responsive: true, displaylogo: false });
    return place;
  }
}

async function read(src) {
  const response = await fetch(src, { credentials: "same-origin", redirect: "error" });
  if (!response.ok) {
    const told = await response.json().catch(() => null);
    throw new Error(told?.error?.message ?? `the server answered ${response.status}`);
  }
  return { text: await response.text(), isCut: response.headers.get("X-Cut") === "1" };
}

/** A figure of plotly, null where the text is none. */
function figureOf(text) {
  try {
    const told = JSON.parse(text);
    const isFigure = Array.isArray(told?.data) && typeof told.layout === "object" && told.layout !== null;
    return isFigure ? told : null;
  } catch {
    return null;
  }
}

function table(text, separator) {
  const rows = readTable(text, separator, ROWS_MOST + 2);
  const [heads, ...body] = rows;
  if (!heads) return element("p", { class: "mlf-muted" }, "This table is empty.");
  const cell = (value) => element("td", { class: value !== "" && Number.isFinite(Number(value)) ? "mlf-number" : null, title: value.length > 60 ? value : null }, element("bdi", {}, value));
  const head = element("tr", {}, heads.map((name) => element("th", { scope: "col" }, element("bdi", {}, name))));
  const note = element("p", { class: "mlf-muted" });
  setText(note, body.length > ROWS_MOST ? `the first ${ROWS_MOST} rows` : count(body.length, "row"));
  return element(
    "div",
    {},
    note,
    element("div", { class: "dash-scroll", tabindex: 0, role: "region", "aria-label": "table" }, element("table", { class: "mlf-plain-table" }, element("thead", {}, head), element("tbody", {}, body.slice(0, ROWS_MOST).map((row) => element("tr", {}, row.map(cell)))))),
  );
}
