// The code of a run: the source of its cells, and what changed in it since the run before.

import { button, copyButton, element, replace } from "../panels/dom.js";
import { address } from "./http.js";
import { LoadedTab } from "./loaded_tab.js";

const SIGNS = { "+": "dash-added", "-": "dash-removed", "@": "dash-place" };
const WORDS = { "+": "added", "-": "removed" };

/** The inside of the tab Code. */
export class CodeTab extends LoadedTab {
  constructor(place) {
    super(`${place}/code`, "The code");
    this._showsDiff = true;
    this.node = element("div", { class: "dash-codes" });
  }

  get failurePlace() {
    return this.node;
  }

  draw() {
    const { since, summary, params, packages, git, cells, kept_diff: kept } = this.told;
    const sources = cells.filter((cell) => cell.source);
    const parts = [];
    if (since) parts.push(this._since(since, summary));
    else if (summary) parts.push(element("p", {}, `Changed since the run before: ${summary}`));
    if (params) parts.push(changes("params that changed", params));
    if (packages) parts.push(changes("packages that changed", packages));
    if (kept) parts.push(element("pre", { class: "dash-code", tabindex: 0 }, kept));
    if (git.commit) parts.push(commit(git));
    if (!sources.length) {
      parts.push(element("div", { class: "mlf-empty" }, "No source was recorded: cells that begin with %%mlfoundry_run keep theirs, masked; scripts are known by their git commit."));
    }
    for (const cell of sources) parts.push(this._cell(cell, cells.length));
    replace(this.node, parts);
  }

  _since(since, summary) {
    const link = element("a", { href: address(`/r/${since.run_id}`) }, element("bdi", {}, since.run_name));
    const toggle = button(this._showsDiff ? "whole source" : "differences", () => {
      this._showsDiff = !this._showsDiff;
      this.draw();
      this.node.querySelector("button")?.focus();
    });
    return element("div", { class: "mlf-row" }, element("span", {}, "Since ", link, `: ${summary || "nothing changed"}`), toggle);
  }

  _cell(cell, total) {
    const title = total > 1 ? `Cell ${cell.n}` : "Source";
    const isSame = cell.diff && !cell.diff.length;
    const head = element("div", { class: "mlf-row" }, element("h3", {}, title), isSame ? element("span", { class: "mlf-muted" }, "as before") : null, copyButton("copy", cell.source));
    const isDiff = this._showsDiff && cell.diff?.length;
    return element("section", { "aria-label": title }, head, isDiff ? diff(cell.diff) : element("pre", { class: "dash-code", tabindex: 0 }, cell.source));
  }
}

function diff(lines) {
  const rows = lines.map(([sign, line]) => {
    const word = WORDS[sign] ? element("span", { class: "mlf-sr" }, `${WORDS[sign]}: `) : null;
    return element("span", { class: `dash-line ${SIGNS[sign] ?? ""}` }, word, element("span", { "aria-hidden": "true", class: "dash-sign" }, sign === "@" ? "" : sign), `${line}\n`);
  });
  return element("pre", { class: "dash-code dash-diff", tabindex: 0 }, rows);
}

function changes(title, text) {
  return element("section", {}, element("h3", {}, title), element("pre", { class: "dash-code", tabindex: 0 }, text));
}

function commit(git) {
  const words = [git.branch, git.commit.slice(0, 12), git.dirty === "true" || git.dirty === "True" ? "with changes that were not committed" : ""];
  return element("p", { class: "mlf-muted" }, `git: ${words.filter(Boolean).join(" · ")} `, copyButton("copy the commit", git.commit, { class: "mlf-button mlf-plain" }));
}
