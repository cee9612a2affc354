// Line charts that live: several charts in one plotly figure, drawn at most once a second and never unseen.
//
//   const charts = new LineCharts(element, () => source.plotly());
//   charts.show([{ key, title, section, unit, axis, fromZero, lines: [{ key, name, points, place, grey, cross }] }],
//               { x: "step" | "time", log, smoothing, live, paused, bands: [{ from, to, label, text }], now });
//   charts.touch();      // points of a line have grown
//   charts.dispose();
//
// `points` is a series of series.js, or anything with steps, times, values, n, least, greatest and count; `place` a place
// in the palette; `cross` the status with which a line's run ended badly.
//
// A redraw by plotly costs as much as ten of ours, so while nothing but the lines' ends move we write the paths that
// plotly made. Ranges with headroom, and ranges that we set, see to it that this is nearly always so. Plotly draws
// anew when a range, the size, the theme or a setting changes, and when the pointer comes, so that hovering is exact.
// Until plotly is there, a sketch of the same lines is.

import { button, element, replace, setText } from "./dom.js";
import { lineLook, onThemeChange, themeOf } from "./colours.js";
import { headingOf, summaryOf, titleOf } from "./chart_titles.js";
import { GrowingPath } from "./curves.js";
import * as plan from "./figure.js";
import { Sketch } from "./sketch.js";

const EVERY_MS = 1000;
const HOVER_EVERY_MS = 5000;
const CONFIG = { displayModeBar: false, doubleClick: false, responsive: false, showTips: false, staticPlot: false };

/** Charts in one figure, below one element. */
export class LineCharts {
  constructor(host, plotly, { onError } = {}) {
    this._plotly = plotly;
    this._onError = onError;
    this._figure = element("div", { class: "mlf-figure", "aria-hidden": "true" });
    this._over = element("div", { class: "mlf-figure-titles" });
    this._tip = element("div", { class: "mlf-band-tip", hidden: true });
    this._reset = button("reset zoom", () => this.resetZoom(), { class: "mlf-button mlf-reset-zoom", hidden: true });
    this.node = element("div", { class: "mlf-charts" }, this._figure, this._over, this._tip, this._reset);
    host.append(this.node);
    this._sketch = new Sketch(this.node);
    this._charts = [];
    this._settings = { x: "step" };
    this._zoom = { x: null, y: new Map() };
    this._titles = [];
    this._drawn = null;
    this._drawnAt = -Infinity;
    this._timer = 0;
    this._isDirty = false;
    this._isSeen = false;
    this._isHovered = false;
    this._isGone = false;
    this.drawn = { whole: 0, light: 0, sketch: 0, wholeMs: 0, lightMs: 0, sketchMs: 0 };
    this._watch();
  }

  /** Show these charts; both arguments are kept and read again at each redraw. */
  show(charts, settings) {
    const isNewX = settings.x !== this._settings.x;
    this._charts = charts;
    this._settings = settings;
    if (isNewX) this._zoom = { x: null, y: new Map() };
    this._arrange();
    this._soon(0);
  }

  /** Say that lines have grown: they are redrawn within a second if they can be seen and are not paused. */
  touch() {
    if (!this._settings.paused) this._soon();
  }

  /** Show everything again. */
  resetZoom() {
    this._zoom = { x: null, y: new Map() };
    this._soon(0);
  }

  dispose() {
    this._isGone = true;
    clearTimeout(this._timer);
    for (const off of this._offs) off();
    if (this._Plotly) this._Plotly.purge(this._figure);
    this.node.remove();
  }

  // -- when ----------------------------------------------------------------------------------------

