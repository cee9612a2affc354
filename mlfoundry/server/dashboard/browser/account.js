// The page of one's account: API keys made and revoked, and the way out.

import { button, copyButton, element, replace, setText } from "../panels/dom.js";
import { ago, clock } from "../panels/numbers.js";
import { address, request } from "./http.js";
import { takeOver, viewPlace } from "./source.js";

const DAY_S = 86_400;
const LIVES = [
  ["no end", ""],
  ["7 days", 7 * DAY_S],
  ["30 days", 30 * DAY_S],
  ["90 days", 90 * DAY_S],
  ["1 year", 365 * DAY_S],
];

const out = document.getElementById("logout");
out.hidden = false;
out.addEventListener("click", async () => {
  await request("POST", "/logout").catch(() => null);
  location.assign(address("/login"));
});

/** The list of keys and the form for a new one. */
class Keys {
  constructor(place) {
    this._list = element("div", { class: "dash-scroll" });
    this._line = element("div", { class: "mlf-people-line", role: "status" });
    this._new = element("div", {});
    replace(place, this._list, this._form(), this._line, this._new);
    this._load();
  }

  async _load() {
    try {
      const { keys } = await request("GET", "/dashboard/keys");
      this._keys = keys;
      this._draw();
      takeOver();
    } catch (error) {
      document.getElementById("view").classList.remove("dash-away");
      this._say(`The keys could not be read: ${error.message}`, true);
    }
  }

  _draw() {
    const heads = ["label", "made", "last used", "state", ""];
    const head = element("tr", {}, heads.map((text) => element("th", { scope: "col" }, text || element("span", { class: "mlf-sr" }, "actions"))));
    const rows = [...this._keys].reverse().map((key) => this._row(key));
    replace(this._list, element("table", { class: "mlf-plain-table" }, element("thead", {}, head), element("tbody", {}, rows)));
  }

  _row(key) {
    const now = Date.now() / 1000;
    const name = key.label || "no label";
    const isOver = key.expires_at !== null && key.expires_at <= now;
    let state = "valid";
    if (key.revoked_at !== null) state = "revoked";
    else if (isOver) state = "expired";
    else if (key.expires_at !== null) state = `until ${clock(key.expires_at)}`;
    const isTaken = key.revoked_at === null && !isOver;
    const time = (at, none) => element("td", { title: at === null ? "" : clock(at) }, at === null ? none : ago(at, now));
    return element(
      "tr",
      {},
      element("th", { scope: "row" }, element("bdi", {}, name)),
      time(key.created_at, ""),
      time(key.last_used_at, "never"),
      element("td", { class: isTaken ? null : "mlf-muted" }, state),
      element("td", {}, isTaken ? this._revoke(key, name) : null),
    );
  }

  _revoke(key, name) {
    const place = element("span", { class: "mlf-people-actions" });
    const ask = button("revoke…", () => {
      const yes = button("revoke", () => this._revoked(key), { class: "mlf-button mlf-danger" });
      const no = button("keep", () => this._draw());
      replace(place, element("span", {}, `Revoke ${name}? Whatever uses it is refused at once.`), yes, no);
      no.focus();
    }, { class: "mlf-button mlf-plain", "aria-label": `Revoke ${name}` });
    return replace(place, ask);
  }

  async _revoked(key) {
    try {
      await request("POST", "/api/v1/keys/revoke", { body: { key_id: key.key_id } });
      this._say(`${key.label || "The key"} is revoked.`);
    } catch (error) {
      this._say(`It was not revoked: ${error.message}`, true);
    }
    await this._load();
  }

  _form() {
    const label = element("input", { class: "mlf-input", placeholder: "label, such as laptop", "aria-label": "label of the new key", maxlength: 200, autocomplete: "off" });
    const life = element("select", { class: "mlf-select", "aria-label": "how long the new key is taken" }, LIVES.map(([text, value]) => element("option", { value: String(value) }, text)));
    const form = element("form", { class: "mlf-row" }, label, life, element("button", { type: "submit", class: "mlf-button mlf-primary" }, "make a key"));
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      try {
        const made = await request("POST", "/api/v1/keys", { body: { label: label.value, expires_in_s: life.value ? Number(life.value) : null } });
        label.value = "";
        this._say("");
        this._show(made.key);
      } catch (error) {
        this._say(`No key was made: ${error.message}`, true);
      }
      await this._load();
    });
    return form;
  }

  _show(key) {
    const line = element("p", {}, "This is the new key. It is shown this once: copy it now.");
    replace(this._new, element("div", { class: "dash-new-key", role: "status" }, line, element("code", {}, key), " ", copyButton("copy", key)));
  }

  _say(text, isError = false) {
    setText(this._line, text);
    this._line.classList.toggle("mlf-error", isError);
  }
}

if (document.getElementById("view")) new Keys(viewPlace());
