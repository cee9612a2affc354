"""The pictures of panels: whole stories in HTML without script or style sheet, and in plain text."""

import base64
import dataclasses
import re
import xml.etree.ElementTree as ET
from datetime import timedelta
from html.parser import HTMLParser

import numpy as np
import pytest

from mlfoundry.records import RunStatus
from mlfoundry_jupyter import fallback, sketch
from tests.unit.test_panels_frames import AT, metric, record, series

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>\u202e'
ENDED = AT + timedelta(seconds=90)


class Reader(HTMLParser):
    """Tags, attributes and text of HTML."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.text = set(), [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data):
        self.text += data


def images(html):
    return [
        ET.fromstring(base64.b64decode(value.partition("base64,")[2]))
        for tag, name, value in Reader(html).attributes
        if (tag, name) == ("img", "src") and "svg" in value
    ]


def told_lines(html):
    """Return which colours stand before which names, and which colours lines have, of HTML without styles."""
    bare = re.sub(r' style="[^"]*"', "", html)
    marks = re.findall(r'<img src="data:image/gif;base64,([^"]+)"[^>]*>\u00a0(.*?)(?=   |<)', bare)
    told = {name: f"#{base64.b64decode(pixel)[13:16].hex()}" for pixel, name in marks}
    lines = [line.get("stroke") for image in images(bare) for line in image.findall(".//*[@stroke-width='3']")]
    return told, lines


def finished(**changes):
    run = {"ended_at": ENDED, "params": {"lr": 0.1}, "metrics": {"loss": metric(0.25, 40)}, **changes}
    return record(**run)


def system(name, values):
    one = series(name, values)
    return dataclasses.replace(one, times=one.steps * 1_000_000 + int(AT.timestamp()) * 1_000_000)


LOGGED = [series("loss", np.linspace(1, 0.25, 40))]
SYSTEM = [system("system/cpu/percent", np.linspace(10, 90, 60)), system("system/memory/percent", [40.0] * 60)]
CELLS = {
    "cell.0001": f'{{"started_at": {AT.timestamp() + 5}, "ended_at": {AT.timestamp() + 30}, "wall_s": 25.0, '
    '"cpu_s": 40.5, "peak_bytes": 2147483648, "gpu_bytes": null, "status": "ok"}',
    "cell.0001.source": "model.fit(X, y)\nmore()",
}


def test_a_finished_run_is_told_whole_in_html_and_in_text():
    html, text = fallback.run_picture(finished(), CELLS, LOGGED, SYSTEM)
    for told in (Reader(html).text, text):
        for part in (
            "✓ finished",
            "svm",
            "ann/demo",
            "1 min 30 s",
            "lr",
            "0.1",
            "loss",
            "0.25",
            "a" * 32,
            "model.fit(X, y)",
        ):
            assert part in told
        assert "avg 50% · peak 90%" in told
        assert "2.0 GiB" in told


def test_a_finished_run_has_a_chart_for_each_metric_and_each_system_chart_with_its_cells_as_bands():
    html, _ = fallback.run_picture(finished(), CELLS, LOGGED, SYSTEM)
    drawn = images(html)
    assert len(drawn) == 3
    assert [len(image.findall(".//*[@fill-opacity='.16']")) for image in drawn] == [0, 1, 1]


def test_a_running_run_has_its_charts_and_says_as_of_when():
    run = finished(status=RunStatus.RUNNING, ended_at=None)
    html, text = fallback.run_picture(run, {}, LOGGED, SYSTEM, now=ENDED)
    assert len(images(html)) == len(images(fallback.run_picture(finished(), {}, LOGGED, SYSTEM)[0])) == 3
    for told in (Reader(html).text, text):
        assert "as of 2026-03-01 12:01:30 UTC" in told
        assert f"%mlfoundry_attach {'a' * 32} shows it as it is now" in told
        assert "● running" in told


def test_charts_and_tables_begin_with_what_a_person_asks_for_first_as_the_live_panel_does():
    names = ["accuracy", "batch_time", "val_loss"]
    run = finished(metrics={name: metric(0.25, 40) for name in names})
    html, text = fallback.run_picture(run, {}, [series(name, np.linspace(1, 0.25, 40)) for name in names], [])
    alts = [value for tag, name, value in Reader(html).attributes if (tag, name) == ("img", "alt")]
    assert alts == ["val_loss by step", "accuracy by step", "batch_time by step"]
    for told in (Reader(html).text, text):
        assert told.index("val_loss") < told.index("accuracy") < told.index("batch_time")


def test_a_failed_run_says_its_exception():
    html, text = fallback.run_picture(
        finished(status=RunStatus.FAILED, error="ValueError: no <label>"), {"error.traceback": "Traceback\n  x"}, [], []
    )
    assert "ValueError: no <label>" in Reader(html).text
    assert "error: ValueError: no <label>" in text
    assert "Traceback" in text


@pytest.mark.parametrize("status", [RunStatus.RUNNING, RunStatus.FAILED])
def test_nothing_that_a_stranger_wrote_becomes_html(status):
    run = finished(
        run_name=HOSTILE,
        project_name=HOSTILE,
        created_by=HOSTILE,
        description=HOSTILE,
        error=HOSTILE,
        status=status,
        params={HOSTILE: HOSTILE},
        tags={HOSTILE: HOSTILE},
        metrics={HOSTILE: metric(0.5)},
    )
    facts = {"cell.0001": f'{{"status": "{HOSTILE.replace(chr(34), "")}"}}', "cell.0001.source": HOSTILE}
    html, text = fallback.run_picture(run, facts, [series(HOSTILE, [1.0, 2.0])], SYSTEM)
    read = Reader(html)
    assert read.tags <= {"div", "span", "b", "table", "tr", "th", "td", "img"}
    assert not [name for _, name, _ in read.attributes if name.startswith("on")]
    assert {value.partition(":")[0] for _, name, value in read.attributes if name == "src"} <= {"data"}
    assert "\u202e" not in html + text
    assert "<script>" in read.text


def test_pictures_need_no_script_no_sheet_and_no_address():
    html, _ = fallback.run_picture(finished(), CELLS, LOGGED, SYSTEM)
    assert Reader(html).tags.isdisjoint({"script", "style", "link", "iframe", "svg", "object"})
    assert not re.search(r"(?<!xmlns=.)https?://", re.sub(r'src="[^"]*"', "", html))


def test_a_viewer_that_takes_styles_and_images_away_still_tells_the_story_in_its_order():
    html, _ = fallback.run_picture(finished(tags={"stage": "baseline"}), CELLS, LOGGED, SYSTEM)
    told = Reader(re.sub(r'<img [^>]*alt="([^"]*)"[^>]*>', r"\1", re.sub(r' style="[^"]*"', "", html))).text
    story = ["✓ finished", "svm", "ann/demo", "1 min 30 s", "started 2026-03-01", "lr", "0.1", "baseline", "0.25"]
    story += ["loss by step", "CPU", "CPU over time", "Memory", "Memory over time", "model.fit(X, y)"]
    places = [told.index(part) for part in story[:5]]
    assert places == sorted(places)
    at = 0
    for part in story:
        at = told.index(part, at)


def test_which_line_is_which_is_told_without_styles_by_the_same_colours_in_images():
    pair = [system(f"system/gpu/{i}/utilization_percent", np.linspace(0, 10 * i, 9)) for i in (0, 1)]
    html, _ = fallback.run_picture(finished(), {}, [], pair)
    told, lines = told_lines(html)
    assert told == {"gpu 0": lines[0], "gpu 1": lines[1]}
    assert lines[0] != lines[1]


def test_a_picture_stays_below_50_kilobytes_whatever_the_run_has_logged():
    random = np.random.default_rng(1)
    logged = [series(f"metric-{i}/{'x' * 60}", random.random(5000)) for i in range(60)]
    machine = [system(f"system/gpu/{i}/utilization_percent", random.random(400) * 100) for i in range(16)]
    run = finished(
        params={f"param-{i}-{'y' * 100}": "z" * 500 for i in range(300)},
        metrics={each.name: metric(0.5, 5000) for each in logged},
        error="e" * 4000,
        description="d" * 20_000,
    )
    facts = {f"cell.{i:04d}": '{"wall_s": 1.0}' for i in range(200)}
    facts |= {f"cell.{i:04d}.source": "s" * 5000 for i in range(200)}
    html, text = fallback.run_picture(run, facts, logged, machine + SYSTEM)
    assert len(html.encode()) <= 50_000
    assert images(html)
    assert re.search(r"and \d+ more metrics", Reader(html).text)
    assert "param-299" in text


def test_the_charts_of_an_ordinary_run_fit_without_leaving_points_out():
    logged = [series(f"m{i}", np.random.default_rng(i).random(400)) for i in range(6)]
    html, _ = fallback.run_picture(finished(metrics={each.name: metric(0.5) for each in logged}), CELLS, logged, SYSTEM)
    assert len(images(html)) == 8
    assert len(html.encode()) < 50_000


def test_charts_are_readable_on_light_and_on_dark():
    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for colour in sketch.COLOURS:
        on_white = 1.05 / (luminance(colour) + 0.05)
        on_dark = (luminance(colour) + 0.05) / (luminance("#111111") + 0.05)
        assert min(on_white, on_dark) >= 3.0, f"{colour}: {on_white:.1f} on white, {on_dark:.1f} on dark"


def test_a_chart_draws_peaks_and_gaps():
    values = np.zeros(1000)
    values[500] = 7.0
    values[700] = np.nan
    image = images(sketch.chart([sketch.Line(np.arange(1000.0), values)], "x"))[0]
    path = image.findall(".//*[@stroke-width='3']")[0].get("d")
    assert path.count("M") == 1  # the gap lies in a stretch with other points, which are drawn
    lowest = sum(int(dy) for dy in re.findall(r"l-?\d+ (-?\d+)", path) if int(dy) < 0)
    assert lowest <= -180


@pytest.mark.parametrize("values", [[], [np.nan], [np.inf], [1.0], [0.0, 0.0], [-1e300, 1e300], [5e-324]])
def test_a_chart_of_odd_values_is_drawn_all_the_same(values):
    one = np.array(values, np.float64)
    assert images(sketch.chart([sketch.Line(np.arange(float(len(one))), one)], "x"))


def test_a_metric_of_one_point_has_no_chart_and_lines_that_lie_on_each_other_are_one():
    logged = [*LOGGED, series("accuracy", [0.9])]
    alone = [
        system("system/process/memory_rss_bytes", [1.0, 2.0]),
        system("system/process/main_memory_rss_bytes", [1.0, 2.0]),
    ]
    html, _ = fallback.run_picture(finished(), {}, logged, alone)
    drawn = images(html)
    assert len(drawn) == 2
    assert len(drawn[1].findall(".//*[@stroke-width='3']")) == 1
    assert "main memory" not in Reader(html).text


def test_a_chart_of_several_lines_says_the_peak_of_them_all():
    two = [
        system(f"system/disk/{name}_bytes_per_s", [0.0, 1024.0 * peak]) for name, peak in (("read", 3), ("written", 7))
    ]
    told = Reader(fallback.run_picture(finished(), {}, [], two)[0]).text
    assert "Diskpeak 7.0 KiB/s" in told
    assert "3.0 KiB/s" not in told


def test_cells_say_how_they_ended_and_have_no_column_of_numbers_that_none_has():
    facts = CELLS | {"cell.0002": '{"started_at": 1.0}', "cell.0002.source": "%%mlfoundry_run demo\nimport os\n\nfit()"}
    for picture in fallback.run_picture(finished(status=RunStatus.KILLED), facts, [], []):
        told = Reader(picture).text
        assert "killed" in told.split("fit()")[-2]
        assert "GPU memory" not in told
        assert "peak memory" in told


def test_what_the_extension_keeps_for_itself_is_not_among_the_tags():
    run = finished(tags={"stage": "baseline", "mlfoundry.cell": "0123456789ab"})
    for picture in fallback.run_picture(run, {}, [], []):
        assert "baseline" in Reader(picture).text
        assert "0123456789ab" not in Reader(picture).text


@pytest.mark.parametrize(
    ("low", "high", "unit", "labels"),
    [
        (0.0235, 1.56, "", ["0.5", "1", "1.5"]),
        (0.0, 100.0, "%", ["0%", "50%", "100%"]),
        (0.0, 1.7 * 2**30, "B", ["0", "512M", "1G", "1.5G"]),
        (0.87, 0.9, "", ["0.87", "0.88", "0.89", "0.9"]),
        (-3.0, 5.0, "", ["-2", "0", "2", "4"]),
    ],
)
def test_the_marks_of_an_axis_are_round(low, high, unit, labels):
    (image,) = images(sketch.chart([sketch.Line(np.arange(2.0), np.array([low, high]))], "x", unit=unit))
    texts = [text.text for text in image.findall(".//{*}g/{*}g/{*}text")]
    assert texts[: len(labels)] == labels
