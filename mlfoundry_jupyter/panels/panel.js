// The module of every panel: hands over to the loader, which comes to the page once, with the asset.
function loaderOf(model) {
  const loaders = (globalThis.__mlfoundryLoaders ??= new Map());
  const id = model.get("_asset_id");
  if (!loaders.has(id)) {
    const waiting = {};
    waiting.promise = new Promise((resolve) => (waiting.resolve = resolve));
    loaders.set(id, waiting);
  }
  return loaders.get(id).promise;
}

export default {
  async initialize(context) {
    return (await loaderOf(context.model)).initialize(context);
  },
  async render(context) {
    return (await loaderOf(context.model)).render(context);
  },
};
