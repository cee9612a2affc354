"""The comparison of selected runs, in a real browser: curves, params, deltas, scatter, parallel coordinates."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.runs_page import RunsPage

PLOTLY_MS = 30_000  # its 5 MB are read and compiled on a machine that may be busy


@pytest.fixture
def runs(page: Page, panel_server: str) -> RunsPage:
    made = RunsPage(page, panel_server)
    page.set_viewport_size({"width": 1440, "height": 1100})
    made.show()
    page.evaluate("() => { source.plotly(); }")
    page.wait_for_function("Boolean(globalThis.Plotly)", timeout=PLOTLY_MS)
    return made


def compare(runs: RunsPage, *names: str) -> Locator:
    """Select runs by name and compare them."""
    runs.page.evaluate(
        "names => source.set('selected', names.map(name => runs.find(run => run.name === name).run_id))", list(names)
    )
    runs.page.get_by_role("button", name=f"compare {len(names)}").click()
    return runs.page.get_by_role("region", name="Comparison of runs")


def table(view: Locator, name: str) -> dict[str, list[str]]:
    """Return a table's rows by their heads."""
    rows = view.get_by_role("table", name=name).locator("tbody tr")
    return {row.locator("th").inner_text(): row.locator("td").all_inner_texts() for row in rows.all()}


def test_three_runs_are_compared_with_four_clicks_and_no_change_of_page(runs: RunsPage) -> None:
    for name in ("svm-57", "cnn-53", "mlp-51"):
        runs.row(name).click()
    runs.page.get_by_role("button", name="compare 3").click()
    view = runs.page.get_by_role("region", name="Comparison of runs")
    expect(view).to_contain_text("Comparing 3 runs.")
    expect(view.locator(".mlf-compare-curves path.js-line")).to_have_count(
        9, timeout=PLOTLY_MS
    )  # three metrics, three lines each
    expect(view.get_by_role("listitem")).to_have_count(3)
    looks = view.locator(".mlf-compare-legend line").evaluate_all("lines => lines.map(line => line.outerHTML)")
    assert len(set(looks)) == 3
    assert runs.state("compare") is True


def test_only_differing_params_are_shown_at_first_and_the_others_counted(runs: RunsPage) -> None:
    view = compare(runs, "cnn-53", "svm-57")
    expect(view).to_contain_text("same hidden")
    rows = table(view, "Params by run")
    assert rows["model"] == ["cnn", "svm"]
    assert "dataset" not in rows
    view.get_by_label("differing only").uncheck()
    expect(view.get_by_role("table", name="Params by run")).to_contain_text("dataset")
    assert runs.state("compare_state")["differing"] is False
    expect(view.get_by_label("differing only")).to_be_focused()


def test_a_param_that_a_run_lacks_differs(runs: RunsPage) -> None:
    runs.show("data.digits().map((run, i) => i ? run : {...run, params: {model: run.params.model}})")
    name = runs.page.evaluate("runs[0].name")
    view = compare(runs, name, "cnn-53")
    assert table(view, "Params by run")["dataset"] == ["–", "digits"]


def test_metrics_stand_beside_a_baseline_that_can_be_chosen(runs: RunsPage) -> None:
    view = compare(runs, "cnn-53", "cnn-28")
    rows = table(view, "Metrics by run")
    assert rows["val_loss"][0] == "0.0931"
    assert rows["val_loss"][1].replace("\n", " ").split() == ["0.0666−0.0265", "−28.5", "%", "better"] or (
        "−0.0265" in rows["val_loss"][1] and "−28.5 %" in rows["val_loss"][1]
    )
    better = view.get_by_role("row", name="val_loss").locator(".mlf-better")
    expect(better).to_have_count(1)
    view.get_by_role("button", name="Make cnn-28 the baseline").click()
    expect(view.get_by_role("row", name="val_loss").locator(".mlf-worse")).to_have_count(1)
    assert table(view, "Metrics by run")["val_loss"][1] == "0.0666"
    assert runs.state("compare_state")["baseline"] == runs.page.evaluate("runs[27].run_id")


WITHOUT_METRICS = "data.digits().map(run => (run.name.startsWith('cnn-28') ? {...run, metrics: {}} : run))"
BEGINNINGS = """table => [...table.rows].map(row => [...row.cells].slice(1).map(cell =>
    Math.round(cell.firstElementChild.getBoundingClientRect().left)))"""


