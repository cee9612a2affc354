"""The seven tasks that dashboards were compared by, each from the project's page, with its clicks and keys counted."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.dashboard.digits import SMALL_SVMS, make_run
from tests.dashboard.seen import shown_names
from tests.dashboard.site import Site

Opener = Callable[..., Page]
PLOTLY_MS = 60_000


class Hand:
    """A hand that counts what it does.

    Attributes:
        page: Where it works.
        clicks: How often it has clicked.
        keys: How many keys it has pressed.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.clicks = 0
        self.keys = 0
        page.watch.expected.append("400")  # type: ignore[attr-defined]  # a filter that is asked for half typed
        expect(self.row("mlp-60")).to_be_visible()

    def row(self, name: str) -> Locator:
        """The row of a run."""
        return self.page.locator(".mlf-tr:not([hidden])").filter(has_text=name).first

    def click(self, at: Locator) -> None:
        """Click once."""
        at.click()
        self.clicks += 1

    def type(self, text: str, *last: str) -> None:
        """Press the keys of a text and then further ones."""
        self.page.keyboard.type(text)
        for key in last:
            self.page.keyboard.press(key)
        self.keys += len(text) + len(last)


@pytest.fixture
def hand(open_page: Opener, site: Site) -> Hand:
    return Hand(open_page(site.digits))


def test_a_which_run_is_best_and_with_which_params_takes_no_click(hand: Hand) -> None:
    expect(hand.page.locator(".mlf-best")).to_contain_text("best: cnn-53 lowest last val_loss 0.0931")
    expect(hand.row("cnn-53")).to_contain_text(re.compile(r"0\.0931.*cnn"))
    for title in ("val_loss", "model", "lr", "batch_size", "optimizer"):
        expect(hand.page.locator(".mlf-th").filter(has_text=title).first).to_be_in_viewport()
    assert (hand.clicks, hand.keys) == (0, 0)


def test_a_the_order_by_a_metric_takes_one_click(hand: Hand) -> None:
    hand.click(hand.page.locator(".mlf-th").filter(has_text="val_loss").first)
    first = hand.page.locator(".mlf-tr:not([hidden])[aria-rowindex='2']")
    expect(first).to_contain_text("cnn-28")
    expect(first).to_contain_text("KeyError")
    expect(hand.page.locator(".mlf-tr:not([hidden])[aria-rowindex='3']")).to_contain_text("cnn-53")
    assert hand.clicks == 1


def test_b_curves_and_differences_of_three_runs_take_four_clicks(hand: Hand) -> None:
    for name in ("mlp-58", "svm-51", "cnn-53"):
        hand.click(hand.row(name).locator(".mlf-check"))
    hand.click(hand.page.get_by_role("button", name="compare 3"))
    view = hand.page.get_by_role("region", name="Comparison of runs")
    expect(view.get_by_role("table", name="Params by run")).to_contain_text("model")
    expect(view.locator(".mlf-compare-curves .scatterlayer .trace").first).to_be_visible(timeout=PLOTLY_MS)
    assert hand.clicks == 4


def test_c_why_a_run_failed_takes_one_click(hand: Hand) -> None:
    hand.click(hand.row("mlp-50").get_by_role("link"))
    expect(hand.page.locator(".mlf-run-error")).to_contain_text(
        "FileNotFoundError: [Errno 2] No such file or directory: 'digits.npz'"
    )
    assert hand.clicks == 1


def test_d_what_the_machine_did_takes_two_clicks(hand: Hand) -> None:
    hand.click(hand.row("cnn-53").get_by_role("link"))
    hand.click(hand.page.get_by_role("tab", name="System"))
    charts = hand.page.get_by_role("tabpanel", name="System")
    expect(charts).to_contain_text(re.compile(r"CPU\s*avg 3\d %"))
    expect(charts.locator(".scatterlayer .trace").first).to_be_visible(timeout=PLOTLY_MS)
    assert hand.clicks == 2


def test_e_a_model_below_a_learning_rate_takes_no_click_and_as_many_keys_as_it_is_long(hand: Hand) -> None:
    hand.type("/model=svm and lr<0.01", "Enter")
    expect(hand.page.locator(".mlf-runs-counts")).to_contain_text(f"{SMALL_SVMS} of 60 runs")
    assert (hand.clicks, hand.keys) == (0, 23)


def test_f_the_view_is_shared_by_its_address_alone(hand: Hand, open_page: Opener, site: Site) -> None:
    hand.type("/model=svm and lr<0.01", "Enter")
    expect(hand.page.locator(".mlf-runs-counts")).to_contain_text(f"{SMALL_SVMS} of 60 runs")
    hand.click(hand.page.locator(".mlf-th").filter(has_text="accuracy").first)
    expect(hand.page).to_have_url(re.compile(r"filter=.*sort="))
    names = shown_names(hand.page)
    other = open_page(hand.page.url.removeprefix(site.address))
    expect(other.locator(".mlf-runs-counts")).to_contain_text(f"{SMALL_SVMS} of 60 runs")
    expect(other.locator(".mlf-th[aria-sort=ascending]")).to_contain_text("accuracy")
    assert shown_names(other) == names
    assert len(names) == SMALL_SVMS


def test_g_a_live_run_moves_without_a_click(hand: Hand, site: Site) -> None:
    log = make_run(site.tracking, "moves", project="moves", owner="ann")
    log.points("loss", [1.0], gap_us=1_000_000).send()
    hand.page.goto(f"{site.address}/p/ann/moves")
    expect(hand.row("moves")).to_contain_text("1")
    log.points("loss", [0.0625], first_step=1, gap_us=1_000_000).send()
    expect(hand.row("moves")).to_contain_text("0.0625")
    log.end("FINISHED", 2_000_000).send()
    assert (hand.clicks, hand.keys) == (0, 0)
