"""What the comparison of dashboards taught of charts, comparisons and addresses, by its numbers, on "digits"."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Locator, Page, expect

from mlfoundry.records import RunQuery, RunRecord, SeriesQuery
from tests.dashboard.digits import OWNER, SMALL_SVMS, SVMS, Log, make_run
from tests.dashboard.seen import PLOTLY_MS, Effort, counts, drawn, figures, row, shown_names, type_filter
from tests.dashboard.site import Site

Opener = Callable[..., Page]
CURVES = ".mlf-compare-curves"
THREE = ("mlp-58", "svm-51", "cnn-53")
# The colours of the lines of each chart below an element.
LINES = """(place) => [...document.querySelectorAll(`${place} .cartesianlayer > .subplot`)].map((chart) =>
    [...chart.querySelectorAll(".scatterlayer .trace path.js-line")].map((line) => line.style.stroke))"""
HIDE = """(is) => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => is });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


def comparison(page: Page) -> Locator:
    return page.get_by_role("region", name="Comparison of runs")


def record(site: Site, name: str) -> RunRecord:
    return site.tracking.get_run("ann", site.runs[name].run_id)


def compared(site: Site, *names: str) -> str:
    return f"{site.digits}/compare?runs={','.join(site.runs[name].run_id for name in names)}"


def test_09_a_filter_narrows_table_counts_best_and_charts(open_page: Opener, site: Site) -> None:
    page = open_page(site.digits)
    expect(row(page, "mlp-60")).to_be_visible()
    type_filter(page, "model = svm")
    expect(counts(page)).to_contain_text(f"{SVMS} of 60 runs")
    expect(page.locator(".mlf-best")).to_contain_text("best: svm-")
    page.get_by_role("button", name=f"compare all {SVMS}").click()
    expect(comparison(page).get_by_role("listitem")).to_have_count(SVMS)
    drawn(page, CURVES)
    assert [len(lines) for lines in page.evaluate(LINES, CURVES)] == [SVMS] * 3


def test_10_the_address_holds_the_view(open_page: Opener, site: Site) -> None:
    page = open_page(site.digits)
    expect(row(page, "mlp-60")).to_be_visible()
    type_filter(page, "model = svm and lr < 0.01")
    expect(counts(page)).to_contain_text(f"{SMALL_SVMS} of")
    page.locator(".mlf-th").filter(has_text="accuracy").first.click()
    for name in shown_names(page)[:3]:
        row(page, name).locator(".mlf-check").click()
    page.get_by_role("button", name="compare 3").click()
    view = comparison(page)
    view.get_by_label("differing only").click()
    view.get_by_label("log y").click()
    view.get_by_label("Smoothing").fill("0.6")
    expect(page).to_have_url(
        re.compile(r"(?=.*filter=)(?=.*sort=)(?=.*compare=1)(?=.*params=all)(?=.*log=1).*smooth=0\.6")
    )
    assert len(page.url) <= 300, page.url
    assert "filter=model+=+svm+and+lr" in page.url.replace("%3D", "="), page.url
    other = open_page(page.url.removeprefix(site.address))
    expect(counts(other)).to_contain_text(f"{SMALL_SVMS} of")
    expect(comparison(other).get_by_label("differing only")).not_to_be_checked()
    expect(comparison(other).get_by_label("log y")).to_be_checked()
    assert shown_names(other) == shown_names(page)
    for table in ("Params by run", "Metrics by run"):
        here, there = (each.get_by_role("table", name=table).inner_text() for each in (view, comparison(other)))
        assert here == there
    both = [figures(each, CURVES) for each in (page, other)]
    assert both[0] == both[1]


def test_10_the_address_of_a_run_holds_its_charts(open_page: Opener, site: Site) -> None:
    page = open_page(f"/r/{site.runs['cnn-53'].run_id}?axis=time&smooth=0.6&log=1&charts=loss")
    expect(page.get_by_role("button", name="time")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("button", name="log y")).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".mlf-smoothing-text")).to_have_text("0.60")
    expect(page.get_by_role("button", name="choose metrics")).to_have_text("1 of 3 charts")
    expect(page.locator(".mlf-charts-tab .mlf-chart-name:visible")).to_have_text("loss")


