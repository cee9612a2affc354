"""The filter language: what is understood, what is refused, and with which words."""

from __future__ import annotations

import math
import sys
import time
import unicodedata
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlfoundry.errors import InvalidFilter
from mlfoundry.query.parser import parse_filter, parse_order
from mlfoundry.query.tokens import MAX_TEXT
from mlfoundry.query.tree import (
    AGGREGATES,
    ALIASES,
    ATTRIBUTES,
    TEXT_OPERATORS,
    And,
    Comparison,
    Field,
    Node,
    Not,
    Or,
    OrderTerm,
    attribute_value,
    find_attribute,
    format_filter,
)


def compare(kind: str | None, name: str, operator: str, value: object, aggregate: str = "last") -> Comparison:
    return Comparison(Field(kind, name, aggregate), operator, value)  # type: ignore[arg-type]


def shape(node: Node | None) -> object:
    """Return a tree as tuples, which find one NaN equal to itself; since Python 3.13 dataclasses do not."""
    match node:
        case And(parts) | Or(parts):
            return (type(node), *(shape(part) for part in parts))
        case Not(part):
            return (Not, shape(part))
        case Comparison(field, operator, value):
            return (field, operator, value)
    return None


A, B, C = (compare(None, name, "=", 1) for name in "abc")

UNDERSTOOD: list[tuple[str, Node | None]] = [
    ("", None),
    (" \t\n\u00a0 ", None),
    # kinds of fields
    ("metrics.loss < 0.1", compare("metrics", "loss", "<", 0.1)),
    ("metric.loss < 0.1", compare("metrics", "loss", "<", 0.1)),
    ("Metrics.loss < 0.1", compare("metrics", "loss", "<", 0.1)),
    ("params.model = 'svm'", compare("params", "model", "=", "svm")),
    ("param.model='svm'", compare("params", "model", "=", "svm")),
    ("parameters.model = 'svm'", compare("params", "model", "=", "svm")),
    ("tag.stage = prod", compare("tags", "stage", "=", "prod")),
    ("attributes.status = 'FAILED'", compare("attributes", "status", "=", "FAILED")),
    ("attr.status = failed", compare("attributes", "status", "=", "failed")),
    ("run.name = x", compare("attributes", "run_name", "=", "x")),
    ("attribute.user_id = ann", compare("attributes", "created_by", "=", "ann")),
    ("attributes.START_TIME > 1663889475000", compare("attributes", "started_at", ">", 1663889475000)),
    # names
    ("params.optimizer.lr = 3", compare("params", "optimizer.lr", "=", 3)),
    ("metrics.val/loss < 1", compare("metrics", "val/loss", "<", 1)),
    ("metrics.system/gpu.0/util > 9", compare("metrics", "system/gpu.0/util", ">", 9)),
    ("metrics.cross-entropy<-1", compare("metrics", "cross-entropy", "<", -1)),
    ("metrics.`val loss` < 1", compare("metrics", "val loss", "<", 1)),
    ('params."my key" = x', compare("params", "my key", "=", "x")),
    ("tags.`a``b` = x", compare("tags", "a`b", "=", "x")),
    ('tags."say ""hi""" = x', compare("tags", 'say "hi"', "=", "x")),
    ("`metrics.loss` = 1", compare(None, "metrics.loss", "=", 1)),
    ('"my key" = 1', compare(None, "my key", "=", 1)),
    ("`and` = 1", compare(None, "and", "=", 1)),
    ("`0` = 1", compare(None, "0", "=", 1)),
    ("optimizer.lr < 0.01", compare(None, "optimizer.lr", "<", 0.01)),
    ("1st_layer = 1", compare(None, "1st_layer", "=", 1)),
    ("größe > 3", compare(None, "größe", ">", 3)),
    ("gro\u0308\u00dfe > 3", compare(None, "größe", ">", 3)),
    ("損失 < 1", compare(None, "損失", "<", 1)),
    ("min = 3", compare(None, "min", "=", 3)),
    # aggregates
    ("min(metrics.loss) < 0.1", compare("metrics", "loss", "<", 0.1, "min")),
    ("MAX( metric.`val acc` ) > 0.9", compare("metrics", "val acc", ">", 0.9, "max")),
    ("max(acc) > 0.9", compare("metrics", "acc", ">", 0.9, "max")),
    ("last(loss) < 1", compare("metrics", "loss", "<", 1)),
    # operators
    ("a == 1", A),
    ("a<>1", compare(None, "a", "!=", 1)),
    ("a<=1", compare(None, "a", "<=", 1)),
    ("a>=-1", compare(None, "a", ">=", -1)),
    ("a LIKE 'x%'", compare(None, "a", "LIKE", "x%")),
    ("a not like x", compare(None, "a", "NOT LIKE", "x")),
    ("a ilike x", compare(None, "a", "ILIKE", "x")),
    ("a Not ILike x", compare(None, "a", "NOT ILIKE", "x")),
    ("a ~ svm", compare(None, "a", "CONTAINS", "svm")),
    ("a contains 10", compare(None, "a", "CONTAINS", "10")),
    ("a in (1, 'x', y)", compare(None, "a", "IN", (1, "x", "y"))),
    ("a NOT IN (1)", compare(None, "a", "NOT IN", (1,))),
    ("a is null", compare(None, "a", "IS NULL", None)),
    ("a IS NOT NULL", compare(None, "a", "IS NOT NULL", None)),
    # values
    ("a = it's".replace("it's", "'it''s'"), compare(None, "a", "=", "it's")),
    ('a = "it\'s"', compare(None, "a", "=", "it's")),
    ("a = ''", compare(None, "a", "=", "")),
    (r"a = 'C:\new\'", compare(None, "a", "=", "C:\\new\\")),
    ("a = 'line\nbreak'", compare(None, "a", "=", "line\nbreak")),
    ("a = resnet-50/v2", compare(None, "a", "=", "resnet-50/v2")),
    ("a = 1_000", compare(None, "a", "=", "1_000")),
    ("a = 007", compare(None, "a", "=", "007")),
    ("a = 12345678901234567890", compare(None, "a", "=", "12345678901234567890")),
    ("a = 1e999", compare(None, "a", "=", "1e999")),
    ("a = '1'", compare(None, "a", "=", "1")),
    ("a = .5", compare(None, "a", "=", 0.5)),
    ("a = 5.", compare(None, "a", "=", 5.0)),
    ("a = +1e-3", compare(None, "a", "=", 0.001)),
    ("a = 1e3", compare(None, "a", "=", 1000.0)),
    ("a < inf", compare(None, "a", "<", math.inf)),
    ("a > -inf", compare(None, "a", ">", -math.inf)),
    ("a = NaN", compare(None, "a", "=", math.nan)),
    ("metrics.loss < '0.5'", compare("metrics", "loss", "<", 0.5)),
    ("metrics.loss < 007", compare("metrics", "loss", "<", 7.0)),
    ("run.run_id = 123", compare("attributes", "run_id", "=", "123")),
    ("run.duration > 5m", compare("attributes", "duration", ">", "5m")),
    ("run.started_at > 2026-11-01", compare("attributes", "started_at", ">", "2026-11-01")),
    # precedence
    ("a=1 and b=1", And((A, B))),
    ("a=1 AND b=1 And c=1", And((A, B, C))),
    ("a=1 or b=1 and c=1", Or((A, And((B, C))))),
    ("a=1 and b=1 or c=1", Or((And((A, B)), C))),
    ("(a=1 or b=1) and c=1", And((Or((A, B)), C))),
    ("(a=1 and b=1) and c=1", And((And((A, B)), C))),
    ("not a=1 and b=1", And((Not(A), B))),
    ("not (a=1 and b=1)", Not(And((A, B)))),
    ("not not a=1", Not(Not(A))),
    ("((a=1))", A),
    ("NOT(a=1)or(b=1)", Or((Not(A), B))),
    ("model = svm and lr < 0.01", And((compare(None, "model", "=", "svm"), compare(None, "lr", "<", 0.01)))),
]


