// Who is in a project, with which permission; an ADMIN adds, changes and removes, everybody else sees why not.

import { button, element, replace, setText } from "./dom.js";
import { ago, clock, count } from "./numbers.js";

const LIST_QUEUED = "queued: the kernel is busy; the list comes when its cell ends";
const PERMISSIONS = ["READ", "WRITE", "ADMIN"];
const MEANINGS = {
  READ: "sees runs and collaborators",
  WRITE: "also creates runs and logs to them",
  ADMIN: "also manages collaborators and deletes",
};
const SKELETON_AFTER_MS = 200;

/** Put the collaborators of a project into an element. Returns {dispose}. */
export function mountCollaborators(parent, source) {
  const view = new CollaboratorsView(parent, source);
  return { dispose: () => view.dispose() };
}

class CollaboratorsView {
  constructor(parent, source) {
    this.source = source;
    this.told = null;
    this._said = new Map(); // user -> {text, isError}: stays beside its row until the next change there
    this._removing = null;
    this._build(parent);
    this._waiting = setTimeout(() => this._skeleton(), SKELETON_AFTER_MS);
    this._off = source.listen((message) => message.kind === "people" && this._take(message));
    this._load();
  }

  dispose() {
    this._isGone = true;
    clearTimeout(this._waiting);
    this._off?.();
    this.element.remove();
  }

  _build(parent) {
    this._head = element("div", { class: "mlf-row mlf-people-head" });
    this._list = element("div", { class: "mlf-people" });
    this._foot = element("div", { class: "mlf-people-foot" });
    this.element = element("section", { class: "mlfoundry mlf-people-view", "aria-label": "Collaborators", "data-lm-suppress-shortcuts": "true" }, this._head, this._list, this._foot);
    parent.append(this.element);
  }

  async _load() {
    try {
      const told = await this.source.ask("list", {}, { onQueued: () => this._sayBelow(LIST_QUEUED) });
      if (this._line?.textContent === LIST_QUEUED) this._sayBelow("");
      if (!this._isGone) this._take(told);
    } catch (error) {
      if (this._isGone) return;
      clearTimeout(this._waiting);
      const again = button("try again", () => this._load());
      replace(this._list, element("div", { class: "mlf-error-line" }, `The collaborators could not be read: ${error.message} `, again));
    }
  }

  _take({ project, me, people }) {
    clearTimeout(this._waiting);
    this.told = { project: project ?? this.told?.project ?? {}, me: me ?? this.told?.me, people };
    this._draw();
  }

  _skeleton() {
    replace(this._list, Array.from({ length: 3 }, () => element("div", { class: "mlf-skeleton mlf-people-waits" })));
  }

  get _mayChange() {
    return this.told.project.permission === "ADMIN";
  }

  /** Owner first, then ADMIN, WRITE, READ, each by name. */
  _ordered() {
    const level = (person) => (person.is_owner ? 9 : PERMISSIONS.indexOf(person.permission));
    return [...this.told.people].sort((left, right) => level(right) - level(left) || left.user.localeCompare(right.user));
  }

  /** Why this person's row cannot be changed, or an empty text. */
  _why(person) {
    if (person.is_owner) return "The owner is always ADMIN and stays.";
    const admins = this.told.people.filter((each) => each.permission === "ADMIN");
    if (person.permission === "ADMIN" && admins.length === 1) return "The last ADMIN stays: make somebody else ADMIN first.";
    return "";
  }

  // -- drawing ---------------------------------------------------------------------------------

  _draw() {
    const { project, people } = this.told;
    const held = this._heldControl();
    const title = project.owner ? `${project.owner}/${project.name}` : (project.name ?? "");
    const size = people.length === 1 ? "only the owner" : `${count(people.length, "person", "people")}`;
    replace(this._head, element("h2", {}, element("bdi", {}, title)), element("span", { class: "mlf-muted" }, size));
    const rows = this._ordered().map((person) => this._row(person));
    const heads = ["user", "permission", "since", ""].map((text) => element("th", { scope: "col" }, text || element("span", { class: "mlf-sr" }, "actions")));
    replace(this._list, element("table", { class: "mlf-plain-table mlf-people-table" }, element("thead", {}, element("tr", {}, heads)), element("tbody", {}, rows)));
    this._drawFoot();
    if (held) this.element.querySelector(`[data-control="${CSS.escape(held)}"]`)?.focus({ preventScroll: true });
  }

  _heldControl() {
    const { activeElement } = document;
    return this._list.contains(activeElement) ? activeElement.dataset.control : undefined;
  }

  _row(person) {
    const why = this._why(person);
    const isMe = person.user === this.told.me;
    const name = element("td", {}, element("bdi", { class: "mlf-people-name" }, person.user), person.is_owner ? tag("owner") : null, isMe ? tag("you") : null);
    const since = element("td", { class: "mlf-muted", title: clock(person.added_at) }, ago(person.added_at, this.source.now()));
    return element("tr", { dataset: { user: person.user } }, name, element("td", {}, this._permission(person, why)), since, element("td", {}, this._actions(person, why, isMe)));
  }