def test_12_three_runs_are_compared_in_four_clicks_on_one_page(open_page: Opener, site: Site) -> None:
    page = open_page(site.digits)
    for name in THREE:
        row(page, name).locator(".mlf-check").click()
    page.get_by_role("button", name="compare 3").click()
    view = comparison(page)
    expect(view).to_contain_text("Comparing 3 runs.")
    assert page.url.startswith(site.address + site.digits)
    every = [record(site, name) for name in THREE]
    differing = [name for name in every[0].params if len({each.params[name] for each in every}) > 1]
    params = view.get_by_role("table", name="Params by run")
    expect(view.get_by_label("differing only")).to_be_checked()
    assert sorted(params.locator("tbody th").all_inner_texts()) == sorted(differing)
    expect(view).to_contain_text(f"{len(every[0].params) - len(differing)} same hidden")
    metrics = view.get_by_role("table", name="Metrics by run")
    names = [text.split("\n")[0] for text in metrics.locator("thead th").all_inner_texts()]
    base, *others = [next(each for each in every if each.run_name == name) for name in names]
    expect(metrics.locator("thead th").first).to_contain_text("baseline")
    cells = metrics.locator("tbody tr").filter(has_text="val_loss").locator("td")
    for cell, other in zip(cells.all()[1:], others, strict=True):
        change = other.metrics["val_loss"].last - base.metrics["val_loss"].last
        expect(cell.locator("bdi")).to_have_text(f"{other.metrics['val_loss'].last:.4g}")
        expect(cell.locator(".mlf-delta")).to_contain_text(f"{'+' if change > 0 else '−'}{abs(change):.4g}")
        expect(cell.locator(".mlf-delta")).to_contain_text("worse" if change > 0 else "better")
    drawn(page, CURVES)
    tops = [place.bounding_box()["y"] for place in (view.locator(CURVES), params, metrics)]  # type: ignore[index]
    assert tops == sorted(tops)


def test_12_and_13_many_runs_are_counted_and_ten_lines_have_a_colour(open_page: Opener, site: Site) -> None:
    page = open_page(compared(site, *site.runs))
    page.set_default_timeout(PLOTLY_MS)
    said = page.locator(".mlf-compare-said")
    expect(said).to_contain_text("Comparing 50 runs. 10 selected runs left out: at most 50 are compared.")
    expect(said).to_contain_text("10 of 50 in colour, the best by last val_loss and those that run")
    drawn(page, CURVES)
    charts = page.evaluate(LINES, CURVES)
    assert len(charts) == 3
    for lines in charts:
        assert len(lines) == 50
        (grey,) = {colour for colour in lines if lines.count(colour) > 10}
        coloured = [colour for colour in lines if colour != grey]
        assert len(coloured) == 10
        assert len(set(coloured)) >= 8  # the last two have a dash as well
    chips = page.locator(".mlf-compare-chip a").all_text_contents()[:10]
    shown = [record(site, name) for name in list(site.runs)[:50]]
    best = sorted(
        (each for each in shown if each.status.value == "FINISHED"), key=lambda each: each.metrics["val_loss"].last
    )
    assert {each.run_name for each in best[:5]} <= set(chips)


def test_14_runs_have_looks_of_their_own_and_keep_them(open_page: Opener, site: Site) -> None:
    names = list(site.runs)[20:30]

    def looks(*names: str) -> dict[str, Any]:
        page = open_page(compared(site, *names))
        chips = page.locator(".mlf-compare-chip")
        expect(chips).to_have_count(len(names))
        drawn(page, CURVES)
        script = "line => [line.style.stroke, line.getAttribute('stroke-dasharray')]"
        told = {str(chip.locator("a").text_content()): tuple(chip.locator("line").first.evaluate(script))
                for chip in chips.all()}  # fmt: skip
        assert sorted({look[0] for look in told.values()}) == sorted(set(page.evaluate(LINES, CURVES)[0]))
        return told

    ten = looks(*names)
    assert len(set(ten.values())) == 10  # so that any three of them have three
    assert len({stroke for stroke, _ in ten.values()}) == 8
    for name in names[:2]:
        (alone,) = looks(name).values()
        page = open_page(f"/r/{site.runs[name].run_id}")
        drawn(page, ".mlf-charts-tab")
        assert {colour for lines in page.evaluate(LINES, ".mlf-charts-tab") for colour in lines} == {alone[0]}
    two = looks(*names[:2])
    assert two == looks(*names[1::-1]) or len(set(two.values())) == 2


