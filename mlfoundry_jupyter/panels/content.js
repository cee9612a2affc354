// What the asset brings to a page, unpacked once however many kernels send it: modules, style and plotly.js.

import { decode } from "./frames.js";

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
  return new Content(decode(await new Response(stream).arrayBuffer()));
}

/** The asset of one kernel: gives the content, which it asks for when the page has none. */
export class Asset {
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
