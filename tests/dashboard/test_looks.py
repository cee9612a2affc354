"""How the pages look, as far as it can be measured: contrast, nothing that jumps, small pages, keys and names."""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Callable
from importlib import resources
from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.digits import Log, make_run
from tests.dashboard.site import Site

Opener = Callable[..., Page]
HTML_BYTES = 100_000
SHIFT_MOST = 0.001

# Text of at least 4.5:1 (3:1 where it is large), and 3:1 for the edges of what can be typed into or chosen from.
CONTRAST = """() => {
    const pen = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const parse = (colour) => {
        pen.clearRect(0, 0, 1, 1);
        pen.fillStyle = colour;
        pen.fillRect(0, 0, 1, 1);
        const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
        return [r, g, b, a / 255];
    };
    const over = (top, ground) => [0, 1, 2].map((n) => top[n] * top[3] + ground[n] * (1 - top[3]));
    const groundOf = (node) => {
        const layers = [];
        for (let each = node; each; each = each.parentElement)
            layers.push(parse(getComputedStyle(each).backgroundColor));
        return layers.reverse().reduce((ground, layer) => over(layer, ground), [255, 255, 255]);
    };
    const light = (colour) => {
        const [r, g, b] = colour.map((each) => {
            const share = each / 255;
            return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ratio = (one, other) => {
        const [high, low] = [light(one), light(other)].sort((a, b) => b - a);
        return (high + 0.05) / (low + 0.05);
    };
    const found = [];
    const seen = { texts: 0, edges: 0 };
    const check = (node, colour, least, what) => {
        const ground = groundOf(node);
        const is = ratio(over(parse(colour), ground), ground);
        if (is < least) found.push(`${what} ${is.toFixed(2)}:1 ${node.className?.baseVal ?? node.className}`);
    };
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let text = walker.nextNode(); text; text = walker.nextNode()) {
        const node = text.parentElement;
        if (!text.data.trim() || !node.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
        if (node.closest("script, :disabled, .mlf-sr, .dash-skip, option")) continue;
        const style = getComputedStyle(node);
        const size = parseFloat(style.fontSize);
        const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
        seen.texts += 1;
        const colour = node instanceof SVGElement ? style.fill : style.color;
        check(node, colour, isLarge ? 3 : 4.5, text.data.trim().slice(0, 40));
    }
    for (const node of document.querySelectorAll(".mlf-input, .mlf-select, .mlf-button:not(.mlf-plain, .mlf-link)")) {
        if (!node.checkVisibility() || node.disabled || node.closest(".mlf-switch")) continue;
        seen.edges += 1;
        check(node.parentElement, getComputedStyle(node).borderTopColor, 3, "the edge of a control");
        if (node.placeholder) check(node, getComputedStyle(node, "::placeholder").color, 4.5, node.placeholder);
    }
    return [found, seen.texts, seen.edges];
}"""

# What moved without anybody having asked for it, as the browser itself counts it, with what it was.
SHIFTS = """
window.shifts = [];
new PerformanceObserver((list) => {
    for (const entry of list.getEntries())
        if (!entry.hadRecentInput)
            shifts.push([entry.value, entry.sources.map(({ node }) => node?.className ?? node?.nodeName).join()]);
}).observe({ type: "layout-shift", buffered: true });
"""

# How each thing that has the focus shows it: by an outline, or by a shadow and a border that others do not have.
FOCUSED = """() => {
    const node = document.activeElement;
    if (!node || node === document.body) return null;
    const style = getComputedStyle(node);
    const box = node.getBoundingClientRect();
    const hasOutline = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1;
    const isShown = (hasOutline || style.boxShadow !== "none") && box.width > 0 && box.height > 0;
    return { what: node.outerHTML.slice(0, 120), isShown };
}"""
CONTROLS = """() => [...document.querySelectorAll("a[href], button, input, select, textarea, [tabindex]")]
    .filter(each => each.checkVisibility({ visibilityProperty: true }) && !each.disabled && each.tabIndex >= 0)
    .length"""

LEVELS = """() => [...document.querySelectorAll("h1, h2, h3, h4")].filter(each => each.checkVisibility())
    .map(each => Number(each.nodeName[1]))"""


# What a finger has to hit and is too low: 24 pixels for anything but a link within a sentence, 32 for what stands in a
# bar or a form.
SMALL = """() => [...document.querySelectorAll("button, select, input, .mlf-tick, nav a")]
    .filter(each => each.checkVisibility({ visibilityProperty: true }))
    .filter(each => !each.matches("[type=checkbox], [type=range], .mlf-link, .dash-file, .mlf-sr *"))
    .filter(each => {
        const box = each.getBoundingClientRect();
        const isAside = each.matches(".mlf-plain, .mlf-values-more, .mlf-copy, nav a, .mlf-switch *");
        return box.height < (isAside ? 24 : 32);
    })
    .map(each => `${each.getBoundingClientRect().height} ${each.outerHTML.slice(0, 120)}`)"""


