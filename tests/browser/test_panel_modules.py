"""The modules that all views share: frames, numbers, colours, points and curves, run in a real browser."""

import base64
import math
import struct
from datetime import datetime

import numpy as np
import pytest

from mlfoundry import displays
from mlfoundry.panels import frames
from mlfoundry.records import Series
from mlfoundry_jupyter import ranking
from tests.browser.conftest import watched_pages


@pytest.fixture(scope="module")
def modules(chromium, panel_server):
    """A page with the modules; these tests change nothing in it."""
    with watched_pages(chromium) as make:
        page = make()
        page.goto(f"{panel_server}/pages/run.html")
        page.wait_for_selector("html[data-ready]")
        yield page


def series(name, values, *, steps=None, count=None):
    values = np.asarray(values, float)
    steps = np.arange(len(values)) if steps is None else np.asarray(steps)
    times = 1_790_000_000_000_000 + 1_000_000 * np.arange(len(values))
    return Series(name, steps, times, values, len(values) if count is None else count)


def decoded(page, frame, offset=0):
    text = base64.b64encode(b"\0" * offset + frame).decode()
    return page.evaluate(
        """([text, offset]) => {
            const all = Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
            const { header, columns } = decode(new DataView(all.buffer, offset));
            const texts = Object.entries(columns).map(([name, values]) => [name, Array.from(values, String)]);
            return { header, columns: Object.fromEntries(texts) };
        }""",
        [text, offset],
    )


@pytest.mark.parametrize("offset", [0, 3, 8])
def test_a_frame_of_points_comes_out_as_it_went_in_wherever_it_lies(modules, offset):
    values = [0.1, math.nan, math.inf, -0.0, 1e-300]
    got = decoded(modules, frames.whole_points("ab" * 16, [series("verlüst/λ", values)], []), offset)
    assert got["header"]["series"][0]["name"] == "verlüst/λ"
    assert got["columns"]["values"] == ["0.1", "NaN", "Infinity", "0", "1e-300"]
    assert got["columns"]["times"][1] == "1790000001"


def test_a_frame_that_was_cut_says_where(modules):
    frame = frames.whole_points("ab" * 16, [series("loss", [1, 2, 3])], [])
    with pytest.raises(Exception, match="this frame ends within its column values"):
        decoded(modules, frame[:-8])
    with pytest.raises(Exception, match="this frame ends before its header does"):
        decoded(modules, struct.pack("<I", 1000))


@pytest.mark.parametrize(
    "number",
    [0, 1, -1, 64, 9999, 10_000, 1_234_567, 0.1, 0.9725, 1.0, 123.456, 0.00123456, 1e-4, 1.5e-7, 3.2e9, 2.5e20,
     9999.4, -0.0123, math.nan, math.inf, -math.inf],
)  # fmt: skip
def test_a_number_reads_the_same_in_the_browser_and_in_python(modules, number):
    given = number if math.isfinite(number) else frames.number_json(number)
    read = "modules.numbers.figure(typeof given === 'string' ? modules.numbers.fromJson(given) : given)"
    assert modules.evaluate(f"given => {read}", given) == displays.figure(float(number))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ("bytes(8 * 2 ** 30)", "8 GiB"),
        ("bytes(3.14 * 2 ** 30)", "3.1 GiB"),
        ("bytes(0)", "0 B"),
        ("bytes(null)", "–"),
        ("withUnit(52.4, '%')", "52 %"),
        ("withUnit(0.24, '%')", "0.2 %"),
        ("withUnit(61.2, '°C')", "61 °C"),
        ("withUnit(2 ** 20, 'B/s')", "1 MiB/s"),
        ("withUnit(undefined, 'W')", "–"),
        ("duration(0.0421)", "42 ms"),
        ("duration(3.21)", "3.2 s"),
        ("duration(134)", "2 min 14 s"),
        ("duration(90061)", "1 d 1 h"),
        ("duration(NaN)", "–"),
        ("elapsed(3599.9)", "59 min 59 s"),
        ("ago(100, 105)", "just now"),
        ("ago(100, 100 + 720)", "12 min ago"),
        ("ago(null, 5)", "–"),
        ("exact(0.1 + 0.2)", "0.30000000000000004"),
        ("exact(-0)", "-0.0"),
        ("exact(Infinity)", "inf"),
        ("figure(undefined)", "–"),
        ("count(1, 'run')", "1 run"),
        ("count(1248, 'run')", "1,248 runs"),
        ("count(12345, 'run')", "12,345 runs"),
    ],
)
def test_sizes_times_and_absent_values_are_read_as_people_say_them(modules, call, text):
    assert modules.evaluate(f"() => modules.numbers.{call}") == text


def test_a_time_is_told_exactly_in_the_viewers_zone(new_page, panel_server):
    page = new_page(timezone_id="Asia/Kolkata")
    page.goto(f"{panel_server}/pages/run.html")
    page.wait_for_selector("html[data-ready]")
    at = datetime.fromisoformat("2026-03-01T14:03:22+05:30").timestamp()
    assert page.evaluate("at => modules.numbers.clock(at)", at) == "2026-03-01 14:03:22 +05:30"


