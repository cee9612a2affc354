// Where the views of a panel stand in the page: over the pictures of its outputs, or in a layout of ipywidgets.
//
// A panel's output holds its picture alone, inside an element of class mlfoundry-mount-<model id>. The model
// comes to the page without a view, finds these elements and puts the live view in place of the picture.

import { SavedPicture } from "./saved.js";
import { Source } from "./source.js";

const HIDDEN_MS = 3000;

/** The panels of this page, by the ids of their models. */
export const panels = (globalThis.__mlfoundryPanels ??= new Map());
let observer = null;

/** Look for new outputs and for those that are gone, from now on. */
export function watchPage() {
  observer ??= new MutationObserver(() => {
    for (const panel of panels.values()) panel.place();
  });
  observer.observe(document.body, { childList: true, subtree: true });
}

/**
 * What a person holds in an element: the focus, and how far what scrolls in it was scrolled. An output that is drawn
 * anew takes the element out of the page for a moment, which loses both; keys would then go to the notebook's commands.
 */
class Hold {
  constructor(element) {
    this.element = element;
    this.focused = null;
    this.scrolled = new Map();
    element.addEventListener("focusin", (event) => (this.focused = event.target));
    element.addEventListener("focusout", () => queueMicrotask(() => this.left()));
    const note = ({ target }) => target.isConnected && this.scrolled.set(target, [target.scrollLeft, target.scrollTop]);
    element.addEventListener("scroll", note, { capture: true, passive: true });
  }

  left() {
    // Some browsers say so too when the element is taken out of the page.
    if (this.element.isConnected && !this.element.contains(document.activeElement)) this.focused = null;
  }

  again() {
    for (const [target, [left, top]] of this.scrolled) {
      if (this.element.contains(target)) target.scrollTo({ left, top, behavior: "instant" });
      else this.scrolled.delete(target);
    }
    const isFree = !document.activeElement || document.activeElement === document.body;
    if (this.focused && isFree && this.element.contains(this.focused)) this.focused.focus({ preventScroll: true });
  }
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
    this.hold = new Hold(this.element);
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
    this.hold.again();
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
export class Panel {
  constructor(model, id, asset) {
    this.model = model;
    this.id = id;
    this.source = new Source(model, asset, id);
    this.marks = document.getElementsByClassName(`mlfoundry-mount-${id}`);
    this.stands = new Map();
    this.isShown = true;
    this.isStanding = false;
    this.isWithin = false; // a layout, which may show it again
    this.seenSoon = () => this.seen();
    this.leaves = () => this.left();
    document.addEventListener("visibilitychange", this.seenSoon);
    addEventListener("pagehide", this.leaves);
    addEventListener("pageshow", this.seenSoon);
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
    // A page that was loaded again may have heard of changes already; what they change it has not.
    if (!this.source.isWhole) this.source.tell({ kind: "ready" });
    this.stands.set(mount, new Stand(this, mount));
    this.saved ??= new SavedPicture(this.model, this.source, this.id);
    this.seen();
  }

  leave(mount, stand = this.stands.get(mount)) {
    this.stands.delete(mount);
    stand?.dispose();
    this.seen();
  }

  /**
   * Tell the kernel when nobody looks, so that it sends nothing; and when somebody does again. And whether it stands
   * anywhere, so that the kernel lets go of what no output holds any more.
   */
  seen() {
    const isShown = !document.hidden && [...this.stands.values()].some((stand) => stand.isSeen);
    const isStanding = this.stands.size > 0;
    const wanted = `${isShown} ${isStanding}`;
    if (this.hiding && wanted === this.wanted) return; // a page that changes all the time must not put it off for ever
    clearTimeout(this.hiding);
    this.hiding = 0;
    if (isShown === this.isShown && isStanding === this.isStanding) return;
    this.wanted = wanted;
    const tell = () => {
      this.hiding = 0;
      [this.isShown, this.isStanding] = [isShown, isStanding];
      this.source.tell({ kind: "visible", is: isShown, stands: isStanding, within: this.isWithin });
    };
    if (isShown) tell();
    else this.hiding = setTimeout(tell, HIDDEN_MS);
  }

  /** The page is closed or loaded again, which is another page: the kernel is told at once, there is no later. */
  left() {
    clearTimeout(this.hiding);
    this.hiding = 0;
    [this.isShown, this.isStanding] = [false, false];
    this.source.tell({ kind: "visible", is: false, stands: false, within: false });
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
    removeEventListener("pagehide", this.leaves);
    removeEventListener("pageshow", this.seenSoon);
    this.saved?.dispose();
    this.source.dispose();
    for (const [mount, stand] of [...this.stands]) {
      this.leave(mount, stand);
    }
  }
}

/** Look no longer. */
export function unwatchPage() {
  observer?.disconnect();
  observer = null;
}
