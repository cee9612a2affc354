// A tab of the page of a run whose content is read when it is first looked at, and again once the run has changed.

import { button, element, replace } from "../panels/dom.js";
import { request } from "./http.js";

/** The common part of such tabs. What is of each: `draw()`, which shows `told`, and `failurePlace`. */
export class LoadedTab {
  /** `path` is what is asked for, `what` its name in the message when it cannot be read. */
  constructor(path, what) {
    this._path = path;
    this._what = what;
    this._text = "";
    this.told = null;
  }

  /** Called whenever the tab is looked at or the run has changed. */
  update() {
    this.loaded();
  }

  /** A promise that it has been read; it is read at most once until it is forgotten. */
  loaded() {
    this._loading ??= this._load();
    return this._loading;
  }

  /** Have it read again when the tab is looked at next. */
  forget() {
    this._loading = null;
  }

  async _load() {
    let told;
    try {
      told = await request("GET", this._path);
    } catch (error) {
      const again = button("try again", () => {
        this.forget();
        this.update();
      });
      replace(this.failurePlace, element("p", { class: "mlf-error", role: "alert" }, `${this._what} could not be read: ${error.message} `, again));
      this._text = "";
      return;
    }
    const text = JSON.stringify(told);
    if (text === this._text) return; // what somebody reads is not drawn anew under their eyes
    this._text = text;
    this.told = told;
    this.draw();
  }
}
