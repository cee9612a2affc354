"""The page of the runs browser, and how its tests look at it and act on it."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Locator, Page, expect


class RunsPage:
    """The runs browser on a page, fed by a source without a kernel (see pages/runs.html).

    Args:
        page: A watched page.
        server: Address of the server of pages.
    """

    def __init__(self, page: Page, server: str) -> None:
        self.page = page
        page.goto(f"{server}/pages/runs.html")
        page.wait_for_selector("html[data-ready]", state="attached")

    def show(self, runs: str = "data.digits()", options: str = "{}") -> None:
        """Mount the browser anew with runs and options written in JavaScript."""
        self.page.evaluate(f"show({runs}, {options})")

    def send(self, runs: str, options: str = "{whole: false}") -> None:
        """Let the source send runs that have come or changed."""
        self.page.evaluate(f"source.send(data.runsMessage({runs}, {options}))")

    def state(self, name: str) -> Any:
        """Return a piece of the source's state."""
        return self.page.evaluate("name => source.get(name)", name)

    def asked(self, verb: str) -> list[Any]:
        """Return what the source was asked with a verb, in order."""
        return [args for each, args in self.page.evaluate("source.asked") if each == verb]

    def answer(self, verb: str, function: str) -> None:
        """Let the source answer a verb with a function written in JavaScript."""
        self.page.evaluate(f"() => {{ source.answers.{verb} = {function}; }}")

    @property
    def grid(self) -> Locator:
        """The table."""
        return self.page.get_by_role("grid")

    def row(self, name: str) -> Locator:
        """The row of a run that stands in view."""
        return self.page.locator(".mlf-tr:not([hidden])").filter(has_text=name).first

    def head(self, title: str) -> Locator:
        """The head of a column."""
        return self.page.locator(".mlf-th").filter(has_text=title).first

    def names(self) -> list[str]:
        """Return the names in view, from above; the cut is only in the drawing."""
        script = """() => [...document.querySelectorAll('.mlf-tr:not([hidden])')]
            .sort((a, b) => a.getAttribute('aria-rowindex') - b.getAttribute('aria-rowindex'))
            .map(row => row.querySelector('.mlf-td-name .mlf-cut')?.textContent ?? '')"""
        return list(self.page.evaluate(script))

    def cells(self, name: str) -> list[str]:
        """Return the texts of a run's row."""
        return self.row(name).locator(".mlf-td").all_inner_texts()

    def heads(self) -> list[str]:
        """Return the titles of the columns."""
        return self.page.locator(".mlf-th-title").all_inner_texts()

    def expect_top(self, name: str) -> None:
        """Wait until the first row is this run."""
        expect(self.page.locator(".mlf-tr[aria-rowindex='2'] .mlf-cut")).to_have_text(name)
