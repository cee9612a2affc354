// Brings panels to life in a page of a notebook: unpacks the asset (modules, style, plotly.js), mounts a
// panel's view over its pictures, and is the views' source: it speaks with the kernel through the model.
//
// A panel's output holds its picture alone, inside an element of class mlfoundry-mount-<model id>. The model
// comes to the page without a view, finds these elements and puts the live view in place of the picture.

const QUEUED_MS = 200;
const HIDDEN_MS = 3000;
const KEPT_MOST = 500;
const PAGE = crypto.randomUUID();
// A view's word for a state, where ipywidgets has taken the word for something else.
const TRAITS = { log: "log_scale" };
const LITTLE = { f8: Float64Array, f4: Float32Array, i4: Int32Array, u4: Uint32Array, u1: Uint8Array };

// -- frames --------------------------------------------------------------------------------------

/** Read a frame (see frames.py). The columns are views into the buffer where it is aligned. */
function readFrame(view) {
  let bytes = new Uint8Array(view.buffer ?? view, view.byteOffset ?? 0, view.byteLength);
  if (bytes.byteOffset % 8) bytes = bytes.slice();
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  const columns = {};
  let at = bytes.byteOffset + 4 + length;
  for (const { name, type, length: count } of header.columns) {
    columns[name] = new LITTLE[type](bytes.buffer, at, count);
    at += Math.ceil((count * LITTLE[type].BYTES_PER_ELEMENT) / 8) * 8;
  }
  return { header, columns };
}

// -- the asset -----------------------------------------------------------------------------------

/** What the page has unpacked, by hash: shared by all kernels of the page. */
const contents = (globalThis.__mlfoundryContents ??= new Map());

class Content {
  constructor({ header, columns }) {
    const decoder = new TextDecoder();
    this.texts = new Map();
    for (const { name } of header.columns) {
      if (name === "plotly") this.plotlyBytes = columns[name];
      else this.texts.set(name, decoder.decode(columns[name]));
    }
    this.urls = new Map();
  }

