"""Search: what each comparison matches, for every kind of field, on every engine alike."""

from __future__ import annotations

import contextlib

import pytest

from mlfoundry.errors import InvalidFilter, InvalidInput
from mlfoundry.records import RunQuery

ALL = ["svm-1", "svm-2", "cnn", "tree", "bare"]
MATCHES = [
    ("", ALL),
    # metrics: by the last value
    ("metrics.loss < 0.5", ["svm-1", "tree"]),
    ("metrics.loss <= 0.5", ["svm-1", "svm-2", "tree"]),
    ("metrics.loss > 0.1", ["svm-2"]),
    ("metrics.loss >= 0.1", ["svm-1", "svm-2"]),
    ("metrics.loss = 0.1", ["svm-1"]),
    ("metrics.loss == 0.1", ["svm-1"]),
    ("metrics.loss != 0.1", ["svm-2", "cnn", "tree"]),
    ("metrics.loss <> 0.1", ["svm-2", "cnn", "tree"]),
    ("metrics.loss in (0.1, 0.5)", ["svm-1", "svm-2"]),
    ("metrics.loss not in (0.1, 7)", ["svm-2", "cnn", "tree"]),
    ("metrics.loss = nan", ["cnn"]),
    ("metrics.loss != nan", ["svm-1", "svm-2", "tree"]),
    ("metrics.loss in (nan, 0.1)", ["svm-1", "cnn"]),
    ("metrics.loss not in (nan, 0.1)", ["svm-2", "tree"]),
    ("metrics.loss < nan or metrics.loss >= nan", []),
    ("metrics.loss = -inf", ["tree"]),
    ("metrics.loss > -inf", ["svm-1", "svm-2"]),
    ("metrics.loss is null", ["bare"]),
    ("metrics.loss is not null", ["svm-1", "svm-2", "cnn", "tree"]),
    ("not metrics.loss < 0.5", ["svm-2", "cnn", "bare"]),
    ("metrics.unknown < 1 or metrics.unknown >= 1 or metrics.unknown != 1", []),
    ("metrics.unknown is null", ALL),
    # metrics: by the least and the greatest
    ("min(metrics.loss) = 0.1", ["svm-1", "svm-2"]),
    ("max(metrics.loss) > 0.4", ["svm-1", "svm-2"]),
    ("max(acc) = inf", ["tree"]),
    ("min(loss) is null", ["bare"]),
    ("min(loss) = nan", ["cnn"]),
    ("max(loss) < 0", ["tree"]),
    # params: text
    ("params.model = 'svm'", ["svm-1"]),
    ("params.model = svm", ["svm-1"]),
    ("params.model != 'svm'", ["svm-2", "cnn", "tree"]),
    ("params.model < 'a'", ["svm-2", "tree"]),
    ("params.model >= 'svm'", ["svm-1"]),
    ("params.model in ('svm', 'cnn')", ["svm-1", "cnn"]),
    ("params.model not in ('svm', 'cnn')", ["svm-2", "tree"]),
    ("params.model is null", ["bare"]),
    ("params.model is not null", ["svm-1", "svm-2", "cnn", "tree"]),
    ("params.model = 'None'", ["tree"]),
    # params: numbers as numbers, whatever they were logged as
    ("params.C = 1", ["svm-1"]),
    ("params.C = '1'", []),
    ("params.C = '1.0'", ["svm-1"]),
    ("params.C < 10", ["svm-1", "cnn"]),
    ("params.C > 1.5", ["svm-2", "cnn"]),
    ("params.C != 1", ["svm-2", "cnn", "tree"]),
    ("params.C in (1, 2)", ["svm-1", "cnn"]),
    ("params.C not in (1, 2)", ["svm-2", "tree"]),
    ("params.C in (1, 'many', '10')", ["svm-1", "svm-2", "tree"]),
    ("params.C not in (1, 'many')", ["svm-2", "cnn"]),
    ("params.seed = 123456789012345678", ["tree"]),
    ("params.seed = 123456789012345679", []),
    ("params.seed in (1, 123456789012345678)", ["tree"]),
    ("params.seed != 123456789012345678", []),
    ("params.seed > 123456789012345000", ["tree"]),
    ("params.lr = nan", ["tree"]),
    ("params.lr != nan", []),
    ("params.C != nan", ["svm-1", "svm-2", "cnn", "tree"]),
    ("params.flag = true", ["svm-1", "cnn"]),
    ("params.flag = 'False'", ["svm-2"]),
    ("params.flag != true", ["svm-2"]),
    ("params.flag = 1", ["svm-1"]),
    ("params.unknown = 1 or params.unknown != 1 or params.unknown not in (1)", []),
    # like, ilike, contains
    ("params.model like 'sv%'", ["svm-1"]),
    ("params.model like 's_m'", ["svm-1"]),
    ("params.model like 'sv'", []),
    ("params.model ilike 'sv%'", ["svm-1", "svm-2"]),
    ("params.model not like 'sv%'", ["svm-2", "cnn", "tree"]),
    ("params.model not ilike 'sv%'", ["cnn", "tree"]),
    ("params.model contains 'V'", ["svm-1", "svm-2"]),
    ("params.model ~ v", ["svm-1", "svm-2"]),
    ("not params.model ~ v", ["cnn", "tree", "bare"]),
    ("params.path contains '%_'", ["svm-1"]),
    ("params.path contains '_d'", ["svm-1", "svm-2"]),
    ("params.path contains '%'", ["svm-1"]),
    ("params.path like '100%'", ["svm-1", "svm-2"]),
    ("params.path like '100__done'", ["svm-1", "svm-2"]),
    ("params.path like 'C:\\data'", ["cnn"]),
    ("params.path like '%\\%'", ["cnn"]),
    ("params.path like '%\\'", []),
    ("params.path contains '\\'", ["cnn"]),
    ("params.path contains '\\d'", ["cnn"]),
    ("params.path contains ''", ["svm-1", "svm-2", "cnn"]),
    ("params.C like '1%'", ["svm-1", "svm-2"]),
    ("params.C like 1", []),
    ("tags.note ilike 'GRÖSSE%'", []),
    ("tags.note ilike 'GRÖßE%'", ["svm-1"]),
    ("tags.note contains 'RÖß'", ["svm-1"]),
    # tags
    ("tags.stage = prod", ["svm-1", "cnn"]),
    ("tags.stage != prod", ["svm-2", "tree"]),
    ("tags.stage = ''", ["tree"]),
    ("tags.version > 3", ["cnn"]),
    ("tags.version < '2'", ["cnn"]),
    ("tags.stage is null", ["bare"]),
    # attributes
    ("run_name = 'cnn'", ["cnn"]),
    ("name like 'svm-_'", ["svm-1", "svm-2"]),
    ("attributes.run_name in (tree, bare)", ["tree", "bare"]),
    ("status = finished", ["svm-1", "tree"]),
    ("status != 'FINISHED'", ["svm-2", "cnn", "bare"]),
    ("status in (killed, running)", ["cnn", "bare"]),
    ("created_by = ann", ALL),
    ("created_by = Ann", []),
    ("user_id != ann", []),
    ("started_at >= '2026-01-03'", ["cnn", "tree", "bare"]),
    ("started_at < '2026-01-02T00:00:00Z'", ["svm-1"]),
    ("started_at = '2026-01-02 02:00+02:00'", ["svm-2"]),
    ("start_time > 1767312000000", ["cnn", "tree", "bare"]),
    ("started_at in ('2026-01-01', '2026-01-02')", ["svm-1", "svm-2"]),
    ("ended_at is null", ["bare"]),
    ("ended_at is not null", ["svm-1", "svm-2", "cnn", "tree"]),
    ("ended_at < '2026-01-02'", ["svm-1"]),
    ("not ended_at < '2026-01-02'", ["svm-2", "cnn", "tree", "bare"]),
    ("ended_at != '2026-01-01'", ["svm-1", "svm-2", "cnn", "tree"]),
    ("duration > 1m and status != running", ["svm-1", "cnn"]),
    ("duration = 90", ["svm-1"]),
    ("duration = 1.5s", ["svm-2"]),
    ("duration = 1500ms", ["svm-2"]),
    ("duration = 1d", ["cnn"]),
    ("duration in (0, 90s)", ["svm-1", "tree"]),
    ("duration < 1e15", ALL),
    ("duration < 1e305 and duration < inf and duration > -1e300", ALL),
    ("error contains 'no %'", ["svm-2"]),
    ("error = ''", ["svm-1", "cnn", "tree", "bare"]),
    ("description ilike 'THE SVM%'", ["svm-1", "svm-2"]),
    ("notes ~ tree", ["tree"]),
    # bare names
    ("loss < 0.5", ["svm-1", "tree"]),
    ("model = cnn", ["cnn"]),
    ("stage = prod and C < 2", ["svm-1"]),
    # and, or, not, parentheses
    ("loss < 0.5 or model = cnn and stage = prod", ["svm-1", "cnn", "tree"]),
    ("(loss < 0.5 or model = cnn) and stage = prod", ["svm-1", "cnn"]),
    ("not (loss < 0.5 or model = cnn)", ["svm-2", "bare"]),
    ("not not loss < 0.5", ["svm-1", "tree"]),
    ("not loss < 0.5 and not model = cnn", ["svm-2", "bare"]),
]


