"""Runs, params and metrics with long names, side by side and on a phone: nothing is cut off or stands upon another."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.digits import make_run
from tests.dashboard.seen import PLOTLY_MS
from tests.dashboard.site import Site

Opener = Callable[..., Page]
LOSS = "validation/loss_on_the_held_out_set"
ACCURACY = "validation/exact_match_accuracy"
PROBES = 14
PARAMS = (
    "optimizer.adamw.weight_decay_of_the_embedding",
    "scheduler.cosine.warmup_steps_in_total",
    "model.transformer.hidden_dimension",
    "model.dropout_probability_of_the_attention",
    "data.augmentation.probability_of_a_crop",
)
TITLES = """() => [...document.querySelectorAll(".mlf-compare-figure .annotation-text")]
    .filter(each => each.dataset.unformatted && /[a-z]/.test(each.textContent) && each.style.fontSize !== "11px")
    .map(each => { const { left, right, top, bottom } = each.getBoundingClientRect();
        return { text: each.textContent, left, right, top, bottom }; })"""
# Names of which the end does not lie within every element that could cut it off.
CUT_OFF = """(place) => [...document.querySelectorAll(`${place} .mlf-cut-tail`)].filter(tail => {
    const box = tail.getBoundingClientRect();
    for (let each = tail.parentElement; each && !each.matches(place); each = each.parentElement) {
        const { left, right } = each.getBoundingClientRect();
        if (box.right > right + 1 || box.left < left - 1) return true;
    }
    return false;
}).map(tail => tail.parentElement.textContent)"""


@pytest.fixture(scope="module")
def wide(site: Site) -> list[str]:
    """The ids of three runs whose every name is long."""
    ids = []
    for number in range(3):
        log = make_run(
            site.tracking, f"sweep-{number}-of-a-long-search-of-hyperparameters", project="wide", owner="ann"
        )
        log.params({name: 0.1 * (place + 1) * (number + 1) for place, name in enumerate(PARAMS)})
        log.points(LOSS, [2.0 / (n + 1 + number) for n in range(20)], gap_us=1_000_000)
        log.points(ACCURACY, [1 - 1.0 / (n + 1 + number) for n in range(20)], gap_us=1_000_000)
        for probe in range(PROBES):
            log.points(f"a-probe/layer-{probe}", [float(number + probe)], gap_us=1)
        log.end("FINISHED", 20_000_000).send()
        ids.append(log.run.run_id)
    return ids


@pytest.fixture
def compared(open_page: Opener, wide: list[str]) -> Callable[..., Page]:
    """``compared(width)`` opens the comparison of the three in a window of that width."""

    def visit(width: int, **settings: Any) -> Page:
        page = open_page(
            f"/p/ann/wide/compare?runs={','.join(wide)}", viewport={"width": width, "height": 900}, **settings
        )
        expect(page.locator(".mlf-compare-figure .annotation-text").first).to_be_attached(timeout=PLOTLY_MS)
        return page

    return visit


def overlap(one: dict[str, Any], other: dict[str, Any]) -> bool:
    beside = one["right"] <= other["left"] or other["right"] <= one["left"]
    return not beside and one["top"] < other["bottom"] - 1 and other["top"] < one["bottom"] - 1


@pytest.mark.parametrize("width", [360, 1000, 1440])
def test_titles_of_parallel_axes_do_not_stand_upon_each_other(compared: Callable[..., Page], width: int) -> None:
    page = compared(width)
    titles = page.evaluate(TITLES)
    assert len(titles) >= (2 if width == 360 else 5)
    assert [(one["text"], other["text"]) for one, other in combinations(titles, 2) if overlap(one, other)] == []
    figure = page.locator(".mlf-compare-figure").last.bounding_box()
    assert figure
    right = figure["x"] + figure["width"]
    assert [each for each in titles if each["left"] < figure["x"] or each["right"] > right] == []


@pytest.mark.parametrize("width", [360, 1440])
def test_a_run_is_known_by_both_ends_of_its_name_wherever_it_is_compared(
    compared: Callable[..., Page], width: int
) -> None:
    page = compared(width)
    expect(page.locator(".mlf-compare-legend .mlf-cut-tail")).to_have_count(3)
    assert page.evaluate(CUT_OFF, ".mlf-compare-legend") == []
    assert page.evaluate(CUT_OFF, ".mlf-compare-params") == []
    head, word = (
        page.locator(f".mlf-compare-params {each}").first.bounding_box() for each in (".mlf-base", ".mlf-base-word")
    )
    assert head
    assert word
    assert word["x"] + word["width"] <= head["x"] + head["width"]


def test_the_metric_that_decides_stands_first_below_the_curves_as_it_does_above(compared: Callable[..., Page]) -> None:
    page = compared(1440)
    names = page.locator(".mlf-compare-metrics tbody th").all_inner_texts()
    assert len(names) == PROBES + 2
    assert [name.replace("\n", "") for name in names[:2]] == [LOSS, ACCURACY]


def test_many_metrics_are_searched_for_in_a_list(compared: Callable[..., Page]) -> None:
    page = compared(1440)
    titles = page.locator(".mlf-compare-curves .mlf-chart-name")
    expect(titles).to_have_count(3)
    page.get_by_role("button", name="choose metrics").click()
    page.get_by_label("search charts").fill("layer-7")
    page.get_by_role("checkbox", name="a-probe/layer-7").check()
    expect(titles).to_have_text([LOSS, ACCURACY, "a-probe/layer-0", "a-probe/layer-7"])
    expect(page.get_by_role("button", name="choose metrics")).to_have_text(f"4 of {PROBES + 2} charts")
    page.get_by_label("search charts").fill("")
    page.get_by_role("button", name="all", exact=True).click()
    expect(titles).to_have_count(12)
    expect(page.locator(".mlf-compare-choice")).to_contain_text("at most 12 at a time")


def test_in_a_narrow_window_long_names_give_way_to_the_other_columns(open_page: Opener, site: Site) -> None:
    page = open_page(site.digits, viewport={"width": 768, "height": 900})
    grid = page.get_by_role("grid")
    expect(grid.get_by_role("columnheader", name="started")).to_be_visible()
    beyond = "grid => grid.scrollWidth - grid.clientWidth"
    assert grid.evaluate(beyond) <= 0
    name = page.locator(".mlf-tr:not([hidden]) .mlf-td-name").first
    narrow = name.evaluate("cell => cell.clientWidth")
    assert narrow >= 160
    page.set_viewport_size({"width": 1440, "height": 900})
    expect(grid.get_by_role("columnheader", name="optimizer")).to_be_visible()
    assert name.evaluate("cell => cell.clientWidth") > narrow, "and have their room again where there is room"
    assert grid.evaluate(beyond) <= 0


def test_on_a_phone_the_metric_of_a_run_stands_beside_its_name(open_page: Opener, site: Site, wide: list[str]) -> None:
    page = open_page("/p/ann/wide", viewport={"width": 360, "height": 740})
    cells = page.locator(".mlf-tr:not([hidden]) .mlf-td-number")
    expect(cells).to_have_count(len(wide))
    name, value = page.locator(".mlf-tr:not([hidden]) .mlf-td-name").first.bounding_box(), cells.first.bounding_box()
    assert name
    assert value
    assert name["width"] >= 120
    assert value["x"] + value["width"] <= 360
