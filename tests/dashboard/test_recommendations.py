"""What the comparison of dashboards taught of tables, each point by its number, on the project "digits"."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from mlfoundry.records import LOST, RunQuery, RunRecord
from mlfoundry.store import lives
from tests.dashboard.digits import FAILED, LIVE, SMALL_SVMS, SVMS, make_run
from tests.dashboard.seen import Effort, counts, row, shown_names, type_filter
from tests.dashboard.site import Site

Opener = Callable[..., Page]
TITLES = ["state", "name", "val_loss", "loss", "accuracy", "lr", "model", "batch_size", "optimizer", "took", "started"]


def stored(site: Site, filter_text: str = "") -> list[RunRecord]:
    """The runs of "digits" as the store has them, the newest first."""
    return list(site.tracking.search_runs("ann", RunQuery(site.project_id, filter_text)).runs)


def test_01_the_first_paint_is_the_table_with_few_requests_and_little_to_load(open_page: Opener, site: Site) -> None:
    page = open_page("/login", "ann")
    effort = Effort(page)
    page.goto(site.address + site.digits)
    expect(row(page, "mlp-60")).to_be_visible()
    cost_s = effort.main_thread_s()
    assert page.locator("dialog, [role=dialog]:visible").count() == 0
    assert page.evaluate("performance.memory.usedJSHeapSize") < 30e6
    grid = page.get_by_role("grid")
    names: set[str] = set()
    for top in range(0, 60 * 28, 400):
        grid.evaluate("(node, top) => (node.scrollTop = top)", top)
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        names.update(shown_names(page))
    assert names == {record.run_name for record in stored(site)}  # all 60, of what came with the first paint
    loaded = [size for size in effort.sizes if size]
    assert len(loaded) < 15
    assert sum(loaded) < 400_000
    assert cost_s < 1.0


def test_01_names_and_values_are_there_without_javascript(open_page: Opener, site: Site) -> None:
    page = open_page(site.digits, java_script_enabled=False)
    expect(page.get_by_role("link", name="mlp-58")).to_be_visible()
    expect(page.get_by_role("columnheader", name="val_loss")).to_be_visible()
    page.get_by_role("link", name="mlp-50").click()
    expect(page.locator("main")).to_contain_text("Traceback")
    page.goto(f"{site.address}{site.digits}?filter=model+%3D+svm&sort=metrics.val_loss")
    expect(page.locator("tbody tr")).to_have_count(SVMS)
    expect(page.locator("tbody tr").first).to_contain_text("svm-")


def test_02_state_name_metrics_and_the_params_that_vary_are_on_screen(open_page: Opener, site: Site) -> None:
    page = open_page(site.digits)
    expect(row(page, "mlp-60")).to_be_visible()
    # neither a param that is always the same nor one that never is
    assert page.locator(".mlf-th-title").all_inner_texts() == TITLES
    for title in TITLES[1:]:
        expect(page.locator(".mlf-th").filter(has_text=re.compile(f"^{title}")).first).to_be_in_viewport(ratio=1)
    assert page.get_by_role("grid").evaluate("node => node.scrollWidth <= node.clientWidth")


def test_03_one_click_sorts_and_the_second_turns_it_round(open_page: Opener, site: Site) -> None:
    page = open_page(site.digits)
    head = page.locator(".mlf-th").filter(has_text="val_loss").first
    best = sorted(stored(site), key=lambda record: record.metrics["val_loss"].last)
    for order, wanted in (("ascending", best), ("descending", best[::-1])):
        head.click()
        expect(head).to_have_attribute("aria-sort", order)
        expect(page.locator("[aria-sort]:not([aria-sort=none])")).to_have_count(1)
        expect(page.locator(".mlf-tr[aria-rowindex='2']:not([hidden])")).to_contain_text(wanted[0].run_name)
        assert shown_names(page)[:10] == [record.run_name for record in wanted[:10]]


def test_03_what_is_sorted_by_is_shown(open_page: Opener, site: Site) -> None:
    page = open_page(f"{site.digits}?sort=-params.seed")
    head = page.locator(".mlf-th[aria-sort=descending]")
    expect(head).to_contain_text("seed")
    expect(head).to_be_in_viewport(ratio=1)
    expect(page.locator(".mlf-tr[aria-rowindex='2']:not([hidden])")).to_contain_text("mlp-60")


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
    least = min(run.metrics["val_loss"].last for run in stored(site, "model = svm and status = FINISHED"))
    expect(best).to_contain_text(f"lowest last val_loss {least:.4g} of")
    best.get_by_role("button", name="rule…").click()
    best.get_by_label("Direction").select_option("highest")
    expect(best).to_contain_text("highest last val_loss")


def test_04_no_run_is_called_the_best_before_all_have_come(open_page: Opener, site: Site) -> None:
    page = open_page("/login")
    held = []
    page.route("**/runs?*offset=20&*", lambda route: held.append(route))
    page.route("**/static/*/pages/runs.js", lambda route: _with_pieces_of_twenty(route))
    page.goto(site.address + site.digits)
    expect(row(page, "mlp-60")).to_be_visible()
    expect(page.locator(".mlf-best")).to_contain_text("best: as soon as all runs are here")
    held[0].continue_()
    expect(page.locator(".mlf-best")).to_contain_text("best: cnn-53")


def _with_pieces_of_twenty(route) -> None:
    """Give the page's script with another size of its first piece."""
    answer = route.fetch()
    script = answer.text()
    assert script.count("FIRST = 200;") == 1
    route.fulfill(response=answer, body=script.replace("FIRST = 200;", "FIRST = 20;"))