def test_a_failed_run_without_metrics_is_no_baseline_until_it_is_chosen(runs: RunsPage) -> None:
    runs.show(WITHOUT_METRICS)
    view = compare(runs, "cnn-28", "cnn-53", "svm-57")
    expect(view.get_by_role("button", name="cnn-53 is the baseline")).to_be_visible()
    expect(view).to_contain_text("with the difference to the baseline")
    assert [text.count("%") for text in table(view, "Metrics by run")["val_loss"]] == [0, 0, 1]
    view.get_by_role("button", name="Make cnn-28 the baseline").click()
    expect(view).to_contain_text("nothing to compare with the baseline")
    expect(view.locator(".mlf-delta")).to_have_count(0)


def test_a_run_that_has_logged_no_metric_yet_may_be_the_baseline(runs: RunsPage) -> None:
    runs.show("data.digits().map(run => (run.status === 'RUNNING' ? {...run, metrics: {}} : run))")
    name = runs.page.evaluate("runs.find(run => run.status === 'RUNNING').name")
    view = compare(runs, name, "cnn-53")
    expect(view.get_by_role("button", name=f"{name} is the baseline")).to_be_visible()


@pytest.mark.parametrize("baseline", ["cnn-28", "cnn-53", "svm-57"])
def test_a_value_stands_below_the_name_of_its_run(runs: RunsPage, baseline: str) -> None:
    runs.show(WITHOUT_METRICS)
    view = compare(runs, "cnn-28", "cnn-53", "svm-57")
    view.get_by_role("button", name=baseline, exact=False).and_(view.locator(".mlf-base-button")).click()
    expect(view.locator(".mlf-delta")).to_have_count(0 if baseline == "cnn-28" else 3)
    for name in ("Metrics by run", "Params by run"):
        head, *rows = view.get_by_role("table", name=name).evaluate(BEGINNINGS)
        assert rows
        assert all(row == head for row in rows)


def test_metrics_to_draw_are_chosen(runs: RunsPage) -> None:
    view = compare(runs, "cnn-53", "svm-57")
    lines = view.locator(".mlf-compare-curves path.js-line")
    expect(lines).to_have_count(6, timeout=PLOTLY_MS)
    view.get_by_role("group", name="Metrics to draw").get_by_label("accuracy").uncheck()
    expect(lines).to_have_count(4, timeout=PLOTLY_MS)
    assert runs.state("compare_state")["metrics"] == ["val_loss", "loss"]


def test_at_most_ten_lines_have_a_colour_and_it_is_said(runs: RunsPage) -> None:
    runs.page.evaluate("source.set('selected', runs.map(run => run.run_id))")
    runs.page.get_by_role("button", name="compare 60").click()
    view = runs.page.get_by_role("region", name="Comparison of runs")
    expect(view).to_contain_text(
        "Comparing 50 runs. 10 selected runs left out: at most 50 are compared. 10 of 50 in colour"
    )
    strokes = view.locator(".mlf-compare-legend line").evaluate_all("lines => lines.map(line => line.style.stroke)")
    assert len([stroke for stroke in strokes if stroke.startswith("rgb")]) == 10
    best = view.get_by_role("listitem").filter(has_text="cnn-28").locator("line")
    assert best.evaluate("line => line.style.stroke").startswith("rgb")


def test_scatter_and_parallel_coordinates_follow_their_choices(runs: RunsPage) -> None:
    view = compare(runs, "cnn-53", "svm-57", "mlp-51", "cnn-50")
    view.get_by_label("x axis").scroll_into_view_if_needed()
    expect(view.locator(".mlf-compare-figure .scatterlayer path.point")).to_have_count(4, timeout=PLOTLY_MS)
    view.get_by_label("x axis").select_option("params.lr")
    expect(view.locator(".xtitle")).to_have_text("lr", timeout=PLOTLY_MS)
    expect(view.locator(".cbtitle text")).to_have_text("val_loss", timeout=PLOTLY_MS)
    view.get_by_label("Colour by").select_option("metrics.accuracy")
    expect(view.locator(".cbtitle text")).to_have_text("accuracy", timeout=PLOTLY_MS)
    assert runs.state("compare_state") == {"x": "params.lr", "colour": "metrics.accuracy"}


