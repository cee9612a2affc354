// The lines of charts as plain SVG, at the places at which plotly will draw them: something to see until it is there.
// Which lines, in which ranges and in which dress is said elsewhere; axes and what answers the pointer are plotly's.

import { GrowingPath } from "./curves.js";
import { svg } from "./dom.js";
import * as plan from "./figure.js";

const DASHES = { dash: "9 9", dot: "3 3", dashdot: "9 3 3 3", longdash: "15 15" };

/** A sketch below one element; none until something is drawn. */
export class Sketch {
  constructor(host) {
    this._host = host;
    this._node = null;
  }

  /** Draw charts of `prepared` curves into the cells of a grid, within ranges of x and, one a chart, of y. */
  draw(grid, prepared, ranges, theme) {
    const { width, height } = grid;
    const attributes = { class: "mlf-sketch", width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" };
    const charts = prepared.map(({ curves }, place) => chart(plan.inner(grid.cells[place]), curves, ranges.x, ranges.y[place], theme));
    const drawn = svg("svg", attributes, charts);
    if (this._node) this._node.replaceWith(drawn);
    else this._host.prepend(drawn);
    this._node = drawn;
  }

  /** Take it away: the charts themselves are there. */
  remove() {
    this._node?.remove();
    this._node = null;
  }
}

/** The lines of one chart, cut at its edges as an inner `svg` does, above its axis. */
function chart(box, curves, x, y, theme) {
  const { left, top, width, height } = box;
  const { toX, toY } = plan.scalesOf(box, x, y);
  const lines = curves.map((curve) => {
    const { color, dash, width: stroke, opacity } = plan.lookOf(curve, theme);
    const d = new GrowingPath().of(curve, null, x, plan.bucketsOf(width), toX, toY);
    return svg("path", { d, fill: "none", stroke: color, "stroke-width": stroke, "stroke-dasharray": DASHES[dash], opacity });
  });
  const [right, foot] = [left + width, top + height];
  const axis = svg("line", { x1: left, x2: right, y1: foot + 0.5, y2: foot + 0.5, stroke: theme.line });
  return [svg("svg", { x: left, y: top, width, height }, lines), axis];
}