def test_each_comparison_matches_exactly_what_it_says(found):
    wrong = {text: got for text, wanted in MATCHES if (got := found(text)) != wanted}
    assert wrong == {}


def test_a_run_that_lacks_a_name_matches_no_comparison_with_it(found):
    for operator in ("=", "!=", "<", "<=", ">", ">=", "in", "not in"):
        value = "(1, 2)" if "in" in operator else "1"
        for field in ("metrics.absent", "params.absent", "tags.absent", "min(metrics.absent)"):
            assert found(f"{field} {operator} {value}") == []
            assert found(f"{field} is null") == ALL
            assert found(f"not {field} {operator} {value}") == ALL


def test_a_run_is_searched_by_its_id_or_by_its_beginning(found, backend):
    run = backend.get_run_by_name(None, "iris", "cnn")
    run_id = run.key.run_id
    assert found(f"run_id = '{run_id}'") == found(f"run_id = '{run_id.upper()}'") == ["cnn"]
    assert found(f"run_id like '{run_id[:20]}%'") == found(f"run_id ilike '{run_id[:20].upper()}%'") == ["cnn"]
    assert found(f"run_id != '{run_id}'") == [name for name in ALL if name != "cnn"]
    assert found(f"run_id in ('{run_id}', '{'0' * 32}')") == ["cnn"]
    assert found(f"run_id not in ('{run_id}')") == [name for name in ALL if name != "cnn"]
    for text in ("run_id = 'abc'", "run_id like '%a'", "run_id like '%'", "run_id > 'a'", "run_id ~ 'a'"):
        with pytest.raises(InvalidFilter, match="32 hex digits"):
            found(text)


