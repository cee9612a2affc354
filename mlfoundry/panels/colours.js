// Colours of lines, bound to run ids, and of the theme that the page has now.

/** Hues that colour-blind readers tell apart and that stand out from their ground by 3:1 or more. */
export const LIGHT = ["#0065b5", "#d16106", "#008669", "#ad418a", "#855105", "#5d43c0", "#1b91ad", "#781e3d"];
export const DARK = ["#5fadec", "#fa9857", "#31cea5", "#f18ec4", "#e5c247", "#a98bff", "#59cde7", "#e88186"];
/** How lines are dashed once every hue is taken. */
const DASHES = ["solid", "dash", "dot", "dashdot", "longdash"];
const PLACES = LIGHT.length * DASHES.length;

/** The colour and dash of a place in the palette. */
export function lineLook(place, isDark) {
  const hues = isDark ? DARK : LIGHT;
  return { color: hues[place % hues.length], dash: DASHES[Math.floor(place / hues.length) % DASHES.length] };
}

function hash(text) {
  let value = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    value = Math.imul(value ^ text.charCodeAt(index), 0x01000193) >>> 0;
  }
  return value;
}

/**
 * Places in the palette for run ids. An id hashes to its place; where two ids that are shown together would have the
 * same, the later one moves on and then keeps what it got as long as it is shown.
 */
export class RunColours {
  constructor() {
    this._places = new Map();
  }

  /** Tell which runs are shown now; returns their places by id. Hues come before dashes. */
  show(ids) {
    const shown = new Set(ids);
    for (const id of [...this._places.keys()]) if (!shown.has(id)) this._places.delete(id);
    for (const id of shown) if (!this._places.has(id)) this._places.set(id, this._freePlace(id));
    return new Map(this._places);
  }

  /** The place of a run that is shown; its hash's place for one that is not. */
  place(id) {
    return this._places.get(id) ?? hash(id) % LIGHT.length;
  }

  _freePlace(id) {
    const taken = new Set(this._places.values());
    const first = hash(id) % LIGHT.length;
    for (let turn = 0; turn < PLACES; turn += 1) {
      const dash = Math.floor(turn / LIGHT.length);
      const place = dash * LIGHT.length + ((first + turn) % LIGHT.length);
      if (!taken.has(place)) return place;
    }
    return first;
  }
}

/** Whether an element stands on a dark ground, seen by the colour of its text. */
export function isDark(node) {
  const parts = getComputedStyle(node)
    .color.match(/[\d.]+/g)
    ?.map(Number) ?? [0, 0, 0];
  return 0.299 * parts[0] + 0.587 * parts[1] + 0.114 * parts[2] > 140;
}

/** The colours that charts need, as the page has them now. */
export function themeOf(node) {
  const probe = document.createElement("span");
  probe.hidden = true;
  node.append(probe);
  // A variable reads as it was written; only a property that uses it tells the colour that comes of it.
  const read = (name) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  const theme = {
    dark: isDark(node),
    text: read("--mlf-text"),
    muted: read("--mlf-muted"),
    line: read("--mlf-line"),
    ground: read("--mlf-bg"),
    rest: read("--mlf-rest"),
    bands: [read("--mlf-band"), read("--mlf-band-other")],
    font: getComputedStyle(node).fontFamily,
  };
  probe.remove();
  return theme;
}

/** Call when the theme may have changed: JupyterLab's attributes, a class on html or body, or the system's wish. */
export function onThemeChange(call) {
  let waiting = 0;
  const soon = () => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(call);
  };
  const watcher = new MutationObserver(soon);
  const watched = {
    attributes: true,
    attributeFilter: ["class", "style", "data-theme", "data-jp-theme-light", "data-jp-theme-name"],
  };
  for (const node of [document.documentElement, document.body]) watcher.observe(node, watched);
  const wish = matchMedia("(prefers-color-scheme: dark)");
  wish.addEventListener("change", soon);
  // JupyterLab loads a theme's variables in a style sheet of its own, after it has set its attributes.
  const sheets = new MutationObserver(() => soon());
  sheets.observe(document.head, { childList: true });
  document.head.addEventListener("load", soon, true);
  return () => {
    watcher.disconnect();
    sheets.disconnect();
    wish.removeEventListener("change", soon);
    document.head.removeEventListener("load", soon, true);
    cancelAnimationFrame(waiting);
  };
}