  _watch() {
    const seen = new IntersectionObserver((entries) => {
      this._isSeen = entries.at(-1).isIntersecting;
      if (this._isSeen && this._isDirty) this._soon(0);
    });
    seen.observe(this.node);
    const size = new ResizeObserver(() => {
      if (Math.abs(this.node.clientWidth - (this._grid?.width ?? 0)) < 1) return;
      this._arrange();
      this._soon(0);
    });
    size.observe(this.node);
    const shown = () => !document.hidden && this._isDirty && this._soon(0);
    document.addEventListener("visibilitychange", shown);
    this.node.addEventListener("pointerenter", () => this._hover(true));
    this.node.addEventListener("pointerleave", () => this._hover(false));
    this.node.addEventListener("pointermove", (event) => this._showBand(event));
    const theme = onThemeChange(() => {
      const now = themeOf(this.node);
      if (!this._drawn || JSON.stringify(now) === JSON.stringify(this._theme)) return;
      this._theme = now;
      this._soon(0);
    });
    const visible = () => document.removeEventListener("visibilitychange", shown);
    this._offs = [() => seen.disconnect(), () => size.disconnect(), visible, theme];
  }

  _hover(is) {
    this._isHovered = is;
    if (!is) this._tip.hidden = true;
    if (this._settings.live) this._soon(0);
  }

  /** Draw when it is time; at once with `wait` 0. Unseen charts wait until they are seen. */
  _soon(wait = EVERY_MS) {
    this._isDirty = true;
    if (wait === 0) this._isUrgent = true;
    if (this._isGone || !this._isSeen || document.hidden || this._isDrawing) return;
    if (this._timer && wait > 0) return;
    clearTimeout(this._timer);
    const pause = Math.max(0, this._drawnAt + wait - performance.now());
    this._timer = setTimeout(() => requestAnimationFrame(() => this._draw()), pause);
  }

  // -- what ----------------------------------------------------------------------------------------

  /** Set the places of the charts and make their titles; heights are known before anything is drawn. */
  _arrange() {
    const width = this.node.clientWidth;
    if (!width) return;
    this._grid = plan.placesOf(this._charts, width);
    this.node.style.height = `${this._grid.height}px`;
    this._titles = this._charts.map((chart, place) => titleOf(chart, this._grid.cells[place]));
    replace(
      this._over,
      this._grid.headings.map(headingOf),
      this._titles.map((title) => title.node),
    );
  }

  async _draw() {
    this._timer = 0;
    if (this._isGone || !this._isSeen || document.hidden || this._isDrawing) return;
    if (!this._charts.length || !this._grid) return;
    this._isDrawing = true;
    this._isDirty = false;
    this._isUrgent = false;
    try {
      const began = performance.now();
      const kind = await this._redraw();
      this.drawn[kind] += 1;
      this.drawn[`${kind}Ms`] += performance.now() - began;
    } catch (error) {
      this._onError?.(error);
    } finally {
      this._drawnAt = performance.now();
      this._isDrawing = false;
      if (this._isDirty) this._soon(this._isUrgent ? 0 : EVERY_MS);
    }
  }

  /** Ask for plotly.js, which a page needs a second for when it has never had it. */
  _load() {
    this._loading ??= this._plotly().then(
      (Plotly) => {
        this._Plotly = Plotly;
        this._soon(0);
      },
      (error) => {
        this._loading = null;
        this._onError?.(error);
      },
    );
  }

  /** Draw what has changed, in the cheapest way that shows it; returns which: "whole", "light" or "sketch". */
  async _redraw() {
    this._theme ??= themeOf(this.node);
    const settings = this._settings;
    const prepared = this._charts.map((chart) => plan.curvesOf(chart, settings));
    const x =
      this._zoom.x ??
      plan.rangeOfX(
        prepared.flatMap((each) => each.curves),
        settings,
        this._drawn?.x,
      );
    const y = this._charts.map((chart, place) => this._rangeOfY(chart, prepared[place].curves, x));
    this._tell(prepared);
    if (!this._Plotly) {
      this._sketch.draw(this._grid, prepared, { x, y }, this._theme);
      this._load();
      return "sketch";
    }
    const signature = this._signature(prepared);
    const ranges = JSON.stringify([x, y]);
    const isSame = this._drawn?.signature === signature;
    const mayWait = this._isHovered && performance.now() - this._drawn?.at < HOVER_EVERY_MS && !this._zoomChanged();
    if (isSame && (this._drawn.ranges === ranges || mayWait) && this._write(prepared)) return "light";
    await this._drawWhole(prepared, { x, y });
    const keys = this._charts.map((chart) => chart.key);
    this._drawn = { signature, ranges, keys, x, y, at: performance.now(), zoom: this._zoomKey(), paths: null };
    return "whole";
  }

