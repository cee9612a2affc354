"""How figures, times and tables look, as text and as HTML, also when the text in them is hostile."""

import math
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlfoundry import displays
from mlfoundry.displays import Html
from mlfoundry.records import MetricSummary, RunKey, RunRecord, RunStatus

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
HOSTILE = [
    "<script>alert(1)</script>",
    "</td></table><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)',
    "' style='position:fixed",
    "&lt;b&gt; &amp; &#60;",
    "<!-- --> <![CDATA[ ]]> <?php ?>",
    "\x1b[31mred\x1b]0;title\x07",
    "line\nbreak\r\ttab\0nul",
    "\u202egnp.exe\u2066x\u2069",
    "a\u2028b\u2029c\x85d",
]


class Page(HTMLParser):
    """What a browser would make of HTML: tags, attributes and visible text."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.tags, self.attributes, self.text, self.open, self.other = [], [], "", [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def handle_comment(self, data):
        self.other.append(data)

    handle_decl = handle_pi = unknown_decl = handle_comment

    def assert_ours(self):
        assert set(self.tags) <= {"div", "table", "tr", "th", "td", "b", "span"}
        assert {name for name, _ in self.attributes} <= {"style", "title"}
        assert not any("alert" in value or "fixed" in value for name, value in self.attributes if name == "style")
        assert (self.open, self.other) == ([], [])


def a_run(name="r", status=RunStatus.FINISHED, took_s=90.0, **how):
    how.setdefault("project_name", "p")
    return RunRecord(
        key=RunKey(1, "ab" * 16),
        owner="ann",
        run_name=name,
        status=status,
        created_by="ann",
        started_at=NOW,
        ended_at=NOW + timedelta(seconds=took_s),
        last_seen_at=NOW,
        **how,
    )


def a_metric(last, **how):
    return MetricSummary(
        count=3, last=last, last_step=2, last_at=NOW, min=how.get("min", last), max=how.get("max", last)
    )


# -- values --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (0.97, "0.97"),
        (0.123456, "0.1235"),
        (12.34567, "12.35"),
        (-0.5, "-0.5"),
        (1e-3, "0.001"),
        (0.00012345, "1.234e-4"),
        (123456.7, "123,457"),
        (1234567.8, "1.235e6"),
        (3.0, "3"),
        (-0.0, "0"),
        (9999.0, "9999"),
        (12345.0, "12,345"),
        (1e14, "100,000,000,000,000"),
        (1e15, "1e15"),
        (math.nan, "NaN"),
        (math.inf, "∞"),
        (-math.inf, "-∞"),
        (7, "7"),
        (-12345, "-12,345"),
        (10**20, "100,000,000,000,000,000,000"),
        (True, "True"),
        ("svm", "svm"),
        ("a\x1b[1mb\n", "a\\x1b[1mb\\x0a"),
        ([1, 2], "[1, 2]"),
    ],
    ids=repr,
)
def test_a_figure_has_four_significant_digits_and_whole_numbers_stay_whole(value, shown):
    assert displays.figure(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (10, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (61, "1 min 1 s"),
        (3599.6, "1 h 0 min"),
        (3660, "1 h 1 min"),
        (86400 + 3 * 3600 + 59 * 60, "1 d 3 h"),
        (400 * 86400, "400 d 0 h"),
    ],
)
def test_a_span_is_told_in_its_two_greatest_units(seconds, shown):
    assert displays.span(seconds) == shown


@pytest.mark.parametrize(
    ("ago_s", "shown"),
    [(0, "just now"), (9.9, "just now"), (-30, "just now"), (11, "11 s ago"), (125, "2 min ago"), (7200, "2 h ago")],
)
def test_an_age_is_told_in_its_greatest_unit(ago_s, shown):
    assert displays.age(NOW - timedelta(seconds=ago_s), NOW) == shown


def test_an_age_that_is_not_known_is_absent():
    assert displays.age(None) == "–"


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (2**20, "1.0 MiB"),
        (3 * 2**30, "3.0 GiB"),
        (2**50, "1024.0 TiB"),
    ],
)
def test_a_size_has_a_binary_unit(count, shown):
    assert displays.size(count) == shown


def test_a_run_that_goes_on_has_taken_the_time_until_now_and_never_less_than_none():
    assert displays.duration_s(a_run(took_s=5)) == 5.0
    running = RunRecord(**{n: getattr(a_run(), n) for n in RunRecord.__slots__} | {"ended_at": None})
    assert displays.duration_s(running, NOW + timedelta(seconds=7)) == 7.0
    assert displays.duration_s(a_run(took_s=-5)) == 0.0  # a clock that was set back


def test_every_status_has_a_sign_and_a_colour():
    texts = {displays.status_text(status) for status in RunStatus}
    assert len(texts) == len(RunStatus)
    assert displays.status_text(RunStatus.FAILED) == "✕ failed"
    assert len({str(displays.html_status(status)) for status in RunStatus}) == len(RunStatus)


@given(st.text())
def test_plain_text_is_one_line_that_steers_no_terminal(text):
    plain = displays.plain(text)
    assert len(plain.splitlines()) <= 1
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in plain)
    assert not set(plain) & set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029")


def test_hidden_characters_are_told_and_not_dropped():
    assert displays.plain("a\x1b[1m\u202eb\n") == "a\\x1b[1m\\u202eb\\x0a"


def test_text_is_cut_in_the_middle_when_it_is_too_long():
    assert displays.shortened("x" * 40) == "x" * 40
    assert displays.shortened("a" * 30 + "b" * 30, 11) == "aaaaa…bbbbb"
    assert displays.shortened("abcdef", 4) == "ab…f"
    assert all(len(displays.shortened("x" * 100, width)) == width for width in range(3, 50))


# -- HTML ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_and_never_becomes_html(text):
    html = Html.element("div", text, Html.element("b", text, title=text), style="color:red")
    page = Page(html)
    page.assert_ours()
    assert page.tags == ["div", "b"]
    assert page.text == displays.plain(text) * 2
    assert ("title", displays.plain(text)) in page.attributes


def test_html_that_is_ours_is_not_escaped_twice():
    inner = Html.element("b", "a & b")
    assert Html.element("div", inner) == "<div><b>a &amp; b</b></div>"
    assert Html.of(inner) is inner


@given(st.text(), st.text(), st.text())
def test_no_text_at_all_leaves_its_place_in_a_table(caption, header, cell):
    html = displays.html_table([header], [[cell], [(cell, header)]], caption=caption)
    page = Page(html)
    page.assert_ours()
    assert page.tags.count("td") == 2
    assert page.tags.count("th") == 1


# -- tables --------------------------------------------------------------------------------------


def test_a_table_of_text_is_aligned_with_numbers_to_the_right():
    text = displays.text_table(["name", "n"], [["a", "1"], ["long name", "1000"]], [False, True])
    assert text.splitlines() == [
        "name          n",
        "─────────  ────",
        "a             1",
        "long name  1000",
    ]


def test_a_table_without_rows_shows_its_columns():
    assert displays.text_table(["a", "bc"], []) == "a  bc\n─  ──"


def test_a_cell_shows_its_whole_value_in_a_tooltip_only_when_it_was_cut():
    page = Page(displays.html_table(["a"], [[("0.12", "0.123456")], [("same", "same")], ["plain"]]))
    assert [value for name, value in page.attributes if name == "title"] == ["0.123456"]


def test_runs_show_the_metrics_that_most_of_them_have_and_the_params_that_differ():
    runs = [
        a_run(
            f"r{i}",
            params={"lr": 0.1 * i, "same": 1, "model": "svm"},
            metrics={"loss": a_metric(0.5), f"m{i}": a_metric(1.0)},
        )
        for i in range(3)
    ]
    columns = displays.RunColumns(runs, metrics=1)
    assert columns.headers == ["status", "run", "loss", "lr", "took", "started"]
    assert len(columns.numeric) == len(columns.headers) == len(columns.cells(runs[0]))
    text = displays.runs_text(runs, "3 runs of ann/p")
    assert text.startswith("3 runs of ann/p\n")
    assert "✓ finished  r2" in text
    assert "1 min 30 s" in text


def test_a_metric_and_a_param_of_one_name_are_told_apart():
    runs = [a_run(f"r{i}", params={"loss": i, "lr": i}, metrics={"loss": a_metric(0.5)}) for i in range(2)]
    assert displays.RunColumns(runs).headers[2:5] == ["loss (metric)", "loss (param)", "lr"]


def test_a_value_that_a_run_lacks_is_absent_and_not_zero():
    runs = [a_run("a", metrics={"loss": a_metric(0.0)}, params={"lr": 0}), a_run("b")]
    a, b = displays.runs_text(runs, "").splitlines()[3:]
    assert a.split()[:4] == ["✓", "finished", "a", "0"]
    assert b.split()[:5] == ["✓", "finished", "b", "–", "–"]


def test_the_tooltip_of_a_metric_tells_all_that_is_known():
    page = Page(displays.runs_html([a_run(metrics={"loss": a_metric(0.123456789, min=0.1, max=math.inf)})], ""))
    assert ("title", "last 0.123456789 at step 2; min 0.1; max inf; 3 points") in page.attributes


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_runs_stay_data_in_tables_and_cards(text):
    run = a_run(
        text, RunStatus.FAILED, error=text, params={text: text}, metrics={text: a_metric(math.nan)}, tags={text: text}
    )
    for html in (displays.runs_html([run, a_run("b")], text), displays.runs_html([], text)):
        page = Page(html)
        page.assert_ours()
        assert displays.plain(text) in page.text
    page = Page(displays.card_html(text, [(text, text)], run=run))
    page.assert_ours()
    assert page.text.count(displays.plain(text)) == 3
    assert displays.card_text(text, [(text, text)]).count(displays.plain(text)) == 3
    for shown in (displays.runs_text([run], text), displays.card_text(text, [(text, text)])):
        assert shown.isprintable() or {c for c in shown if not c.isprintable()} <= {"\n"}


def test_a_card_of_text_is_a_heading_and_aligned_facts():
    assert displays.card_text("ann/p/r", [("id", "7"), ("started", "now")]) == "ann/p/r\n  id       7\n  started  now"
    assert displays.card_text("ann/p/r", []) == "ann/p/r"