def test_15_a_line_ends_where_the_table_says_and_a_failed_one_with_a_cross(open_page: Opener, site: Site) -> None:
    for name, has_failed in (("cnn-28", True), ("cnn-53", False)):
        page = open_page(f"/r/{site.runs[name].run_id}")
        expect(page.locator(".mlf-smoothing-text")).to_have_text("off")
        shown = figures(page, ".mlf-charts-tab")
        last = record(site, name).metrics["val_loss"]
        lines = [each for each in shown["traces"] if each["xaxis"] in ("x", "x1") and each["mode"] == "lines"]
        (line,) = lines  # nothing besides the line itself
        assert (line["x"][-1], line["y"][-1]) == (last.last_step, last.last)
        points = site.tracking.read_series("ann", SeriesQuery(site.runs[name], ("val_loss",)))[0].values
        assert max(line["y"]) == points.max()
        assert min(line["y"]) == points.min()
        crosses = [each for each in shown["traces"] if each["symbol"] == "x-thin"]
        assert len(crosses) == (3 if has_failed else 0)
        if has_failed:
            ends = [(each["x"], each["y"]) for each in crosses if each["xaxis"] in ("x", "x1")]
            assert ends == [([last.last_step], [last.last])]


def test_15_smoothing_leaves_the_raw_line_faint_and_names_its_value(open_page: Opener, site: Site) -> None:
    page = open_page(f"/r/{site.runs['cnn-53'].run_id}?smooth=0.9")
    shown = figures(page, ".mlf-charts-tab")
    raw, smooth = (each for each in shown["traces"] if each["xaxis"] in ("x", "x1"))
    last = record(site, "cnn-53").metrics["val_loss"].last
    assert raw["y"][-1] == last
    assert smooth["y"][-1] != last
    assert raw["opacity"] < 0.5 < (smooth["opacity"] or 1)
    title = page.locator(".mlf-charts-tab .mlf-chart-summary").first
    expect(title).to_have_text(re.compile(rf"^{last:.4g} · {smooth['y'][-1]:.4g} smoothed$"))


def test_16_charts_stand_in_rows_and_the_first_are_whole_on_screen(open_page: Opener, site: Site) -> None:
    page = open_page(f"/r/{site.runs['cnn-53'].run_id}")
    expect(page.locator(".mlf-charts-tab .scatterlayer .trace").first).to_be_visible(timeout=PLOTLY_MS)
    titles = page.locator(".mlf-charts-tab .mlf-chart-title")
    assert [text.split("\n")[0] for text in titles.all_inner_texts()] == ["val_loss", "loss", "accuracy"]
    boxes = [each.bounding_box() for each in titles.all()]
    assert all(box is not None and box["width"] >= 320 and box["y"] + box["height"] < 900 for box in boxes), boxes
    assert len({(box["y"], box["height"]) for box in boxes if box is not None}) == 1
    controls = page.locator(".mlf-run-controls").bounding_box()
    assert controls is not None
    assert controls["height"] <= 40


def test_17_the_machine_is_one_click_away_with_true_axes_and_a_summary(open_page: Opener, site: Site) -> None:
    log = make_run(site.tracking, "machine", project="machine", owner="ann")
    values = {
        "cpu/percent": [31.0 + n % 2 * 0.6 for n in range(50)],  # no climb
        "memory/percent": [40.0] * 50,
        "gpu/0/utilization_percent": [float(n) for n in range(50)],
        "gpu/0/memory_percent": [70.0] * 50,
        "disk/read_bytes_per_s": [1e6] * 50,
        "network/received_bytes_per_s": [2e6] * 50,
    }
    for name, told in values.items():
        log.points(f"system/{name}", told, gap_us=1_000_000)
    log.points("loss", [1.0], gap_us=1).end("FINISHED", 50_000_000).send()
    page = open_page(f"/r/{log.run.run_id}")
    page.get_by_role("tab", name="System").click()
    charts = page.get_by_role("tabpanel", name="System")
    expect(charts.locator(".scatterlayer .trace").first).to_be_attached(timeout=PLOTLY_MS)
    titles = charts.locator(".mlf-chart-name").all_inner_texts()
    assert titles == ["GPU", "GPU memory", "CPU", "Memory", "Disk", "Network"]
    heads = charts.locator(".mlf-chart-head")
    expect(heads.nth(0)).to_contain_text("avg 25 % · peak 49 %")
    expect(heads.nth(2)).to_contain_text("avg 31 % · peak 32 %")
    expect(heads.nth(5)).to_contain_text("avg 1.9 MiB/s · peak 1.9 MiB/s")
    ranges = figures(page, "[role=tabpanel]:not([hidden]) .mlf-charts-tab")["ranges"]
    for place in range(1, 5):
        low, high = ranges["yaxis" if place == 1 and "yaxis1" not in ranges else f"yaxis{place}"]
        assert low == 0, titles[place - 1]
        assert 100 <= high <= 104, titles[place - 1]
    clock = charts.locator(".xtick text").all_text_contents()
    assert clock
    # Samples of a machine have no step: there is nothing to turn these charts to.
    expect(page.get_by_role("button", name="step", exact=True)).to_be_hidden()
    assert all(re.match(r"\d\d:\d\d", text) for text in clock), clock


