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

# Notes when the charts stand in the page, and asks for no more than the page itself would.
_WATCH = """
window.drawnAt = 0;
const look = () => {
    if (window.drawnAt || document.querySelectorAll(".scatterlayer .trace path.js-line").length < DRAWN) return;
    window.drawnAt = -1;
    requestAnimationFrame(() => setTimeout(() => (window.drawnAt = performance.now())));
};
new MutationObserver(look).observe(document, { childList: true, subtree: true });
""".replace("DRAWN", str(DRAWN))


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


@measure(
    "run page",
    Line("dashboard, run of 50 series of 100,000 points: address to charts", "ms", "drawn", at_most=1000),
    Line("  … requests for data", "", "requests", at_most=1),
    Line("  … bytes of data", "kB", "bytes"),
    Line("  … HTML", "kB", "html", at_most=100),
    repeats=3,
    warm_up=False,
    in_quick=False,
)
def run_page(work: Workplace) -> Figures:
    """The page of a run of 50 metrics of 100,000 points each on a server of this machine, in a window of 1280 x 800.

    Wall time from the address to the frame after the first 12 charts stand in the page, the shortest of four visits by
    one browser: scripts come from its cache, points from the server.
    """
    from playwright.sync_api import sync_playwright

    from tests.browser.conftest import chromium_path
    from tests.dashboard.site import Site

    arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
    figures: Figures = {}
    with Site.running(work.folder / "site") as site, sync_playwright() as playwright:
        path = _large_run(site)
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=arguments)
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        context.add_cookies([site.cookie("ann")])
        page = context.new_page()
        page.add_init_script(_WATCH)
        asked: list[Any] = []
        page.on("response", lambda response: asked.append(response) if "/dashboard/" in response.url else None)
        for _ in range(VISITS):
            asked.clear()
            page.goto(site.address + path)
            while page.evaluate("window.drawnAt") <= 0:
                page.wait_for_timeout(50)
            took_ms = float(page.evaluate("window.drawnAt"))
            figures["drawn"] = min(figures.get("drawn", math.inf), took_ms)
        figures["requests"] = float(len([each for each in asked if "/static/" not in each.url]))
        figures["bytes"] = sum(len(each.body()) for each in asked if "/static/" not in each.url) / 1e3
        figures["html"] = len(page.request.get(site.address + path, headers={"Accept": "text/html"}).body()) / 1e3
        browser.close()
    return figures