  _zoomKey() {
    return JSON.stringify([this._zoom.x, [...this._zoom.y]]);
  }

  _zoomChanged() {
    return this._zoomKey() !== this._drawn.zoom;
  }

  _rangeOfY(chart, curves, x) {
    const zoomed = this._zoom.y.get(chart.key);
    if (zoomed) return zoomed;
    const place = this._drawn?.keys.indexOf(chart.key) ?? -1;
    return plan.rangeOfY(chart, curves, this._settings, x, this._drawn?.y[place]);
  }

  /** All that asks plotly to draw when it changes, ranges aside. */
  _signature(prepared) {
    const { x, log, smoothing, live, paused, bands = [] } = this._settings;
    const charts = this._charts.map((chart, place) => [
      chart.key,
      prepared[place].unit,
      prepared[place].curves.map(plan.signatureOf),
    ]);
    const theme = [this._theme.dark, this._theme.text, this._theme.line];
    const sizes = [this._grid.width, this._grid.height];
    return JSON.stringify([
      x,
      log,
      smoothing,
      live,
      paused,
      bands.map((band) => [band.from, band.to, band.label]),
      charts,
      theme,
      sizes,
      live && this._isHovered,
    ]);
  }

  _drawWhole(prepared, ranges) {
    const { data, layout } = this._build(prepared, ranges);
    const isFirst = !this._drawn;
    return this._Plotly.react(this._figure, data, layout, CONFIG).then(() => {
      if (isFirst) this._listen();
      this._sketch.remove();
      this._reset.hidden = !this._zoom.x && !this._zoom.y.size;
      this._number(ranges.x);
    });
  }

  _build(prepared, ranges) {
    const settings = this._settings;
    const theme = this._theme;
    const isStill = !settings.live || settings.paused;
    const layout = {
      width: this._grid.width,
      height: this._grid.height,
      autosize: false,
      margin: { l: 0, r: 0, t: 0, b: 0, pad: 0 },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      showlegend: false,
      dragmode: "zoom",
      hovermode: isStill || this._isHovered ? "x" : false,
      hoverdistance: 30,
      shapes: [],
      font: { family: theme.font, size: 11, color: theme.text },
      hoverlabel: { font: { family: theme.font, size: 12 }, namelength: -1 },
    };
    const data = [];
    this._charts.forEach((chart, place) => {
      const number = place + 1;
      const { curves, unit } = prepared[place];
      const cell = this._grid.cells[place];
      const axes = plan.axesOf(
        number,
        cell,
        this._grid,
        { x: ranges.x, y: ranges.y[place] },
        { theme, settings, unit },
      );
      layout[`xaxis${number}`] = axes.xaxis;
      layout[`yaxis${number}`] = axes.yaxis;
      const pixels = plan.inner(cell).width;
      const context = { x: ranges.x, pixels, theme, settings, unit, hasSeveral: chart.lines.length > 1 };
      curves.forEach((curve, index) => data.push(plan.traceOf(curve, number, `c${place}n${index}`, context)));
      const crosses = plan.crossesOf(curves, number, theme, settings.x === "time");
      if (crosses) data.push(crosses);
      if (settings.x === "time") layout.shapes.push(...plan.bandsOf(settings.bands ?? [], ranges.x, number, theme));
    });
    return { data, layout };
  }

  /** Write the lines' paths within the ranges that are drawn; false when plotly has to. */
  _write(prepared) {
    const { x, y } = this._drawn;
    const paths = (this._drawn.paths ??= this._findPaths(prepared));
    if (!paths) return false;
    const top = this.node.getBoundingClientRect().top;
    prepared.forEach(({ curves }, place) => {
      const box = plan.inner(this._grid.cells[place]);
      if (top + box.top > innerHeight || top + box.top + box.height < 0) return;
      const { toX, toY } = plan.scalesOf(box, x, y[place]);
      curves.forEach((curve, index) => {
        const { node, path, n } = paths[place][index];
        if (!node || (n === curve.n && curve.era !== null)) return;
        node.setAttribute("d", path.of(curve, curve.era, x, plan.bucketsOf(box.width), toX, toY));
        paths[place][index].n = curve.n;
      });
    });
    return true;
  }

