"""The virtualised table, in a real browser: what exists, sorting, columns, keys, selection, cells, copying."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.runs_page import RunsPage

READ_CLIPBOARD = """() => { const data = new DataTransfer();
    const event = new ClipboardEvent('copy', {clipboardData: data, bubbles: true});
    document.querySelector('.mlf-table').dispatchEvent(event);
    return data.getData('text/plain') }"""


@pytest.fixture
def runs(page: Page, panel_server: str) -> RunsPage:
    made = RunsPage(page, panel_server)
    page.set_viewport_size({"width": 1440, "height": 800})
    return made


def test_only_visible_rows_exist_of_ten_thousand_and_the_end_can_be_reached(runs: RunsPage) -> None:
    runs.show("data.many(10000)")
    expect(runs.grid).to_have_attribute("aria-rowcount", "10001")
    assert runs.page.locator(".mlf-tr").count() < 60
    runs.grid.focus()
    runs.page.keyboard.press("End")
    expect(runs.row("sweep-9999")).to_have_attribute("aria-rowindex", "10001")
    assert runs.page.locator(".mlf-tr").count() < 60


def test_scrolling_asks_where_the_table_stands_once_a_frame_and_not_once_a_cell(runs: RunsPage) -> None:
    runs.show("data.many(2000)")
    runs.grid.wait_for()
    reads = runs.page.evaluate(
        """async () => {
            const grid = document.querySelector("[role=grid]");
            const { get, set } = Object.getOwnPropertyDescriptor(Element.prototype, "scrollLeft");
            let reads = 0;
            const counted = { get() { reads += 1; return get.call(this); }, set, configurable: true };
            Object.defineProperty(grid, "scrollLeft", counted);
            const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
            for (let step = 1; step <= 10; step += 1) {
                grid.scrollTop = step * 2000;
                await frame();
            }
            return reads;
        }"""
    )
    assert reads <= 40  # each makes the browser lay out what was written before it


def test_a_click_on_a_head_sorts_and_a_second_click_reverses(runs: RunsPage) -> None:
    runs.show()
    runs.head("val_loss").click()
    runs.expect_top("cnn-28")
    expect(runs.head("val_loss")).to_have_attribute("aria-sort", "ascending")
    assert runs.state("order_by") == "metrics.val_loss"
    runs.head("val_loss").click()
    expect(runs.head("val_loss")).to_have_attribute("aria-sort", "descending")
    assert runs.state("order_by") == "metrics.val_loss desc"
    assert runs.names()[0] != "cnn-28"


@pytest.mark.parametrize("order", ["metrics.loss", "metrics.loss desc"])
def test_a_missing_value_stands_last_in_both_directions_and_nan_just_before(runs: RunsPage, order: str) -> None:
    runs.show(
        "[['a', 2], ['gone', undefined], ['b', 1], ['nan', NaN], ['inf', Infinity], ['c', -3]]"
        ".map(([name, loss], i) => ({...data.digits()[i], name, metrics: {loss}}))",
        f"{{state: {{order_by: '{order}'}}}}",
    )
    runs.grid.wait_for()
    assert runs.names()[-2:] == ["nan", "gone"]
    assert runs.names()[:4] == (["inf", "a", "b", "c"] if "desc" in order else ["c", "b", "a", "inf"])
    assert "NaN" in runs.cells("nan")
    assert "–" in runs.cells("gone")


def test_names_are_sorted_as_people_count_and_params_of_mixed_kinds_numbers_first(runs: RunsPage) -> None:
    runs.show(
        "[['run-10', 'auto'], ['run-9', 0.5], ['Run-1', 0.1]]"
        ".map(([name, lr], i) => ({...data.digits()[i], name, params: {lr}}))",
        "{state: {order_by: 'run_name'}}",
    )
    runs.grid.wait_for()
    assert runs.names() == ["Run-1", "run-9", "run-10"]
    runs.head("lr").click()
    runs.expect_top("Run-1")
    assert runs.names()[-1] == "run-10"


def test_the_first_columns_are_what_a_person_asks_for(runs: RunsPage) -> None:
    runs.show()
    runs.grid.wait_for()
    heads = runs.heads()
    assert heads[1:5] == ["name", "val_loss", "loss", "accuracy"]
    assert {"model", "lr"} <= set(heads)
    assert "dataset" not in heads  # the same in all runs
    assert "seed" not in heads  # another in each
    assert "by" not in heads  # only ann has runs here
    assert heads[-2:] == ["took", "started"]
    runs.show("data.many(50)")
    runs.grid.wait_for()
    assert runs.heads()[-1] == "by"


def test_the_title_of_the_column_that_is_sorted_by_is_whole(runs: RunsPage) -> None:
    runs.page.set_viewport_size({"width": 1440, "height": 800})
    runs.show()
    for title in ("val_loss", "accuracy", "batch_size", "optimizer"):
        runs.head(title).click()
        expect(runs.head(title)).to_have_attribute("aria-sort", "ascending")
        told = runs.head(title).locator(".mlf-th-title")
        assert told.evaluate("node => node.scrollWidth <= node.clientWidth + 1"), title


@pytest.mark.parametrize("width", [700, 1000, 1440])
def test_the_first_columns_are_seen_without_scrolling_sideways(runs: RunsPage, width: int) -> None:
    runs.page.set_viewport_size({"width": width, "height": 800})
    runs.show()
    runs.grid.wait_for()
    heads = runs.heads()
    assert {"name", "val_loss", "model", "lr", "took", "started"} <= set(heads)
    overflow = runs.grid.evaluate("grid => grid.scrollWidth - grid.clientWidth")
    assert overflow <= (0 if width >= 1000 else 80)
    runs.page.set_viewport_size({"width": 1600, "height": 800})
    expect(runs.head("optimizer")).to_be_visible()  # what there was no room for


def test_a_column_grows_with_what_comes_later_and_never_shrinks(runs: RunsPage) -> None:
    runs.page.set_viewport_size({"width": 1440, "height": 800})
    runs.show(
        "[{...data.digits()[0], name: 'a', error: undefined}, {...data.digits()[1], name: 'b', error: undefined}]"
    )
    runs.grid.wait_for()
    width = "() => document.querySelector('.mlf-th-name').offsetWidth"
    before = runs.page.evaluate(width)
    runs.send("[{...data.digits()[2], name: 'long-run-c', status: 'FAILED', error: 'ModuleNotFoundError: no module'}]")
    expect(runs.row("long-run-c").locator(".mlf-error-type")).to_have_text("ModuleNotFoundError")
    runs.page.wait_for_function(f"before => ({width})() > before", arg=before)
    assert (
        runs.row("long-run-c").locator(".mlf-error-type").evaluate("node => node.scrollWidth <= node.clientWidth + 1")
    )
    after = runs.page.evaluate(width)
    runs.send("[{...data.digits()[2], name: 'long-run-c', status: 'FINISHED', error: undefined}]")
    expect(runs.row("long-run-c").locator(".mlf-error-type")).to_have_count(0)
    assert runs.page.evaluate(width) == after


def test_a_column_that_was_chosen_stays_however_narrow_the_table_is(runs: RunsPage) -> None:
    runs.show("data.digits()", "{state: {columns: ['name', 'params.optimizer', 'params.dropout', 'params.seed']}}")
    runs.page.set_viewport_size({"width": 600, "height": 800})
    runs.grid.wait_for()
    assert runs.heads() == ["name", "optimizer", "dropout", "seed"]


def test_a_metric_that_few_runs_have_is_not_among_the_first_columns(runs: RunsPage) -> None:
    runs.show("data.digits().map((run, i) => i < 2 ? {...run, metrics: {'val/loss': 0.1, loss: 1, accuracy: 1}} : run)")
    runs.grid.wait_for()
    assert runs.heads()[2:5] == ["val_loss", "loss", "accuracy"]


def test_a_name_from_right_to_left_is_one_piece(runs: RunsPage) -> None:
    name = "\u05e9\u05dc\u05d5\u05dd-\u05e2\u05d5\u05dc\u05dd-" * 6
    runs.page.evaluate("name => show(data.digits().map((run, i) => i ? run : {...run, name}), {})", name)
    runs.grid.wait_for()
    runs.page.get_by_role("combobox").fill(name[:9])
    row = runs.page.locator(".mlf-tr:not([hidden]) .mlf-td-name").first
    expect(row.locator("bdi")).to_have_count(1)
    expect(row.locator("bdi")).to_have_text(name)


def test_numbers_have_four_digits_stand_right_and_show_the_whole_on_hover(runs: RunsPage) -> None:
    runs.show(
        "data.digits().slice(0, 3).map((run, i) => ({...run, metrics: {loss: [0.123456789, 64, 0.00012345][i]}}))"
    )
    cell = runs.row("0.1235").locator(".mlf-td-number").first
    expect(cell).to_have_css("text-align", "right")
    cell.hover()
    expect(cell).to_have_attribute("title", "0.123456789")
    texts = runs.page.locator(".mlf-td-number").all_inner_texts()
    assert "64" in texts
    assert "1.234e-4" in texts or "1.235e-4" in texts


def test_a_failed_run_shows_the_type_of_its_exception_beside_its_name(runs: RunsPage) -> None:
    runs.show()
    row = runs.row("cnn-50")
    expect(row.locator(".mlf-error-type")).to_have_text("FileNotFoundError")
    row.locator(".mlf-td-name").hover()
    expect(row.locator(".mlf-td-name")).to_have_attribute("title", re.compile("No such file or directory"))


def test_long_names_are_cut_in_the_middle_and_the_column_is_not_wider_than_280_pixels(runs: RunsPage) -> None:
    runs.show()
    cell = runs.row("cnn-54-with").locator(".mlf-td-name")
    box = cell.bounding_box()
    assert box
    assert box["width"] <= 280
    tail = cell.locator(".mlf-cut-tail")
    expect(tail).to_have_text("-54th-day")
    inside = tail.bounding_box()
    assert inside
    assert inside["x"] + inside["width"] <= box["x"] + box["width"]


def test_hostile_names_are_only_text(runs: RunsPage) -> None:
    name = "<img src=x onerror=document.title=1>\\u202Eevil"
    runs.show(f'data.digits().slice(0, 2).map((run, i) => ({{...run, name: i ? "{name}" : "__proto__"}}))')
    expect(runs.row("<img src=x")).to_be_visible()
    expect(runs.row("__proto__")).to_be_visible()
    assert runs.page.locator(".mlfoundry img").count() == 0


def test_keys_move_select_and_open(runs: RunsPage) -> None:
    runs.show()
    runs.grid.focus()
    press = runs.page.keyboard.press
    press("j")
    press("x")
    assert runs.state("selected") == [runs.page.evaluate("runs[58].run_id")]
    press("ArrowDown")
    press(" ")
    assert len(runs.state("selected")) == 2
    press("k")
    press("x")
    assert runs.state("selected") == [runs.page.evaluate("runs[57].run_id")]
    press("Shift+ArrowDown")
    press("Shift+ArrowDown")
    assert len(runs.state("selected")) >= 3
    press("Control+a")
    assert len(runs.state("selected")) == 60
    press("Home")
    press("Enter")
    expect(runs.page.get_by_role("region", name="Run details")).to_contain_text("logreg-60")


def test_pages_and_ends_are_reached_by_keys_and_the_active_cell_is_told_to_readers(runs: RunsPage) -> None:
    runs.show()
    runs.grid.focus()
    press = runs.page.keyboard.press
    active = "() => document.getElementById(document.querySelector('.mlf-table').getAttribute('aria-activedescendant'))"
    index = f"() => Number(({active})().closest('[role=row]').getAttribute('aria-rowindex'))"
    press("PageDown")
    assert 8 < runs.page.evaluate(index) < 30
    press("End")
    assert runs.page.evaluate(index) == 61
    press("PageUp")
    assert runs.page.evaluate(index) < 60
    press("Home")
    assert runs.page.evaluate(index) == 2
    press("Control+ArrowRight")
    assert runs.page.evaluate(f"({active})().getAttribute('aria-colindex')") == runs.grid.get_attribute("aria-colcount")
    assert "data-lm-suppress-shortcuts" in runs.grid.evaluate("node => node.outerHTML.slice(0, 400)")


def test_a_head_is_sorted_moved_and_widened_by_keys(runs: RunsPage) -> None:
    runs.show()
    runs.grid.focus()
    press = runs.page.keyboard.press
    press("ArrowRight")
    press("ArrowRight")
    press("ArrowUp")
    press("Enter")
    runs.expect_top("cnn-28")
    width = runs.head("val_loss").bounding_box()
    press("Alt+ArrowRight")
    wider = runs.head("val_loss").bounding_box()
    assert width
    assert wider
    assert wider["width"] == pytest.approx(width["width"] + 16)
    press("Shift+ArrowRight")
    assert runs.heads()[2:4] == ["loss", "val_loss"]
    assert runs.state("columns")[3] == ["metrics.val_loss", wider["width"]]
    press("ArrowDown")
    press("x")
    assert len(runs.state("selected")) == 1


def test_a_column_is_moved_and_widened_by_dragging_and_escape_gives_up(runs: RunsPage) -> None:
    runs.show()
    mouse = runs.page.mouse
    box = runs.head("accuracy").bounding_box()
    name = runs.head("name").bounding_box()
    assert box
    assert name
    mouse.move(box["x"] + 20, box["y"] + 10)
    mouse.down()
    mouse.move(name["x"] + 10, box["y"] + 10, steps=4)
    expect(runs.page.locator(".mlf-drop")).to_be_visible()
    runs.page.keyboard.press("Escape")
    mouse.up()
    assert runs.heads()[1:5] == ["name", "val_loss", "loss", "accuracy"]
    mouse.move(box["x"] + 20, box["y"] + 10)
    mouse.down()
    mouse.move(name["x"] + 10, box["y"] + 10, steps=4)
    mouse.up()
    assert runs.heads()[1:3] == ["accuracy", "name"]
    assert runs.state("order_by") is None  # a drag is no click
    edge = runs.head("optimizer").bounding_box()
    assert edge
    mouse.move(edge["x"] + edge["width"] - 2, edge["y"] + 12)
    mouse.down()
    mouse.move(edge["x"] + edge["width"] + 48, edge["y"] + 12, steps=3)
    mouse.up()
    wider = runs.head("optimizer").bounding_box()
    assert wider
    assert wider["width"] == pytest.approx(edge["width"] + 50)


def test_a_selection_is_of_runs_and_survives_sorting_and_filtering(runs: RunsPage) -> None:
    runs.show()
    runs.row("svm-57").click()
    runs.row("cnn-53").click()
    chosen = runs.state("selected")
    runs.head("val_loss").click()
    expect(runs.row("cnn-53")).to_have_attribute("aria-selected", "true")
    runs.page.get_by_role("combobox").fill("mlp")
    expect(runs.row("cnn-53")).to_have_count(0)
    assert runs.state("selected") == chosen
    runs.page.get_by_role("combobox").fill("")
    expect(runs.row("cnn-53")).to_have_attribute("aria-selected", "true")
    expect(runs.row("cnn-28")).to_have_attribute("aria-selected", "false")


def test_a_click_with_shift_selects_a_stretch(runs: RunsPage) -> None:
    runs.show()
    runs.row("svm-57").click()
    runs.row("cnn-53").click(modifiers=["Shift"])
    assert len(runs.state("selected")) == 5


def test_selected_rows_are_copied_as_a_table_of_whole_values(runs: RunsPage) -> None:
    runs.show("data.digits().slice(0, 3).map((run, i) => ({...run, name: `n\\t${i}`, metrics: {loss: 0.123456789}}))")
    runs.grid.focus()
    runs.page.keyboard.press("Control+a")
    lines = runs.page.evaluate(READ_CLIPBOARD).split("\n")
    assert len(lines) == 4
    assert lines[0].split("\t")[:3] == ["state", "name", "metrics.loss"]
    assert lines[1].startswith('FINISHED\t"n\t2"\t0.123456789\t')
    assert re.search(r"\t20\d\d-\d\d-\d\dT[\d:.]+Z$", lines[1])


def test_without_a_selection_the_active_cell_is_copied(runs: RunsPage) -> None:
    runs.show("data.digits().slice(0, 1).map(run => ({...run, metrics: {loss: 0.123456789}}))")
    runs.grid.focus()
    runs.page.keyboard.press("ArrowRight")
    runs.page.keyboard.press("ArrowRight")
    assert runs.page.evaluate(READ_CLIPBOARD) == "0.123456789"


def test_a_metric_and_a_param_of_one_name_are_told_apart(runs: RunsPage) -> None:
    runs.show("data.digits().map(run => ({...run, params: {lr: run.params.lr}}))")
    expect(runs.head("accuracy")).to_be_visible()
    runs.send("[{...runs[0], params: {accuracy: 'high'}}, {...runs[1], params: {accuracy: 'low'}}]")
    expect(runs.head("accuracy (metric)")).to_be_visible()
    expect(runs.head("accuracy (param)")).to_be_visible()
    assert "accuracy" not in runs.heads()


def test_what_a_running_run_took_has_room_to_grow(runs: RunsPage) -> None:
    running = "status: 'RUNNING', started_at: data.NOW - 5, ended_at: undefined"
    runs.show(f"data.digits().slice(0, 1).map(run => ({{...run, {running}}}))")
    name = runs.page.evaluate("runs[0].name")
    took = runs.row(name).locator(".mlf-td-duration")
    took.evaluate("cell => { cell.textContent = '59 min 59 s'; }")
    assert took.evaluate("cell => cell.scrollWidth <= cell.clientWidth")


def test_widths_stay_while_scrolling(runs: RunsPage) -> None:
    runs.show("data.many(3000)")
    before = [head.bounding_box() for head in runs.page.locator(".mlf-th").all()]
    runs.grid.focus()
    runs.page.keyboard.press("End")
    expect(runs.row("sweep-2999")).to_be_visible()
    assert [head.bounding_box() for head in runs.page.locator(".mlf-th").all()] == before


def test_the_type_of_an_error_stands_whole_beside_short_names(runs: RunsPage) -> None:
    error = "{name: 'bad', status: 'FAILED', error: 'TypeError: no such index'}"
    runs.show(f"data.digits().slice(0, 2).map((run, place) => ({{...run, name: 'b', ...(place ? {{}} : {error})}}))")
    cut = "node => node.scrollWidth - node.clientWidth"
    assert runs.row("bad").locator(".mlf-error-type").evaluate(cut) <= 0


def test_a_long_name_keeps_the_line_of_the_best_run_one_line_high(runs: RunsPage) -> None:
    runs.show("data.digits().map((run) => ({...run, name: `${run.name}-${'a-long-name-of-a-run-'.repeat(6)}`}))")
    box = runs.page.locator(".mlf-best").bounding_box()
    assert box is not None
    assert box["height"] < 30
    expect(runs.page.locator(".mlf-best .mlf-link").first).to_have_attribute("title", re.compile("of-a-run-$"))


def test_at_400_pixels_rows_are_cards_of_state_name_and_the_metric(
    new_page: Callable[..., Page], panel_server: str
) -> None:
    runs = RunsPage(new_page(viewport={"width": 400, "height": 800}), panel_server)
    runs.show()
    runs.grid.wait_for()
    assert runs.heads() == ["state", "name", "val_loss"]
    expect(runs.row("cnn-50")).to_contain_text("FileNotFo")
    width = runs.page.evaluate("document.documentElement.scrollWidth")
    assert width <= 400


def test_rows_come_page_by_page_where_the_source_holds_more_than_it_sent(runs: RunsPage) -> None:
    runs.page.evaluate(
        """() => { const all = data.many(100000, 10);
        show(all.slice(0, 200), {extra: {total: 100000, paged: true, whole: false}});
        source.answers.page = async ({offset}) => {
            const {header, columns} = data.runsMessage(all.slice(offset, offset + 200));
            return [{header, columns}]; } }"""
    )
    expect(runs.grid).to_have_attribute("aria-rowcount", "100001")
    runs.grid.focus()
    runs.page.keyboard.press("End")
    expect(runs.row("sweep-99999")).to_have_attribute("aria-rowindex", "100001")
    assert len(runs.asked("page")) <= 3
    assert runs.page.locator(".mlf-tr").count() < 60