# -- colours -------------------------------------------------------------------------------------


def test_no_two_of_the_runs_that_are_shown_look_the_same_and_each_keeps_its_look(modules):
    looks = modules.evaluate(
        """() => {
            const { RunColours, lineLook } = modules.colours;
            const colours = new RunColours();
            const ids = Array.from({ length: 40 }, (_, index) => `run${index * 7919}`);
            const before = colours.show(ids);
            const after = colours.show(ids.slice(10));
            const looks = ids.map((id) => JSON.stringify(lineLook(before.get(id), false)));
            const kept = ids.slice(10).every((id) => before.get(id) === after.get(id));
            return { different: new Set(looks).size, kept };
        }"""
    )
    assert looks["different"] == 40
    assert looks["kept"]


def test_the_first_runs_of_a_page_differ_by_hue_before_any_line_is_dashed(modules):
    dashes = modules.evaluate(
        """() => [...new modules.colours.RunColours().show(["a", "b", "c", "d", "e", "f", "g", "h"]).values()]
            .map((place) => modules.colours.lineLook(place, false).dash)"""
    )
    assert dashes == ["solid"] * 8


def _linear(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    return np.array([part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts])


def _contrast(one, other):
    light, dark = sorted((float(_linear(each) @ [0.2126, 0.7152, 0.0722]) for each in (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize(("palette", "ground"), [("LIGHT", "#ffffff"), ("DARK", "#15181c"), ("DARK", "#111111")])
def test_every_line_stands_out_from_its_ground(modules, palette, ground):
    colours = modules.evaluate(f"() => modules.colours.{palette}")
    assert len(colours) >= 8
    assert {colour: round(_contrast(colour, ground), 1) for colour in colours if _contrast(colour, ground) < 3} == {}


# Brettel, Viénot and Mollon (1997), simplified by Viénot, Brettel and Mollon (1999): what dichromats see.
DICHROMATS = {
    "protanope": [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
    "deuteranope": [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
}


def _lab(linear):
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ linear
    f = np.cbrt(np.maximum(xyz / [0.9505, 1, 1.089], 1e-6))
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("palette", ["LIGHT", "DARK"])
@pytest.mark.parametrize("eyes", DICHROMATS)
def test_colour_blind_readers_tell_the_hues_apart(modules, palette, eyes):
    colours = modules.evaluate(f"() => modules.colours.{palette}")
    seen = [_lab(np.clip(np.array(DICHROMATS[eyes]) @ _linear(colour), 0, 1)) for colour in colours]
    close = {
        (colours[i], colours[j]): round(float(np.linalg.norm(seen[i] - seen[j])), 1)
        for i in range(len(seen))
        for j in range(i)
        if np.linalg.norm(seen[i] - seen[j]) < 10
    }
    assert close == {}


# -- points --------------------------------------------------------------------------------------

POINTS = """
    const points = new modules.series.RunPoints();
    const from = (list) => Float64Array.from(list);
    const whole = (values, count = values.length) => points.take(
        { whole: true, series: [{ name: "loss", system: false, n: values.length, count }] },
        { steps: from(values.map((_, i) => i)), times: from(values.map((_, i) => i)), values: from(values) });
    const more = (values, since) => points.take({ whole: false }, { index: [0], n: [values.length], since: [since],
        steps: from(values.map((_, i) => since + i)), times: from(values.map((_, i) => since + i)),
        values: from(values) });
    const held = () => Array.from(points.get("loss").values.subarray(0, points.get("loss").n));
"""


def test_new_points_are_added_and_those_that_came_twice_only_once(modules):
    script = POINTS + "return [whole([1, 2]), more([3, 4], 2), more([3, 4, 5], 2), held(), points.get('loss').count];"
    assert modules.evaluate(f"() => {{ {script} }}") == ["taken", "taken", "taken", [1, 2, 3, 4, 5], 5]


def test_missing_points_are_noticed_and_mended_by_a_whole_frame(modules):
    script = (
        POINTS + "return [whole([1, 2]), more([9], 7), held(), whole([1, 2, 3, 9], 8), held(), more([10], 8), held()];"
    )
    told = modules.evaluate(f"() => {{ {script} }}")
    assert told == ["taken", "missing", [1, 2], "taken", [1, 2, 3, 9], "taken", [1, 2, 3, 9, 10]]


def test_an_overview_does_not_take_the_place_of_the_points_it_was_made_from(modules):
    script = POINTS + "return [whole([1, 2, 3, 4]), whole([1, 4], 4), held()];"
    assert modules.evaluate(f"() => {{ {script} }}") == ["taken", "taken", [1, 2, 3, 4]]


def test_a_series_that_grows_for_ever_keeps_its_extremes_its_last_value_and_little_memory(modules):
    script = (
        POINTS
        + """
        whole([0]);
        let since = 1;
        for (let round = 0; round < 30; round += 1) {
            const values = Array.from({ length: 5000 }, (_, i) => Math.sin(i) + (round === 3 && i === 77 ? 50 : 0));
            more(values, since);
            since += 5000;
        }
        const loss = points.get("loss");
        const { n, count, last, greatest: told, stepsRise: rises } = loss;
        return { n, count, last, told, rises, greatest: Math.max(...held()) };
    """
    )
    told = modules.evaluate(f"() => {{ {script} }}")
    assert told["n"] <= 16_384
    assert told["count"] == 150_001
    assert told["greatest"] == told["told"] > 50
    assert told["last"] == pytest.approx(math.sin(4999))
    assert told["rises"]


# -- curves --------------------------------------------------------------------------------------


def test_smoothing_is_the_unbiased_moving_average_and_leaves_gaps_alone(modules):
    values = [1.0, 3.0, None, 2.0]
    got = modules.evaluate(
        """values => Array.from(modules.curves.smoothed(values.map((each) => each ?? NaN), 4, 0.6),
                                (each) => (Number.isNaN(each) ? null : each))""",
        values,
    )
    first = 1.0
    second = (0.6 * 0.4 * 1 + 0.4 * 3) / (1 - 0.36)
    third = (0.6 * (0.6 * 0.4 * 1 + 0.4 * 3) + 0.4 * 2) / (1 - 0.216)
    assert got[2] is None
    assert [got[0], got[1], got[3]] == pytest.approx([first, second, third])


def test_thinning_keeps_both_ends_and_every_extreme(modules):
    got = modules.evaluate(
        """() => {
            const n = 100_000;
            const xs = Float64Array.from({ length: n }, (_, i) => i);
            const ys = Float64Array.from({ length: n }, (_, i) => Math.sin(i / 50));
            [ys[31_337], ys[70_001]] = [99, -99];
            const places = Array.from(modules.curves.thinned({ xs, ys, n }, [0, n], 200));
            const part = Array.from(modules.curves.thinned({ xs, ys, n }, [500, 600], 200));
            return { length: places.length, ends: [places[0], places.at(-1)],
                     high: places.includes(31_337), low: places.includes(70_001),
                     rises: places.every((p, i) => !i || p > places[i - 1]), part: [part[0], part.at(-1)] };
        }"""
    )
    assert got["length"] <= 804
    assert got["ends"] == [0, 99_999]
    assert got["high"]
    assert got["low"]
    assert got["rises"]
    assert got["part"] == [499, 601]


def test_points_that_came_late_are_drawn_in_the_order_of_their_steps(modules):
    got = modules.evaluate(
        """() => {
            const points = new modules.series.RunPoints();
            points.take({ whole: true, series: [{ name: "loss", n: 4, count: 4 }] },
                { steps: Float64Array.of(0, 5, 2, 5), times: Float64Array.of(0, 1, 2, 3),
                  values: Float64Array.of(10, 15, 12, 16) });
            const curve = modules.curves.ordered(points.get("loss"), "step");
            const byTime = modules.curves.ordered(points.get("loss"), "time");
            return [Array.from(curve.xs), Array.from(curve.ys), Array.from(byTime.ys.subarray(0, 4))];
        }"""
    )
    assert got == [[0, 2, 5, 5], [10, 12, 15, 16], [10, 15, 12, 16]]


def test_a_path_that_grows_is_the_path_drawn_at_once(modules):
    got = modules.evaluate(
        """() => {
            const { GrowingPath } = modules.curves;
            const ys = Float64Array.from({ length: 50 }, (_, i) => (i % 9 === 4 ? NaN : i * i));
            const xs = Float64Array.from({ length: 50 }, (_, i) => i);
            const of = (path, n) => path.of({ xs, ys, n }, 1, [0, 50], 100, (x) => x * 3.33, (y) => 2500 - y);
            const growing = new GrowingPath();
            for (let n = 1; n <= 50; n += 1) of(growing, n);
            return [of(growing, 50), of(new GrowingPath(), 50)];
        }"""
    )
    assert got[0] == got[1]
    assert got[0].count("M") == 6


METRICS = [
    "accuracy", "train_loss", "val_loss", "step", "metric-10", "metric-9", "Metric-9b", "val/loss", "val/accuracy",
    "val/f1", "train/loss", "train/acc", "lr", "test_auc", "grad_norm", "epoch/time", "flosses", "VAL_ACC", "cost",
    "a/b/loss", "a/b/c", "µ", "loss",
]  # fmt: skip


def test_pictures_order_metrics_as_the_live_panel_does(modules):
    ranked = modules.evaluate("names => modules.columns.rankedNames(names.sort(modules.columns.byName))", METRICS)
    assert ranking.ranked(METRICS) == ranked
    charted = modules.evaluate(
        """names => {
            const group = (name) => name.includes("/") ? name.slice(0, name.lastIndexOf("/")) : "";
            const all = names.map((name) => ({ name, group: group(name), system: false }));
            return modules.run_charts.metricCharts({ all: () => all }, {}).map((chart) => chart.key);
        }""",
        METRICS,
    )
    assert ranking.charted(METRICS) == charted