def test_05_a_state_is_a_sign_a_word_and_a_colour(open_page: Opener, site: Site) -> None:
    page = open_page(site.digits)
    signs = {"mlp-60": ("●", "running"), "mlp-58": ("✓", "finished"), "mlp-50": ("✕", "failed")}
    colours = set()
    for name, (sign, word) in signs.items():
        mark = row(page, name).locator(".mlf-status")
        expect(mark.locator(".mlf-status-sign")).to_have_text(sign)
        expect(mark.locator(".mlf-status-word")).to_have_text(word)
        expect(mark.locator(".mlf-status-word")).to_be_in_viewport(ratio=1)
        colours.add(mark.evaluate("node => getComputedStyle(node).color"))
    assert len(colours) == 3
    page.set_viewport_size({"width": 700, "height": 900})  # where there is no room for words
    expect(row(page, "mlp-58").locator(".mlf-status-word")).to_have_count(0)
    expect(row(page, "mlp-58").locator(".mlf-status")).to_have_attribute("title", "finished")
    expect(row(page, "mlp-58").locator(".mlf-status")).to_contain_text("finished")  # for those who hear it


def test_05_what_raised_never_reads_finished(open_page: Opener, site: Site) -> None:
    page = open_page(f"{site.digits}?filter=status+%3D+FAILED&sort=name")
    expect(counts(page)).to_contain_text(f"{len(FAILED)} of 60")
    names = shown_names(page)
    assert sorted(int(re.findall(r"\d+", name)[0]) for name in names) == sorted(FAILED)
    expect(page.locator(".mlf-tr:not([hidden]) .mlf-status-failed")).to_have_count(len(FAILED))


def test_05_a_run_whose_process_is_heard_of_no_more_is_lost_and_not_live(open_page: Opener, site: Site) -> None:
    log = make_run(site.tracking, "vanished", project="vanished", owner="ann")
    log.points("loss", [1.0], gap_us=1_000_000).send()
    now_us = time.time_ns() // 1000 + 1
    with site.database.write() as tx:
        lives.give_up(tx, log.run.project_id, now_us, error=f"{LOST}nothing was heard of it", now_us=now_us)
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
    red = row(page, "mlp-50").locator(".mlf-status").evaluate("node => getComputedStyle(node).color")
    kind = row(page, "cnn-28").locator(".mlf-error-type")
    expect(kind).to_have_text("KeyError")
    expect(kind).to_have_css("color", red)
    row(page, "cnn-28").get_by_role("link").click()
    line = page.locator(".mlf-run-error-text")
    last = max(each.last_step for each in site.tracking.get_run("ann", site.runs["cnn-28"].run_id).metrics.values())
    expect(line).to_have_text(re.compile(rf"^at step {last}\s+KeyError: 'label'$"))
    expect(line).to_be_in_viewport(ratio=1)
    expect(line).to_have_css("color", red)
    expect(page.locator(".mlf-run-time")).to_have_text(re.compile(r"took \d+ min \d+ s, ended \d+ (h|d) ago"))
    whole = page.get_by_label("traceback", exact=True).and_(page.locator("pre"))
    expect(whole).to_be_hidden()
    page.get_by_role("button", name="traceback").click()
    expect(whole).to_contain_text("Traceback (most recent call last)")
    expect(whole).to_be_in_viewport()