@pytest.mark.parametrize(("text", "tree"), UNDERSTOOD)
def test_a_filter_becomes_this_tree(text: str, tree: Node | None) -> None:
    assert shape(parse_filter(text)) == shape(tree)


@pytest.mark.parametrize(("text", "tree"), [pair for pair in UNDERSTOOD if pair[1] is not None])
def test_the_canonical_text_of_a_tree_parses_to_the_same_tree(text: str, tree: Node) -> None:
    assert shape(parse_filter(format_filter(tree))) == shape(tree)


def test_the_type_of_a_number_is_kept() -> None:
    tree = parse_filter("a in (1, 1.0, 1e0)")
    assert isinstance(tree, Comparison)
    assert isinstance(tree.value, tuple)
    assert [type(value) for value in tree.value] == [int, float, float]


def test_a_comparison_knows_where_its_field_stands() -> None:
    tree = parse_filter("a = 1 and min(metrics.`b c`) > 2")
    assert isinstance(tree, And)
    comparisons = [part for part in tree.parts if isinstance(part, Comparison)]
    assert [(part.position, part.length) for part in comparisons] == [(0, 1), (10, 18)]


def test_nodes_are_frozen_and_hashable() -> None:
    assert len({parse_filter("a = 1"), parse_filter(" a = 1"), parse_filter("a in (1)")}) == 2
    with pytest.raises(AttributeError):
        A.operator = "!="  # type: ignore[misc]


