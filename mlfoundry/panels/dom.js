// Elements of the page, made without ever reading text as HTML: names, tags and messages are hostile input.

const SVG = "http://www.w3.org/2000/svg";
/** Signs that say a status by shape; the word stands beside it. */
const STATUSES = {
  RUNNING: ["●", "running"],
  SCHEDULED: ["○", "scheduled"],
  FINISHED: ["✓", "finished"],
  FAILED: ["✕", "failed"],
  KILLED: ["■", "killed"],
  LOST: ["?", "lost"],
};
/** How the error of a run begins that the store gave up because nothing was heard of its process any more. */
const GIVEN_UP = "Lost: ";
/** Characters that steer: controls (line ends and tabs aside) and those that turn the direction of what follows. */
const STEERING = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;
/** Attributes that people read or hear. */
const TOLD = new Set(["title", "aria-label", "placeholder"]);
let counter = 0;

/**
 * Make an element.
 *
 * Attributes that are functions listen (`onclick`), `true` sets an attribute without a value, `false`, null and
 * undefined leave it out, `dataset` and `style` take objects. Children are nodes or text; nullish ones are left out.
 */
export function element(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** Make an SVG element, as `element` does. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) setAttribute(node, name, value);
  append(node, children);
  return node;
}

function setAttribute(node, name, value) {
  if (value === undefined || value === null || value === false) return;
  if (typeof value === "function") node.addEventListener(name.replace(/^on/, ""), value);
  else if (name === "dataset") Object.assign(node.dataset, value);
  else if (name === "style") for (const [key, each] of Object.entries(value)) node.style.setProperty(key, each);
  else if (name === "value") node.value = value;
  else node.setAttribute(name, value === true ? "" : TOLD.has(name) ? plain(value) : String(value));
}

function append(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    node.append(child instanceof Node ? child : plain(child));
  }
}

/** Text in which no character hides or turns others: those that would are written out, as in `\\u202e`. */
export function plain(text) {
  return String(text).replace(STEERING, (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** Put children in the place of all that a node holds. */
export function replace(node, ...children) {
  node.replaceChildren();
  append(node, children);
  return node;
}

/** Set a node's text only where it differs, so that a selection in it survives. */
export function setText(node, text) {
  const told = plain(text);
  const only = node.childNodes.length === 1 && node.firstChild.nodeType === Node.TEXT_NODE ? node.firstChild : null;
  if (!only) {
    if (node.textContent !== told) node.textContent = told;
  } else if (only.data !== told) only.data = told;
  return node;
}

/** A button; its label is its name, unless `aria-label` says another. */
export function button(label, onclick, attributes = {}) {
  return element("button", { type: "button", class: "mlf-button", ...attributes, onclick }, label);
}

/** An id that no other element of the page has. */
export function freshId(stem) {
  counter += 1;
  return `mlf-${stem}-${counter}`;
}

/** What became of a run as people are told: its status, or LOST where nobody knows how its process ended. */
export function fateOf(status, error) {
  return status === "KILLED" && String(error ?? "").startsWith(GIVEN_UP) ? "LOST" : status;
}

/** The sign and word of a status; `compact` keeps the word for screen readers alone. */
export function statusMark(status, { compact = false } = {}) {
  const [sign, word] = STATUSES[status] ?? ["?", String(status ?? "unknown").toLowerCase()];
  return element(
    "span",
    { class: `mlf-status mlf-status-${word.replace(/\W/g, "")}`, title: compact ? word : null },
    element("span", { class: "mlf-status-sign", "aria-hidden": "true" }, sign),
    element("span", { class: compact ? "mlf-sr" : "mlf-status-word" }, word),
  );
}

/** The word of a status. */
export function statusWord(status) {
  return (STATUSES[status] ?? ["?", String(status ?? "unknown").toLowerCase()])[1];
}

/** Text that is cut in its middle to at most `length` characters; the whole is its title. */
export function cutText(text, length = 40, attributes = {}) {
  const whole = plain(text);
  return element("span", { ...attributes, title: whole }, element("bdi", {}, cutMiddle(whole, length)));
}

/** Cut text in its middle, between characters as a reader sees them. */
export function cutMiddle(text, length) {
  const parts = Array.from(String(text));
  if (parts.length <= length) return String(text);
  const tail = Math.floor((length - 1) / 2);
  return `${parts.slice(0, length - 1 - tail).join("")}…${parts.slice(parts.length - tail).join("")}`;
}

/** Put text on the clipboard; resolves to whether that went well. Works in frames that have no clipboard as well. */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text);
  }
}

function copyBySelection(text) {
  const before = document.activeElement;
  const area = element("textarea", { class: "mlf-sr", readonly: true, "aria-hidden": "true" });
  area.value = text;
  document.body.append(area);
  area.select();
  let copied = false;
  try {
    copied = document.execCommand("copy");
  } finally {
    area.remove();
    before?.focus?.();
  }
  return copied;
}

/** A button that copies text and says so for a moment. */
export function copyButton(label, text, attributes = {}) {
  const node = button(
    label,
    async () => {
      const copied = await copyText(typeof text === "function" ? text() : text);
      setText(node, copied ? "copied" : "not copied");
      setTimeout(() => setText(node, label), 1500);
    },
    attributes,
  );
  return node;
}

/** A line of code to copy, as empty states show it. */
export function codeToCopy(code) {
  return element("div", { class: "mlf-code" }, element("code", {}, code), copyButton("copy", code));
}

/**
 * Tabs and their panels: `tabs` is a list of {name, title, content}; content is a node.
 * `onSelect(name)` hears every change. Returns {node, select, selected, setTitle}.
 */
export function tabList(label, tabs, onSelect) {
  const heads = tabs.map((tab) => {
    const ids = [freshId("tab"), freshId("panel")];
    const head = element("button", {
      type: "button",
      role: "tab",
      id: ids[0],
      class: "mlf-tab",
      "aria-controls": ids[1],
    });
    head.textContent = tab.title;
    const panel = element(
      "div",
      { role: "tabpanel", id: ids[1], class: "mlf-tabpanel", "aria-labelledby": ids[0] },
      tab.content,
    );
    return { name: tab.name, head, panel };
  });
  const state = { selected: null };
  const select = (name, { focus = false } = {}) => {
    const chosen = heads.find((each) => each.name === name) ?? heads[0];
    for (const each of heads) {
      const is = each === chosen;
      each.head.setAttribute("aria-selected", String(is));
      each.head.tabIndex = is ? 0 : -1;
      each.panel.hidden = !is;
    }
    if (focus) chosen.head.focus();
    if (state.selected === chosen.name) return;
    state.selected = chosen.name;
    onSelect?.(chosen.name);
  };
  const list = element(
    "div",
    { role: "tablist", class: "mlf-tabs", "aria-label": label },
    heads.map((each) => each.head),
  );
  heads.forEach((each, place) => {
    each.head.addEventListener("click", () => select(each.name));
    each.head.addEventListener("keydown", (event) => {
      const to = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: heads.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      event.stopPropagation();
      select(heads[(to + heads.length) % heads.length].name, { focus: true });
    });
  });
  return {
    list,
    panels: heads.map((each) => each.panel),
    select,
    get selected() {
      return state.selected;
    },
    setTitle: (name, title) => setText(heads.find((each) => each.name === name).head, title),
  };
}