def test_07_numbers_compare_as_numbers_and_quotes_are_not_needed(open_page: Opener, site: Site) -> None:
    page = open_page(site.digits)
    expect(row(page, "mlp-60")).to_be_visible()
    wanted = {r.run_name for r in stored(site) if r.params["model"] == "svm" and r.params["lr"] < 0.01}
    assert len(wanted) == SMALL_SVMS
    for text in ("model = svm and lr < 0.01", "model = 'svm' and lr < 1e-2", 'params.model="svm" and params.lr<.01'):
        type_filter(page, text)
        expect(counts(page)).to_have_text(f"{SMALL_SVMS} of 60 runs")
        assert set(shown_names(page)) == wanted, text
        type_filter(page, "")
        expect(counts(page)).to_have_text(re.compile("^60 runs"))
    type_filter(page, "seed < 9")  # as texts, 10 to 60 would be less as well
    expect(counts(page)).to_contain_text("8 of 60 runs")
    page.locator(".mlf-filter-input").fill("val")
    expect(page.get_by_role("listbox", name="Completions").get_by_role("option").first).to_contain_text("val_loss")


def test_08_a_bad_filter_keeps_the_rows_says_what_to_write_and_is_never_kept(open_page: Opener, site: Site) -> None:
    page = open_page(site.digits)
    page.watch.expected.append("400")  # type: ignore[attr-defined]
    expect(row(page, "mlp-60")).to_be_visible()
    type_filter(page, "model = svm")
    expect(counts(page)).to_contain_text(f"{SVMS} of 60")
    good = shown_names(page)
    type_filter(page, "model = svm and lr =< 0.01")
    expect(page.get_by_role("combobox", name="Filter runs")).to_have_attribute("aria-invalid", "true")
    expect(page.locator(".mlf-wrong")).to_have_text("=<")  # underlined, where it stands
    expect(page.locator(".mlf-wrong")).to_have_css("text-decoration-style", "wavy")
    expect(page.locator(".mlf-filter-line")).to_contain_text("Write <=.")
    assert shown_names(page) == good
    expect(counts(page)).to_contain_text(f"{SVMS} of 60")
    other = open_page(site.digits)
    expect(counts(other)).to_have_text("60 runs, 2 running")
    page.goto(site.address + site.digits)
    expect(counts(page)).to_have_text("60 runs, 2 running")


def test_11_ticking_a_run_moves_no_row(open_page: Opener, site: Site) -> None:
    page = open_page(site.digits)
    expect(row(page, "svm-51")).to_be_visible()
    places = """() => [...document.querySelectorAll("main .mlf-tr:not([hidden]), main input, main .mlf-th")]
        .map((each) => Object.values(each.getBoundingClientRect().toJSON()))"""
    before = page.evaluate(places)
    for n, name in enumerate(("svm-51", "cnn-53", "mlp-58"), start=1):
        row(page, name).locator(".mlf-check").click()
        expect(page.locator(".mlf-actions")).to_contain_text(f"{n} run{'s' if n > 1 else ''} selected")
        assert page.evaluate(places) == before


def test_19_every_cell_is_the_stores_value_with_four_digits(open_page: Opener, site: Site) -> None:
    page = open_page(f"{site.digits}?columns=status,name,metrics.val_loss,metrics.accuracy,params.batch_size,params.lr")
    expect(row(page, "mlp-60")).to_be_visible()
    still = [record for record in stored(site) if int(re.findall(r"\d+", record.run_name)[0]) not in LIVE]
    for record in [each for each in still[:14] if "long" not in each.run_name]:
        cells = row(page, record.run_name).locator(".mlf-td").all_inner_texts()
        wanted = [record.metrics["val_loss"].last, record.metrics["accuracy"].last]
        wanted += [record.params["batch_size"], record.params["lr"]]
        assert cells[3:] == [f"{value:.4g}" for value in wanted], record.run_name


