"""The runs browser, in a real browser: filter and search, what lives, what is selected, edited and deleted."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.runs_page import RunsPage


@pytest.fixture
def runs(page: Page, panel_server: str) -> RunsPage:
    made = RunsPage(page, panel_server)
    page.set_viewport_size({"width": 1440, "height": 900})
    made.show()
    return made


def line(runs: RunsPage) -> str:
    return runs.page.locator(".mlf-filter-line").inner_text()


def top_of(runs: RunsPage, name: str) -> float:
    box = runs.row(name).bounding_box()
    assert box
    return box["y"]


def test_the_title_says_how_many_runs_there_are_and_how_many_are_running(runs: RunsPage) -> None:
    expect(runs.page.locator(".mlf-runs-head")).to_contain_text("ann/digits")
    expect(runs.page.locator(".mlf-runs-counts")).to_have_text("60 runs, 2 running")


def test_best_names_its_rule_and_never_a_failed_run_silently(runs: RunsPage) -> None:
    best = runs.page.locator(".mlf-best-text")
    expect(best).to_contain_text("best: cnn-53 lowest last val_loss 0.0931 of 53 finished runs")
    expect(best).to_contain_text("cnn-28 failed, with 0.0666")
    runs.page.get_by_role("button", name="rule…").click()
    runs.page.get_by_label("Value", exact=True).select_option("any step")
    expect(best).to_contain_text("best: cnn-23 lowest val_loss at any step 0.0099")
    runs.page.get_by_label("Metric", exact=True).select_option("accuracy")
    expect(best).to_contain_text("highest")
    assert runs.state("best")["metric"] == "accuracy"


def test_the_best_run_is_one_click_away(runs: RunsPage) -> None:
    runs.page.get_by_role("button", name="rule…").click()
    runs.page.get_by_label("Value", exact=True).select_option("any step")
    runs.page.locator(".mlf-best-text").get_by_role("button", name="cnn-23").click()
    expect(runs.row("cnn-23")).to_be_in_viewport()
    expect(runs.row("cnn-23").locator(".mlf-active")).to_have_count(1)


def test_plain_words_search_at_once_without_asking_the_source(runs: RunsPage) -> None:
    runs.page.get_by_role("combobox").fill("svm adam")
    expect(runs.page.locator(".mlf-runs-counts")).to_contain_text("of 60")
    assert runs.names()
    assert all(name.startswith("svm") for name in runs.names())
    assert runs.asked("search") == []
    assert runs.state("quick") == "svm adam"
    runs.page.get_by_role("combobox").fill("label")  # of an exception's message
    expect(runs.page.locator(".mlf-tr:not([hidden])")).to_have_count(1)


def test_a_comparison_filters_by_numbers(runs: RunsPage) -> None:
    runs.page.get_by_role("combobox").fill("model = svm and lr < 0.01")
    expect(runs.page.locator(".mlf-runs-counts")).to_contain_text("of 60")
    expected = runs.page.evaluate(
        "runs.filter(run => run.params.model === 'svm' && run.params.lr < 0.01).map(run => run.name).sort()"
    )
    assert sorted(runs.names()) == expected
    assert expected
    assert runs.state("filter") == "model = svm and lr < 0.01"


def test_a_bad_filter_keeps_the_last_good_rows_underlines_the_word_and_is_not_kept(runs: RunsPage) -> None:
    box = runs.page.get_by_role("combobox")
    box.fill("model = svm")
    expect(runs.page.locator(".mlf-runs-counts")).to_contain_text("of 60")
    before = runs.names()
    box.fill("val_loss < little")
    expect(runs.page.locator(".mlf-filter-line")).to_have_text(
        "metrics are compared with numbers, and 'little' is none."
    )
    expect(runs.page.locator(".mlf-wrong")).to_have_text("little")
    wrong = runs.page.locator(".mlf-wrong").bounding_box()
    field = box.bounding_box()
    assert wrong
    assert field
    assert field["x"] < wrong["x"] < field["x"] + field["width"]
    assert field["y"] < wrong["y"] < field["y"] + field["height"]
    expect(box).to_have_attribute("aria-invalid", "true")
    assert runs.names() == before
    assert runs.state("filter") == "model = svm"


def test_the_place_of_an_error_is_counted_in_characters(runs: RunsPage) -> None:
    runs.answer("search", "async () => { throw Object.assign(new Error('no'), {position: 2, length: 3}); }")
    runs.page.get_by_role("combobox").fill("🙂 abc < 1")
    expect(runs.page.locator(".mlf-wrong")).to_have_text("abc")


def test_a_name_that_is_being_written_does_not_empty_the_table(runs: RunsPage) -> None:
    runs.page.get_by_role("combobox").fill("val_l")
    expect(runs.page.locator(".mlf-filter-line")).to_contain_text("To filter, go on")
    assert len(runs.names()) > 10


def test_names_and_values_are_completed(runs: RunsPage) -> None:
    box = runs.page.get_by_role("combobox")
    box.press_sequentially("val")
    option = runs.page.get_by_role("option").first
    expect(option).to_contain_text("val_loss")
    box.press("ArrowDown")
    expect(box).to_have_attribute("aria-activedescendant", option.get_attribute("id") or "?")
    box.press("Enter")
    expect(box).to_have_value("val_loss ")
    box.fill("")
    box.fill("model = sv")
    runs.page.get_by_role("option", name="svm").click()
    expect(box).to_have_value("model = svm ")
    expect(runs.page.locator(".mlf-runs-counts")).to_contain_text("of 60")
    box.press("Escape")
    expect(box).to_have_value("")


def test_slow_answers_of_old_filters_are_forgotten(runs: RunsPage) -> None:
    runs.page.evaluate(
        """() => { const good = source.answers.search; source.answers.search = async (args) => {
        if (args.filter.includes('svm')) await new Promise(go => (globalThis.go = go)); return good(args); } }"""
    )
    box = runs.page.get_by_role("combobox")
    box.fill("model = svm")
    runs.page.wait_for_function("Boolean(globalThis.go)")
    box.fill("model = mlp")
    expect(runs.row("svm-57")).to_have_count(0)
    runs.page.evaluate("go()")
    expect(runs.page.locator(".mlf-filter-line")).to_contain_text("runs of 60")
    assert all(name.startswith("mlp") for name in runs.names())
    assert runs.state("filter") == "model = mlp"


def test_nothing_found_says_so_and_one_click_shows_all(runs: RunsPage) -> None:
    runs.page.get_by_role("combobox").fill("zebra")
    expect(runs.page.locator(".mlf-runs-empty")).to_contain_text("No run is like that.")
    runs.page.get_by_role("button", name="show all").click()
    expect(runs.page.locator(".mlf-runs-empty")).to_be_hidden()
    assert len(runs.names()) > 10


def test_a_filter_that_waits_for_the_kernel_says_so(runs: RunsPage) -> None:
    runs.answer("search", "(args, {onQueued}) => { onQueued(); return new Promise(go => (globalThis.go = go)); }")
    runs.page.get_by_role("combobox").fill("model = svm")
    expect(runs.page.locator(".mlf-filter-line")).to_contain_text("queued")
    runs.page.evaluate("go([])")
    expect(runs.page.locator(".mlf-runs-empty")).to_contain_text("No run is like that.")


def test_the_view_begins_as_its_state_says(runs: RunsPage) -> None:
    runs.show(
        options="""{state: {filter: 'model = cnn', order_by: 'metrics.val_loss desc',
        selected: [data.digits()[52].run_id], columns: ['name', ['params.seed', 200], 'metrics.val_loss']}}"""
    )
    expect(runs.page.locator(".mlf-runs-counts")).to_contain_text("of 60")
    assert runs.heads() == ["name", "seed", "val_loss"]
    box = runs.head("seed").bounding_box()
    assert box
    assert box["width"] == 200
    expect(runs.head("val_loss")).to_have_attribute("aria-sort", "descending")
    expect(runs.page.get_by_role("combobox")).to_have_value("model = cnn")
    expect(runs.page.locator(".mlf-actions")).to_contain_text("1 run selected")


def test_state_set_from_outside_is_shown(runs: RunsPage) -> None:
    runs.page.evaluate("source.set('selected', [runs[59].run_id])")
    expect(runs.row("logreg-60")).to_have_attribute("aria-selected", "true")
    runs.page.evaluate("source.set('order_by', 'metrics.val_loss')")
    runs.expect_top("cnn-28")
    runs.page.evaluate("source.set('filter', 'model = mlp')")
    expect(runs.row("cnn-28")).to_have_count(0)
    expect(runs.page.get_by_role("combobox")).to_have_value("model = mlp")


def test_a_live_run_changes_in_place(runs: RunsPage) -> None:
    runs.grid.hover()
    before = top_of(runs, "mlp-59")
    runs.send("[{...runs[58], metrics: {...runs[58].metrics, val_loss: 0.0301}}]")
    expect(runs.row("mlp-59")).to_contain_text("0.0301")
    assert top_of(runs, "mlp-59") == before


def test_new_runs_do_not_move_rows_under_the_pointer_and_are_shown_on_request(runs: RunsPage) -> None:
    runs.row("svm-57").hover()
    before = top_of(runs, "svm-57")
    runs.send(
        "[{...runs[0], run_id: 'f'.repeat(32), name: 'brand-new', started_at: data.NOW, ended_at: undefined, "
        "status: 'RUNNING'}]"
    )
    expect(runs.page.locator(".mlf-runs-counts")).to_have_text("61 runs, 3 running")
    show = runs.page.get_by_role("button", name="1 new run · show")
    expect(show).to_be_visible()
    assert top_of(runs, "svm-57") == before
    show.click()
    runs.expect_top("brand-new")


def test_new_runs_come_by_themselves_when_nobody_is_at_the_table(runs: RunsPage) -> None:
    runs.page.mouse.move(5, 5)
    runs.send("[{...runs[0], run_id: 'f'.repeat(32), name: 'brand-new', started_at: data.NOW}]")
    runs.expect_top("brand-new")


def test_a_scrolled_view_stays_where_it_is_when_runs_come(runs: RunsPage) -> None:
    runs.show("data.many(2000)")
    runs.grid.evaluate("node => { node.scrollTop = 28 * 700 + 9 }")
    expect(runs.row("sweep-705")).to_be_visible()
    runs.page.mouse.move(5, 5)
    before = top_of(runs, "sweep-705")
    runs.send("data.many(2001).slice(2000).map(run => ({...run, started_at: data.NOW + 5, run_id: 'f'.repeat(32)}))")
    expect(runs.grid).to_have_attribute("aria-rowcount", "2002")
    expect(runs.row("sweep-705")).to_have_attribute("aria-rowindex", "708")
    assert top_of(runs, "sweep-705") == before


def test_the_rest_of_a_long_list_follows_its_first_piece(runs: RunsPage) -> None:
    runs.page.evaluate(
        "() => { globalThis.all = data.many(3000, 12); show(all.slice(0, 200), {extra: {total: 3000}}); "
        "source.send(data.runsMessage(all.slice(200), {total: 3000, offset: 200})); }"
    )
    expect(runs.grid).to_have_attribute("aria-rowcount", "3001")
    expect(runs.page.locator(".mlf-runs-counts")).to_have_text("3,000 runs")


def test_runs_that_a_new_list_lacks_are_gone(runs: RunsPage) -> None:
    runs.send("runs.slice(0, 58)", "{whole: true}")
    expect(runs.page.locator(".mlf-runs-counts")).to_have_text("58 runs")
    expect(runs.row("logreg-60")).to_have_count(0)


def test_a_tag_that_was_taken_away_elsewhere_goes(runs: RunsPage) -> None:
    runs.page.evaluate("source.set('columns', ['name', 'tags.baseline'])")
    expect(runs.row("logreg-60")).to_contain_text("true")
    runs.send("[{...runs[59], tags: {}}]")
    expect(runs.row("logreg-60")).not_to_contain_text("true")


def test_ticking_runs_moves_no_row(runs: RunsPage) -> None:
    before = [top_of(runs, name) for name in ("svm-57", "cnn-48")]
    below = runs.page.locator(".mlf-actions").bounding_box()
    runs.row("svm-57").click()
    expect(runs.page.locator(".mlf-actions")).to_contain_text("1 run selected")
    assert [top_of(runs, name) for name in ("svm-57", "cnn-48")] == before
    assert runs.page.locator(".mlf-actions").bounding_box() == below


def test_deleting_says_what_goes_asks_first_and_can_be_undone(runs: RunsPage) -> None:
    runs.row("svm-57").click()
    runs.row("cnn-53").click()
    bar = runs.page.locator(".mlf-actions")
    bar.get_by_role("button", name="delete…").click()
    expect(bar).to_contain_text(
        "Delete svm-57, cnn-53? 2 runs with their metrics, params and files; this can be undone."
    )
    expect(bar.get_by_role("button", name="keep")).to_be_focused()
    assert runs.asked("delete") == []
    bar.get_by_role("button", name="delete 2 runs").click()
    expect(runs.row("svm-57")).to_have_count(0)
    expect(runs.page.locator(".mlf-runs-counts")).to_have_text("58 runs, 2 running")
    assert len(runs.asked("delete")[0]["runs"]) == 2
    assert runs.state("selected") == []
    bar.get_by_role("button", name="undo").click()
    expect(runs.row("svm-57")).to_be_visible()
    assert len(runs.asked("restore")[0]["runs"]) == 2


def test_escape_keeps_the_runs(runs: RunsPage) -> None:
    runs.row("svm-57").click()
    runs.page.get_by_role("button", name="delete…").click()
    runs.page.keyboard.press("Escape")
    expect(runs.page.locator(".mlf-actions")).to_contain_text("1 run selected")
    assert runs.asked("delete") == []


def test_a_refused_deletion_says_why_and_keeps_the_rows(runs: RunsPage) -> None:
    runs.answer("delete", "async () => { throw new Error('ADMIN is needed on ann/digits.'); }")
    runs.row("svm-57").click()
    runs.page.get_by_role("button", name="delete…").click()
    runs.page.get_by_role("button", name="delete 1 run").click()
    expect(runs.page.locator(".mlf-actions")).to_contain_text("did not work: ADMIN is needed on ann/digits.")
    expect(runs.row("svm-57")).to_be_visible()


def test_without_the_permission_nothing_can_be_changed_and_it_is_said_why(runs: RunsPage) -> None:
    runs.show(options="{project: {permission: 'READ'}}")
    runs.row("svm-57").click()
    delete = runs.page.get_by_role("button", name="delete…")
    expect(delete).to_be_disabled()
    expect(delete).to_have_attribute("title", "Deleting runs takes the permission ADMIN on this project.")
    runs.page.get_by_role("button", name="details").click()
    expect(runs.page.get_by_role("button", name="add a tag")).to_be_disabled()


def test_tags_and_description_are_edited(runs: RunsPage) -> None:
    runs.row("svm-57").click()
    runs.page.get_by_role("button", name="details").click()
    details = runs.page.get_by_role("region", name="Run details")
    details.get_by_role("button", name="describe this run").click()
    details.get_by_label("Description").fill("the one\nfor the paper <b>")
    details.get_by_role("button", name="save").click()
    expect(details.locator(".mlf-prose")).to_have_text("the one\nfor the paper <b>")
    details.get_by_role("button", name="add a tag").click()
    details.get_by_label("Name of the tag").fill("stage")
    details.get_by_label("Value of the tag").fill("final")
    details.get_by_label("Value of the tag").press("Enter")
    expect(details.locator(".mlf-run-tag")).to_contain_text("stage: final")
    details.get_by_role("button", name="Remove the tag stage").click()
    expect(details.locator(".mlf-run-tag")).to_have_count(0)
    run = runs.page.evaluate("runs[56].run_id")
    assert runs.asked("set_description") == [{"run": run, "text": "the one\nfor the paper <b>"}]
    assert runs.asked("set_tags") == [{"run": run, "tags": {"stage": "final"}}, {"run": run, "tags": {"stage": None}}]


def test_what_was_typed_stays_when_saving_fails_or_when_the_run_moves_on(runs: RunsPage) -> None:
    runs.answer("set_description", "async () => { throw new Error('the store is away.'); }")
    runs.row("mlp-59").click()
    runs.page.get_by_role("button", name="details").click()
    details = runs.page.get_by_role("region", name="Run details")
    details.get_by_role("button", name="describe this run").click()
    details.get_by_label("Description").fill("precious")
    runs.send("[{...runs[58], metrics: {val_loss: 0.5}}]")
    expect(runs.row("mlp-59")).to_contain_text("0.5")
    details.get_by_role("button", name="save").click()
    expect(details).to_contain_text("The description was not saved: the store is away.")
    expect(details.get_by_label("Description")).to_have_value("precious")


def test_columns_are_chosen_with_a_search_and_counted(runs: RunsPage) -> None:
    button = runs.page.get_by_role("button", name="columns")
    button.click()
    chooser = runs.page.get_by_role("dialog", name="Choose columns")
    chooser.get_by_label("Search columns").fill("drop")
    expect(chooser.locator(".mlf-columns-row")).to_have_count(1)
    expect(chooser.locator(".mlf-columns-row")).to_contain_text("60 runs")
    chooser.get_by_role("checkbox").check()
    assert runs.heads()[-1] == "dropout"
    assert runs.state("columns")[-1] == "params.dropout"
    runs.page.keyboard.press("Alt+ArrowUp")
    assert runs.heads()[-2] == "dropout"
    chooser.get_by_role("button", name="as at first").click()
    assert "dropout" not in runs.heads()
    assert runs.state("columns") == []
    runs.page.keyboard.press("Escape")
    expect(chooser).to_be_hidden()
    expect(button).to_be_focused()


def test_tags_that_the_tracker_set_are_neither_offered_nor_searched(runs: RunsPage) -> None:
    runs.show("data.digits().map(run => ({...run, tags: {'mlfoundry.cell': 'ab12cd', team: 'vision'}}))")
    runs.page.get_by_role("button", name="columns").click()
    chooser = runs.page.get_by_role("dialog", name="Choose columns")
    expect(chooser).to_contain_text("team")
    expect(chooser).not_to_contain_text("mlfoundry.cell")
    runs.page.keyboard.press("Escape")
    runs.page.get_by_role("combobox").fill("ab12cd")
    expect(runs.page.locator(".mlf-runs-empty")).to_contain_text("No run is like that.")


def test_the_slash_key_goes_to_the_filter_and_arrow_down_back(runs: RunsPage) -> None:
    runs.grid.focus()
    runs.page.keyboard.press("/")
    expect(runs.page.get_by_role("combobox")).to_be_focused()
    runs.page.keyboard.press("ArrowDown")
    expect(runs.grid).to_be_focused()


def test_the_first_run_is_reached_with_few_tabs(runs: RunsPage) -> None:
    presses = 0
    while not runs.grid.evaluate("node => node === document.activeElement"):
        runs.page.keyboard.press("Tab")
        presses += 1
        assert presses <= 8


def test_an_empty_project_gives_the_line_to_copy_and_waits_for_the_first_run(runs: RunsPage) -> None:
    runs.show("[]")
    empty = runs.page.locator(".mlf-runs-empty")
    expect(empty).to_contain_text("No runs yet. The first one appears here by itself.")
    expect(empty.locator("code")).to_contain_text('create_run("digits", owner="ann") as run:')
    expect(empty.locator("code")).to_contain_text('run.log_metrics({"loss": 0.5}, step=1)')
    expect(runs.page.get_by_role("combobox")).to_be_hidden()
    expect(runs.page.get_by_role("toolbar")).to_be_hidden()
    runs.send("data.digits().slice(0, 1)", "{whole: true}")
    expect(runs.grid).to_have_attribute("aria-rowcount", "2")
    expect(empty).to_be_hidden()


def test_a_source_that_says_nothing_yet_shows_that_something_is_on_its_way(runs: RunsPage) -> None:
    runs.show("null")
    expect(runs.page.locator(".mlf-skeleton").first).to_be_visible()


def test_what_was_told_before_the_view_came_is_never_covered_by_a_skeleton(runs: RunsPage) -> None:
    runs.page.clock.install()
    runs.show(options="{isToldBefore: true}")
    runs.page.clock.run_for(1000)
    expect(runs.row("svm-57")).to_be_visible()
    expect(runs.page.locator(".mlf-runs-empty")).to_be_hidden()


def test_everything_is_let_go_when_the_view_is_disposed(runs: RunsPage) -> None:
    runs.row("svm-57").click()
    runs.page.evaluate("mounted.dispose()")
    assert runs.page.evaluate("source.listenerCount()") == 0
    assert runs.page.locator("#place *").count() == 0


def test_every_control_has_a_name(runs: RunsPage) -> None:
    runs.row("svm-57").click()
    runs.page.get_by_role("button", name="details").click()
    runs.page.get_by_role("button", name="columns").click()
    nameless = """() => [...document.querySelectorAll('button, input, select, textarea, [role=grid]')]
        .filter(node => !node.hidden)
        .filter(node => !node.getAttribute('aria-label') && !node.textContent.trim())
        .filter(node => !node.labels?.[0]?.textContent.trim())
        .map(node => node.outerHTML)"""
    assert runs.page.evaluate(nameless) == []


def test_a_value_that_is_being_written_does_not_empty_the_table(runs: RunsPage) -> None:
    box = runs.page.get_by_role("combobox")
    box.fill("model = sv")
    expect(runs.page.locator(".mlf-filter-line")).to_have_text("No run is like that so far.")
    assert len(runs.names()) > 10
    box.press("Enter")
    expect(runs.page.locator(".mlf-runs-empty")).to_contain_text("No run is like that.")


def test_nothing_moves_while_a_filter_finds_less_and_less(runs: RunsPage) -> None:
    def places() -> list[object]:
        return [runs.page.locator(name).bounding_box() for name in (".mlf-filter", ".mlf-table", ".mlf-actions")]

    before = places()
    for text in ("cnn", "cnn 53", "zebra", "val_loss < little", "val_loss < 0.1"):
        runs.page.get_by_role("combobox").fill(text)
        expect(runs.page.locator(".mlf-filter-line")).not_to_have_text("")
        assert places() == before