def test_18_two_live_runs_of_sixty_cost_little_and_move_soon(open_page: Opener, site: Site) -> None:
    page = open_page(f"{site.digits}?sort=name")  # whoever looks has scrolled to somewhere
    expect(page.locator("#stamp")).to_contain_text(re.compile(r"live · \d+ s ago"))
    grid = page.get_by_role("grid")
    grid.evaluate("node => { node.scrollTop = node.scrollHeight; }")
    moving = row(page, "mlp-60")
    expect(moving).to_be_visible()
    top = grid.evaluate("node => node.scrollTop")
    effort = Effort(page)
    began = time.monotonic()
    log = Log(site.tracking, OWNER, site.runs["mlp-60"], time.time_ns() // 1000)
    log.points("val_loss", [0.4321], first_step=60, gap_us=1).send()
    expect(moving).to_contain_text("0.4321", timeout=15_000)
    while len(effort.sizes) < 4 and time.monotonic() < began + 30:
        page.wait_for_timeout(250)
    seconds = time.monotonic() - began
    assert len(effort.sizes) <= seconds / 2 + 1
    assert sum(effort.sizes) < 50_000 * max(1.0, seconds / 12)
    assert max(effort.sent) < 200
    assert effort.main_thread_s() < 0.6 * max(1.0, seconds / 12)
    assert grid.evaluate("node => node.scrollTop") == top


def test_18_a_run_is_told_new_points_alone(open_page: Opener, site: Site) -> None:
    log = make_run(site.tracking, "steps", project="moving", owner="ann")
    for name in ("loss", "val_loss", "accuracy"):
        log.points(name, [1.0 / (n + 1) for n in range(2000)], gap_us=1000)
    log.send()
    page = open_page(f"/r/{log.run.run_id}")
    drawn(page, ".mlf-charts-tab")
    expect(page.locator("#stamp")).to_contain_text("live")
    effort = Effort(page)
    log.points("loss", [0.125], first_step=2000, gap_us=1000).send()
    expect(page.locator(".mlf-run-header")).to_contain_text("loss0.125")
    assert effort.sizes
    assert max(effort.sizes) < 1000
    assert max(effort.sent) < 200
    log.end("FINISHED", 5_000_000).send()
    expect(page.locator(".mlf-run-header")).to_contain_text("finished")
    expect(page.locator("#stamp")).to_be_empty()


def test_18_nothing_is_asked_while_nobody_looks_and_at_once_when_somebody_does(open_page: Opener, site: Site) -> None:
    log = make_run(site.tracking, "unseen", project="unseen", owner="ann")
    log.points("loss", [1.0], gap_us=1_000_000).send()
    page = open_page("/p/ann/unseen")
    expect(page.locator("#stamp")).to_contain_text("live")
    page.evaluate(HIDE, True)
    page.wait_for_timeout(500)  # what was asked before may be answered still
    effort = Effort(page)
    # Longer than the page would wait between two questions.
    page.evaluate("new Promise(done => setTimeout(done, 3000))")
    assert effort.sent == []
    log.points("loss", [0.5], first_step=1, gap_us=1_000_000).send()
    page.evaluate(HIDE, False)
    expect(row(page, "unseen")).to_contain_text("0.5")
    log.end("FINISHED", 5_000_000).send()


def test_18_nothing_is_asked_once_all_runs_have_ended(open_page: Opener, site: Site) -> None:
    make_run(site.tracking, "over", project="ended", owner="ann").end("FINISHED", 1_000_000).send()
    page = open_page("/p/ann/ended")
    expect(row(page, "over")).to_be_visible()
    effort = Effort(page)
    # Longer than the page would wait between two questions.
    page.evaluate("new Promise(done => setTimeout(done, 3000))")
    assert effort.sent == []


def test_the_runs_of_the_comparison_are_what_it_was_made_of(site: Site) -> None:
    found = site.tracking.search_runs("ann", RunQuery(site.project_id)).runs
    fates = [record.status.value for record in found]
    assert (len(found), fates.count("FINISHED"), fates.count("FAILED"), fates.count("RUNNING")) == (60, 53, 5, 2)