def test_a_view_chooses_among_active_and_deleted_runs(found, backend):
    backend.delete_run(backend.get_run_by_name(None, "iris", "cnn").key)
    assert found("loss is not null") == ["svm-1", "svm-2", "tree"]
    assert found("loss is not null", view="deleted") == ["cnn"]
    assert found("loss is not null", view="all") == ["svm-1", "svm-2", "cnn", "tree"]
    with pytest.raises(InvalidInput, match=r"view is 'gone' \(str\); give one of active, deleted, all"):
        found("", view="gone")


def test_a_bare_name_that_nobody_logged_is_an_error_with_its_place(found):
    with pytest.raises(InvalidFilter) as caught:
        found("loss < 1 and accurracy > 0.5")
    assert "no run of this project has a metric, param or tag 'accurracy'" in str(caught.value)
    assert str(caught.value).splitlines()[1:] == [
        "  loss < 1 and accurracy > 0.5",
        "               ^^^^^^^^^",
    ]


@pytest.mark.parametrize(
    ("text", "underlined"),
    [
        ("C > 0 and started_at > 'yesterday'", "'yesterday'"),
        ("duration < 1m30s", "1m30s"),
        ("status = 'x' and started_at in ('2026-11-01', 'now')", "('2026-11-01', 'now')"),
        ("loss < 'low'", "'low'"),
        ("run_id = 'abc'", "'abc'"),
        ("started_at ~ '2026'", "started_at"),
    ],
)
def test_a_wrong_value_is_what_the_error_points_at(found, text, underlined):
    with pytest.raises(InvalidFilter) as caught:
        found(text)
    marks = " " * text.index(underlined) + "^" * len(underlined)
    assert str(caught.value).splitlines()[1:] == [f"  {text}", f"  {marks}"]


def test_a_bare_name_that_is_several_things_is_an_error_that_says_how_to_write_it(found, make_run, pen):
    pen(make_run("more")).params(loss=("int", "1"), status=("str", "x")).send()
    with pytest.raises(InvalidFilter) as caught:
        found("C < 3 or loss < 1")
    assert "'loss' is several things here: write metrics.loss or params.loss" in str(caught.value)
    assert str(caught.value).splitlines()[1:] == ["  C < 3 or loss < 1", "           ^^^^"]
    with pytest.raises(InvalidFilter, match=r"write params\.status or attributes\.status"):
        found("status = x")
    assert found("min(loss) = 0.1") == ["svm-1", "svm-2"], "a function takes metrics alone"
    with pytest.raises(InvalidFilter, match=r"metrics\.loss or params\.loss"):
        found("", "loss")