@functools.cache
def axe_core() -> str:
    """Return the checks of roles, names, headings and landmarks that come with the package of this name."""
    return (resources.files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def rich(site: Site) -> Log:
    """A run with something in every part of its page."""
    log = make_run(site.tracking, "rich", project="rich", owner="ann", tags={"stage": "candidate"}, description="words")
    log.params({"lr": 0.01, "model": "cnn", "a-param-with-a-very-long-name-that-nobody-can-read": "x" * 300})
    for name in ("val/loss", "val/accuracy", "train/loss", "grad"):
        log.points(name, [1 / (n + 1) for n in range(500)], gap_us=1_000_000)
    log.points("system/cpu/percent", [30.0 + n % 7 for n in range(100)], gap_us=1_000_000)
    log.points("system/memory/used_bytes", [4e9 + n * 1e6 for n in range(100)], gap_us=1_000_000)
    started = log.at_us / 1e6
    for n in (1, 2):
        cell = {"started_at": started + n * 20, "ended_at": started + n * 20 + 15, "wall_s": 15.0, "status": "FINISHED"}
        log.facts({f"cell.{n:04}": json.dumps(cell), f"cell.{n:04}.source": "lr = 0.01\nfit(lr)\n" * 4})
    log.facts({"git.commit": "0123456789abcdef", "packages": "numpy==2\npandas==3", "error.traceback": "Traceback\n"})
    log.end("FAILED", 500_000_000, error="ValueError: no " + "x" * 200).send()
    for name, content in {"notes.txt": b"words\n", "table.csv": b"a,b\n1,2\n"}.items():
        site.tracking.put_artifact("ann", log.run, name, io.BytesIO(content))
    return log


@pytest.fixture(scope="module")
def pages(site: Site, rich: Log) -> dict[str, str]:
    """Every page, by what it is, with the parts of those that have several."""
    empty = make_run(site.tracking, "deleted", project="nothing", owner="ann")
    site.tracking.delete_run("ann", empty.run)
    runs = ",".join(site.runs[name].run_id for name in ("cnn-53", "cnn-28", "svm-01"))
    parts = ("metrics", "system", "cells", "details", "files", "code")
    return {
        "projects": "/",
        "runs": site.digits,
        "runs compared": f"{site.digits}?runs={runs}&compare=1",
        "no runs": "/p/ann/nothing",
        "comparison": f"{site.digits}/compare?runs={runs}",
        "people": f"{site.digits}/people",
        "account": "/account",
        **{f"run, {part}": f"/r/{rich.run.run_id}?tab={part}" for part in parts},
        "no such run": f"/r/{'0' * 32}",
    }


@pytest.fixture
def visit(open_page: Opener, site: Site) -> Callable[..., Page]:
    """``visit(path, …)`` opens a page and waits until it shows what it has."""
    made: dict[str, Page] = {}

    def go(path: str, **settings: Any) -> Page:
        key = json.dumps(settings)
        if key not in made:
            made[key] = open_page("/login", **settings)
            made[key].watch.expected.append("404")  # type: ignore[attr-defined]
            made[key].add_init_script(SHIFTS)
        page = made[key]
        page.goto(site.address + path)
        if "/r/0" not in path:
            expect(page.locator("#served")).to_have_count(0)
        if "tab=metrics" in path or "tab=system" in path or "compare" in path:
            expect(page.locator(".scatterlayer .trace").first).to_be_attached()
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return page

    return go


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360), ("dark", 2000)])
def test_on_every_page_all_can_be_read_and_nothing_jumps(
    visit: Callable[..., Page], pages: dict[str, str], scheme: str, width: int
) -> None:
    edges = 0
    for name, path in pages.items():
        page = visit(path, color_scheme=scheme, viewport={"width": width, "height": 800})
        found, texts, edges_here = page.evaluate(CONTRAST)
        assert found == [], name
        assert texts >= 5, name
        edges += edges_here
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        shifts = page.evaluate("shifts")
        assert sum(value for value, _ in shifts) <= SHIFT_MOST, (name, shifts)
        levels = page.evaluate(LEVELS)
        assert levels[:1] == [1], name
        assert levels.count(1) == 1, (name, levels)
        assert all(later - former <= 1 for former, later in pairwise(levels)), (name, levels)
    assert edges >= 20


def test_on_a_phone_fingers_hit_what_they_aim_at_and_no_page_is_wider(
    visit: Callable[..., Page], pages: dict[str, str]
) -> None:
    small: dict[str, list[str]] = {}
    for name, path in pages.items():
        page = visit(path, has_touch=True, viewport={"width": 360, "height": 740})
        assert page.evaluate("matchMedia('(pointer: coarse)').matches")
        small[name] = page.evaluate(SMALL)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, name
    assert {name: found for name, found in small.items() if found} == {}


def test_pages_are_small(site: Site, pages: dict[str, str]) -> None:
    for name, path in pages.items():
        html = site.ask("GET", path, "ann", headers={"Accept": "text/html"}).content
        assert b"<main" in html
        assert len(html) < HTML_BYTES, name


def test_every_control_is_reached_by_keys_and_shows_it_and_axe_finds_nothing(
    visit: Callable[..., Page], pages: dict[str, str]
) -> None:
    for name, path in pages.items():
        page = visit(path)
        wanted = page.evaluate(CONTROLS)
        reached: list[dict[str, Any]] = []
        for _ in range(wanted + 3):
            page.keyboard.press("Tab")
            focused = page.evaluate(FOCUSED)
            if focused is None:
                break
            reached.append(focused)
        assert len(reached) >= wanted, (name, wanted, [each["what"] for each in reached])
        assert [each["what"] for each in reached if not each["isShown"]] == [], name
        page.evaluate(axe_core())
        told = page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")
        found = [(each["id"], each["help"], each["nodes"][0]["html"]) for each in told["violations"]]
        assert found == [], name
        assert len(told["passes"]) > 10, name