# Text, the part that is underlined, and words of the message.
REFUSED: list[tuple[str, str, str]] = [
    ("loss", "loss", "the text ends after 'loss'. Compare it with something"),
    ("loss <", "<", "the text ends after '<', where a value belongs"),
    ("loss < 0.1 and", "and", "the text ends after 'and'. A comparison begins with a name"),
    ("loss < 0.1 or ", "or", "the text ends after 'or'"),
    ("not", "not", "the text ends after 'not'"),
    ("and loss < 1", "and", "'and' stands where a name belongs"),
    ("a = 1 or or b = 2", "or", "quote it with backticks"),
    ("loss =< 1", "=<", "Write <=."),
    ("loss => 1", "=>", "Write >=."),
    ("loss =! 1", "=!", "Write !=."),
    ("loss === 1", "===", "Write =."),
    ("loss ! 1", "!", "Write !=."),
    ("model =~ svm", "=~", "Write ~."),
    ("loss < = 1", "=", "a value belongs after '<', and '=' is an operator. Write <=."),
    ("a = b = c", "=", "the comparison ends before '='"),
    ("0 < loss < 1", "0", "'0' is a number where a name belongs. Write the name first"),
    ("'svm' = model", "'svm'", "'svm' is a text where a name belongs"),
    ("= 3", "=", "'=' stands where a name belongs"),
    ("* = 1", "*", "is no name"),
    ("model = 'svm", "'svm", "this ' is never closed"),
    ('model = "svm', '"svm', 'this " is never closed'),
    ("metrics.`val loss > 1", "`val loss > 1", "this ` is never closed"),
    ("model = '''", "'''", "this ' is never closed"),
    ("model = logistic regression", "regression", "Quote a value of several words: 'logistic regression'"),
    ("loss < 0.1 accuracy > 0.9", "accuracy", "and / or is missing before 'accuracy'"),
    ("a = 1 && b = 2", "&&", "write and"),
    ("a = 1 || b = 2", "||", "write or"),
    ("a = 1, b = 2", ",", "a comma joins no comparisons; write and"),
    ("!(a = 1)", "!", "write not"),
    ("(a = 1", "(", "this ( is never closed"),
    ("a = 1)", ")", "this ) closes nothing"),
    ("()", ")", "')' stands where a name belongs"),
    ("a in svm", "svm", "in takes a list in parentheses"),
    ("a in", "in", "in takes a list in parentheses"),
    ("a in ()", ")", "this list is empty"),
    ("a in (1,)", ")", "this list ends with a comma"),
    ("a in (1,", ",", "where a value belongs"),
    ("a in (1", "(", "this list is never closed"),
    ("a in (1 2)", "2", "a comma or ) is missing before '2'"),
    ("a in [1]", "[", "Write lists in parentheses"),
    ("a = (1)", "(", "Lists follow in"),
    ("a = null", "null", "write is null"),
    ("a = not", "not", "If it is the value, quote it: 'not'"),
    ("a = `b`", "`b`", "write 'b' for a text"),
    ("a is 5", "5", "after is comes null or not null"),
    ("a is not", "not", "after is comes null or not null"),
    ("a not = 5", "not", "after this not comes like, ilike or in"),
    ("a between 1 and 2", "between", "Write NAME >= 1 and NAME <= 2"),
    ("a liek 'x'", "liek", "Write like."),
    ("val loss < 3", "loss", "metrics.`val loss`"),
    ("loss 0.1", "0.1", "an operator belongs after 'loss', and '0.1' is none"),
    ("metrics. < 3", "metrics.", "needs a name"),
    ("metrics.`` < 3", "metrics.", "needs a name"),
    ("` ` = 3", "` `", "needs a name"),
    ("metrics.'a' < 3", "'a'", "quote the whole name with backticks"),
    ("metrics.a`b` < 3", "`b`", "quote the whole name with backticks"),
    ("attributes.stats = 'x'", "attributes.stats", "Did you mean status? There are run_id, run_name, status"),
    ("run.seed = 3", "run.seed", "runs have no attribute 'seed'"),
    ("metrics.loss < low", "low", "metrics are compared with numbers, and 'low' is none"),
    ("metrics.loss in (1, b)", "b", "metrics are compared with numbers"),
    ("metrics.loss < 1e999", "1e999", "metrics are compared with numbers"),
    ("metrics.loss like 'a'", "like", "'like' searches in texts, and loss is no text"),
    ("min(loss) ~ a", "~", "searches in texts"),
    ("run.ended_at contains 2026", "contains", "searches in texts"),
    ("run.started_at > yesterday", "yesterday", "Write '2026-11-01'"),
    ("run.started_at > 2026", "2026", "milliseconds since 1970"),
    ("run.duration > long", "long", "90s, 5m, 2h, 1d"),
    ("avg(loss) < 3", "avg", "Metrics have last, min, max"),
    ("min(params.x) < 3", "params.x", "min() takes a metric"),
    ("min(max(x)) < 3", "max", "no other function"),
    ("min(loss < 3", "<", "a ) is missing here: min(metrics.loss)"),
    ("a = 1; drop table run", ";", "One filter is one expression"),
    ("a = “svm”", "“", "typographic quote; write a straight '"),
    ("a\u202e = 1", "\u202e", "the invisible U+202E"),
    ("a = 'x\0y'", "\0", "U+0000, which is no text"),
    ("a ? 1", "?", "'?' means nothing here"),
    ("`; drop` = `x`", "`x`", "backticks are for names"),
]


