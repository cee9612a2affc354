// Brings panels to life in a page of a notebook: what the widgets of panels and of their asset hand over to.
// Comes to the page as text, so `asset.py` puts the modules that it imports before it.

import { Asset } from "./content.js";
import { Panel, panels, unwatchPage, watchPage } from "./places.js";

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
        panel.source.resume();
        panel.mount = module[model.get("_mount")];
        watchPage();
        panel.place();
      })
      .catch((error) => console.warn("MLFoundry: this page cannot show the live panel; its picture stays.", error));
    model.on("comm_live_update", () => panel.lives());
    return () => {
      panels.delete(id);
      panel.dispose();
      if (!panels.size) unwatchPage();
    };
  }

  async render({ model, el }) {
    const panel = panels.get(model.get("_mount_id"));
    await panel?.ready;
    if (!panel?.mount) return undefined;
    panel.isWithin = true;
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
