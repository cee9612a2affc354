"""Opens the page of one run and says what stands in it; shared by the tests of the run view and of its charts."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import FloatRect, Page


class RunPage:
    """A page with one run.

    Attributes:
        page: The page.
    """

    def __init__(self, page: Page, server: str) -> None:
        self.page = page
        page.goto(f"{server}/pages/run.html")
        page.wait_for_selector("html[data-ready]")

    def show(self, options: str = "{book: new Logbook()}", *, drawn: str | None = "metrics") -> None:
        """Show a run; `options` is JavaScript. Waits until the charts of the tab `drawn` are there."""
        self.page.evaluate(f"() => {{ show({options}); }}")
        if drawn:
            self.wait(f"mounted.view._{drawn}.drawn.whole > 0")

    def wait(self, claim: str, argument: Any = None) -> None:
        """Wait until an expression of JavaScript is true."""
        self.page.wait_for_function(claim if argument is None else f"(given) => {claim}", arg=argument)

    def get(self, expression: str, argument: Any = None) -> Any:
        """Return the value of an expression of JavaScript."""
        script = (
            expression if argument is None else expression if "given) =>" in expression else f"(given) => {expression}"
        )
        return self.page.evaluate(script, argument)

    def grow(self, points: int = 1) -> None:
        """Let points come, all in one message."""
        self.page.evaluate(
            "(points) => { book.grow(points); clock += points; source.send(book.delta(points)); }", points
        )

    def drawn(self, tab: str = "metrics") -> dict[str, float]:
        """Return how often the charts of a tab were drawn: whole (by plotly) and light (their lines' ends)."""
        counts: dict[str, float] = self.page.evaluate(f"mounted.view._{tab}.drawn")
        return counts

    def path(self, chart: int = 0, line: int = 0) -> list[tuple[float, float]]:
        """Return the corners of a line as it is drawn, in pixels of its chart."""
        text = self.page.locator(f".tracec{chart}n{line} path.js-line").first.get_attribute("d") or ""
        return [(float(x), float(y)) for x, y in re.findall(r"[ML](-?[\d.]+),(-?[\d.]+)", text)]

    def wait_for_corners(self, corners: int, line: int = 0) -> None:
        """Wait until a line of the first chart has that many corners."""
        path = f"document.querySelector('.tracec0n{line} path.js-line').getAttribute('d')"
        self.wait(f"{path}.split(/[ML]/).length - 1 === given", corners)

    def layout(self, axis: str, tab: str = "metrics") -> Any:
        """Return an axis of the figure as plotly has it."""
        return self.page.evaluate(f"mounted.view._{tab}._view._figure.layout.{axis}")

    def text(self, selector: str) -> str:
        """Return the text of the first element of a kind."""
        return self.page.locator(selector).first.inner_text()

    def box(self, chart: int = 0) -> FloatRect:
        """Return where the lines of a chart are drawn, in pixels of the page."""
        box = self.page.locator(".mlf-tabpanel:not([hidden]) .mlf-figure .nsewdrag").nth(chart).bounding_box()
        assert box is not None
        return box
