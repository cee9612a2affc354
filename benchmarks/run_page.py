"""What the dashboard's page of a large run costs, from its address to its charts: a real browser and server."""

from __future__ import annotations

import math
import random
from typing import Any

from benchmarks.registry import Figures, Line, Workplace, measure

SERIES = 50
POINTS = 100_000
DRAWN = 12
VISITS = 4
FIRST_VISITS = 3

# Notes when the curves, and when the charts of plotly stand in the page; asks for no more than the page itself would.
_WATCH = """
window.moments = { seen: 0, drawn: 0 };
const look = () => {
    const drawn = document.querySelectorAll(".scatterlayer .trace path.js-line").length;
    const sketched = document.querySelectorAll(".mlf-sketch path").length;
    for (const [what, lines] of [["seen", drawn || sketched], ["drawn", drawn]]) {
        if (moments[what] || lines < DRAWN) continue;
        moments[what] = -1;
        requestAnimationFrame(() => setTimeout(() => (moments[what] = performance.now())));
    }
};
new MutationObserver(look).observe(document, { childList: true, subtree: true });
""".replace("DRAWN", str(DRAWN))
_PLOTLY = """() => new Promise((done) => {
    const script = document.createElement("script");
    script.src = document.body.dataset.plotly;
    const began = performance.now();
    script.onload = () => done(performance.now() - began);
    document.head.append(script);
})"""


def _large_run(site: Any) -> str:
    from tests.dashboard.digits import make_run

    dice = random.Random(1)
    log = make_run(site.tracking, "large", project="large", owner="ann")
    for number in range(SERIES):
        values = [math.exp(-n / 30_000) * (number + 1) + 0.1 * dice.random() for n in range(POINTS)]
        log.points(f"group-{number % 5}/metric-{number}", values, gap_us=1000)
        log.send()
    log.end("FINISHED", POINTS * 1000).send()
    return f"/r/{log.run.run_id}"


def _new_page(browser: Any, site: Any) -> Any:
    """A page of a browser that has visited nothing."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.add_cookies([site.cookie("ann")])
    page = context.new_page()
    page.add_init_script(_WATCH)
    return page


def _visit(page: Any, address: str) -> dict[str, float]:
    page.goto(address)
    while page.evaluate("Math.min(moments.seen, moments.drawn)") <= 0:
        page.wait_for_timeout(50)
    return {what: float(ms) for what, ms in page.evaluate("moments").items()}


def _shortest(visits: list[dict[str, float]], prefix: str = "") -> dict[str, float]:
    return {prefix + what: min(each[what] for each in visits) for what in ("seen", "drawn")}


def _plotly_alone(page: Any, address: str) -> float:
    page.goto(f"{address}/login")
    return float(page.evaluate(_PLOTLY))


@measure(
    "run page",
    Line("dashboard, run of 50 series of 100,000 points: address to curves", "ms", "seen", at_most=1000),
    Line("  … to charts that answer the pointer", "ms", "drawn", at_most=1000),
    Line("  … first visit of a browser, which has nothing of us yet: to curves", "ms", "first_seen", at_most=1000),
    Line("  … first visit: to charts that answer the pointer", "ms", "first_drawn"),
    Line("  … plotly.js alone in such a browser, from its address to ready", "ms", "plotly"),
    Line("  … requests for data", "", "requests", at_most=1),
    Line("  … bytes of data", "kB", "bytes"),
    Line("  … HTML", "kB", "html", at_most=100),
    repeats=3,
    warm_up=False,
    in_quick=False,
)
def run_page(work: Workplace) -> Figures:
    """The page of a run of 50 metrics of 100,000 points each on a server of this machine, in a window of 1280 x 800.

    Wall time from the address to the frame after the curves of the first 12 charts stand in the page, and after those
    of plotly do. The shortest of four visits by one browser: scripts come from its cache, points from the server. First
    visits: the shortest of three, each with an empty cache. plotly.js alone: the same, of its script in a page without
    charts; no chart can answer the pointer sooner.
    """
    from playwright.sync_api import sync_playwright

    from tests.browser.conftest import chromium_path
    from tests.dashboard.site import Site

    arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
    figures: Figures = {}
    with Site.running(work.folder / "site") as site, sync_playwright() as playwright:
        path = _large_run(site)
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=arguments)
        first = [_visit(_new_page(browser, site), site.address + path) for _ in range(FIRST_VISITS)]
        figures |= _shortest(first, "first_")
        figures["plotly"] = min(_plotly_alone(_new_page(browser, site), site.address) for _ in range(FIRST_VISITS))
        page = _new_page(browser, site)
        asked: list[Any] = []
        page.on("response", lambda response: asked.append(response) if "/dashboard/" in response.url else None)
        visits = []
        for _ in range(VISITS):
            asked.clear()
            visits.append(_visit(page, site.address + path))
        figures |= _shortest(visits)
        figures["requests"] = float(len([each for each in asked if "/static/" not in each.url]))
        figures["bytes"] = sum(len(each.body()) for each in asked if "/static/" not in each.url) / 1e3
        figures["html"] = len(page.request.get(site.address + path, headers={"Accept": "text/html"}).body()) / 1e3
        browser.close()
    return figures
