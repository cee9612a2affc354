"""What a person sees while plotly.js, which no browser has at its first visit, is still on its way."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from tests.dashboard.seen import PLOTLY_MS
from tests.dashboard.site import Site

Opener = Callable[..., Page]
RUNS = ("cnn-53", "svm-01", "cnn-28")
SHIFTS = """
window.shifts = 0;
new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) shifts += entry.value;
}).observe({ type: "layout-shift", buffered: true });
"""


@pytest.fixture
def pages(site: Site) -> dict[str, tuple[str, int]]:
    """Each page with charts, and how many lines it shows at first."""
    ids = ",".join(site.runs[name].run_id for name in RUNS)
    return {
        "run": (f"/r/{site.runs['cnn-53'].run_id}", 3),
        "comparison": (f"{site.digits}/compare?runs={ids}", 9),
        "runs compared": (f"{site.digits}?runs={ids}&compare=1", 9),
    }


@pytest.mark.parametrize("name", ["run", "comparison", "runs compared"])
def test_the_curves_are_there_before_plotly_and_nothing_moves_when_it_comes(
    open_page: Opener, site: Site, pages: dict[str, tuple[str, int]], name: str
) -> None:
    path, lines = pages[name]
    page = open_page("/login")
    page.add_init_script(SHIFTS)
    asked: list[Route] = []
    page.route("**/plotly.min.js", lambda route: asked.append(route))
    page.goto(site.address + path, wait_until="commit")
    expect(page.locator(".mlf-sketch path")).to_have_count(lines)
    expect(page.locator(".js-plotly-plot")).to_have_count(0)
    assert page.locator("link[rel=preload][as=script]").count() == 1, "it is on its way from the beginning"
    assert asked
    page.unroute("**/plotly.min.js")
    for route in asked:
        route.continue_()
    expect(page.locator(".mlf-charts .scatterlayer path.js-line")).to_have_count(lines, timeout=PLOTLY_MS)
    expect(page.locator(".mlf-sketch")).to_have_count(0)
    assert page.evaluate("shifts") <= 0.001