  _permission(person, why) {
    if (!this._mayChange || why) return element("span", { title: MEANINGS[person.permission] }, person.permission);
    const options = PERMISSIONS.map((level) => element("option", { value: level, selected: level === person.permission, title: MEANINGS[level] }, level));
    const select = element("select", { class: "mlf-select", "aria-label": `Permission of ${person.user}`, dataset: { control: `permission ${person.user}` } }, options);
    select.addEventListener("change", () => this._change("change", person.user, { user: person.user, permission: select.value }, `now ${select.value}`));
    return select;
  }

  _actions(person, why, isMe) {
    const place = element("div", { class: "mlf-people-actions" });
    const said = this._said.get(person.user);
    const line = said ? element("span", { class: said.isError ? "mlf-error" : "mlf-muted", role: said.isError ? "alert" : "status" }, said.text) : null;
    if (this._removing === person.user) {
      const loses = isMe ? "You lose" : "They lose";
      const question = `Remove ${person.user}? ${loses} access at once; what was logged stays.`;
      const remove = button("remove", () => this._remove(person.user), { class: "mlf-button mlf-danger" });
      const keep = button("keep", () => this._askRemoval(null), { dataset: { control: `keep ${person.user}` } });
      place.addEventListener("keydown", (event) => event.key === "Escape" && this._askRemoval(null));
      return replace(place, element("span", {}, question), remove, keep);
    }
    if (!this._mayChange) return replace(place, line);
    if (why) return replace(place, element("span", { class: "mlf-muted" }, why), line);
    const label = isMe ? "leave…" : "remove…";
    const ask = button(label, () => this._askRemoval(person.user), { class: "mlf-button mlf-plain", "aria-label": `Remove ${person.user}`, dataset: { control: `remove ${person.user}` } });
    return replace(place, ask, line);
  }

  _askRemoval(user) {
    const before = this._removing;
    this._removing = user;
    this._draw();
    const control = user === null ? `remove ${before}` : `keep ${user}`;
    this.element.querySelector(`[data-control="${CSS.escape(control)}"]`)?.focus();
  }

  _drawFoot() {
    if (!this._mayChange) {
      const admins = this._ordered().filter((person) => person.permission === "ADMIN").map((person) => person.user);
      const level = this.told.project.permission ?? "READ";
      replace(this._foot, element("p", { class: "mlf-muted" }, `Your permission here is ${level}. Collaborators are changed by an ADMIN: ${listed(admins)}.`));
      this._form = null;
      return;
    }
    if (this._form) return; // somebody may be typing in it
    this._form = this._addForm();
    replace(this._foot, this._form);
  }

  _addForm() {
    const user = element("input", { class: "mlf-input", type: "text", placeholder: "user", "aria-label": "User to add", autocomplete: "off", spellcheck: "false", maxlength: "250" });
    const level = element("select", { class: "mlf-select", "aria-label": "Permission to give" }, PERMISSIONS.map((each) => element("option", { value: each }, each)));
    const meaning = element("span", { class: "mlf-muted" }, MEANINGS.READ);
    level.addEventListener("change", () => setText(meaning, MEANINGS[level.value]));
    this._line = element("div", { class: "mlf-people-line", role: "status" });
    const submit = element("button", { type: "submit", class: "mlf-button mlf-primary" }, "add");
    const form = element("form", { class: "mlf-people-form" }, element("div", { class: "mlf-row" }, user, level, submit, meaning), this._line);
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (await this._add(user.value.trim(), level.value)) user.value = "";
      user.focus();
    });
    form.addEventListener("keydown", (event) => event.stopPropagation());
    return form;
  }

  // -- changes ---------------------------------------------------------------------------------

  async _add(user, permission) {
    if (!user) {
      this._sayBelow("Write the name of the user to add.", true);
      return false;
    }
    const known = this.told.people.find((person) => person.user === user);
    if (known) {
      this._sayBelow(`${user} is here already, with ${known.permission}: change it in the list.`, true);
      return false;
    }
    this._sayBelow(`adding ${user}…`);
    try {
      const told = await this.source.ask("add", { user, permission }, { onQueued: () => this._sayBelow(`adding ${user}: queued, the kernel is busy`) });
      this._sayBelow(`${user} is in, with ${permission}.`);
      this._take(told);
      return true;
    } catch (error) {
      this._sayBelow(error.message, true);
      return false;
    }
  }

  async _remove(user) {
    this._removing = null;
    await this._change("remove", user, { user }, "");
    if (this.told.people.some((person) => person.user === user)) return;
    this._sayBelow(`${user} was removed.`);
    this.element.querySelector("form input")?.focus({ preventScroll: true });
  }

  // Drawn from what the source says afterwards, so that a refused change goes back by itself.
  async _change(verb, user, args, done) {
    this._say(user, "saving…");
    try {
      const told = await this.source.ask(verb, args, { onQueued: () => this._say(user, "queued: the kernel is busy") });
      this._said.set(user, { text: done, isError: false });
      this._take(told);
    } catch (error) {
      this._say(user, error.message, true);
    }
  }

  _say(user, text, isError = false) {
    this._said.set(user, { text, isError });
    this._draw();
  }

  _sayBelow(text, isError = false) {
    if (!this._line) return;
    setText(this._line, text);
    this._line.classList.toggle("mlf-error", isError);
  }
}

function tag(text) {
  return element("span", { class: "mlf-people-tag" }, text);
}

function listed(names) {
  if (names.length < 2) return names[0] ?? "its owner";
  return `${names.slice(0, -1).join(", ")} or ${names.at(-1)}`;
}
