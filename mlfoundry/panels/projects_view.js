// The projects that a person may see: how many runs, when something last happened, with whom; one click opens one.

import { button, codeToCopy, element, replace, setText } from "./dom.js";
import { ago, clock, count, grouped } from "./numbers.js";
import { firstRun } from "./runs_words.js";
import { cutInTheMiddle } from "./table_cells.js";

const LIST_QUEUED = "queued: the kernel is busy; the list comes when its cell ends";
const SEARCH_FROM = 8;
const PEOPLE_SAID = 3;
const SKELETON_AFTER_MS = 200;

/** Put the list of projects into an element. Returns {dispose}. */
export function mountProjects(parent, source) {
  const view = new ProjectsView(parent, source);
  return { dispose: () => view.dispose() };
}

class ProjectsView {
  constructor(parent, source) {
    this.source = source;
    this.projects = null;
    this._search = element("input", { class: "mlf-input", type: "text", placeholder: "search projects", "aria-label": "Search projects" });
    this._head = element("div", { class: "mlf-row" }, element("h2", {}, "Projects"), (this._counts = element("span", { class: "mlf-muted", role: "status" })), this._search);
    this._list = element("div", { class: "mlf-projects" });
    this._line = element("div", { class: "mlf-people-line", role: "status" });
    this.element = element("section", { class: "mlfoundry mlf-projects-view", "aria-label": "Projects", "data-lm-suppress-shortcuts": "true" }, this._head, this._list, this._line);
    this._search.hidden = true;
    this._search.addEventListener("input", () => this._draw());
    parent.append(this.element);
    this._waiting = setTimeout(() => replace(this._list, element("div", { class: "mlf-skeleton mlf-people-waits" })), SKELETON_AFTER_MS);
    this._off = source.listen((message) => message.kind === "projects" && this._take(message.projects));
    this._load();
  }

  dispose() {
    this._isGone = true;
    clearTimeout(this._waiting);
    this._off?.();
    this.element.remove();
  }

  async _load() {
    try {
      const projects = await this.source.ask("list", {}, { onQueued: () => setText(this._line, LIST_QUEUED) });
      if (this._line.textContent === LIST_QUEUED) setText(this._line, "");
      if (!this._isGone) this._take(projects);
    } catch (error) {
      if (this._isGone) return;
      clearTimeout(this._waiting);
      replace(this._list, element("div", { class: "mlf-error-line" }, `The projects could not be read: ${error.message} `, button("try again", () => this._load())));
    }
  }

  _take(projects) {
    clearTimeout(this._waiting);
    // The one where something happened last stands first.
    this.projects = [...projects].sort((left, right) => (right.last_run_at ?? right.created_at ?? 0) - (left.last_run_at ?? left.created_at ?? 0));
    setText(this._line, "");
    this._draw();
  }

  _draw() {
    const { projects } = this;
    const wanted = this._search.value.trim().toLowerCase();
    this._search.hidden = projects.length < SEARCH_FROM && !wanted;
    const shown = projects.filter(({ owner, name }) => `${owner}/${name}`.toLowerCase().includes(wanted));
    setText(this._counts, wanted ? `${shown.length} of ${projects.length}` : projects.length ? grouped(projects.length) : "");
    if (!projects.length) {
      const text = element("p", {}, "No projects yet. The first run makes one:");
      replace(this._list, element("div", { class: "mlf-empty" }, text, codeToCopy(firstRun())));
    } else if (!shown.length) {
      replace(this._list, element("div", { class: "mlf-empty" }, `No project is called “${this._search.value.trim()}”.`));
    } else {
      replace(this._list, this._table(shown));
    }
  }

  _table(shown) {
    const hasRunning = shown.some((project) => project.running_count);
    const running = hasRunning ? [["running", ""]] : [];
    const heads = [["project", ""], ["runs", "mlf-number"], ...running, ["last run", ""], ["people", ""], ["you may", ""]];
    const head = element("tr", {}, heads.map(([text, name]) => element("th", { scope: "col", class: name }, text)));
    const rows = shown.map((project) => this._row(project, hasRunning));
    return element("table", { class: "mlf-plain-table mlf-projects-table" }, element("thead", {}, head), element("tbody", {}, rows));
  }

  _row(project, hasRunning) {
    const title = `${project.owner}/${project.name}`;
    const name = element("span", { class: "mlf-cut mlf-projects-name" }, cutInTheMiddle(title));
    const label = { class: "mlf-link", title, "aria-label": `Open ${title}` };
    const href = this.source.link?.(project);
    const open = href ? element("a", { href, ...label }, name) : button(name, () => this._open(project), label);
    const running = project.running_count ? element("span", { class: "mlf-status-running" }, `● ${project.running_count} running`) : "";
    const last = project.last_run_at;
    return element(
      "tr",
      {},
      element("th", { scope: "row" }, open),
      element("td", { class: "mlf-number" }, grouped(project.run_count)),
      hasRunning ? element("td", {}, running) : null,
      element("td", { title: last ? clock(last) : "no runs yet" }, ago(last, this.source.now())),
      element("td", { title: (project.people ?? []).join(", ") }, people(project)),
      element("td", { class: "mlf-muted" }, project.permission),
    );
  }

  async _open({ owner, name }) {
    setText(this._line, "");
    this._line.classList.remove("mlf-error");
    try {
      await this.source.ask("open", { owner, name }, { onQueued: () => setText(this._line, `opening ${owner}/${name}: queued, the kernel is busy`) });
    } catch (error) {
      this._line.classList.add("mlf-error");
      setText(this._line, `${owner}/${name} could not be opened: ${error.message}`);
    }
  }
}

function people(project) {
  if (!project.people) return project.collaborator_count === 1 ? "only the owner" : count(project.collaborator_count, "person", "people");
  const said = project.people.slice(0, PEOPLE_SAID).join(", ");
  const rest = project.people.length - PEOPLE_SAID;
  return rest > 0 ? `${said} and ${rest} more` : said;
}
