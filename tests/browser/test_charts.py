"""The charts of a run as they live: drawn seldom, never unseen, and always what the points say."""

import pytest

from tests.browser.run_page import RunPage

SYSTEM = "{book: new Logbook(), state: {tab: 'system'}}"
CELLS = """[
    {n: 1, started_at: NOW - 100, ended_at: NOW - 60, wall_s: 40, cpu_s: 76,
     peak_bytes: 310 * 2 ** 20, status: "FINISHED"},
    {n: 2, started_at: NOW - 50, ended_at: null, status: "RUNNING"}]"""


@pytest.fixture
def run(page, panel_server):
    return RunPage(page, panel_server)


def zoom_in(run, chart=0):
    box = run.box(chart)
    y = box["y"] + box["height"] / 2
    run.page.mouse.move(box["x"] + box["width"] * 0.2, y)
    run.page.mouse.down()
    run.page.mouse.move(box["x"] + box["width"] * 0.4, y, steps=4)
    run.page.mouse.up()


# -- when they are drawn -------------------------------------------------------------------------


def test_a_new_point_moves_the_end_of_the_line_without_a_redraw_by_plotly(run):
    run.show()
    before = run.path()
    run.grow(3)
    run.wait_for_corners(len(before) + 3)
    after = run.path()
    assert [each for corner in after[: len(before)] for each in corner] == pytest.approx(
        [each for corner in before for each in corner], abs=0.2
    )
    assert run.drawn()["whole"] == 1


@pytest.mark.parametrize("log", ["false", "true"])
def test_the_line_that_we_write_is_the_one_that_plotly_draws(run, log):
    run.show(f"{{book: new Logbook({{metrics: ['loss'], points: 90}}), state: {{smoothing: 0.6, log: {log}}}}}")
    run.grow(10)
    run.wait_for_corners(100, line=1)
    ours = [run.path(0, line) for line in (0, 1)]
    run.get("(mounted.view._metrics._view._drawn.signature = '', mounted.view._metrics._view._soon(0))")
    run.wait("mounted.view._metrics.drawn.whole > 1")
    for line, path in enumerate(ours):
        plotly = run.path(0, line)
        assert len(path) == 100
        assert path[0] == pytest.approx(plotly[0], abs=1)
        assert path[-1] == pytest.approx(plotly[-1], abs=1)


def test_lines_are_drawn_at_most_once_a_second_however_fast_points_come(run):
    run.show()
    run.get(
        """() => new Promise((done) => {
            const before = { ...mounted.view._metrics.drawn }, began = performance.now();
            const timer = setInterval(() => {
                book.grow(1); clock += 1; source.send(book.delta(1));
                if (performance.now() - began < 3000) return;
                clearInterval(timer);
                const { whole, light } = mounted.view._metrics.drawn;
                globalThis.count = whole + light - before.whole - before.light;
                globalThis.seconds = (performance.now() - began) / 1000;
                done();
            }, 20);
        })"""
    )
    assert 1 <= run.get("count") <= run.get("seconds") + 1


def test_nothing_is_drawn_in_a_tab_that_is_not_in_front_and_it_catches_up_when_it_is(run):
    run.show()
    run.page.get_by_role("tab", name="Cells").click()
    before = run.drawn()
    run.grow(5)
    run.page.get_by_role("tab", name="System").click()
    run.wait("mounted.view._system.drawn.whole > 0")
    run.grow(5)
    run.wait("mounted.view._system.drawn.light > 0")
    assert run.drawn() == before
    run.page.get_by_role("tab", name="Metrics").click()
    run.wait(
        "mounted.view._metrics.drawn.light + mounted.view._metrics.drawn.whole > given",
        before["whole"] + before["light"],
    )
    assert len(run.path()) == 130


def test_nothing_is_drawn_below_the_part_of_the_page_that_is_seen(run):
    run.page.evaluate("document.getElementById('place').style.marginTop = '3000px'")
    run.show(drawn=None)
    run.grow(5)
    run.page.get_by_role("tab", name="Metrics").wait_for(state="attached")
    assert run.drawn()["whole"] == 0
    run.page.locator(".mlf-charts").first.scroll_into_view_if_needed()
    run.wait("mounted.view._metrics.drawn.whole > 0")
    assert len(run.path()) == 125


