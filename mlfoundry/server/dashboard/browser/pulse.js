// Asks for what is new: at most once in two seconds, never while nobody looks, and not at all when nothing moves.

const EVERY_MS = 2000;
const AGAIN_MOST_MS = 30_000;

/**
 * Begin to ask. `ask()` resolves when it has been answered; `isLive()` says whether something may still change, and
 * `isMoving()` whether that is likely: else it is asked rarely, and the page does not call itself live.
 */
export class Pulse {
  constructor({ ask, isLive, isMoving = isLive, stamp = document.getElementById("stamp") }) {
    this._isMoving = isMoving;
    this._ask = ask;
    this._isLive = isLive;
    this._stamp = stamp;
    this._failures = 0;
    this._seen = () => this._look();
    document.addEventListener("visibilitychange", this._seen);
    addEventListener("focus", this._seen);
    this._clock = setInterval(() => this._say(), 1000);
    this._answeredAt = Date.now();
    this._next();
  }

  /** Ask now, and then as usual. */
  async now() {
    clearTimeout(this._timer);
    if (this._isAsking) return;
    this._isAsking = true;
    this._askedAt = Date.now();
    try {
      await this._ask();
      this._failures = 0;
      this._trouble = "";
      this._answeredAt = Date.now();
    } catch (error) {
      this._failures += 1;
      this._trouble = error.message;
      this._isOver = [401, 403, 404, 410].includes(error.status);
    } finally {
      this._isAsking = false;
    }
    this._say();
    this._next();
  }

  _look() {
    if (document.hidden || this._isOver) return;
    if (Date.now() - (this._askedAt ?? 0) >= EVERY_MS) this.now();
  }

  _next() {
    clearTimeout(this._timer);
    if (this._isOver || (!this._isLive() && !this._failures)) return;
    const wait = this._isMoving() ? Math.min(EVERY_MS * 2 ** this._failures, AGAIN_MOST_MS) : AGAIN_MOST_MS;
    this._timer = setTimeout(() => {
      if (!document.hidden) this.now();
    }, wait);
  }

  _say() {
    if (!this._stamp || document.hidden) return;
    const seconds = Math.round((Date.now() - this._answeredAt) / 1000);
    const words = this._trouble ? `${this._trouble}; last seen ${seconds} s ago` : this._isLive() && this._isMoving() ? `live · ${seconds} s ago` : "";
    if (this._stamp.textContent !== words) this._stamp.textContent = words;
    this._stamp.classList.toggle("dash-trouble", Boolean(this._trouble));
  }
}
