// What a person chose, kept in the address: short, readable, and the same view in whoever's browser opens it.

const READABLE = /%(2C|2F|3A|28|29|21|27|40|24|60)/g;

/** A list as one word of an address; commas in its parts are written out. */
export function listText(parts) {
  return parts.map((part) => String(part).replaceAll("~", "~0").replaceAll(",", "~1")).join(",");
}

/** Read what `listText` wrote. */
export function readList(text) {
  return text ? text.split(",").map((part) => part.replaceAll("~1", ",").replaceAll("~0", "~")) : [];
}

/** A number from 0 to 1 as text with at most two digits. */
export function shareText(value) {
  return value ? String(Math.round(value * 100) / 100) : "";
}

export function readShare(text) {
  const value = Number(text);
  return value > 0 && value < 1 ? value : 0;
}

/**
 * States of a view as parts of the address. `forms` maps the word in the address to {read(text) -> [[state, value]],
 * write(get) -> text}; an empty text leaves the word out.
 */
export class Address {
  constructor(forms) {
    this._forms = forms;
    this._values = new Map();
    this._read();
  }

  get(name) {
    return this._values.get(name);
  }

  set(name, value) {
    this._values.set(name, value);
    this._write();
  }

  /** The search part that stands for how things are now. */
  search() {
    const get = (name) => this.get(name);
    const parts = [];
    for (const [word, form] of Object.entries(this._forms)) {
      const text = form.write(get) ?? "";
      if (text) parts.push(`${word}=${encodeURIComponent(text).replace(READABLE, (code) => decodeURIComponent(code)).replaceAll("%20", "+")}`);
    }
    return parts.length ? `?${parts.join("&")}` : "";
  }

  _read() {
    const query = new URLSearchParams(location.search);
    for (const [word, form] of Object.entries(this._forms)) {
      for (const [name, value] of form.read(query.get(word) ?? "")) this._values.set(name, value);
    }
  }

  _write() {
    clearTimeout(this._timer);
    // Browsers refuse to change the address hundreds of times a minute, as while a slider is drawn.
    this._timer = setTimeout(() => history.replaceState(history.state, "", `${location.pathname}${this.search()}${location.hash}`), 120);
  }
}

/** A state that is a text in the address as it is. */
export function text(name, absent = "") {
  return {
    read: (told) => [[name, told || absent]],
    write: (get) => (get(name) === absent ? "" : (get(name) ?? "")),
  };
}

/** A state that is a list of texts. */
export function list(name) {
  return { read: (told) => [[name, readList(told)]], write: (get) => listText(get(name) ?? []) };
}