def test_nothing_is_drawn_while_the_page_is_hidden(run):
    run.show()
    run.get(
        "(Object.defineProperty(document, 'hidden', { get: () => globalThis.isHidden }), globalThis.isHidden = true)"
    )
    before = run.drawn()
    run.grow(5)
    run.get("new Promise((done) => setTimeout(done, 1200))")
    assert run.drawn() == before
    run.get("(globalThis.isHidden = false, document.dispatchEvent(new Event('visibilitychange')))")
    run.grow(1)
    run.wait_for_corners(126)


def test_paused_charts_stand_still_and_catch_up_afterwards(run):
    run.show()
    run.page.get_by_role("button", name="pause the charts").click()
    run.wait("mounted.view._metrics.drawn.whole > 1")
    before = run.path()
    run.grow(7)
    run.get("new Promise((done) => setTimeout(done, 1200))")
    assert run.path() == before
    assert run.get("source.get('paused')") is True
    run.page.get_by_role("button", name="pause the charts").click()
    run.wait_for_corners(127)


def test_the_x_axis_stays_where_it_is_until_the_lines_reach_its_end(run):
    run.show()
    first, end = run.layout("xaxis.range")
    assert first == 0
    assert end > 119 * 1.2
    run.grow(int(end) - 119 + 1)
    run.wait("mounted.view._metrics.drawn.whole > 1")
    assert run.layout("xaxis.range")[1] > end


# -- what they show ------------------------------------------------------------------------------


def test_percent_axes_go_from_0_to_100_and_every_axis_has_its_unit(run):
    run.show(SYSTEM, drawn="system")
    titles = run.page.locator(".mlf-tabpanel:not([hidden]) .mlf-chart-name").all_inner_texts()
    assert titles[:4] == ["GPU", "GPU memory", "Process CPU", "CPU"]
    at = {title: place + 1 if place else "" for place, title in enumerate(titles)}
    assert run.layout(f"yaxis{at['CPU']}.range", "system") == pytest.approx([0, 101.5])  # 100 is drawn whole
    units = {"CPU": " %", "Process memory": " GiB", "Disk": " MiB/s", "GPU temperature": " °C", "GPU power": " W"}
    assert {title: run.layout(f"yaxis{at[title]}.ticksuffix", "system") for title in units} == units


def test_titles_of_system_charts_say_mean_and_peak_of_all_points(run):
    book = (
        "new Logbook({metrics: [], system: [GROUPS[0]], points: 4, value: (series, count) => [10, 20, 90, 40][count]})"
    )
    run.show(f"{{book: {book}, state: {{tab: 'system'}}}}", drawn="system")
    assert run.text(".mlf-tabpanel:not([hidden]) .mlf-chart-summary") == "avg 40 % · peak 90 %"


def test_the_line_of_a_failed_run_ends_with_a_cross_and_that_of_a_finished_one_does_not(run):
    run.show("{run: {status: 'FAILED', ended_at: NOW, error: 'ValueError: x'}, book: new Logbook()}")
    assert run.page.locator(".tracecross1 path.point").count() == 1
    cross = run.page.locator(".tracecross1 path.point").first.get_attribute("transform")
    x, y = run.path()[-1]
    assert cross is not None
    assert [float(each) for each in cross.removeprefix("translate(").removesuffix(")").split(",")] == pytest.approx(
        [x, y], abs=1
    )
    run.show("{run: {status: 'FINISHED', ended_at: NOW}, book: new Logbook()}")
    assert run.page.locator(".tracecross1").count() == 0


def test_smoothing_keeps_the_raw_line_faint_and_marks_the_value(run):
    run.show()
    assert run.text(".mlf-chart-summary") == run.get("modules.numbers.figure(book.series[0].values.at(-1))")
    run.page.get_by_label("smoothing").fill("0.9")
    run.wait("document.querySelectorAll('.tracec0n1').length === 1")
    assert run.text(".mlf-chart-summary").endswith(" smoothed")
    opacity = [
        run.page.locator(f".tracec0n{line}").first.evaluate("node => getComputedStyle(node).opacity") for line in (0, 1)
    ]
    assert float(opacity[0]) < 0.5 < float(opacity[1])
    assert run.get("source.get('smoothing')") == 0.9