def test_19_numbers_that_are_none_small_whole_or_absent_read_as_what_they_are(open_page: Opener, site: Site) -> None:
    values = {"a": 64.0, "b": 0.00001234567, "c": math.nan, "d": -math.inf, "e": 123456.789, "f": 1 / 3}
    texts = {"a": "64", "b": "1.235e-5", "c": "NaN", "d": "-∞", "e": "123,457", "f": "0.3333", "g": "–"}
    log = make_run(site.tracking, "first", project="numbers", owner="ann")
    for name, value in values.items():
        log.points(name, [value], gap_us=1)
    log.end("FINISHED", 1_000_000).send()
    make_run(site.tracking, "second", project="numbers").points("g", [2.0], gap_us=1).end("FINISHED", 1).send()
    page = open_page("/p/ann/numbers?columns=name," + ",".join(f"metrics.{name}" for name in texts))
    expect(row(page, "first")).to_be_visible()
    cells = row(page, "first").locator(".mlf-td-number")
    expect(cells).to_have_text(list(texts.values()))
    for cell, name in zip(cells.all(), texts, strict=True):
        expect(cell).to_have_css("font-variant-numeric", "tabular-nums")
        inner = cell.evaluate(
            "node => { const range = new Range(); range.selectNodeContents(node); return [range, node].map(each =>"
            " each.getBoundingClientRect().right); }"
        )
        assert 0 <= inner[1] - inner[0] <= 12, name  # at the right edge
    cells.nth(5).hover()
    expect(cells.nth(5)).to_have_attribute("title", "0.3333333333333333")


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


def test_20_the_table_is_eight_keys_away_or_two_and_keys_do_the_rest(open_page: Opener, site: Site) -> None:
    page = open_page(site.digits)
    expect(row(page, "mlp-60")).to_be_visible()
    for _ in range(8):
        page.keyboard.press("Tab")
    expect(page.get_by_role("grid")).to_be_focused()
    page.goto(site.address + site.digits)
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


def test_20_the_line_of_the_best_is_one_stop_and_the_arrows_go_through_it(open_page: Opener, site: Site) -> None:
    page = open_page(site.digits)
    best = page.get_by_role("toolbar", name="the best run")
    first = best.get_by_role("button", name="cnn-53")
    first.focus()
    for key, name in (
        ("ArrowRight", "cnn-28"),
        ("ArrowRight", "rule…"),
        ("ArrowRight", "cnn-53"),
        ("ArrowLeft", "rule…"),
    ):
        page.keyboard.press(key)
        expect(best.get_by_role("button", name=name)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".mlf-best").get_by_label("Direction")).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_20_a_phone_shows_state_name_and_the_first_metric(open_page: Opener, site: Site, scheme: str) -> None:
    page = open_page(site.digits, viewport={"width": 400, "height": 850}, color_scheme=scheme)
    expect(row(page, "mlp-60")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    expect(page.locator(".mlf-th").filter(has_text="val_loss")).to_be_in_viewport()
    card = row(page, "mlp-58")
    for part in (card.locator(".mlf-status-sign"), card.get_by_text("mlp-58"), card.locator(".mlf-td-number").first):
        expect(part).to_be_in_viewport(ratio=1)
    last = site.tracking.get_run("ann", site.runs["mlp-58"].run_id).metrics["val_loss"].last
    expect(card.locator(".mlf-td-number").first).to_have_text(f"{last:.4g}")
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


def test_20_without_projects_there_are_lines_that_make_one_and_it_appears_by_itself(
    open_page: Opener, site: Site
) -> None:
    site.add_user("dora")
    page = open_page("/", "dora")
    expect(page.locator("#served")).to_have_count(0)
    told: dict[str, Any] = {}
    lines = page.locator(".mlf-empty code").inner_text()
    exec(compile(lines, "page", "exec"), told)  # in the empty home of this test
    assert told["run"].project_name == "my-project"
    make_run(site.tracking, "the-first", project="my-project", owner="dora").send()
    expect(page.get_by_role("link", name="dora/my-project")).to_be_visible()