@pytest.mark.parametrize(("text", "underlined", "message"), REFUSED)
def test_a_bad_filter_is_refused_with_the_place_and_the_remedy(text: str, underlined: str, message: str) -> None:
    with pytest.raises(InvalidFilter) as caught:
        parse_filter(text)
    error = caught.value
    assert error.text == text
    assert text[error.position : error.position + error.length] == underlined
    assert message in error.args[0]


def test_of_two_equal_words_the_wrong_one_is_underlined() -> None:
    with pytest.raises(InvalidFilter) as caught:
        parse_filter("a = 1 or or b = 2")
    assert caught.value.position == 9


def test_a_message_shows_the_filter_with_the_word_underlined() -> None:
    with pytest.raises(InvalidFilter) as caught:
        parse_filter("loss =< 1")
    assert str(caught.value).splitlines()[1:] == ["  loss =< 1", "       ^^"]


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(InvalidFilter, match=r"U\+D800") as caught:
        parse_filter("a = '\ud800'")
    str(caught.value).encode()


@pytest.mark.parametrize("value", [None, 5, b"a = 1", ["a = 1"]])
def test_a_filter_that_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(InvalidFilter, match="must be a text"):
        parse_filter(value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("a" * 10_001, "at most 10,000"),
        ("x" * 2**20, "at most 10,000"),
        ("(" * 10**5, "at most 10,000"),
        ("(" * 9_000, "at most 50 levels"),
        ("not " * 2_000, "at most 50 levels"),
        ("not(" * 2_000, "at most 50 levels"),
        (" or ".join(["a=1"] * 201), "200 are allowed"),
        (f"a in ({','.join(['1'] * 1_001)})", "more than 1,000 values"),
    ],
)
def test_hostile_sizes_meet_a_limit_that_the_message_names(text: str, limit: str) -> None:
    begin = time.perf_counter()
    with pytest.raises(InvalidFilter, match=limit):
        parse_filter(text)
    assert time.perf_counter() - begin < 1