def test_a_logarithmic_axis_leaves_out_what_it_cannot_show(run):
    run.show(
        "{state: {log: true}, book: new Logbook({metrics: ['loss'], points: 20,"
        " value: (series, count) => (count === 5 ? 0 : 10 ** -count)})}"
    )
    low, high = run.layout("yaxis.range")
    assert -21 < low < -19
    assert 0 < high < 2
    light = run.drawn()["light"]
    run.grow(1)
    run.wait("mounted.view._metrics.drawn.light + mounted.view._metrics.drawn.whole > given", light + 1)
    d = run.page.locator(".tracec0n0 path.js-line").first.get_attribute("d")
    assert "NaN" not in d
    assert "Infinity" not in d


def test_by_time_the_axis_reads_as_the_viewers_clock(new_page, panel_server):
    run = RunPage(new_page(timezone_id="America/New_York"), panel_server)
    run.show("{book: new Logbook(), state: {x_axis: 'time'}}")
    assert run.get("new Date(mounted.view._metrics._view._drawn.x[0] * 1000).toTimeString().slice(0, 5)") == run.get(
        "new Date(document.querySelector('.mlf-figure').layout.xaxis.range[0]).toISOString().slice(11, 16)"
    )


def test_long_series_are_thinned_to_the_pixels_there_are(run):
    run.show("{book: new Logbook({metrics: ['loss'], points: 12000})}")
    assert 300 < run.get("document.querySelector('.mlf-figure').data[0].x.length") <= 2000


def test_at_most_ten_lines_of_a_chart_have_a_colour(run):
    cores = "Array.from({length: 24}, (_, core) => [`system/cpu/core/${core}/percent`, '%', 'CPU cores', [0, 100]])"
    run.show(f"{{book: new Logbook({{metrics: [], system: {cores}}}), state: {{tab: 'system'}}}}", drawn="system")
    colours = run.get("mounted.view._system._view._figure.data.map((trace) => trace.line.color)")
    assert len(colours) == 24
    assert len(set(colours[10:])) == 1
    assert run.page.get_by_text("+20").get_attribute("title").endswith("10 of 24 lines have a colour")


def test_metrics_stand_in_sections_by_the_part_before_the_slash(run):
    run.show(
        "{book: new Logbook({metrics: ['val/loss', 'lr', 'train/loss', 'train/accuracy', 'val/accuracy', 'odd/one']})}"
    )
    assert run.page.locator(".mlf-section").all_inner_texts() == ["val", "train", "others"]
    assert run.page.locator(".mlf-chart-name").all_inner_texts() == [
        "loss",
        "accuracy",
        "loss",
        "accuracy",
        "lr",
        "odd/one",
    ]