  _findPaths(prepared) {
    const found = prepared.map(({ curves }, place) =>
      curves.map((_, index) => {
        const lines = this._figure.querySelectorAll(`.tracec${place}n${index} path.js-line`);
        // Plotly makes a path of each piece between gaps; ours holds all pieces in one.
        for (const each of [...lines].slice(1)) each.remove();
        return { node: lines[0], path: new GrowingPath(), n: -1 };
      }),
    );
    const curves = prepared.flatMap((each) => each.curves);
    return found.flat().every(({ node }, index) => node || plan.needsMarks(curves[index])) ? found : null;
  }

  // -- titles --------------------------------------------------------------------------------------

  _tell(prepared) {
    this._titles.forEach((title, place) => {
      const chart = this._charts[place];
      const summary = summaryOf(chart, this._settings, prepared[place]);
      setText(title.summary, summary.text);
      if (title.summary.title !== summary.whole) title.summary.title = summary.whole;
      title.swatches.forEach((swatch, index) => {
        const { color, dash } = lineLook(title.lines[index].place ?? 0, this._theme.dark);
        const style = `2px ${dash === "solid" ? "solid" : "dashed"} ${color}`;
        if (swatch.dataset.style !== style) {
          swatch.dataset.style = style;
          swatch.style.borderTop = style;
        }
      });
    });
  }

  /** Write the numbers of the bands at the top of each chart, where there is room. */
  _number(x) {
    const bands = this._settings.x === "time" ? (this._settings.bands ?? []) : [];
    this._titles.forEach((title, place) => {
      const cell = this._grid.cells[place];
      const box = plan.inner(cell);
      title.bands.style.top = `${box.top - cell.top - 1}px`;
      const at = (seconds) => Math.min(1, Math.max(0, (seconds - x[0]) / (x[1] - x[0]))) * box.width;
      const fits = bands.filter((band) => at(band.to) - at(band.from) > 14);
      replace(
        title.bands,
        fits.map((band) =>
          element("span", { style: { left: `${box.left - cell.left + at(band.from) + 2}px` } }, band.label),
        ),
      );
    });
  }

  _showBand(event) {
    const bands = this._settings.x === "time" ? this._settings.bands : null;
    if (!bands?.length || !this._drawn) return;
    const bounds = this.node.getBoundingClientRect();
    const [left, top] = [event.clientX - bounds.left, event.clientY - bounds.top];
    const box = this._grid.cells.map(plan.inner).find((each) => plan.isIn(each, left, top));
    const x = box && this._drawn.x[0] + ((left - box.left) / box.width) * (this._drawn.x[1] - this._drawn.x[0]);
    const band = box && bands.findLast((each) => each.from <= x && x <= each.to);
    this._tip.hidden = !band;
    if (!band) return;
    setText(this._tip, band.text);
    this._tip.style.left = `${box.left}px`;
    this._tip.style.top = `${box.top + box.height - 22}px`;
    this._tip.style.maxWidth = `${box.width}px`;
  }

  // -- zoom ----------------------------------------------------------------------------------------

  _listen() {
    this._figure.on("plotly_relayout", (changes) => this._takeZoom(changes));
    this._figure.on("plotly_doubleclick", () => this.resetZoom());
  }

  _takeZoom(changes) {
    const zoomed = plan.zoomedAxes(changes);
    for (const { letter, place, ends } of zoomed) {
      const chart = this._charts[place];
      if (letter === "x") this._zoom.x = ends.map((each) => plan.fromAxis(each, this._settings.x === "time"));
      else if (chart) this._zoom.y.set(chart.key, { range: ends.map(Number), isLog: this._drawn.y[place].isLog });
    }
    if (zoomed.length) this._soon(0);
  }
}
