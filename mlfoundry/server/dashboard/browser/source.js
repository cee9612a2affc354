// The source of a view in a page of the dashboard: state in the address, questions over HTTP, messages from a pulse.

const offset = Date.now() / 1000 - Number(document.body.dataset.now);
let loading = null;

/** Make a source. `state` has get and set; `verbs` maps a question to a function that answers it. */
export class HttpSource {
  constructor({ state, verbs, link }) {
    this._state = state;
    this._verbs = verbs;
    this._changes = new Map();
    this._listeners = new Set();
    this._kept = new Map();
    if (link) this.link = link;
  }

  get(name) {
    return this._state.get(name);
  }

  set(name, value) {
    this._state.set(name, value);
    for (const call of [...(this._changes.get(name) ?? [])]) call(value);
  }

  onChange(name, call) {
    if (!this._changes.has(name)) this._changes.set(name, new Set());
    this._changes.get(name).add(call);
    return () => this._changes.get(name).delete(call);
  }

  listen(call) {
    for (const messages of this._kept.values()) for (const message of messages) call(message);
    this._listeners.add(call);
    return () => this._listeners.delete(call);
  }

  /** Pass a frame on to the views; whole ones take the place of what was kept for views that come late. */
  tell({ header, columns }) {
    const message = columns && Object.keys(columns).length ? { kind: header.kind, header, columns } : { ...header, header, columns };
    const adds = header.kind === "points" ? !header.whole || header.adds : header.kind === "runs" && (header.offset > 0 || !header.whole);
    if (adds) this._kept.get(header.kind)?.push(message);
    else this._kept.set(header.kind, [message]);
    for (const call of [...this._listeners]) call(message);
  }

  async ask(verb, args = {}) {
    const answer = this._verbs[verb];
    if (!answer) throw new Error(`this page does not answer ${verb}`);
    return answer(args);
  }

  plotly() {
    return loadPlotly();
  }

  /** The server's clock, in seconds. */
  now() {
    return Date.now() / 1000 - offset;
  }
}

/**
 * Have plotly.js read, once what the page shows has been painted: it is on its way since the page began, and a browser
 * that reads it for the first time does nothing else for half a second.
 */
function loadPlotly() {
  loading ??= painted().then(readPlotly);
  return loading;
}

/** The next paint but one: what is asked to be drawn with the next frame stands in it. */
function painted() {
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  return frame().then(frame).then(() => new Promise((done) => setTimeout(done)));
}

function readPlotly() {
  return new Promise((resolve, reject) => {
    for (const id of document.body.dataset.plotlyStyles.split(" ").filter(Boolean)) {
      const taken = document.createElement("meta");
      taken.id = id;
      document.head.append(taken);
    }
    const script = document.createElement("script");
    script.src = document.body.dataset.plotly;
    script.onload = () => resolve(globalThis.Plotly);
    script.onerror = () => {
      loading = null;
      reject(new Error("plotly.js could not be loaded; reload the page"));
    };
    document.head.append(script);
  });
}

/** State that is not worth an address: kept as long as the page. */
export function inMemory(values = {}) {
  const kept = new Map(Object.entries(values));
  return { get: (name) => kept.get(name), set: (name, value) => kept.set(name, value) };
}

/** Put the live view in the place of what the server rendered, once it has something to show. */
export function takeOver() {
  document.getElementById("served")?.remove();
  document.getElementById("view")?.classList.remove("dash-away");
}

/** The element for the live view; it stays away until `takeOver`. */
export function viewPlace() {
  const place = document.getElementById("view");
  place.classList.add("dash-away");
  return place;
}