LIKE_SQL = [
    "'; DROP TABLE run; --", "loss < 1; DELETE FROM run", "params.model = 'x' OR 1=1 --'", "1 = 1", "loss < 1)", "(((",
    "params.`a' OR '1'='1` = 1", "model = '' or ''=''", "loss < 0.5 union select 1", "loss ? 1", "%s %d {0} :name $1",
    "tags.`\"; DROP TABLE run; --` = 1", "model like '%' escape '!'", "\\", "loss < @x", "/* */ loss < 1", "loss -- x",
]  # fmt: skip


@pytest.mark.parametrize("text", LIKE_SQL)
def test_text_that_looks_like_sql_is_an_error_of_the_filter_or_matches_nothing(found, text):
    with contextlib.suppress(InvalidFilter):
        assert found(text) == []
    assert found("") == ALL


@pytest.mark.parametrize(
    "value", ["'; DROP TABLE run; --", "x' OR '1'='1", "%", "_", "\\", "?", "$1", ":x", '"', "`", "🎉", "''"]
)
def test_hostile_values_are_values(found, make_run, pen, value):
    make_run("hostile", tags={value: value})
    quoted, name = "'" + value.replace("'", "''") + "'", "`" + value.replace("`", "``") + "`"
    for text in (f"tags.{name} = {quoted}", f"tags.{name} contains {quoted}", f"tags.{name} in ({quoted}, 'x')"):
        assert found(text) == ["hostile"]
    assert found(f"tags.{name} != {quoted} or params.{name} = {quoted}") == []
    assert found("", f"tags.{name}")[0] == "hostile"


def test_a_long_filter_and_a_long_list_are_answered(found):
    assert found(" or ".join(["loss < 0.5"] * 200)) == ["svm-1", "tree"]
    assert found(f"params.model in ({', '.join(['svm'] * 1000)})") == ["svm-1"]
    assert found("not " * 50 + "loss < 0.5") == ["svm-1", "tree"]
    assert found(f"params.model = '{'x' * 9000}'") == []


def test_only_the_values_that_were_asked_for_come(found, backend):
    project_id = backend.get_project(None, "iris").project_id
    (run,) = backend.search_runs(
        RunQuery(project_id, "name = 'svm-1'", params=("C", "absent"), metrics=("acc",), tags=())
    ).runs
    assert (dict(run.params), list(run.metrics), dict(run.tags)) == ({"C": 1.0}, ["acc"], {})
    (run,) = backend.search_runs(RunQuery(project_id, "name = 'svm-1'", params=(), metrics=(), tags=None)).runs
    assert (dict(run.params), dict(run.metrics), run.tags["stage"]) == ({}, {}, "prod")
    (run,) = backend.search_runs(RunQuery(project_id, "name = 'svm-1'")).runs
    assert run == backend.get_run(run.key.run_id)


@pytest.mark.parametrize(
    "text", ["loss < abc", "loss = 'x'", "loss in (0.1, 'x')", "metrics.loss < abc", "acc >= '0.5x'", "min(loss) < x"]
)
def test_a_metric_is_compared_with_numbers_also_under_its_bare_name(found, text):
    with pytest.raises(InvalidFilter, match="metrics are compared with numbers") as caught:
        found(text)
    assert "\n  " in str(caught.value), "it points at the place"


@pytest.mark.parametrize("field", ["loss", "metrics.loss", "started_at", "attributes.ended_at", "duration"])
def test_what_is_no_text_is_not_searched_as_text(found, field):
    for operator in ("like", "ilike", "contains", "~", "not like", "not ilike"):
        with pytest.raises(InvalidFilter, match="is no text") as caught:
            found(f"{field} {operator} '1%'")
        assert "\n  " in str(caught.value), "it points at the place"


def test_a_metric_in_quotes_is_compared_as_the_number_that_it_is(found):
    assert found("metrics.loss < '0.5'") == found("loss < '0.5'") == ["svm-1", "tree"]


def test_a_bare_attribute_is_compared_as_the_attribute_that_it_is(found):
    for text in ("started_at > yesterday", "duration < long", "ended_at in ('2026-01-01', 'x')"):
        with pytest.raises(InvalidFilter, match="is none"):
            found(text)