def test_sizes_at_the_limit_are_understood() -> None:
    assert parse_filter("(" * 50 + "a=1" + ")" * 50) == A
    assert parse_filter(" or ".join(["a=1"] * 200)) == Or((A,) * 200)
    assert parse_filter(f"a in ({','.join(['1'] * 1_000)})") == compare(None, "a", "IN", (1,) * 1_000)
    assert parse_filter("a = 1".ljust(10_000)) == A
    assert parse_filter("(a = 1) and " * 150 + "(a = 1)") == And((A,) * 151)  # depth is not a count


def test_the_deepest_filter_needs_few_frames_of_a_nearly_full_stack() -> None:
    frame, depth = sys._getframe(), 0
    while frame.f_back is not None:
        frame, depth = frame.f_back, depth + 1
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(depth + 320)
    try:
        assert parse_filter("(" * 50 + "a=1" + ")" * 50) == A
    finally:
        sys.setrecursionlimit(limit)


@pytest.mark.parametrize(
    "unit",
    ["'", "''", '"', "`", "=", "<", "a.", "a=1 ", "-", "1e", "0", "((", "not ", "a=1 and ", "\u202e", "é"],
)
def test_time_is_bounded_for_repetitions_of_anything(unit: str) -> None:
    text = (unit * 10_000)[:10_000]
    begin = time.thread_time()
    for candidate in (text, f"a = {text}"[:10_000], f"a = 1 {text}"[:10_000]):
        try_to_parse(candidate)
    assert time.thread_time() - begin < 1


def try_to_parse(text: str) -> None:
    """Check what holds of every text: a tree, or an InvalidFilter that points into the text."""
    try:
        tree = parse_filter(text)
    except InvalidFilter as caught:
        points_into_the_text(caught, text)
    else:
        canonical = "" if tree is None else format_filter(tree)
        assert len(canonical) > MAX_TEXT or shape(parse_filter(canonical)) == shape(tree)


def points_into_the_text(error: InvalidFilter, text: str) -> None:
    assert error.text in ("", text, text.encode("utf-8", "replace").decode())
    assert 0 <= error.position <= len(text)
    assert error.length >= 1
    assert error.args[0]


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_text_is_a_tree_or_an_invalid_filter(text: str) -> None:
    try_to_parse(text)


