// The source of a panel's views in a notebook (see the contract in mlfoundry/panels/__init__.py): it speaks with the
// kernel through the panel's model.

import { Clicks } from "./clicks.js";
import { decode } from "./frames.js";

const QUEUED_MS = 200;
const KEPT_MOST = 500;
// Messages that are all there is to know; of a run it is what it is and its points, which come whole now and then.
const WHOLE = ["runs", "people", "projects"];
// What a page says in the moment of its end may be lost: the page that takes its place in the tab says it once more.
const LEFT = "mlfoundry-page-left";
const NAMES = (globalThis.__mlfoundryPage ??= pageNames()); // of all kernels of the page

function pageNames() {
  const page = crypto.randomUUID();
  try {
    const before = sessionStorage.getItem(LEFT);
    sessionStorage.removeItem(LEFT);
    addEventListener("pagehide", () => sessionStorage.setItem(LEFT, page));
    addEventListener("pageshow", () => sessionStorage.removeItem(LEFT)); // it is back as it was
    return before ? { page, before } : { page };
  } catch {
    return { page }; // a browser that keeps nothing
  }
}
// A view's word for a state, where ipywidgets has taken the word for something else.
const TRAITS = { log: "log_scale" };

/** Speaks with the kernel for the views of one panel. What came is kept, so that a view may come late. */
export class Source {
  constructor(model, asset, id) {
    this.model = model;
    this.clicks = new Clicks(id);
    this.asset = asset;
    this.listeners = new Set();
    this.kept = new Map();
    this.counts = null;
    this.pending = new Map();
    this.lastAsk = 0;
    this.offset = null;
    this.isGone = false;
    this.changes = new Set();
    this.heardOf = new Map();
    this.heard = (content, buffers) => this.hear(content, buffers);
    model.on("msg:custom", this.heard);
  }

  get(name) {
    return this.model.get(TRAITS[name] ?? name);
  }

  set(name, value) {
    const trait = TRAITS[name] ?? name;
    this.clicks.note(trait, this.model.get(trait), value);
    this.hearOf(trait);
    this.model.set(trait, value);
    if (!this.isGone) this.model.save_changes();
  }

  /** Set what a person had set in the page that was here before, if the kernel has not heard of it. */
  resume() {
    for (const [trait, value] of this.clicks.unheard((each) => this.model.get(each))) this.set(trait, value);
  }

  hearOf(trait) {
    if (this.heardOf.has(trait)) return;
    const told = () => this.clicks.heard(trait, this.model.get(trait));
    this.model.on(`change:${trait}`, told);
    this.heardOf.set(trait, told);
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

  /** Whether all came that a view needs to begin with, and not only something that has changed since. */
  get isWhole() {
    return (this.counts !== null && this.kept.has("run")) || WHOLE.some((kind) => this.kept.has(kind));
  }

  ask(verb, args = {}, { onQueued } = {}) {
    if (this.isGone) return Promise.reject(new Error("The kernel is gone. Run the cell again to continue."));
    const id = ++this.lastAsk;
    return new Promise((resolve, reject) => {
      const timer = onQueued && setTimeout(onQueued, QUEUED_MS);
      this.pending.set(id, { resolve, reject, timer });
      this.model.send({ kind: "ask", page: NAMES.page, id, verb, args });
    });
  }

  plotly() {
    return this.asset.content.then((content) => content.plotly());
  }

  now() {
    return Date.now() / 1000 - (this.offset ?? 0);
  }

  tell(content) {
    if (!this.isGone) this.model.send({ ...content, ...NAMES });
  }

  hear(content, buffers = []) {
    if (typeof content.at === "number") {
      // The quickest message tells most about how the clocks differ.
      const offset = Date.now() / 1000 - content.at;
      this.offset = this.offset === null ? offset : Math.min(this.offset, offset);
    }
    if (content.kind === "answer") this.answered(content, buffers);
    else if (content.kind === "frame") this.frame(decode(buffers[0]));
    else this.pass(content.kind, content);
  }

  answered(content, buffers) {
    const asked = content.page === NAMES.page && this.pending.get(content.id);
    if (!asked) return;
    this.pending.delete(content.id);
    clearTimeout(asked.timer);
    if (!content.ok) asked.reject(Object.assign(new Error(content.error), content.details));
    else if (buffers.length) asked.resolve(buffers.map(decode));
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
    this.kept.delete("gone");
    this.tell({ kind: "ready" });
  }

  dispose() {
    this.gone();
    this.model.off("msg:custom", this.heard);
    for (const off of [...this.changes]) off();
    for (const [trait, told] of this.heardOf) this.model.off(`change:${trait}`, told);
    this.listeners.clear();
    this.kept.clear();
  }
}
