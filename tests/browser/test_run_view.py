"""The live view of one run: what a person reads in it and does with it, in a real browser."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.run_page import RunPage

FAILED = """{status: "FAILED", ended_at: NOW, error: "KeyError: 'label'",
    traceback: "Traceback (most recent call last):\\n  File \\"train.py\\", line 3",
    metrics: {loss: {last: 0.1, last_step: 119, last_at: NOW, min: 0.1, max: 2, count: 120}}}"""


@pytest.fixture
def run(page, panel_server):
    return RunPage(page, panel_server)


def tab(run, name):
    run.page.get_by_role("tab", name=re.compile(f"^{name}")).click()


# -- reading -------------------------------------------------------------------------------------


def test_the_first_line_says_state_name_place_time_and_use(run):
    run.show(drawn=None)
    line = run.page.locator(".mlf-run-line")
    expect(line).to_contain_text("running")
    expect(line).to_contain_text("svm-model-3")
    expect(line).to_contain_text("ann/iris-demo")
    expect(line).to_contain_text("2 min 14 s")
    assert re.search(r"CPU \d+ %\s+RAM [\d.]+ GiB of 8 GiB\s+GPU 0 \d+ %", line.inner_text())


def test_the_elapsed_time_ticks_in_the_browser_and_stops_at_the_end(run):
    run.show(drawn=None)
    run.get("(clock += 60, null)")
    expect(run.page.locator(".mlf-run-time")).to_have_text("3 min 14 s")
    run.get("source.send({kind: 'run', run: snapshot({status: 'FINISHED', ended_at: NOW + 60})})")
    run.get("(clock += 720, null)")
    expect(run.page.locator(".mlf-run-time")).to_have_text("took 3 min 14 s, ended 12 min ago")
    assert run.text(".mlf-run-use") == ""
    expect(run.page.locator(".mlf-status-word")).to_have_text("finished")


def test_a_run_that_lives_says_how_old_its_newest_point_is_and_when_it_has_gone_silent(run):
    run.show("{book: new Logbook()}")
    fresh = run.page.locator(".mlf-run-fresh")
    expect(fresh).to_have_text("live · 1 s ago")
    run.get("(clock += 5, null)")
    expect(fresh).to_have_text("live · 6 s ago")
    run.grow()
    expect(fresh).to_contain_text("live")
    run.get("(clock += 200, null)")
    expect(fresh).to_contain_text("silent for 3 min")
    run.get("source.send({kind: 'run', run: snapshot({status: 'KILLED', ended_at: NOW + 60})})")
    expect(fresh).to_be_hidden()


def test_tags_of_the_tracker_are_told_among_the_surroundings_where_nobody_edits_them(run):
    run.show("{run: {tags: {'mlfoundry.cell': 'ab12', team: 'vision'}}, state: {tab: 'details'}}", drawn=None)
    expect(run.page.locator(".mlf-tag")).to_have_count(1)
    expect(run.page.locator(".mlf-tag")).to_contain_text("vision")
    expect(run.page.locator(".mlf-about-section").filter(has_text="surroundings")).to_contain_text("mlfoundry.cell")


@pytest.mark.parametrize(
    ("status", "sign"), [("RUNNING", "●"), ("FINISHED", "✓"), ("FAILED", "✕"), ("KILLED", "■"), ("SCHEDULED", "○")]
)
def test_a_state_is_told_by_shape_and_word(run, status, sign):
    run.show(f"{{run: {{status: '{status}', ended_at: NOW}}}}", drawn=None)
    assert run.text(".mlf-run-line .mlf-status") == f"{sign}\n{status.lower()}" or run.text(
        ".mlf-run-line .mlf-status"
    ).split() == [sign, status.lower()]


def test_params_and_the_latest_metrics_stand_in_one_line_each_with_the_way_they_moved(run):
    run.show(
        "{book: new Logbook({metrics: ['up', 'down'], points: 3,"
        " value: (series, count, index) => (index ? -count : count)})}",
        drawn=None,
    )
    assert run.text(".mlf-values-params").split("\n")[:2] == ["C", "1.0"]
    values = run.page.locator(".mlf-values-metrics .mlf-value-entry").all_inner_texts()
    assert [re.sub(r"\s", "", value) for value in values] == ["step2", "down-2▾", "up2▴"]
    run.grow(2)
    expect(run.page.locator(".mlf-values-metrics")).to_contain_text("4")


def test_what_does_not_fit_is_counted_and_comes_with_a_click(run):
    params = "Object.fromEntries(Array.from({length: 60}, (_, index) => [`param_${index}`, [String(index), index]]))"
    run.show(f"{{run: {{params: {params}}}, book: new Logbook()}}", drawn=None)
    more = run.page.get_by_role("button", name=re.compile(r"show \d+ more params"))
    hidden = int(more.inner_text().removeprefix("+"))
    entries = run.page.locator(".mlf-values-params .mlf-value-entry")
    first = entries.first.bounding_box()
    below = sum(each.bounding_box()["y"] > first["y"] + 5 for each in entries.all())
    assert hidden == below > 30
    more.click()
    expect(run.page.get_by_role("button", name="show fewer params")).to_have_attribute("aria-expanded", "true")
    run.page.get_by_role("button", name="show fewer params").click()
    expect(more).to_have_text(f"+{hidden}")


def test_a_failed_run_opens_with_its_exception_and_the_traceback_is_one_click_below(run):
    run.show(f"{{run: {FAILED}, book: new Logbook()}}", drawn=None)
    line = run.page.locator(".mlf-error-line")
    expect(line).to_contain_text("at step 119  KeyError: 'label'")
    whole = run.page.locator(".mlf-run-error pre")
    expect(whole).to_be_hidden()
    line.get_by_role("button", name="traceback").click()
    expect(whole).to_be_visible()
    expect(whole).to_contain_text('File "train.py", line 3')


def test_a_killed_run_says_that_it_was_stopped(run):
    run.show("{run: {status: 'KILLED', ended_at: NOW}}", drawn=None)
    expect(run.page.locator(".mlf-killed-line")).to_have_text("This run was stopped before its end.")


def test_a_long_traceback_opens_at_its_end_where_the_exception_stands(run):
    lines = "Array.from({length: 90}, (_, n) => `line ${n}`).join('\\n') + '\\nValueError: no'"
    run.show(f"{{run: {{status: 'FAILED', ended_at: NOW, error: 'ValueError: no', traceback: {lines}}}}}", drawn=None)
    run.page.get_by_role("button", name="traceback").click()
    below = "document.querySelector('.mlf-run-error .mlf-pre')"
    assert run.get(f"{below}.scrollHeight > {below}.clientHeight")
    assert run.get(f"{below}.scrollHeight - {below}.scrollTop - {below}.clientHeight") < 2


def test_a_run_that_was_interrupted_is_told_in_the_colour_of_its_state(run):
    run.show("{run: {status: 'KILLED', ended_at: NOW, error: 'KeyboardInterrupt', traceback: 'train()'}}", drawn=None)
    expect(run.page.locator(".mlf-killed-line")).to_contain_text("KeyboardInterrupt")
    run.page.get_by_role("button", name="traceback").click()
    expect(run.page.locator(".mlf-run-error pre")).to_have_text("train()")


def test_what_has_no_metrics_is_told_apart_while_it_runs_and_after_its_end(run):
    run.show(drawn=None)
    run.get("(source.send({kind: 'ended'}), null)")
    expect(run.page.locator(".mlf-empty").first).to_contain_text("No metrics yet. Log some:")
    run.get("(source.send({kind: 'run', run: snapshot({status: 'FINISHED', ended_at: NOW})}), null)")
    expect(run.page.locator(".mlf-empty").first).to_contain_text("This run logged no metrics.")


def test_when_the_kernel_is_gone_the_clock_stands_and_it_is_said_where_the_run_is_seen_until_the_kernel_is_back(run):
    run.show()
    header, line = run.page.locator(".mlf-run-time"), run.page.locator(".mlf-run-gone")
    expect(run.page.locator(".mlf-run-fresh")).to_be_visible()
    run.get("(source.send({kind: 'gone'}), null)")
    expect(line).to_contain_text("The kernel is gone; this is the last state, of ")
    expect(line).to_contain_text("%mlfoundry_attach 0123456789abcdef0123456789abcdef")
    expect(run.page.locator(".mlf-run-fresh")).to_be_hidden()
    expect(run.page.locator(".mlf-run-use")).to_have_text("")
    expect(run.page.get_by_role("button", name="pause the charts")).to_be_hidden()
    before = header.inner_text()
    run.get("(clock += 60, mounted.view._tick(), null)")
    assert header.inner_text() == before
    run.get("(source.send({kind: 'run', run: snapshot()}), null)")
    expect(line).to_be_hidden()
    expect(header).to_have_text("3 min 14 s")


def test_of_a_run_that_has_ended_a_kernel_that_is_gone_changes_nothing_but_that_it_is_said(run):
    run.show("{run: {status: 'FINISHED', ended_at: NOW}, book: new Logbook()}")
    run.get("(source.send({kind: 'gone'}), null)")
    expect(run.page.locator(".mlf-run-gone")).to_contain_text("The kernel is gone; this is the last state")
    expect(run.page.locator(".mlf-run-gone code")).to_have_count(0)


def test_what_the_tracker_takes_of_a_short_run_is_told_in_seconds_and_of_a_long_one_as_a_share(run):
    run.show("{run: {started_at: NOW - 1, health: {...snapshot().health, tracker_cpu_s: 0.14}}}", drawn=None)
    expect(run.page.locator(".mlf-run-health")).to_contain_text("tracker 140 ms of CPU")


def test_escape_closes_the_list_of_charts_from_its_button_too(run):
    run.show()
    toggle = run.page.get_by_role("button", name="choose metrics")
    toggle.click()
    expect(toggle).to_have_attribute("aria-expanded", "true")
    toggle.press("Escape")
    expect(toggle).to_have_attribute("aria-expanded", "false")
    expect(toggle).to_be_focused()


def test_where_not_all_metrics_are_sent_it_is_said_how_many_there_are_and_where_the_rest_is(run):
    run.show("{book: new Logbook()}")
    expect(run.page.locator(".mlf-charts-rest").first).to_be_hidden()
    run.get("(source.send(book.whole(Infinity, {logged: 7302, system: 0})), null)")
    note = run.page.locator(".mlf-charts-rest").first
    expect(note).to_contain_text("There are charts of the first 2 of 7,302 metrics, by name.")
    expect(note).to_contain_text('latest values of all; run.get_metrics("NAME") reads the points of any.')


def test_the_state_of_the_tracker_stands_below_and_trouble_is_red(run):
    run.show(drawn=None)
    expect(run.page.locator(".mlf-run-health")).to_contain_text("all stored · nothing refused · tracker 0.2 % CPU")
    health = (
        "{state: 'offline', message: 'the server cannot be reached', pending_bytes: 2048, lost: 0, tracker_cpu_s: 0.1}"
    )
    run.get(f"source.send({{kind: 'health', health: {health}}})")
    expect(run.page.locator(".mlf-run-health .mlf-error")).to_contain_text("the server cannot be reached")


def test_the_health_of_a_run_of_another_process_is_not_made_up(run):
    run.show("{run: {health: null}}", drawn=None)
    expect(run.page.locator(".mlf-run-health")).to_contain_text("logged by another process")
    run.show("{run: {health: null, status: 'FINISHED', ended_at: NOW, created_by: 'bob'}}", drawn=None)
    expect(run.page.locator(".mlf-run-health")).to_contain_text("by bob")
    expect(run.page.locator(".mlf-run-health")).not_to_contain_text("another process")


def test_a_run_without_metrics_says_what_to_write(run):
    run.show("{book: new Logbook({metrics: [], system: [], points: 0})}", drawn=None)
    expect(run.page.get_by_text('run.log_metrics({"loss": loss}, step=step)')).to_be_visible()
    tab(run, "System")
    expect(run.page.get_by_text("No system metrics")).to_be_visible()
    tab(run, "Cells")
    expect(run.page.get_by_text("No cell has been recorded")).to_be_visible()


def test_cells_are_listed_with_their_costs_and_their_source(run):
    cell = """{n: 1, started_at: NOW - 30, ended_at: NOW - 8, wall_s: 22.1, cpu_s: 41, peak_bytes: 310 * 2 ** 20,
               gpu_bytes: 0, status: 'FINISHED', source: 'a = 1\\nb = 2\\nkey = "•••"'}"""
    run.show(f"{{run: {{cells: [{cell}]}}, state: {{tab: 'cells'}}}}", drawn=None)
    row = run.page.locator(".mlf-cells tbody tr")
    for text in ("1", "finished", "22 s", "41 s", "310 MiB", "a = 1"):
        expect(row).to_contain_text(text)
    expect(run.page.locator(".mlf-cells thead")).not_to_contain_text("GPU")
    row.get_by_role("button", name="whole source of cell 1").click()
    expect(row).to_contain_text('key = "•••"')
    expect(run.page.get_by_role("tab", name="Cells 1")).to_be_visible()


def test_details_hold_every_param_the_surroundings_and_the_packages(run):
    run.show("{book: new Logbook(), state: {tab: 'details'}}", drawn=None)
    about = run.page.locator(".mlf-about")
    for text in ("gamma", "scale", "git.commit", "4f2a91c", "8 GiB", "2 packages", "0123456789abcdef0123456789abcdef"):
        expect(about).to_contain_text(text)


def test_the_metrics_of_the_details_are_as_new_as_the_points(run):
    book = "new Logbook({metrics: ['loss'], system: [], points: 3, value: (series, count) => [4, 1, 2, 9][count]})"
    run.show(f"{{book: {book}, state: {{tab: 'details'}}}}", drawn=None)
    cells = run.page.locator(".mlf-about tr", has_text="loss").locator("td")
    expect(cells).to_have_text(["2", "1", "4", "3"])
    run.grow(1)
    expect(cells).to_have_text(["9", "1", "9", "4"])


# -- doing ---------------------------------------------------------------------------------------


def test_tabs_are_walked_with_arrow_keys(run):
    run.show(drawn=None)
    run.page.get_by_role("tab", name="Metrics").focus()
    run.page.keyboard.press("ArrowRight")
    expect(run.page.get_by_role("tab", name="System")).to_be_focused()
    expect(run.page.get_by_role("tab", name="System")).to_have_attribute("aria-selected", "true")
    run.page.keyboard.press("End")
    expect(run.page.get_by_role("tab", name="Details")).to_be_focused()
    assert run.get("source.get('tab')") == "details"


def test_state_that_is_set_from_outside_is_followed(run):
    run.show()
    run.get("(source.set('tab', 'system'), source.set('paused', true))")
    expect(run.page.get_by_role("tab", name="System")).to_have_attribute("aria-selected", "true")
    expect(run.page.get_by_role("button", name="pause the charts")).to_have_attribute("aria-pressed", "true")
    run.get(
        "(source.set('tab', 'metrics'), source.set('x_axis', 'time'),"
        " source.set('log', true), source.set('smoothing', 0.5))"
    )
    expect(run.page.get_by_role("button", name="time", exact=True)).to_have_attribute("aria-pressed", "true")
    expect(run.page.get_by_role("button", name="log y")).to_have_attribute("aria-pressed", "true")
    expect(run.page.get_by_label("smoothing")).to_have_value("0.5")


def test_a_view_that_is_mounted_again_is_as_it_was_and_the_former_leaves_nothing(run):
    run.show(
        "{book: new Logbook(), state: {tab: 'system', paused: true, selected_series: {system: ['CPU']}}}",
        drawn="system",
    )
    before = run.get("source.listenerCount()")
    run.get(
        """async () => {
            const { mountRun } = await import("/panels/run_view.js");
            mounted.dispose();
            globalThis.left = [source.listenerCount(), document.querySelectorAll(".mlf-run").length];
            globalThis.mounted = mountRun(document.getElementById("place"), source);
            source.send({ kind: "run", run: snapshot() });
            source.send(book.whole());
        }"""
    )
    assert run.get("left") == [0, 0]
    run.wait("mounted.view._system.drawn.whole > 0")
    assert run.page.locator(".mlf-tabpanel:not([hidden]) .mlf-chart-name").all_inner_texts() == ["CPU"]
    assert run.get("source.listenerCount()") == before


def test_tags_are_added_and_removed_and_a_refusal_is_said(run):
    run.show("{state: {tab: 'details'}}", drawn=None)
    run.page.get_by_label("name of a new tag").fill("note")
    run.page.get_by_label("value of a new tag").fill("good one")
    run.page.keyboard.press("Enter")
    expect(run.page.locator(".mlf-tag", has_text="note")).to_contain_text("good one")
    run.page.get_by_role("button", name="remove the tag team").click()
    expect(run.page.locator(".mlf-tag", has_text="team")).to_have_count(0)
    assert run.get("source.asked") == [
        ["set_tags", {"tags": {"note": "good one"}}],
        ["set_tags", {"tags": {"team": None}}],
    ]
    run.get("(source.answers.set_tags = async () => { throw new Error('This needs WRITE on ann/iris-demo.'); }, null)")
    run.page.get_by_role("button", name="remove the tag note").click()
    expect(run.page.get_by_text("This needs WRITE on ann/iris-demo.")).to_be_visible()
    expect(run.page.locator(".mlf-tag", has_text="note")).to_have_count(1)


def test_what_waits_for_the_kernel_is_called_queued(run):
    run.show(
        "{state: {tab: 'details'}, answers: {set_tags: (args, { onQueued }) =>"
        " new Promise((done) => { onQueued(); globalThis.answer = done; })}}",
        drawn=None,
    )
    run.page.get_by_role("button", name="remove the tag team").click()
    expect(run.page.locator(".mlf-about-said")).to_contain_text("queued")
    run.get("answer()")
    expect(run.page.locator(".mlf-about-said")).to_have_text("")


def test_the_description_is_edited_and_typing_is_not_disturbed_by_what_comes(run):
    run.show("{run: {description: 'first'}, state: {tab: 'details'}}", drawn=None)
    run.page.get_by_role("button", name="edit the description").click()
    area = run.page.get_by_role("textbox", name="description")
    area.fill("second\ntry")
    run.get("source.send({kind: 'run', run: snapshot({description: 'from elsewhere', tags: {new: 'one'}})})")
    expect(area).to_have_value("second\ntry")
    run.page.get_by_role("button", name="save").click()
    expect(run.page.locator(".mlf-description")).to_have_text("second\ntry")
    assert run.get("source.asked") == [["set_description", {"text": "second\ntry"}]]


def test_a_reader_sees_nothing_that_needs_write(run):
    run.show("{run: {may_write: false}, state: {tab: 'details'}}", drawn=None)
    expect(run.page.get_by_label("name of a new tag")).to_have_count(0)
    expect(run.page.get_by_role("button", name="edit the description")).to_have_count(0)
    expect(run.page.get_by_role("button", name="remove the tag team")).to_have_count(0)


def test_the_run_id_is_copied(new_page, panel_server):
    page = new_page(permissions=["clipboard-read", "clipboard-write"])
    run = RunPage(page, panel_server)
    run.show(drawn=None)
    page.get_by_role("button", name="copy run id").click()
    expect(page.get_by_role("button", name="copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "0123456789abcdef0123456789abcdef"


def test_missed_points_are_asked_for_once(run):
    run.show(drawn=None)
    run.get(
        "(source.answers.whole = () => new Promise(() => {}), book.grow(5), source.send(book.delta(2)),"
        " book.grow(1), source.send(book.delta(1)))"
    )
    assert run.get("source.asked") == [["whole", {}]]


# -- in any place, for anybody -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["metrics", "system", "cells", "details"])
def test_hostile_names_stay_text(run, name):
    run.show(f"saying(HOSTILE, '{name}')", drawn=name if name in ("metrics", "system") else None)
    assert run.get("document.querySelectorAll('#place img, #place b, #place a').length") == 0
    assert run.get("globalThis.isBroken ?? null") is None
    assert "\u202e" not in run.get("document.getElementById('place').textContent")
    assert "\\u202e" in run.page.locator(".mlf-run-name span").first.get_attribute("title")


def test_a_hostile_name_is_plain_in_the_tooltip_as_well(run):
    system = "[['system/a', '', 'g', null], ['system/<b>bold %{x} &lt;', '', 'g', null]]"
    run.show(
        f"""{{run: {{status: 'FINISHED', ended_at: NOW}}, state: {{tab: 'system'}},
             book: new Logbook({{metrics: [], system: {system}}})}}""",
        drawn="system",
    )
    box = run.box()
    run.page.mouse.move(box["x"] + 60, box["y"] + 60)
    run.page.mouse.move(box["x"] + 90, box["y"] + 60, steps=3)
    run.page.locator(".mlf-figure .hovertext").first.wait_for()
    assert "<b>bold %{x} &lt;" in run.get("document.querySelector('.hoverlayer').textContent")


@pytest.mark.parametrize("width", [360, 800, 1400, 2000])
@pytest.mark.parametrize("name", ["metrics", "details"])
def test_nothing_is_wider_than_its_place(run, width, name):
    run.page.set_viewport_size({"width": width, "height": 900})
    run.show(f"saying(LONG, '{name}')", drawn=None)
    assert run.get("document.documentElement.scrollWidth - innerWidth") <= 0
    assert (
        run.get(
            "Math.max(...[...document.querySelectorAll('.mlf-run-whole > *')]"
            ".map((each) => each.scrollWidth - each.clientWidth))"
        )
        <= 1
    )


def test_every_control_has_a_name_and_can_be_reached_by_tab(run):
    run.show("{run: {description: 'x'}, book: new Logbook(), state: {tab: 'details'}}", drawn=None)
    nameless = run.get(
        """[...document.querySelectorAll("#place button, #place input, #place textarea, #place select")]
            .filter((each) => !each.getAttribute("aria-label") && !each.textContent.trim() && !each.labels?.length)
            .length"""
    )
    assert nameless == 0
    run.page.keyboard.press("Tab")
    assert run.get("document.activeElement.closest('.mlf-run') !== null")
    outline = run.get("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_of_every_colour_can_be_read_on_its_ground(new_page, panel_server, scheme):
    run = RunPage(new_page(color_scheme=scheme), panel_server)
    run.show(drawn=None)
    ratios = run.get("contrasts(document.querySelector('.mlf-run'))")
    assert {name: ratio for name, ratio in ratios.items() if ratio < 4.5} == {}


# What JupyterLab 4 says of HTML in an output, in the order and with the weight of its own style sheet.
NOTEBOOK_STYLE = """
    .jp-RenderedHTMLCommon dt { float: left; width: 20%; font-weight: bold; }
    .jp-RenderedHTMLCommon ul:not(.list-inline) { padding-left: 2em; }
    .jp-RenderedHTMLCommon h3:first-child { margin-top: 1em; }
    .jp-RenderedHTMLCommon h3 { font-size: 1.7em; }
    .jp-ThemedContainer .jp-RenderedHTMLCommon :not(pre) > code { background-color: #eee; padding: 1px 5px; }
    :not(.jp-RenderedMarkdown).jp-RenderedHTMLCommon td, :not(.jp-RenderedMarkdown).jp-RenderedHTMLCommon th { text-align: right; }
    .jp-RenderedHTMLCommon td, .jp-RenderedHTMLCommon th { padding: 0.5em; vertical-align: middle; }
    .jp-RenderedHTMLCommon tbody tr:nth-child(odd) { background: #eee; }
"""  # noqa: E501


@pytest.mark.parametrize("name", ["details", "cells"])
def test_a_panel_looks_in_an_output_of_a_notebook_as_it_does_elsewhere(run, name):
    options = (
        "{run: {cells: [{n: 1, started_at: NOW - 9, ended_at: NOW, source: 'a = 1', wall_s: 9}]},"
        f" book: new Logbook(), state: {{tab: '{name}'}}}}"
    )
    looks = """[...document.querySelectorAll('.mlf-run :is(dt, ul, h3, tr, th, td, code)')].map((node) => {
        const style = getComputedStyle(node);
        const names = ["float", "width", "padding", "margin", "backgroundColor", "textAlign", "fontSize"];
        return [node.tagName, ...names.map((name) => style[name])];
    })"""
    run.show(options, drawn=None)
    elsewhere = run.get(looks)
    run.page.add_style_tag(content=NOTEBOOK_STYLE)
    run.get(
        "(document.body.className = 'jp-ThemedContainer',"
        " document.getElementById('place').classList.add('jp-RenderedHTMLCommon'))"
    )
    assert run.get(looks) == elsewhere


def test_the_change_of_a_state_is_told_to_screen_readers(run):
    run.show(drawn=None)
    run.get("source.send({kind: 'run', run: snapshot({status: 'FINISHED', ended_at: NOW})})")
    expect(run.page.locator(".mlf-run [role=status]", has_text="run svm-model-3 finished")).to_have_count(1)


def test_while_nothing_has_come_a_skeleton_holds_the_place(run):
    run.get(
        """async () => {
            const { fakeSource } = await import("/pages/fake_source.js");
            const { mountRun } = await import("/panels/run_view.js");
            mountRun(document.getElementById("place"), fakeSource());
        }"""
    )
    expect(run.page.locator(".mlf-run-waiting")).to_be_visible()
    assert run.page.locator(".mlf-run-waiting").bounding_box()["height"] >= 90


def test_a_long_number_of_a_param_is_short_in_the_header_and_whole_on_hover(run):
    params = "{lr: ['0.30000000000000004', 0.30000000000000004], C: ['1.0', 1], note: ['a long text', null]}"
    run.show(f"{{run: {{params: {params}}}}}", drawn=None)
    values = run.page.locator(".mlf-values-params .mlf-value")
    assert values.all_inner_texts() == ["0.3", "1.0", "a long text"]
    expect(values.first).to_have_attribute("title", "0.30000000000000004")


def test_names_with_numbers_stand_as_people_count_and_what_is_asked_for_first(run):
    run.show("{book: new Logbook({metrics: ['m-10', 'm-9', 'val_loss', 'm-1']})}")
    assert run.page.locator(".mlf-chart-name").all_inner_texts()[:4] == ["val_loss", "m-1", "m-9", "m-10"]
    names = run.page.locator(".mlf-values-metrics dt").all_inner_texts()
    assert names == ["step", "val_loss", "m-1", "m-9", "m-10"]