PIECES = [
    "metrics.loss",
    "params.`a",
    "tags.x",
    "min(loss)",
    "run.status",
    "run.started_at",
    "lr",
    "and",
    "or",
    "not",
    "in",
    "is",
    "null",
    "=",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "~",
    "like",
    "ilike",
    "contains",
    "(",
    ")",
    ",",
    "'",
    '"',
    "`",
    "-",
    ".",
    "0.1",
    "1e-3",
    "inf",
    "nan",
    "'svm'",
    "svm",
    "'2026-11-01'",
    "&&",
    "é",
    "\u202e",
]


@given(st.lists(st.sampled_from(PIECES), max_size=14), st.sampled_from(["", " "]))
@settings(max_examples=300, deadline=None)
def test_any_row_of_words_is_a_tree_or_an_invalid_filter(pieces: list[str], glue: str) -> None:
    try_to_parse(glue.join(pieces))


@given(st.sampled_from([text for text, _ in UNDERSTOOD]), st.data())
@settings(max_examples=200, deadline=None)
def test_a_good_filter_with_a_slip_is_a_tree_or_an_invalid_filter(text: str, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(text)))
    removed = data.draw(st.integers(0, 3))
    try_to_parse(text[:position] + data.draw(st.text(max_size=3)) + text[position + removed :])


TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
NAMES = TEXTS.filter(str.strip).map(lambda name: unicodedata.normalize("NFC", name))
WORDS = NAMES | st.sampled_from(["and", "metrics.loss", "run.x", "min", "inf", "1e5", "a.b", "a.", "null", "-x"])
NUMBERS = st.integers(-(10**17), 10**17) | st.floats(allow_nan=False) | st.just(math.nan)
FIELDS = st.builds(Field, st.sampled_from([None, "params", "tags"]), WORDS) | st.builds(
    Field, st.just("metrics"), WORDS, st.sampled_from(AGGREGATES)
)


@st.composite
def comparisons(draw: st.DrawFn) -> Comparison:
    field = draw(FIELDS)
    values = NUMBERS if field.kind == "metrics" else NUMBERS | TEXTS
    plain = st.tuples(st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), values)
    lists = st.tuples(st.sampled_from(["IN", "NOT IN"]), st.lists(values, min_size=1, max_size=3).map(tuple))
    nulls = st.tuples(st.sampled_from(["IS NULL", "IS NOT NULL"]), st.none())
    texts = st.tuples(st.sampled_from(sorted(TEXT_OPERATORS)), TEXTS)
    operator, value = draw(plain | lists | nulls if field.kind == "metrics" else plain | lists | nulls | texts)
    return Comparison(field, operator, value)