@pytest.mark.parametrize(("width", "columns"), [(360, 1), (700, 2), (1000, 3), (2000, 3)])
def test_charts_stand_in_rows_of_equal_height_as_wide_as_can_be_read(run, width, columns):
    run.page.set_viewport_size({"width": width, "height": 900})
    run.show("{book: new Logbook({metrics: ['a', 'b', 'c', 'd', 'e', 'f']})}")
    boxes = [each.bounding_box() for each in run.page.locator(".mlf-chart-title").all()]
    assert len({round(box["x"]) for box in boxes}) == columns
    assert min(box["width"] for box in boxes) >= (320 if columns > 1 else width - 40)
    assert run.get("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("metrics", ["['a', 'b', 'c', 'd']", "['a', 'b', 'val/a', 'val/b']"])
def test_charts_leave_no_column_empty_that_saves_no_row(run, metrics):
    run.show(f"{{book: new Logbook({{metrics: {metrics}}})}}")
    boxes = [each.bounding_box() for each in run.page.locator(".mlf-chart-title").all()]
    assert len({round(box["x"]) for box in boxes}) == 2
    assert len({round(box["y"]) for box in boxes}) == 2


# -- what a person does with them ----------------------------------------------------------------


def test_a_zoom_stays_while_points_come_and_goes_with_its_button(run):
    run.show()
    zoom_in(run)
    reset = run.page.get_by_role("button", name="reset zoom")
    reset.wait_for()
    zoomed = run.layout("xaxis.range")
    assert zoomed[1] - zoomed[0] < 60
    assert run.layout("xaxis2.range") == zoomed
    light = run.drawn()["light"]
    run.grow(100)
    run.wait("mounted.view._metrics.drawn.light > given", light)
    assert run.layout("xaxis.range") == zoomed
    reset.click()
    run.wait("document.querySelector('.mlf-figure').layout.xaxis.range[1] > 200")
    assert reset.is_hidden()


def test_a_double_click_shows_everything_again(run):
    run.show("{run: {status: 'FINISHED', ended_at: NOW}, book: new Logbook()}")
    zoom_in(run)
    run.page.get_by_role("button", name="reset zoom").wait_for()
    box = run.box()
    run.page.mouse.dblclick(box["x"] + 50, box["y"] + 50)
    run.page.get_by_role("button", name="reset zoom").wait_for(state="hidden")
    assert run.layout("xaxis.range") == [0, 119]


def test_pointing_at_a_line_shows_its_value_while_it_lives_and_new_points_leave_that_in_place(run):
    run.show()
    assert run.get("document.querySelector('.mlf-figure').layout.hovermode") is False
    box = run.box()
    run.page.mouse.move(box["x"] + 60, box["y"] + 60)
    run.wait("document.querySelector('.mlf-figure').layout.hovermode === 'x'")
    run.page.mouse.move(box["x"] + 80, box["y"] + 60, steps=3)
    step = run.get("(given) => Math.round((80 / given) * mounted.view._metrics._view._drawn.x[1])", box["width"])
    value = f"{run.get('(given) => book.series[0].values[given]', step):.4g}"
    shown = "document.querySelector('.mlf-figure .hovertext text')?.textContent"
    run.wait(f"{shown} === given", value)
    light = run.drawn()["light"]
    run.grow(3)
    run.wait("mounted.view._metrics.drawn.light > given", light)
    assert run.get(shown) == value
    run.page.mouse.move(5, 5)
    run.wait("document.querySelector('.mlf-figure').layout.hovermode === false")


def test_cells_are_bands_with_their_numbers_and_pointing_at_one_says_what_it_cost(run):
    run.show(f"{{run: {{cells: {CELLS}}}, book: new Logbook(), state: {{tab: 'system'}}}}", drawn="system")
    assert run.page.locator(".mlf-band-numbers").first.locator("span").all_inner_texts() == ["1", "2"]
    box = run.box()
    x = run.get("(mounted.view._system._view._drawn.x.map((each) => each - NOW))")
    at = box["x"] + box["width"] * (-80 - x[0]) / (x[1] - x[0])
    run.page.mouse.move(at, box["y"] + 40)
    tip = run.page.locator(".mlf-tabpanel:not([hidden]) .mlf-band-tip")
    tip.wait_for()
    assert tip.inner_text() == "cell 1 · 40 s · CPU 1 min 16 s · peak 310 MiB"
    run.page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + 40)
    run.wait("document.querySelector('.mlf-tabpanel:not([hidden]) .mlf-band-tip').textContent === 'cell 2 · running'")


def test_a_cell_that_still_runs_does_not_make_plotly_draw_every_second(run):
    run.show(f"{{run: {{cells: {CELLS}}}, book: new Logbook(), state: {{tab: 'system'}}}}", drawn="system")
    for _ in range(2):
        light = run.drawn("system")["light"]
        run.grow(1)
        run.wait("mounted.view._system.drawn.light > given", light)
    assert run.drawn("system")["whole"] == 1


