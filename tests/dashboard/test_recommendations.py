"""What the comparison of dashboards taught, each point by its number, on the project "digits"."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from mlfoundry.records import LOST, RunQuery
from mlfoundry.store import runs
from tests.dashboard.digits import FAILED, SMALL_SVMS, SVMS, make_run
from tests.dashboard.site import Site

Opener = Callable[..., Page]
PLOTLY_MS = 60_000
# The colours of the lines of each chart below an element.
LINES = """(place) => [...document.querySelectorAll(`${place} .cartesianlayer > .subplot`)].map((chart) =>
    [...chart.querySelectorAll(".scatterlayer .trace path.js-line")].map((line) => line.style.stroke))"""
BOX = "words, or a comparison"


def row(page: Page, name: str) -> Locator:
    return page.locator(".mlf-tr:not([hidden])").filter(has_text=name).first


def counts(page: Page) -> Locator:
    return page.locator(".mlf-runs-counts")


def type_filter(page: Page, text: str) -> None:
    box = page.locator(".mlf-filter input, .mlf-runs-bar input").first
    box.fill(text)
    box.press("Enter")


def test_01_the_first_paint_is_the_table_with_few_requests_and_little_to_load(open_page: Opener, site: Site) -> None:
    page = open_page("/login", "ann")
    loaded: list[int] = []
    page.on("response", lambda response: loaded.append(int(response.headers.get("content-length", 0))))
    page.goto(site.address + site.digits)
    expect(row(page, "mlp-60")).to_be_visible()
    assert len(loaded) < 15
    assert sum(loaded) < 400_000
    assert page.get_by_role("dialog").count() == 0
    assert page.evaluate("performance.memory.usedJSHeapSize") < 30e6


def test_01_names_and_values_are_there_without_javascript(open_page: Opener, site: Site) -> None:
    page = open_page(site.digits, java_script_enabled=False)
    expect(page.get_by_role("link", name="mlp-58")).to_be_visible()
    expect(page.get_by_role("columnheader", name="val_loss")).to_be_visible()
    page.get_by_role("link", name="cnn-28").or_(page.get_by_role("link", name="mlp-50")).first.click()
    expect(page.locator("main")).to_contain_text("Traceback")
    page.goto(f"{site.address}{site.digits}?filter=model+%3D+svm&sort=metrics.val_loss")
    expect(page.locator("tbody tr")).to_have_count(SVMS)
    expect(page.locator("tbody tr").first).to_contain_text("svm-")


def test_02_state_name_metrics_and_the_params_that_vary_are_on_screen(open_page: Opener, site: Site) -> None:
    page = open_page(site.digits)
    expect(page.locator(".mlf-th").filter(has_text="val_loss").first).to_be_in_viewport()
    for title in ("model", "lr"):
        expect(page.locator(".mlf-th").filter(has_text=re.compile(f"^{title}")).first).to_be_in_viewport()
    expect(page.locator(".mlf-th").filter(has_text="dataset")).to_have_count(0)


def test_03_one_click_sorts_and_the_second_turns_it_round(open_page: Opener, site: Site) -> None:
    page = open_page(site.digits)
    head = page.locator(".mlf-th").filter(has_text="val_loss").first
    head.click()
    expect(head).to_have_attribute("aria-sort", "ascending")
    expect(page.locator(".mlf-tr:not([hidden])[aria-rowindex='2']")).to_contain_text("cnn-28")
    head.click()
    expect(head).to_have_attribute("aria-sort", "descending")


def test_04_the_best_names_its_rule_and_never_a_failed_run_silently(open_page: Opener, site: Site) -> None:
    page = open_page(f"{site.digits}?best=lowest,any+step,val_loss")
    expect(page.locator(".mlf-best")).to_contain_text("best: cnn-23 lowest val_loss at any step 0.0099")
    page.goto(site.address + site.digits)
    expect(page.locator(".mlf-best")).to_contain_text("best: cnn-53 lowest last val_loss 0.0931")
    expect(page.locator(".mlf-best")).to_contain_text("cnn-28 failed")


def test_04_the_best_of_more_runs_than_come_at_once_is_asked_for(
    open_page: Opener, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlfoundry.panels.runs_table.WHOLE_MOST", 20)
    page = open_page(site.digits)
    best = page.locator(".mlf-best")
    expect(best).to_contain_text("best: cnn-53 lowest last val_loss 0.0931 of 53 finished runs")
    expect(best).to_contain_text("cnn-28 failed, with 0.0666")
    type_filter(page, "model = svm")
    least = min(
        run.metrics["val_loss"].last
        for run in site.tracking.search_runs("ann", RunQuery(site.project_id, "model = svm and status = FINISHED")).runs
    )
    expect(best).to_contain_text(f"lowest last val_loss {least:.4g} of")
    best.get_by_role("button", name="rule…").click()
    best.get_by_label("Direction").select_option("highest")
    expect(best).to_contain_text("highest last val_loss")


def test_05_a_state_is_a_sign_a_word_and_a_colour(open_page: Opener, site: Site) -> None:
    page = open_page(site.digits)
    signs = {"mlp-60": ("●", "running"), "mlp-58": ("✓", "finished"), "mlp-50": ("✕", "failed")}
    seen = set()
    for name, (sign, word) in signs.items():
        mark = row(page, name).locator(".mlf-status")
        expect(mark).to_contain_text(sign)
        expect(mark).to_contain_text(word)
        seen.add(mark.evaluate("node => getComputedStyle(node).color"))
    assert len(seen) == 3


def test_05_a_run_whose_process_is_heard_of_no_more_is_lost_and_not_live(open_page: Opener, site: Site) -> None:
    log = make_run(site.tracking, "vanished", project="vanished", owner="ann")
    log.points("loss", [1.0], gap_us=1_000_000).send()
    now_us = time.time_ns() // 1000 + 1
    with site.database.write() as tx:
        runs.give_up(tx, log.run.project_id, now_us, error=f"{LOST}nothing was heard of it", now_us=now_us)
    page = open_page("/p/ann/vanished")
    expect(row(page, "vanished").locator(".mlf-status")).to_contain_text("lost")
    expect(row(page, "vanished").locator(".mlf-error-type")).to_have_text("lost")
    row(page, "vanished").get_by_role("link").click()
    expect(page.locator(".mlf-run-header .mlf-status-word")).to_have_text("lost")
    expect(page.locator(".mlf-run-error")).to_contain_text("nothing was heard of it")
    expect(page.locator("#stamp")).to_be_empty()
    served = site.ask("GET", f"/r/{log.run.run_id}", "ann", headers={"Accept": "text/html"}).text
    assert '<span class="mlf-status-word">lost</span>' in served


def test_06_a_failed_run_opens_with_its_exception(open_page: Opener, site: Site) -> None:
    page = open_page(f"{site.digits}?filter=status+%3D+FAILED")
    expect(row(page, "cnn-28")).to_contain_text("KeyError")
    row(page, "cnn-28").get_by_role("link").click()
    expect(page.locator(".mlf-run-error")).to_contain_text("KeyError: 'label'")
    expect(page.locator(".mlf-run-error")).to_contain_text(re.compile(r"at step \d+"))
    page.get_by_role("button", name="traceback").click()
    expect(page.locator(".mlf-run-error")).to_contain_text("Traceback (most recent call last)")


def test_07_numbers_compare_as_numbers_and_quotes_are_not_needed(open_page: Opener, site: Site) -> None:
    page = open_page(site.digits)
    expect(row(page, "mlp-60")).to_be_visible()
    type_filter(page, "model = svm and lr < 0.01")
    expect(counts(page)).to_contain_text(f"{SMALL_SVMS} of 60 runs")


def test_08_a_bad_filter_keeps_the_rows_says_what_to_write_and_is_never_kept(open_page: Opener, site: Site) -> None:
    page = open_page(site.digits)
    page.watch.expected.append("400")  # type: ignore[attr-defined]
    expect(row(page, "mlp-60")).to_be_visible()
    type_filter(page, "model ==== svm")
    expect(page.locator("[aria-invalid=true]")).to_be_visible()
    expect(row(page, "mlp-60")).to_be_visible()
    page.goto(site.address + site.digits)
    expect(counts(page)).to_have_text("60 runs, 2 running")


def test_09_a_filter_narrows_table_counts_and_charts(open_page: Opener, site: Site) -> None:
    page = open_page(site.digits)
    expect(row(page, "mlp-60")).to_be_visible()
    type_filter(page, "model = svm")
    expect(counts(page)).to_contain_text(f"{SVMS} of 60 runs")
    page.get_by_role("button", name=f"compare all {SVMS}").click()
    view = page.get_by_role("region", name="Comparison of runs")
    expect(view.get_by_role("listitem")).to_have_count(SVMS)
    expect(view.locator(".mlf-compare-curves .scatterlayer .trace").first).to_be_visible(timeout=PLOTLY_MS)
    assert [len(lines) for lines in page.evaluate(LINES, ".mlf-compare-curves")] == [SVMS] * 3


def test_10_the_address_holds_the_view(open_page: Opener, site: Site) -> None:
    page = open_page(site.digits)
    expect(row(page, "mlp-60")).to_be_visible()
    type_filter(page, "model = svm and lr < 0.01")
    expect(counts(page)).to_contain_text(f"{SMALL_SVMS} of")
    page.locator(".mlf-th").filter(has_text="accuracy").first.click()
    expect(page).to_have_url(re.compile(r"filter=.*sort="))  # the page forbids what wait_for_function evaluates
    names = page.locator(".mlf-tr:not([hidden]) .mlf-td-name").all_inner_texts()
    assert len(page.url) <= 300
    assert "filter=model+=+svm" in page.url.replace("%3D", "=")
    other = open_page(page.url.removeprefix(site.address))
    expect(counts(other)).to_contain_text(f"{SMALL_SVMS} of")
    assert sorted(other.locator(".mlf-tr:not([hidden]) .mlf-td-name").all_inner_texts()) == sorted(names)
    run = open_page(f"/r/{site.runs['cnn-53'].run_id}?axis=time&smooth=0.6&log=1&charts=loss")
    expect(run.get_by_role("button", name="time")).to_have_attribute("aria-pressed", "true")
    expect(run.locator(".mlf-smoothing-text")).to_have_text("0.60")
    expect(run.get_by_role("button", name="choose metrics")).to_have_text("1 of 3 charts")


def test_11_ticking_a_run_moves_no_row(open_page: Opener, site: Site) -> None:
    page = open_page(site.digits)
    target = row(page, "svm-51")
    before = target.bounding_box()
    target.locator(".mlf-check").click()
    expect(page.locator(".mlf-actions")).to_contain_text("1 run selected")
    assert target.bounding_box() == before


def test_12_three_runs_are_compared_in_four_clicks_on_one_page(open_page: Opener, site: Site) -> None:
    page = open_page(site.digits)
    for name in ("mlp-58", "svm-51", "cnn-53"):
        row(page, name).locator(".mlf-check").click()
    page.get_by_role("button", name="compare 3").click()
    view = page.get_by_role("region", name="Comparison of runs")
    expect(view).to_contain_text("Comparing 3 runs.")
    expect(view.get_by_label("differing only")).to_be_checked()
    expect(view).to_contain_text("baseline")
    assert page.url.startswith(site.address + site.digits)


def test_13_no_chart_has_more_than_ten_coloured_lines(open_page: Opener, site: Site) -> None:
    ids = ",".join(run.run_id for run in site.runs.values())
    page = open_page(f"{site.digits}/compare?runs={ids}")
    page.set_default_timeout(PLOTLY_MS)
    expect(page.locator(".mlf-compare-said")).to_contain_text("10 of 50 in colour", timeout=PLOTLY_MS)
    expect(page.locator(".mlf-compare-curves .scatterlayer .trace").first).to_be_visible(timeout=PLOTLY_MS)
    charts = page.evaluate(LINES, ".mlf-compare-curves")
    assert len(charts) == 3
    for lines in charts:
        assert len(lines) == 50
        (grey,) = {colour for colour in lines if lines.count(colour) > 10}
        coloured = [colour for colour in lines if colour != grey]
        assert len(coloured) == 10
        assert len(set(coloured)) >= 8  # the last two have a dash as well


def test_14_three_runs_have_three_looks_and_keep_them(open_page: Opener, site: Site) -> None:
    def looks(*names: str) -> dict[str, tuple[str, str | None]]:
        page = open_page(f"{site.digits}/compare?runs={','.join(site.runs[name].run_id for name in names)}")
        chips = page.locator(".mlf-compare-chip")
        expect(chips).to_have_count(len(names))
        script = "line => [line.style.stroke, line.getAttribute('stroke-dasharray')]"
        return {name: tuple(chips.nth(n).locator("line").evaluate(script)) for n, name in enumerate(names)}

    three = looks("cnn-53", "cnn-28", "svm-01")
    assert len(set(three.values())) == 3


def test_15_nothing_is_smoothed_unasked_and_a_failed_line_ends_with_a_cross(open_page: Opener, site: Site) -> None:
    page = open_page(f"/r/{site.runs['cnn-28'].run_id}")
    expect(page.locator(".mlf-smoothing-text")).to_have_text("off")
    expect(page.locator(".mlf-charts-tab .scatterlayer .point").first).to_be_attached(timeout=PLOTLY_MS)


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
    page = open_page(f"/r/{site.runs['cnn-53'].run_id}")
    page.get_by_role("tab", name="System").click()
    charts = page.get_by_role("tabpanel", name="System")
    expect(charts).to_contain_text("CPU")
    expect(charts).to_contain_text(re.compile(r"avg 3\d % · peak 32 %"))
    expect(charts.locator(".yaxislayer-above text, .ytick text").filter(has_text="100 %").first).to_be_attached(
        timeout=PLOTLY_MS
    )


def test_18_a_live_list_asks_little_and_moves_soon(open_page: Opener, site: Site) -> None:
    log = make_run(site.tracking, "steps", project="moving", owner="ann")
    log.points("loss", [1.0], gap_us=1_000_000).send()
    page = open_page("/p/ann/moving")
    expect(row(page, "steps")).to_contain_text("1")
    sizes: list[int] = []
    page.on("response", lambda response: sizes.append(int(response.headers.get("content-length", 0))))
    began = time.monotonic()
    log.points("loss", [0.125], first_step=1, gap_us=1_000_000).send()
    expect(row(page, "steps")).to_contain_text("0.125")
    expect(page.locator("#stamp")).to_contain_text("live")
    while page.evaluate("performance.getEntriesByType('resource').length") < 8:
        assert time.monotonic() < began + 60
        page.wait_for_timeout(100)
    seconds = time.monotonic() - began
    assert len(sizes) <= seconds / 2 + 2
    assert sum(sizes) < 50_000 * max(1.0, seconds / 12)
    log.end("FINISHED", 5_000_000).send()
    expect(row(page, "steps").locator(".mlf-status")).to_contain_text("finished")
    expect(page.locator("#stamp")).to_be_empty()


def test_18_nothing_is_asked_once_all_runs_have_ended(open_page: Opener, site: Site) -> None:
    make_run(site.tracking, "over", project="ended", owner="ann").end("FINISHED", 1_000_000).send()
    page = open_page("/p/ann/ended")
    expect(row(page, "over")).to_be_visible()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    # Longer than the page would wait between two questions.
    page.evaluate("new Promise(done => setTimeout(done, 3000))")
    assert asked == []


def test_19_every_cell_is_the_stores_value_with_four_digits(open_page: Opener, site: Site) -> None:
    page = open_page(f"{site.digits}?columns=status,name,metrics.val_loss,metrics.accuracy,params.batch_size,params.lr")
    expect(row(page, "mlp-60")).to_be_visible()
    stored = site.tracking.search_runs("ann", RunQuery(site.project_id)).runs
    for record in [each for each in stored[2:14] if "long" not in each.run_name]:
        cells = row(page, record.run_name).locator(".mlf-td").all_inner_texts()
        numbers = [float(text) for text in cells[3:]]
        wanted = [record.metrics["val_loss"].last, record.metrics["accuracy"].last]
        wanted += [record.params["batch_size"], record.params["lr"]]
        assert all(math.isclose(a, b, rel_tol=1e-3) for a, b in zip(numbers, wanted, strict=True)), record.run_name
        assert cells[5] in ("32", "64", "128")


def test_20_long_names_are_cut_in_the_middle_and_said_in_full(open_page: Opener, site: Site) -> None:
    page = open_page(site.digits)
    name = row(page, "54-with-a-long-name")
    box = name.locator(".mlf-td-name").bounding_box()
    assert box is not None
    assert box["width"] <= 280
    head, tail = name.locator(".mlf-cut-head"), name.locator(".mlf-cut-tail")
    assert head.evaluate("node => node.scrollWidth > node.clientWidth")  # an ellipsis stands there
    assert tail.inner_text() == "-this-day"
    assert tail.evaluate("node => node.scrollWidth <= node.clientWidth + 1")
    name.locator(".mlf-td-name").hover()
    expect(name.locator(".mlf-td-name")).to_have_attribute("title", re.compile("-on-this-day$"))


def test_20_the_first_run_is_two_keys_away_and_keys_do_the_rest(open_page: Opener, site: Site) -> None:
    page = open_page(site.digits)
    expect(row(page, "mlp-60")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("grid")).to_be_focused()
    assert "inset" in page.evaluate("getComputedStyle(document.activeElement).boxShadow")  # the ring
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.locator(".mlf-actions")).to_contain_text("1 run selected")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/r/[0-9a-f]{32}"))
    expect(page.locator(".mlf-run-header")).to_contain_text("logreg-59")
    page.go_back()
    expect(row(page, "mlp-60")).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("svm")
    expect(counts(page)).to_contain_text(f"{SVMS} of 60 runs")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_20_a_phone_shows_state_name_and_the_first_metric(open_page: Opener, site: Site, scheme: str) -> None:
    page = open_page(site.digits, viewport={"width": 400, "height": 850}, color_scheme=scheme)
    expect(row(page, "mlp-60")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    expect(page.locator(".mlf-th").filter(has_text="val_loss")).to_be_in_viewport()
    card = row(page, "mlp-60")
    for part in (card.locator(".mlf-status-sign"), card.get_by_text("mlp-60"), card.locator(".mlf-td-number").first):
        expect(part).to_be_in_viewport(ratio=1)
    stored = site.tracking.get_run("ann", site.runs["mlp-60"].run_id).metrics["val_loss"].last
    assert float(card.locator(".mlf-td-number").first.inner_text()) == pytest.approx(stored, rel=1e-3)
    ground = page.evaluate("getComputedStyle(document.querySelector('.mlfoundry')).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(21, 24, 28)"}[scheme]


def test_20_an_empty_project_shows_its_first_run_by_itself(open_page: Opener, site: Site) -> None:
    log = make_run(site.tracking, "deleted", project="empty", owner="ann")
    site.tracking.delete_run("ann", log.run)
    page = open_page("/p/ann/empty")
    expect(page.locator("main")).to_contain_text("No runs yet. The first one appears here by itself.")
    expect(page.locator("main")).to_contain_text('create_run("empty", owner="ann")')
    expect(page.locator("main")).not_to_contain_text("stored in")  # what a server keeps where is not for its users
    make_run(site.tracking, "the-first", project="empty", owner="ann").send()
    expect(row(page, "the-first")).to_be_visible()


def test_failed_runs_are_as_many_as_there_are(site: Site) -> None:
    found = site.tracking.search_runs("ann", RunQuery(site.project_id, "status = FAILED")).runs
    assert len(found) == len(FAILED)