def joined(nodes: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    parts = st.lists(nodes, min_size=2, max_size=3).map(tuple)
    return st.builds(And, parts) | st.builds(Or, parts) | st.builds(Not, nodes)


@given(st.recursive(comparisons(), joined, max_leaves=8))
@settings(max_examples=200, deadline=None)
def test_every_tree_survives_its_canonical_text(tree: Node) -> None:
    assert shape(parse_filter(format_filter(tree))) == shape(tree)


def term(kind: str | None, name: str, descending: bool, aggregate: str = "last") -> OrderTerm:
    return OrderTerm(Field(kind, name, aggregate), descending)


@pytest.mark.parametrize(
    ("order", "terms"),
    [
        ("", ()),
        ([], ()),
        ("metrics.loss", (term("metrics", "loss", False),)),
        (
            "metrics.loss ASC, started_at DESC",
            (term("metrics", "loss", False), term(None, "started_at", True)),
        ),
        (["attribute.start_time DESC"], (term("attributes", "started_at", True),)),
        (("-metrics.loss", "a ascending"), (term("metrics", "loss", True), term(None, "a", False))),
        ("-`val loss`, -metrics.`b c`", (term(None, "val loss", True), term("metrics", "b c", True))),
        ("- a", (term(None, "a", True),)),
        (
            "min(metrics.loss), -max(acc)",
            (term("metrics", "loss", False, "min"), term("metrics", "acc", True, "max")),
        ),
    ],
)
def test_an_order_becomes_these_terms(order: str | list[str], terms: tuple[OrderTerm, ...]) -> None:
    assert parse_order(order) == terms


@pytest.mark.parametrize(
    ("order", "underlined", "message"),
    [
        ("loss up", "up", "an order has asc, desc or a comma"),
        ("loss desc asc", "asc", "an order has asc, desc or a comma"),
        ("-loss desc", "desc", "write one of them"),
        ("loss,", ",", "An order begins with a name"),
        (",", ",", "An order begins with a name"),
        ("--x", "-x", "is no name"),
        ("run.strted_at", "run.strted_at", "Did you mean started_at?"),
        (["a", "b <"], "<", "an order has asc, desc or a comma"),
        ("-", "", "the text ends after '-'"),
    ],
)
def test_a_bad_order_is_refused_with_the_place_and_the_remedy(
    order: str | list[str], underlined: str, message: str
) -> None:
    with pytest.raises(InvalidFilter) as caught:
        parse_order(order)
    error = caught.value
    assert error.text[error.position : error.position + error.length] == underlined
    assert message in error.args[0]


def test_an_endless_order_is_refused() -> None:
    with pytest.raises(InvalidFilter, match="at most 200"):
        parse_order(["a"] * 201)


@pytest.mark.parametrize(
    ("name", "literal", "value"),
    [
        ("started_at", "2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("created", "2026-11-01 14:30", datetime(2026, 11, 1, 14, 30, tzinfo=UTC)),
        ("end_time", "2026-11-01T14:30:00+02:00", datetime(2026, 11, 1, 12, 30, tzinfo=UTC)),
        ("ended_at", "2026-11-01T14:30:00Z", datetime(2026, 11, 1, 14, 30, tzinfo=UTC)),
        ("start_time", 1793491200000, datetime(2026, 11, 1, tzinfo=UTC)),
        ("start_time", 1793491200000.5, datetime(2026, 11, 1, 0, 0, 0, 500, tzinfo=UTC)),
        ("start_time", 0, datetime(1970, 1, 1, tzinfo=UTC)),
        ("duration", 90, 90.0),
        ("duration", "90", 90.0),
        ("duration", "500ms", 0.5),
        ("duration", "90s", 90.0),
        ("duration", "1.5M", 90.0),
        ("duration", "2h", 7200.0),
        ("duration", "1d", 86400.0),
        ("status", "failed", "FAILED"),
        ("name", "gro\u0308\u00dfe", "größe"),
        ("run_id", 123, "123"),
    ],
)
def test_a_literal_becomes_what_the_attribute_is_compared_with(name: str, literal: object, value: object) -> None:
    found = attribute_value(name, literal)  # type: ignore[arg-type]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "literal"),
    [
        ("started_at", "2h"),
        ("started_at", "2026-13-01"),
        ("started_at", "0001-01-01T00:00+14:00"),
        ("started_at", 2026),
        ("started_at", -1),
        ("started_at", 1793491200),
        ("started_at", 10**300),
        ("started_at", 1e300),
        ("started_at", math.inf),
        ("started_at", math.nan),
        ("duration", ""),
        ("duration", "5 minutes"),
        ("duration", "m"),
        ("duration", math.nan),
        ("colour", "red"),
    ],
)
def test_a_literal_that_the_attribute_cannot_have_is_refused(name: str, literal: object) -> None:
    with pytest.raises(InvalidFilter, match=r"Write|There are"):
        attribute_value(name, literal)  # type: ignore[arg-type]


def test_an_attribute_is_found_by_its_aliases() -> None:
    assert find_attribute("Name") == "run_name"
    assert find_attribute("loss") is None
    assert set(ALIASES.values()) <= set(ATTRIBUTES)