  /** A module as a blob URL; those that it imports become blob URLs first. */
  url(name) {
    if (!this.urls.has(name)) {
      if (!this.texts.has(name)) throw new Error(`there is no module ${name}`);
      this.urls.set(name, null);
      const text = this.texts.get(name).replace(/(from\s*|import\s*\(?\s*)"\.\/([\w.-]+\.js)"/g, (_, before, other) => {
        const url = this.url(other);
        if (url === null) throw new Error(`${name} and ${other} import each other`);
        return `${before}"${url}"`;
      });
      this.urls.set(name, URL.createObjectURL(new Blob([text], { type: "text/javascript" })));
    }
    return this.urls.get(name);
  }

  module(name) {
    this.dress();
    return import(this.url(name));
  }

  dress() {
    let style = document.getElementById("mlfoundry-style");
    if (!style) {
      style = document.createElement("style");
      style.id = "mlfoundry-style";
      document.head.append(style);
    }
    if (style.textContent !== this.texts.get("style.css")) style.textContent = this.texts.get("style.css");
  }

  /** plotly.js, evaluated when the first chart is drawn. The page's own Plotly and module loader never see it. */
  plotly() {
    this.plotlyPromise ??= (() => {
      const before = "const had='Plotly' in window,former=window.Plotly;var define,exports,module={exports:{}};\n";
      const after = "\nif(had)window.Plotly=former;else delete window.Plotly;\nexport default module.exports;";
      const url = URL.createObjectURL(new Blob([before, this.plotlyBytes, after], { type: "text/javascript" }));
      this.plotlyBytes = null;
      return import(url).then((module) => module.default).finally(() => URL.revokeObjectURL(url));
    })();
    return this.plotlyPromise;
  }
}

async function unpack(buffer) {
  const stream = new Blob([buffer]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Content(readFrame(await new Response(stream).arrayBuffer()));
}

/** The asset of one kernel: gives the content, which it asks for when the page has none. */
class Asset {
  constructor(model) {
    this.model = model;
    this.hash = model.get("content_hash");
    if (!contents.has(this.hash)) {
      const waiting = {};
      waiting.promise = new Promise((resolve, reject) => Object.assign(waiting, { resolve, reject }));
      contents.set(this.hash, waiting);
    }
    this.waiting = contents.get(this.hash);
    this.taken = (message, buffers) => {
      if (message.kind !== "asset" || this.waiting.begun || !buffers?.length) return;
      this.waiting.begun = true;
      unpack(buffers[0]).then(this.waiting.resolve, this.waiting.reject);
    };
    model.on("msg:custom", this.taken);
    // A page that was loaded again missed what was sent; a new one gets it without asking.
    if (model.get("is_sent") && !this.waiting.begun) model.send({ ask: "asset" });
  }

  get content() {
    return this.waiting.promise;
  }
}

// -- the source of a view ------------------------------------------------------------------------

/** Speaks with the kernel for the views of one panel. What came is kept, so that a view may come late. */
class Source {
  constructor(model, asset) {
    this.model = model;
    this.asset = asset;
    this.listeners = new Set();
    this.kept = new Map();
    this.counts = null;
    this.pending = new Map();
    this.lastAsk = 0;
    this.offset = null;
    this.isGone = false;
    this.changes = new Set();
    this.heard = (content, buffers) => this.hear(content, buffers);
    model.on("msg:custom", this.heard);
  }

  get(name) {
    return this.model.get(TRAITS[name] ?? name);
  }

  set(name, value) {
    this.model.set(TRAITS[name] ?? name, value);
    if (!this.isGone) this.model.save_changes();
  }

  onChange(name, fn) {
    const event = `change:${TRAITS[name] ?? name}`;
    const told = () => fn(this.get(name));
    this.model.on(event, told);
    const off = () => {
      this.model.off(event, told);
      this.changes.delete(off);
    };
    this.changes.add(off);
    return off;
  }

  listen(fn) {
    for (const messages of this.kept.values()) for (const message of messages) fn(message);
    this.listeners.add(fn);
    return () => this.listeners.delete(fn);
  }

  ask(verb, args = {}, { onQueued } = {}) {
    if (this.isGone) return Promise.reject(new Error("The kernel is gone. Run the cell again to continue."));
    const id = ++this.lastAsk;
    return new Promise((resolve, reject) => {
      const timer = onQueued && setTimeout(onQueued, QUEUED_MS);
      this.pending.set(id, { resolve, reject, timer });
      this.model.send({ kind: "ask", page: PAGE, id, verb, args });
    });
  }

  plotly() {
    return this.asset.content.then((content) => content.plotly());
  }

  now() {
    return Date.now() / 1000 - (this.offset ?? 0);
  }

  tell(content) {
    if (!this.isGone) this.model.send({ ...content, page: PAGE });
  }

  hear(content, buffers = []) {
    if (typeof content.at === "number") {
      // The quickest message tells most about how the clocks differ.
      const offset = Date.now() / 1000 - content.at;
      this.offset = this.offset === null ? offset : Math.min(this.offset, offset);
    }
    if (content.kind === "answer") this.answered(content, buffers);
    else if (content.kind === "frame") this.frame(readFrame(buffers[0]));
    else this.pass(content.kind, content);
  }

  answered(content, buffers) {
    const asked = content.page === PAGE && this.pending.get(content.id);
    if (!asked) return;
    this.pending.delete(content.id);
    clearTimeout(asked.timer);
    if (!content.ok) asked.reject(Object.assign(new Error(content.error), content.details));
    else if (buffers.length) asked.resolve(buffers.map(readFrame));
    else asked.resolve(content.value);
  }

  frame({ header, columns }) {
    const message = { kind: header.kind, header, columns };
    if (header.kind === "points") this.points(message);
    else this.pass(header.kind, message, { adds: header.kind === "runs" && (header.offset > 0 || !header.whole) });
  }

  points(message) {
    const { header, columns } = message;
    if (header.whole) {
      this.counts = header.series.map((series) => series.count);
      this.pass("points", message);
      return;
    }
    if (!this.counts) return;
    const { index, n, since } = columns;
    for (let i = 0; i < index.length; i += 1) {
      if (this.counts[index[i]] !== since[i]) {
        this.counts = null; // something was missed; a whole frame mends it
        this.tell({ kind: "ready" });
        return;
      }
    }
    for (let i = 0; i < index.length; i += 1) this.counts[index[i]] += n[i];
    this.pass("points", message, { adds: true });
  }

  pass(kind, message, { adds = false } = {}) {
    if (!adds) this.kept.set(kind, [message]);
    else if (this.kept.get(kind)?.push(message) % KEPT_MOST === 0) this.tell({ kind: "ready" }); // one whole for many parts
    for (const listener of [...this.listeners]) {
      try {
        listener(message);
      } catch (error) {
        console.warn("MLFoundry: a panel's view failed", error);
      }
    }
  }

  gone() {
    if (this.isGone) return;
    this.isGone = true;
    for (const { reject, timer } of this.pending.values()) {
      clearTimeout(timer);
      reject(new Error("The kernel is gone before it could answer. Run the cell again to continue."));
    }
    this.pending.clear();
    this.pass("gone", { kind: "gone" });
  }

  back() {
    if (!this.isGone) return;
    this.isGone = false;
    this.tell({ kind: "ready" });
  }

  dispose() {
    this.gone();
    this.model.off("msg:custom", this.heard);
    for (const off of [...this.changes]) off();
    this.listeners.clear();
    this.kept.clear();
  }
}

// -- where views stand ---------------------------------------------------------------------------

const panels = (globalThis.__mlfoundryPanels ??= new Map());
let observer = null;

function watchPage() {
  observer ??= new MutationObserver(() => {
    for (const panel of panels.values()) panel.place();
  });
  observer.observe(document.body, { childList: true, subtree: true });
}

/** A live view in an element. */
class Stand {
  constructor(panel, mount) {
    this.panel = panel;
    this.element = document.createElement("div");
    this.notice = document.createElement("div");
    this.notice.className = "mlfoundry-notice";
    this.notice.setAttribute("role", "status");
    this.notice.style.cssText = "font:13px/1.5 system-ui,sans-serif;padding:2px 0;color:var(--jp-ui-font-color2,#616161)";
    this.body = document.createElement("div");
    this.element.append(this.notice, this.body);
    this.view = panel.mount(this.body, panel.source);
    this.enter(mount);
    this.say();
    this.sight = new IntersectionObserver((entries) => {
      this.isSeen = entries.at(-1).isIntersecting;
      panel.seen();
    });
    this.isSeen = true;
    this.sight.observe(this.element);
  }

  enter(mount) {
    this.place = mount;
    this.hidden = [...mount.children];
    for (const child of this.hidden) child.style.display = "none";
    mount.append(this.element);
  }

  say() {
    // The view of a run says it itself.
    const isSaid = this.panel.source.isGone && this.panel.model.get("_view") !== "run";
    this.notice.hidden = !isSaid;
    if (isSaid) this.notice.textContent = "The kernel is gone; this is the last state.";
  }

  dispose() {
    this.sight.disconnect();
    this.view?.dispose?.();
    this.element.remove();
    for (const child of this.hidden) child.style.display = "";
  }
}

/** A panel in this page: its source, and a view in each of its places. */
class Panel {
  constructor(model, id, asset) {
    this.model = model;
    this.id = id;
    this.source = new Source(model, asset);
    this.marks = document.getElementsByClassName(`mlfoundry-mount-${id}`);
    this.stands = new Map();
    this.isShown = true;
    this.seenSoon = () => this.seen();
    document.addEventListener("visibilitychange", this.seenSoon);
  }

  async hasKernel() {
    const model = await this.model.widget_manager?.get_model(this.id).catch(() => null);
    return Boolean(model?.comm_live);
  }

  /** Mount where there is a place without a view; end views whose place is gone. */
  place() {
    if (!this.mount) return;
    for (const mount of [...this.marks]) {
      if (this.stands.has(mount)) continue;
      // An output that is drawn anew takes over the view of the one before, with its zoom and its scroll.
      const orphan = [...this.stands.values()].find((stand) => stand.place.matches?.(".mlfoundry-mount") && !stand.place.isConnected);
      if (orphan) {
        this.stands.delete(orphan.place);
        orphan.enter(mount);
        this.stands.set(mount, orphan);
      } else {
        this.stand(mount);
      }
    }
    for (const [mount, stand] of this.stands) {
      if (!mount.isConnected && mount.matches(".mlfoundry-mount")) this.leave(mount, stand);
    }
    this.seen();
  }

  stand(mount) {
    if (!this.source.kept.size) this.source.tell({ kind: "ready" });
    this.stands.set(mount, new Stand(this, mount));
  }

  leave(mount, stand = this.stands.get(mount)) {
    this.stands.delete(mount);
    stand?.dispose();
    this.seen();
  }

  /** Tell the kernel when nobody looks, so that it sends nothing; and when somebody does again. */
  seen() {
    const isShown = !document.hidden && [...this.stands.values()].some((stand) => stand.isSeen);
    clearTimeout(this.hiding);
    if (isShown === this.isShown) return;
    const tell = () => {
      this.isShown = isShown;
      this.source.tell({ kind: "visible", is: isShown });
    };
    if (isShown) tell();
    else this.hiding = setTimeout(tell, HIDDEN_MS);
  }

  /** After a restart of the kernel the model stays in the page, and nobody answers it; after a pause of the network it lives on. */
  async lives() {
    if (await this.hasKernel()) this.source.back();
    else this.source.gone();
    for (const stand of this.stands.values()) stand.say();
  }

  dispose() {
    clearTimeout(this.hiding);
    document.removeEventListener("visibilitychange", this.seenSoon);
    this.source.dispose();
    for (const [mount, stand] of [...this.stands]) {
      this.leave(mount, stand);
    }
  }
}

class Loader {
  constructor(asset) {
    this.asset = asset;
  }

  initialize({ model }) {
    const id = model.get("_mount_id");
    const panel = new Panel(model, id, this.asset);
    panels.set(id, panel);
    panel.ready = this.asset.content
      .then((content) => content.module(`${model.get("_view")}_view.js`))
      .then(async (module) => {
        // A model of a saved notebook has no kernel behind it: its picture tells more than an empty view.
        if (!(await panel.hasKernel())) return;
        panel.mount = module[model.get("_mount")];
        watchPage();
        panel.place();
      })
      .catch((error) => console.warn("MLFoundry: this page cannot show the live panel; its picture stays.", error));
    model.on("comm_live_update", () => panel.lives());
    return () => {
      panels.delete(id);
      panel.dispose();
      if (!panels.size) {
        observer?.disconnect();
        observer = null;
      }
    };
  }

  async render({ model, el }) {
    const panel = panels.get(model.get("_mount_id"));
    await panel?.ready;
    if (!panel?.mount) return undefined;
    panel.stand(el);
    return () => panel.leave(el);
  }
}

export default {
  initialize({ model }) {
    const loaders = (globalThis.__mlfoundryLoaders ??= new Map());
    const id = model.get("_asset_id");
    const loader = new Loader(new Asset(model));
    if (loaders.has(id)) loaders.get(id).resolve?.(loader);
    loaders.set(id, { promise: Promise.resolve(loader) });
    return () => loaders.delete(id);
  },
};
