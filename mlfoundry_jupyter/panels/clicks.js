// What a person has set in the panels of this page, kept for the page that takes its place in the tab.
//
// While the kernel is busy a model sends the first change alone and holds back those that follow until the kernel has
// answered. A page that is loaded again before that takes them with it: the first click would count, and not the last.

const SET = "mlfoundry-page-set";
const BEFORE_MOST = 100;
const page = (globalThis.__mlfoundryClicks ??= pageClicks()); // of all kernels of the page

function pageClicks() {
  const clicks = new Map();
  try {
    const former = JSON.parse(sessionStorage.getItem(SET)) ?? {};
    sessionStorage.removeItem(SET);
    const keep = () => sessionStorage.setItem(SET, JSON.stringify(Object.fromEntries([...clicks].map(([id, each]) => [id, each.kept()]))));
    addEventListener("pagehide", keep);
    addEventListener("pageshow", () => sessionStorage.removeItem(SET)); // it is back as it was
    return { clicks, former };
  } catch {
    return { clicks, former: {} }; // a browser that keeps nothing
  }
}

/** A short mark of a value; two values of one mark are as good as never met. */
function markOf(value) {
  let mark = 0;
  for (const each of JSON.stringify(value) ?? "") mark = (Math.imul(mark, 31) + each.codePointAt(0)) | 0;
  return mark;
}

/** What was set in the panel of a model, by the names of its state. */
export class Clicks {
  constructor(id) {
    this.set = new Map();
    this.former = page.former[id] ?? {};
    delete page.former[id];
    page.clicks.set(id, this);
  }

  /** Take note that a person sets a value in place of another. */
  note(name, before, value) {
    const marks = this.set.get(name)?.before ?? [];
    marks.push(markOf(before));
    if (marks.length > BEFORE_MOST) marks.splice(1, 1); // the first is what the kernel held
    this.set.set(name, { before: marks, last: value });
  }

  /** Take note of a value that is there now: one that nobody set here came from the kernel, later than what was set. */
  heard(name, value) {
    const set = this.set.get(name);
    if (set && markOf(set.last) !== markOf(value)) this.set.delete(name);
  }

  kept() {
    return Object.fromEntries(this.set);
  }

  /** Give what the former page set last and the kernel has not heard: where it holds what that page had set before. */
  *unheard(valueOf) {
    for (const [name, { before, last }] of Object.entries(this.former)) {
      const now = markOf(valueOf(name));
      if (now !== markOf(last) && before.includes(now)) yield [name, last];
    }
    this.former = {};
  }
}
