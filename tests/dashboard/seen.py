"""What a person sees on a page: rows, counts, the box for a filter, and what plotly was given to draw."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import CDPSession, Locator, Page, expect

PLOTLY_MS = 60_000
# Of each figure below an element: its traces and the ranges of its axes.
_FIGURES = """(place) => [...document.querySelectorAll(`${place} .js-plotly-plot`)].map((each) => ({
    traces: each.data.map(({ x, y, mode, opacity, line, marker, xaxis, yaxis, uid }) =>
        ({ x, y, mode, opacity, colour: line?.color, dash: line?.dash, symbol: marker?.symbol, xaxis, yaxis, uid })),
    ranges: Object.fromEntries(Object.entries(each.layout).flatMap(([name, axis]) =>
        /^[xy]axis/.test(name) ? [[name, axis.range]] : [])),
}))"""


def row(page: Page, name: str) -> Locator:
    """The row of a run in the table."""
    return page.locator(".mlf-tr:not([hidden])").filter(has_text=name).first


def shown_names(page: Page) -> list[str]:
    """The names of the rows that are drawn, from top to bottom."""
    rows = page.locator(".mlf-tr:not([hidden])")
    told = [(int(each.get_attribute("aria-rowindex") or 0), each) for each in rows.all()]
    return [each.locator(".mlf-cut").inner_text().replace("\n", "") for _, each in sorted(told, key=lambda at: at[0])]


def counts(page: Page) -> Locator:
    """How many runs the page says there are."""
    return page.locator(".mlf-runs-counts")


def type_filter(page: Page, text: str) -> None:
    """Write a filter and press Enter."""
    box = page.locator(".mlf-filter-input")
    box.fill(text)
    box.press("Enter")


def drawn(page: Page, place: str) -> Locator:
    """The lines below an element; waits until there is one."""
    lines = page.locator(f"{place} .scatterlayer .trace")
    expect(lines.first).to_be_attached(timeout=PLOTLY_MS)
    return lines


def figures(page: Page, place: str) -> dict[str, Any]:
    """What the one figure below an element shows, once it is drawn."""
    drawn(page, place)
    (found,) = page.evaluate(_FIGURES, place)
    return dict(found)


class Effort:
    """What a page costs from now on: requests, bytes of their answers, and time of its main thread."""

    def __init__(self, page: Page) -> None:
        self.sizes: list[int] = []
        self.sent: list[int] = []
        page.on("response", lambda answer: self.sizes.append(int(answer.headers.get("content-length", 0))))
        page.on("request", lambda request: self.sent.append(len(request.post_data_buffer or b"")))
        self._session: CDPSession = page.context.new_cdp_session(page)
        self._session.send("Performance.setTimeDomain", {"timeDomain": "threadTicks"})
        self._session.send("Performance.enable")
        self._began_s = self._used_s()

    def main_thread_s(self) -> float:
        """Time that the page's main thread has used; of the processor, not of the clock."""
        return self._used_s() - self._began_s

    def _used_s(self) -> float:
        told = self._session.send("Performance.getMetrics")["metrics"]
        return next(float(each["value"]) for each in told if each["name"] == "TaskDuration")
