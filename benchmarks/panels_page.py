"""What panels cost the browser: the views alone in a page of Chromium, as notebook and dashboard mount them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.registry import Figures, Line, Workplace, measure

TRACES = 32
POINTS_BEFORE = 600

_TRACES_PAGE = """() => {
    const metrics = Array.from({ length: TRACES }, (_, trace) => `metric-${trace}`);
    const book = new Logbook({ metrics, system: [], points: POINTS_BEFORE });
    show({ book, state: { selected_series: { metrics } } });
}"""
_LIVE = """async (updates) => {
    const tasks = [];
    new PerformanceObserver((list) => tasks.push(...list.getEntries().map((each) => each.duration)))
        .observe({ entryTypes: ["longtask"] });
    for (let update = 0; update < updates; update += 1) {
        book.grow(1);
        clock += 1;
        source.send(book.delta(1));
        await new Promise((done) => setTimeout(done, 1000));
    }
    return Math.max(0, ...tasks);
}"""
_PEER = """async (updates) => {
    const Plotly = await source.plotly();
    const place = document.body.appendChild(document.createElement("div"));
    place.style.cssText = "width: 1000px; height: 800px";
    const series = book.series.map((each) => ({ x: Float32Array.from(each.steps), y: Float32Array.from(each.values) }));
    const layout = { grid: { rows: 2, columns: 4, pattern: "independent" } };
    const axis = (trace) => (trace % 8 ? String((trace % 8) + 1) : "");
    const traces = series.map((each, trace) => ({ ...each, xaxis: `x${axis(trace)}`, yaxis: `y${axis(trace)}` }));
    await Plotly.newPlot(place, traces, layout);
    for (let update = 0; update < updates; update += 1) {
        const [x, y] = ["x", "y"].map((name) => series.map((each) => each[name].slice()));
        await Plotly.update(place, { x, y });
        await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    }
}"""
_FRAME = "const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));"
_SCROLL = f"""async (frames) => {{
    {_FRAME}
    const grid = document.querySelector("[role=grid]");
    for (let step = 0; step < frames; step += 1) {{
        grid.scrollTop = step * 400;
        await frame();
    }}
}}"""
_SORT = f"""async (times) => {{
    {_FRAME}
    for (let time = 0; time < times; time += 1) {{
        source.set("order_by", `metrics.m${{time % 5}} desc`);
        await frame();
    }}
}}"""


class _Page:
    """A page of Chromium whose main thread's CPU time can be read."""

    def __init__(self, page: Any, server: str) -> None:
        self.page = page
        self.server = server
        self._session = page.context.new_cdp_session(page)
        self._session.send("Performance.enable")

    def open(self, name: str) -> None:
        """Go to a page of the tests and wait until it is ready."""
        self.page.goto(f"{self.server}/pages/{name}.html")
        self.page.wait_for_selector("html[data-ready]", state="attached")

    def cpu_ms(self, script: str, count: int) -> float:
        """Return what a script costs the main thread for each of `count`."""
        before = self.used_s()
        self.page.evaluate(script, count)
        return (self.used_s() - before) / count * 1e3

    def used_s(self) -> float:
        """Return the CPU time of the main thread so far, in this page."""
        told = self._session.send("Performance.getMetrics")["metrics"]
        return next(float(each["value"]) for each in told if each["name"] == "ThreadTime")


@contextmanager
def _chromium() -> Iterator[_Page]:
    from playwright.sync_api import sync_playwright

    from tests.browser.conftest import chromium_path, serving_panels

    with serving_panels() as server, sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=arguments)
        page = browser.new_page(viewport={"width": 1000, "height": 900})
        page.set_default_timeout(120_000)
        yield _Page(page, server)
        browser.close()


@measure(
    "panels page",
    Line("live panel in Chromium, 32 traces at 1 Hz: CPU an update", "ms", "live"),
    Line("  … longest task of its main thread", "ms", "longest", at_most=200),
    Line("  … plotly alone, the same arrays whole, CPU an update", "ms", "plotly"),
    Line("runs table in Chromium, 10,000 runs: CPU a frame of scrolling", "ms", "scroll"),
    Line("  … sorting by another metric", "ms", "sort"),
    Line("  … a key of a search for words", "ms", "search"),
    repeats=3,
    warm_up=False,
    in_quick=False,
)
def panels_page(work: Workplace) -> Figures:
    """The views in a page of 1000 x 900 pixels, fed without a kernel; CPU time of the page's main thread.

    A run of 32 metrics, all of them drawn, 600 points each, then one more a second for 20 s; long tasks are those of
    the browser's own observer, by the wall. plotly alone: ``Plotly.update`` of the same 32 series in 8 subplots, as a
    FigureWidget does it. The table: 10,000 runs of 30 columns; 60 frames that each scroll by 400 pixels, 10 orders,
    6 keys.
    """
    with _chromium() as chromium:
        chromium.open("run")
        constants = f"const TRACES = {TRACES}, POINTS_BEFORE = {POINTS_BEFORE};"
        chromium.page.evaluate(f"() => {{ {constants} ({_TRACES_PAGE})(); }}")
        chromium.page.wait_for_function("mounted.view._metrics.drawn.whole > 0")
        updates = work.count(20, 5)
        before = chromium.used_s()
        figures = {"longest": float(chromium.page.evaluate(_LIVE, updates))}
        figures["live"] = (chromium.used_s() - before) / updates * 1e3
        figures["plotly"] = chromium.cpu_ms(_PEER, work.count(10, 3))
        chromium.open("runs")
        chromium.page.evaluate("() => show(data.many(10000))")
        chromium.page.wait_for_selector("[role=grid] .mlf-tr")
        figures["scroll"] = chromium.cpu_ms(_SCROLL, 60)
        figures["sort"] = chromium.cpu_ms(_SORT, 10)
        field = chromium.page.get_by_role("combobox")
        before = chromium.used_s()
        field.press_sequentially("sweep7", delay=200)
        figures["search"] = (chromium.used_s() - before) / 6 * 1e3
    return figures
