"""Charts before plotly.js is there: the same lines at the same places, alive, and gone once the charts are."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.run_page import RunPage

# Of each line, in its order: where its corners are on the page, its colour, its width and its dashes.
LINES = """(selector) => [...document.querySelectorAll(selector)].map(path => {
    const { x, y } = path.ownerSVGElement.closest(".mlf-charts").getBoundingClientRect();
    const to = path.getScreenCTM();
    const corners = (path.getAttribute("d").match(/[ML]-?[\\d.]+,-?[\\d.]+/g) ?? []).map(each => {
        const [left, top] = each.slice(1).split(",").map(Number);
        return [left + to.e - x, top + to.f - y];
    });
    const { stroke, strokeWidth, strokeDasharray, opacity } = getComputedStyle(path);
    const group = path.closest(".trace") ? getComputedStyle(path.closest(".trace")).opacity : "1";
    return { corners, stroke, strokeWidth, strokeDasharray, opacity: Number(opacity) * Number(group) };
})"""
SKETCHED = ".mlf-sketch path"
DRAWN = ".scatterlayer .trace path.js-line"
HOLD = "() => { globalThis.held = new Promise(done => (globalThis.release = done)); }"


@pytest.fixture
def run(page: Page, panel_server: str) -> RunPage:
    return RunPage(page, panel_server)


@pytest.fixture
def held(run: RunPage) -> Callable[[str], None]:
    """``held(options)`` shows a run whose plotly.js comes when ``release()`` is called."""

    def show(options: str) -> None:
        run.page.evaluate(HOLD)
        run.page.evaluate(f"""() => {{
            show({{ ...{options}, plotly: () => held.then(() => globalThis.loadPlotly()) }});
        }}""")
        run.wait("mounted.view._metrics.drawn.sketch + mounted.view._system.drawn.sketch > 0")

    return show


def lines(run: RunPage, selector: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = run.page.evaluate(LINES, selector)
    return found


def dashes(line: dict[str, Any]) -> list[float]:
    return [float(each) for each in re.findall(r"[\d.]+", line["strokeDasharray"])]


@pytest.mark.parametrize(
    "options",
    [
        "{book: new Logbook({points: 60})}",
        "{book: new Logbook({metrics: ['loss'], points: 90}), state: {smoothing: 0.6, log: true}}",
        "{book: new Logbook({metrics: ['loss'], points: 50}), run: {status: 'FINISHED', ended_at: NOW}}",
        "{book: new Logbook({points: 60}), state: {tab: 'system'}}",
    ],
    ids=["metrics", "smoothed and logarithmic", "ended", "machine"],
)
def test_the_sketch_shows_the_lines_where_plotly_draws_them(
    run: RunPage, held: Callable[[str], None], options: str
) -> None:
    held(options)
    sketched = lines(run, SKETCHED)
    height = run.page.evaluate("document.documentElement.scrollHeight")
    run.page.evaluate("() => release()")
    run.wait("mounted.view._metrics.drawn.whole + mounted.view._system.drawn.whole > 0")
    drawn = lines(run, DRAWN)
    assert len(sketched) == len(drawn) > 0
    for ours, plotly in zip(sketched, drawn, strict=True):
        assert len(ours["corners"]) == len(plotly["corners"]) > 1
        for place in (0, -1, len(ours["corners"]) // 2):
            assert ours["corners"][place] == pytest.approx(plotly["corners"][place], abs=1)
        assert ours["stroke"] == plotly["stroke"]
        assert ours["opacity"] == pytest.approx(plotly["opacity"])
        assert float(ours["strokeWidth"].removesuffix("px")) == float(plotly["strokeWidth"].removesuffix("px"))
        assert dashes(ours) == dashes(plotly)
    assert run.page.locator(".mlf-sketch").count() == 0, "one picture takes the place of the other"
    assert run.page.evaluate("document.documentElement.scrollHeight") == height


def test_the_sketch_lives_and_names_its_values(run: RunPage, held: Callable[[str], None]) -> None:
    held("{book: new Logbook({metrics: ['loss'], points: 20})}")
    assert len(lines(run, SKETCHED)[0]["corners"]) == 20
    run.grow(4)
    run.wait("document.querySelector('.mlf-sketch path').getAttribute('d').split('L').length === 24")
    assert re.search(r"\d", run.text(".mlf-chart-summary"))
    run.page.evaluate("() => release()")
    run.wait("mounted.view._metrics.drawn.whole > 0")


def test_the_sketch_stays_when_plotly_cannot_be_had_and_the_page_says_so(
    run: RunPage, held: Callable[[str], None]
) -> None:
    held("{book: new Logbook({metrics: ['loss'], points: 20})}")
    run.page.evaluate("() => release(Promise.reject(new Error('plotly.js could not be loaded')))")
    run.page.get_by_role("alert").filter(has_text="plotly.js could not be loaded").wait_for()
    assert len(lines(run, SKETCHED)) == 1