def test_runs_of_several_kinds_are_lines_over_what_most_of_them_have(runs: RunsPage) -> None:
    runs.show(
        "data.digits().map(run => { const {lr, dropout} = run.params; "
        "return run.name.startsWith('svm-57') ? {...run, params: {C: 1, gamma: 2}, metrics: {}} "
        ": {...run, metrics: run.name.startsWith('cnn-53') ? run.metrics : {accuracy: run.metrics.accuracy}, "
        "params: run.name.startsWith('cnn') ? {lr, dropout} : {dropout, [`only_${run.name}`]: 1}}; })"
    )
    view = compare(runs, "svm-57", "cnn-53", "cnn-50", "mlp-51")
    figure = view.get_by_role("region", name="Parallel coordinates")
    figure.scroll_into_view_if_needed()
    expect(figure.locator("path.js-line")).to_have_count(2, timeout=PLOTLY_MS)
    expect(figure).to_contain_text("2 runs without these values")
    assert view.get_by_label("Colour by").input_value() == "metrics.accuracy"  # val_loss is that of one run
    titles = set(figure.locator(".annotation-text").all_text_contents())
    assert {"lr", "dropout", "accuracy"} <= titles
    assert not {"C", "gamma", "only_mlp-51"} & titles


def test_runs_that_have_nothing_but_one_metric_in_common_are_no_empty_axes(runs: RunsPage) -> None:
    runs.show("data.digits().map(run => ({...run, params: {[run.name]: 1}, metrics: {loss: run.metrics.loss}}))")
    view = compare(runs, "svm-57", "cnn-53", "mlp-51")
    figure = view.get_by_role("region", name="Parallel coordinates")
    expect(figure).to_contain_text("these runs have no values in common beside it")
    expect(figure.locator(".mlf-compare-figure")).to_be_hidden()


def test_the_comparison_follows_the_selection_and_closes_with_it(runs: RunsPage) -> None:
    view = compare(runs, "cnn-53", "svm-57")
    expect(view.get_by_role("listitem")).to_have_count(2)
    runs.row("mlp-51").click()
    expect(view.get_by_role("listitem")).to_have_count(3)
    runs.page.get_by_role("button", name="clear").click()
    expect(view).to_have_count(0)
    assert runs.state("compare") is False


def test_a_comparison_that_fails_says_so_and_can_be_tried_again(runs: RunsPage) -> None:
    runs.answer("series", "async () => { throw new Error('the store is away.'); }")
    view = compare(runs, "cnn-53", "svm-57")
    expect(view).to_contain_text("The runs could not be compared: the store is away.")
    runs.answer(
        "series",
        "async ({runs: ids}) => runs.filter(run => ids.includes(run.run_id)).map(run => data.pointsFrame(run))",
    )
    view.get_by_role("button", name="try again").click()
    expect(view).to_contain_text("Comparing 2 runs.")


def test_hostile_names_and_values_are_only_text_in_tables_and_figures(runs: RunsPage) -> None:
    runs.show(
        "data.digits().slice(0, 3).map((run, i) => ({...run, name: `<img src=x onerror=alert(${i})>%{x}`, "
        "params: {'<b>p</b>': `<i>${i}</i>`, lr: i}, metrics: {'<u>loss</u>': i + 0.5}}))"
    )
    runs.page.evaluate("source.set('selected', runs.map(run => run.run_id))")
    runs.page.get_by_role("button", name="compare 3").click()
    view = runs.page.get_by_role("region", name="Comparison of runs")
    expect(view.get_by_role("table", name="Params by run")).to_contain_text("<i>1</i>")
    expect(view.locator(".cbtitle text")).to_be_attached(timeout=PLOTLY_MS)
    assert view.locator("img, b, i:not(.mlf-swatch), u").count() == 0


def test_one_run_alone_is_shown_without_scatter(runs: RunsPage) -> None:
    view = compare(runs, "cnn-53")
    expect(view).to_contain_text("Comparing 1 run.")
    expect(view).to_contain_text("All params are the same.")
    expect(view.get_by_label("Scatter")).to_be_hidden()