def test_lines_take_the_colours_of_a_new_theme(run):
    run.show()
    stroke = "getComputedStyle(document.querySelector('.tracec0n0 path.js-line')).stroke"
    before = run.get(stroke)
    run.page.emulate_media(color_scheme="dark")
    run.wait(f"{stroke} !== given", before)
    run.page.emulate_media(color_scheme="light")
    run.wait(f"{stroke} === given", before)
    assert run.get(stroke) == before


def test_of_forty_metrics_twelve_are_shown_and_a_search_finds_the_others(run):
    run.show("{book: new Logbook({metrics: Array.from({length: 40}, (_, index) => `m/metric_${index}`)})}")
    assert run.page.locator(".mlf-chart-name").count() == 12
    toggle = run.page.get_by_role("button", name="choose metrics")
    assert toggle.inner_text() == "12 of 40 charts"
    toggle.click()
    assert run.page.evaluate("document.activeElement.getAttribute('aria-label')") == "search charts"
    run.page.keyboard.type("metric_39")
    run.page.get_by_role("checkbox", name="m/metric_39").check()
    run.wait("document.querySelectorAll('.mlf-chart-name').length === 13")
    run.page.keyboard.press("Escape")
    assert toggle.inner_text() == "13 of 40 charts"
    assert run.get("source.get('selected_series').metrics.length") == 13


def test_a_plain_list_of_names_chooses_charts_of_metrics_and_of_the_machine(run):
    names = "['accuracy', 'system/gpu/0/power_watts', 'Disk']"
    run.show(f"{{book: new Logbook(), state: {{selected_series: {names}}}}}")
    assert run.page.locator(".mlf-tabpanel:not([hidden]) .mlf-chart-name").all_inner_texts() == ["accuracy"]
    run.page.get_by_role("tab", name="System").click()
    run.wait("mounted.view._system.drawn.whole > 0")
    assert run.page.locator(".mlf-tabpanel:not([hidden]) .mlf-chart-name").all_inner_texts() == ["Disk", "GPU power"]
    run.page.get_by_role("button", name="choose system charts").click()
    run.page.get_by_role("checkbox", name="Disk").uncheck()
    run.wait("document.querySelectorAll('.mlf-tabpanel:not([hidden]) .mlf-chart-name').length === 1")
    run.page.get_by_role("tab", name="Metrics").click()
    assert run.page.locator(".mlf-tabpanel:not([hidden]) .mlf-chart-name").all_inner_texts() == ["accuracy"]


def test_single_series_of_a_chart_are_chosen(run):
    run.show("{book: new Logbook(), state: {tab: 'system'}}", drawn="system")
    legend = run.page.locator(".mlf-tabpanel:not([hidden]) .mlf-legend-entry")
    assert "written" in legend.all_inner_texts()
    run.page.get_by_role("button", name="choose system charts").click()
    run.page.get_by_role("checkbox", name="written").uncheck()
    chosen = run.get("source.get('selected_series').system")
    assert "system/disk/read_bytes_per_s" in chosen
    assert "system/disk/written_bytes_per_s" not in chosen
    assert "Disk" not in chosen
    assert "Network" in chosen  # all of its series: by the name of the group, so that later ones come as well
    assert run.page.get_by_role("checkbox", name="Disk", exact=True).evaluate("box => box.indeterminate")
    run.wait("![...document.querySelectorAll('.mlf-legend-entry')].some(each => each.textContent === 'written')")
    assert "Disk" in run.page.locator(".mlf-tabpanel:not([hidden]) .mlf-chart-name").all_inner_texts()
    run.page.get_by_role("checkbox", name="read", exact=True).uncheck()
    run.wait("![...document.querySelectorAll('.mlf-chart-name')].some(each => each.textContent === 'Disk')")
    run.page.get_by_role("checkbox", name="Disk", exact=True).check()
    assert "Disk" in run.get("source.get('selected_series').system")


def test_charts_that_cannot_be_drawn_say_why(run):
    run.show("{}", drawn=None)
    run.get(
        "(source.plotly = () => Promise.reject(new Error('plotly is not there')),"
        " book = new Logbook(), source.send(book.whole()))"
    )
    run.page.get_by_text("The charts cannot be drawn: plotly is not there").wait_for()
