"""What a metric, param, tag or time may be: tables of good and bad input, and the messages of the bad ones."""

import argparse
import dataclasses
import enum
import math
import struct
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePosixPath

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlfoundry import values
from mlfoundry.errors import InvalidName, InvalidValue


class Tensor:
    """As torch's: `size` is a method, a gradient forbids __array__, `item` gives the number."""

    def __init__(self, number, shape=(), dtype="torch.float32"):
        self._number, self.shape, self.dtype, self.requires_grad = number, shape, dtype, True

    def __repr__(self):
        return f"Tensor({self._number!r}, {self.dtype})"

    def size(self):
        return self.shape

    def item(self):
        return self._number

    def __array__(self):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")

    def __float__(self):
        return float(self._number)

    def __index__(self):
        return int(self._number)


class Broken:
    """An object of a stranger, all of whose methods fail."""

    def __float__(self):
        raise RuntimeError("no graph")

    def __str__(self):
        raise RuntimeError("no text")

    __repr__ = __str__


def bits(value):
    return struct.pack("<d", value)


# -- metrics -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_value", "kept"),
    [
        (0.1, 0.1),
        (3, 3.0),
        (True, 1.0),
        (False, 0.0),
        (2**53 + 1, float(2**53)),
        (-0.0, -0.0),
        (math.nan, math.nan),
        (math.inf, math.inf),
        (-math.inf, -math.inf),
        (5e-324, 5e-324),
        (1.7976931348623157e308, 1.7976931348623157e308),
        (Decimal("0.1"), 0.1),
        (Decimal("NaN"), math.nan),
        (Decimal("-Infinity"), -math.inf),
        (Fraction(1, 4), 0.25),
        (np.float64(0.1), 0.1),
        (np.float32(0.5), 0.5),
        (np.float16(1.5), 1.5),
        (np.int8(-3), -3.0),
        (np.uint64(2**63), float(2**63)),
        (np.bool_(True), 1.0),
        (np.array(2.5), 2.5),
        (np.array([2.5]), 2.5),
        (np.array([[[7]]]), 7.0),
        (pd.Series([1.5]).iloc[0], 1.5),
        (Tensor(0.25), 0.25),
        (Tensor(4, shape=(1, 1), dtype="torch.int64"), 4.0),
    ],
    ids=repr,
)
def test_any_real_number_is_kept_as_its_float64(given_value, kept):
    number = values.number("loss", given_value)
    assert type(number) is float
    assert bits(number) == bits(kept)


@given(st.floats())
def test_every_float_is_kept_bit_for_bit(value):
    assert bits(values.number("loss", value)) == bits(value)
    assert bits(values.number("loss", np.float64(value))) == bits(value)


KINDS = "an int, float, bool, Decimal, numpy number or "
ALLOWED = f"it is no number. Allowed is {KINDS}"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("0.5", f"metric 'loss' got '0.5' (str): {ALLOWED}"),
        (b"1", f"metric 'loss' got b'1' (bytes): {ALLOWED}"),
        (None, f"metric 'loss' got None (NoneType): {ALLOWED}"),
        ([0.5], f"metric 'loss' got [0.5] (list): {ALLOWED}"),
        ({}, f"metric 'loss' got {{}} (dict): {ALLOWED}"),
        (1j, f"metric 'loss' got 1j (complex): {ALLOWED}"),
        (np.complex64(1), f"metric 'loss' got np.complex64(1+0j) (complex64): {ALLOWED}"),
        (np.datetime64("2026"), f"metric 'loss' got np.datetime64('2026') (datetime64): {ALLOWED}"),
        (np.timedelta64(3, "s"), f"metric 'loss' got np.timedelta64(3,'s') (timedelta64): {ALLOWED}"),
        (pd.NA, f"metric 'loss' got <NA> (NAType): {ALLOWED}"),
        (pd.NaT, f"metric 'loss' got NaT (NaTType): {ALLOWED}"),
        (pd.Timedelta("1s"), f"metric 'loss' got Timedelta('0 days 00:00:01') (Timedelta): {ALLOWED}"),
        (
            np.zeros((2, 3)),
            f"metric 'loss' got an array of 6 elements; allowed is {KINDS}",
        ),
        (np.array([]), "metric 'loss' got an array of 0 elements"),
        (Tensor(0.0, shape=(2, 2)), "metric 'loss' got an array of 4 elements"),
        (10**400, "metric 'loss' got a number that no float64 can hold (int too large to convert to float)"),
        (10**5000, "metric 'loss' got a number that no float64 can hold"),
        (
            Decimal("sNaN"),
            "metric 'loss' got Decimal('sNaN') (Decimal): cannot convert signaling NaN to float. Allowed is",
        ),
        (Broken(), "metric 'loss' got <no repr: RuntimeError> (Broken): no graph. Allowed is"),
        ("x" * 1000, "metric 'loss' got '" + "x" * 78 + "… (str): it is no number. Allowed"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else type(value).__name__,
)
def test_what_is_no_real_number_is_refused_with_its_value_and_what_is_allowed(wrong, message):
    with pytest.raises(InvalidValue) as caught:
        values.number("loss", wrong)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "text",
    [np.array(["3.5"]), np.array([b"1"]), np.array(["1"], dtype=object), np.void(b"1"), np.array(None)],
    ids=repr,
)
def test_text_in_an_array_is_as_little_a_number_as_text(text):
    with pytest.raises(InvalidValue, match="metric 'loss' got"):
        values.number("loss", text)


def test_a_masked_value_of_numpy_is_missing_and_not_zero():
    with pytest.raises(InvalidValue, match="metric 'loss' got masked"):
        values.number("loss", np.ma.masked)


@pytest.mark.parametrize("huge", [Decimal("1e400"), Fraction(10**400), np.longdouble("1e4000")], ids=repr)
def test_a_number_beyond_float64_is_refused_and_not_made_infinite(huge):
    with pytest.raises(InvalidValue, match="no float64 can hold"):
        values.number("loss", huge)


def test_recognising_numbers_imports_no_package():
    code = "import sys, decimal\nfrom mlfoundry import values\n"
    code += "values.number('a', 1)\nvalues.number('a', decimal.Decimal(1))\n"
    code += "values.param_text('a', [1])\nprint([m for m in ('numpy', 'pandas', 'torch', 'jax') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# -- steps ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [0, -1, 2**63 - 1, -(2**63), np.int64(5), np.uint8(5), True, Tensor(3)], ids=repr)
def test_any_whole_number_of_64_bits_is_a_step(step):
    assert values.step_number(step) == int(step)


@pytest.mark.parametrize("step", [1.0, "3", None, np.float64(2), Decimal(2), [1], math.nan], ids=repr)
def test_a_step_that_is_no_whole_number_is_refused(step):
    with pytest.raises(InvalidValue, match=r"^step got .*; a step is a whole number\. Use timestamp= for times"):
        values.step_number(step)


@pytest.mark.parametrize("step", [2**63, -(2**63) - 1, 10**5000], ids=["above", "below", "of 5001 digits"])
def test_a_step_beyond_64_bits_is_refused(step):
    with pytest.raises(InvalidValue, match=r"^step .*beyond 64 bits"):
        values.step_number(step)


# -- times ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("timestamp", "microseconds"),
    [
        (0, 0),
        (1.5, 1_500_000),
        (-1, -1_000_000),
        (np.float64(2.25), 2_250_000),
        (Decimal("1.5"), 1_500_000),
        (datetime(2026, 3, 4, 5, 6, 7, 123457, tzinfo=UTC), 1_772_600_767_123_457),
        (datetime(2026, 3, 4, 7, 6, 7, tzinfo=timezone(timedelta(hours=2))), 1_772_600_767_000_000),
        (datetime(1, 1, 1, tzinfo=UTC), -62_135_596_800_000_000),
        (pd.Timestamp("2026-03-04", tz="UTC"), 1_772_582_400_000_000),
    ],
    ids=repr,
)
def test_a_datetime_or_seconds_since_1970_is_a_timestamp(timestamp, microseconds):
    assert values.microseconds(timestamp) == microseconds


def test_a_datetime_without_a_zone_is_local_time_as_everywhere_in_python():
    naive = datetime(2026, 7, 1, 12)
    assert values.microseconds(naive) == round(naive.timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            "2026-01-01",
            "timestamp got '2026-01-01' (str): it is no number. Allowed is a datetime, or seconds since 1970",
        ),
        (True, "timestamp got True (bool)"),
        (date(2026, 1, 1), "timestamp got datetime.date(2026, 1, 1) (date)"),
        (1_772_600_767_000, "lies outside of the years 1 to 9999; it is in seconds since 1970, not in milliseconds"),
        (math.nan, "timestamp nan lies outside of the years 1 to 9999"),
        (-math.inf, "timestamp -inf lies outside"),
        (1e308, "timestamp 1e+308 lies outside"),
        (np.array([1, 2]), "timestamp got an array of 2 elements"),
        (np.datetime64("2026"), "timestamp got np.datetime64('2026')"),
        (pd.NaT, "timestamp got NaT"),
        (datetime.min, "timestamp"),
        (10**400, "timestamp"),
    ],
    ids=lambda value: "" if isinstance(value, str) else repr(value)[:20],
)
def test_what_is_no_point_in_time_is_refused(wrong, message):
    with pytest.raises(InvalidValue) as caught:
        values.microseconds(wrong)
    assert message in str(caught.value)
    assert "metric" not in str(caught.value)


@given(st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999))
def test_kept_microseconds_become_a_datetime_in_utc_and_lose_nothing(at_us):
    at = values.utc(at_us)
    assert at.utcoffset() == timedelta(0)
    assert (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) == at_us


# -- names of params -----------------------------------------------------------------------------


def test_nested_mappings_and_namespaces_become_one_level_in_their_order():
    params = argparse.Namespace(lr=0.1, model={"name": "svm", "layers": {1: "a", 2.5: "b", False: "c"}})
    assert values.flatten(params) == {
        "lr": 0.1,
        "model.name": "svm",
        "model.layers.1": "a",
        "model.layers.2.5": "b",
        "model.layers.False": "c",
    }
    assert list(values.flatten({"b": 1, "a": {"z": 2, "y": 3}})) == ["b", "a.z", "a.y"]


@dataclasses.dataclass
class Optimizer:
    name: str = "adam"
    betas: tuple[float, float] = (0.9, 0.999)
    state: object = dataclasses.field(init=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Config:
    lr: float
    optimizer: Optimizer
    extra: dict[str, object]


def test_dataclasses_become_one_level_also_inside_of_others():
    config = Config(0.1, Optimizer(), {"empty": dataclasses.make_dataclass("Empty", [])(), "inner": Optimizer("sgd")})
    assert values.flatten(config) == {
        "lr": 0.1,
        "optimizer.name": "adam",
        "optimizer.betas": (0.9, 0.999),
        "extra.empty": {},
        "extra.inner.name": "sgd",
        "extra.inner.betas": (0.9, 0.999),
    }
    assert values.flatten({"kind": Optimizer}) == {"kind": Optimizer}, "a class is a value"


def test_an_empty_mapping_inside_is_a_value_and_outside_is_nothing():
    assert values.flatten({"a": {}, "b": {"c": {}}}) == {"a": {}, "b.c": {}}
    assert values.flatten({}) == {}
    assert values.flatten(argparse.Namespace()) == {}


@pytest.mark.parametrize(
    "params",
    [{"a.b": 1, "a": {"b": 1}}, {"a": {"b.c": 1, "b": {"c": 2}}}, {"\u00e9": 1, "e\u0301": 2}],
    ids=["outside", "inside", "in normal form"],
)
def test_names_that_are_twins_after_joining_are_refused(params):
    with pytest.raises(InvalidValue, match=r"is given twice \(nested keys are joined with dots\)"):
        values.flatten(params)


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        (
            [("a", 1)],
            InvalidValue,
            "params must be a mapping, an argparse.Namespace or a dataclass's instance, not [('a', 1)] (list)",
        ),
        (
            None,
            InvalidValue,
            "params must be a mapping, an argparse.Namespace or a dataclass's instance, not None (NoneType)",
        ),
        (Optimizer, InvalidValue, "a dataclass's instance, not <class 'tests.unit.test_values.Optimizer'> (type)"),
        ({1: 2}, InvalidValue, "param key must be a string, not 1 (int)"),
        ({"a": {None: 2}}, InvalidValue, "param key must be a string, not None (NoneType)"),
        ({"": 1}, InvalidName, "param key '' (str) shows nothing. Give at least one visible character."),
        ({"a": {"": 1}, "b\0": 1}, InvalidName, "holds '\\x00' (U+0000), which cannot be seen"),
        ({"x" * 251: 1}, InvalidName, "param key has 251 characters, at most 250 are allowed"),
        ({"a": {"b" * 250: 1}}, InvalidName, "param key has 252 characters"),
        (dict.fromkeys(map(str, range(10_001)), 1), InvalidValue, "more than 10,000 params in one call"),
    ],
)
def test_what_cannot_be_names_of_params_is_refused(params, error, message):
    with pytest.raises(error) as caught:
        values.flatten(params)
    assert message in str(caught.value)


def test_ten_thousand_names_in_one_call_are_taken():
    assert len(values.flatten(dict.fromkeys(map(str, range(10_000)), 1))) == 10_000


def test_a_mapping_that_holds_itself_is_refused_and_not_followed_for_ever():
    params = {"a": 1}
    params["self"] = params
    with pytest.raises(InvalidValue, match=r"param self\.self\.self… nests more than 20 levels deep"):
        values.flatten(params)


def test_twenty_levels_are_kept():
    params = 1
    for _ in range(20):
        params = {"k": params}
    assert values.flatten(params) == {".".join("k" * 20): 1}


# -- values of params ----------------------------------------------------------------------------


class Mode(enum.IntEnum):
    """An int with a name."""

    FAST = 3


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (None, ("none", "None")),
        (True, ("bool", "True")),
        (np.bool_(False), ("bool", "False")),
        (3, ("int", "3")),
        (-(10**30), ("int", str(-(10**30)))),
        (Mode.FAST, ("int", "3")),
        (np.int32(7), ("int", "7")),
        (np.array(7), ("int", "7")),
        (Tensor(7, dtype="torch.int64"), ("int", "7")),
        (0.1, ("float", "0.1")),
        (-0.0, ("float", "-0.0")),
        (1e400, ("float", "inf")),
        (np.float64(0.1), ("float", "0.1")),
        (np.float32(0.5), ("float", "0.5")),
        (Tensor(0.5), ("float", "0.5")),
        ("", ("str", "")),
        ("None", ("str", "None")),
        ("größe\n\t\x1b[1m", ("str", "größe\n\t\x1b[1m")),
        (np.str_("a"), ("str", "a")),
        ([1, "é", None, {"a": [True]}], ("json", '[1, "é", null, {"a": [true]}]')),
        ((1, 2), ("json", "[1, 2]")),
        ([], ("json", "[]")),
        ([object], ("str", "[<class 'object'>]")),
        ({1}, ("str", "{1}")),
        (PurePosixPath("/a"), ("str", "/a")),
        (Decimal("0.10"), ("str", "0.10")),
        (1j, ("str", "1j")),
        (b"x", ("str", "b'x'")),
        ({}, ("json", "{}")),
        (np.arange(3), ("json", "[0, 1, 2]")),
        (np.array([[0.5, np.nan], [1, 2]]), ("json", "[[0.5, NaN], [1.0, 2.0]]")),
        (np.array([]), ("json", "[]")),
        (np.array([b"x"]), ("str", "[b'x']")),
        (pd.Series([1, 2]), ("json", "[1, 2]")),
        ([np.float64(0.5), np.arange(2), {"a": np.int64(3)}], ("json", '[0.5, [0, 1], {"a": 3}]')),
        ((np.arange(2), b"x"), ("str", "(array([0, 1]), b'x')")),
        (datetime(2026, 1, 2, tzinfo=UTC), ("str", "2026-01-02 00:00:00+00:00")),
    ],
    ids=repr,
)
def test_a_param_is_kept_as_text_with_its_type(value, kept):
    assert values.param_text("p", value) == kept


def test_arrays_that_print_alike_are_kept_apart():
    other = np.zeros(2000)
    other[1000] = 5
    assert str(np.zeros(2000)) == str(other)
    kept = values.param_text("p", other)
    assert kept != values.param_text("p", np.zeros(2000))
    assert values.param_value(*kept) == other.tolist()


def test_functions_of_one_name_are_one_param_wherever_they_lie_in_memory():
    assert values.param_text("p", lambda x: x) == values.param_text("p", lambda x: -x)


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False)
        | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
        st.lists,
        max_leaves=5,
    )
)
def test_a_plain_param_comes_back_as_it_went_in(value):
    back = values.param_value(*values.param_text("p", value))
    assert (back, type(back)) == (value, type(value))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("x" * 65_537, "param 'p' has 65,537 characters, at most 65,536 are kept. Use log_text for longer text."),
        (["x" * 65_536], "param 'p' has 65,540 characters"),
        ("a\0b", "param 'p' holds a NUL character, which databases cannot keep: 'a\\x00b'"),
        ("\ud800", "param 'p' holds half of a surrogate pair, which is no text"),
        (["\ud800"], "param 'p' holds half of a surrogate pair, which is no text"),
        (Broken(), "param 'p' got a Broken whose text cannot be had (no text)"),
        (10**5000, "param 'p' "),
        ([10**5000], "param 'p' "),
        (np.zeros(65_537), "param 'p' is an array of 65,537 elements, too many for the 65,536 characters that are"),
        ([np.broadcast_to(0, (10**9,))], "param 'p' is an array of 1,000,000,000 elements, too many"),
        (np.zeros(30_000), "param 'p' has 150,000 characters, at most 65,536 are kept"),
    ],
    ids=lambda value: "" if isinstance(value, str) else type(value).__name__,
)
def test_a_param_that_cannot_be_kept_is_refused(wrong, message):
    with pytest.raises(InvalidValue) as caught:
        values.param_text("p", wrong)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 300


def test_the_longest_text_is_kept():
    assert values.param_text("p", "é" * 65_536) == ("str", "é" * 65_536)


@pytest.mark.parametrize(
    ("kind", "text", "number"),
    [
        ("int", "3", 3.0),
        ("float", "nan", None),
        ("float", "inf", math.inf),
        ("bool", "True", 1.0),
        ("bool", "False", 0.0),
        ("str", "0.5", 0.5),
        ("str", "relu", None),
        ("none", "None", None),
        ("json", "[1]", None),
        ("int", "9" * 400, math.inf),
    ],
)
def test_a_param_compares_as_the_number_that_it_looks_like(kind, text, number):
    assert values.param_number(kind, text) == number


# -- tags and other text -------------------------------------------------------------------------


def test_tags_are_text_and_none_is_kept_as_the_wish_to_remove():
    tags = {"a": 1, "b": None, "c": {"d": True, "e": None}, "f": "x"}
    assert values.tag_texts(tags) == {"a": "1", "b": None, "c.d": "True", "c.e": None, "f": "x"}


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"a": "\0"}, "tag 'a' holds a NUL character"),
        ({"a": Broken()}, "tag 'a' got a Broken whose text cannot be had (no text)"),
        (["a"], "tags must be a mapping, an argparse.Namespace or a dataclass's instance, not ['a'] (list)"),
        ({"a": {"b": 1}, "a.b": 1}, "tag 'a.b' is given twice"),
    ],
)
def test_tags_that_cannot_be_kept_are_refused(tags, message):
    with pytest.raises(InvalidValue) as caught:
        values.tag_texts(tags)
    assert message in str(caught.value)


def test_text_that_is_no_text_is_refused_by_what_it_was_meant_for():
    with pytest.raises(InvalidValue, match=r"^description must be text, not 5 \(int\)$"):
        values.plain_text("description", 5)


def test_a_value_is_shown_short_and_never_fails_to_be():
    assert values.shown([1, 2]) == "[1, 2] (list)"
    assert len(values.shown("x" * 10**6)) <= 90
    assert values.shown(Broken()) == "<no repr: RuntimeError> (Broken)"


def nested(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (nested(990), "nests more than 50 levels deep"),
        (int("9" * 4_299) * 1000, "int of 4,302 digits"),
        ([int("9" * 4_299) * 1000], "int of 4,300 digits or more"),
    ],
    ids=["deep", "long", "long in a list"],
)
def test_a_param_that_another_process_could_not_read_is_refused(value, told):
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        with pytest.raises(InvalidValue, match=told):
            values.param_text("n", value)
    finally:
        sys.set_int_max_str_digits(before)


# -- what is stored and cannot be read -----------------------------------------------------------

LONG = "9" * 5_000


def nested_text(levels):
    return "[" * levels + "]" * levels


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("int", "xyz"),
        ("int", LONG),
        ("int", ""),
        ("float", "much"),
        ("bool", "true"),
        ("bool", ""),
        ("none", "null"),
        ("json", "{"),
        ("json", ""),
        ("json", nested_text(100_000)),
        ("json", nested_text(990)),
        ("json", nested_text(51)),
        ("json", '{"a":' * 60 + "1" + "}" * 60),
        ("json", f"[{LONG}]"),
        ("date", "2026-01-01"),
    ],
)
def test_a_stored_param_that_this_process_cannot_read_comes_back_as_its_text(kind, text):
    assert values.param_value(kind, text) == text


def test_every_param_that_can_be_logged_can_be_read_also_the_deepest_and_the_widest():
    for value in (nested(48), [[]] * 1000, [{"a": [1, {"b": "[{" * 100}]}], int("9" * 4_299), [int("9" * 4_299)]):
        assert values.param_value(*values.param_text("n", value)) == value


@given(st.sampled_from(values.PARAM_TYPES), st.text())
def test_a_stored_param_reads_as_its_kind_or_as_its_text_and_never_raises(kind, text):
    value = values.param_value(kind, text)
    kinds = {"int": int, "float": float, "bool": bool, "none": type(None), "str": str, "json": object}
    assert isinstance(value, kinds[kind]) or value == text


@pytest.mark.parametrize("at_us", [-(2**63), -62_135_596_800_000_001, 253_402_300_800_000_000, 2**63 - 1])
def test_a_stored_time_that_no_datetime_holds_comes_back_as_the_nearest(at_us):
    assert values.utc(at_us).year == (1 if at_us < 0 else 9999)
    assert not values.in_calendar(at_us)


@pytest.mark.parametrize("at_us", [-62_135_596_800_000_000, -1, 0, 1, 253_402_300_799_999_999])
def test_a_time_of_the_calendar_comes_back_to_the_microsecond(at_us):
    assert values.in_calendar(at_us)
    assert (values.utc(at_us) - values.utc(0)) // timedelta(microseconds=1) == at_us


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: (n for n in range(3)), "<generator object <lambda>.<locals>.<genexpr>>"),
        (object, "<object object>"),
        (lambda: [object()], "[<object object>]"),
        (lambda: lambda: 1, "<function <lambda>.<locals>.<lambda>>"),
    ],
)
def test_the_text_of_an_object_says_nothing_of_where_it_lies_in_memory(make, text):
    assert values.param_text("p", make()) == values.param_text("p", make()) == ("str", text)


def test_a_text_that_speaks_of_an_address_is_kept_as_it_is():
    assert values.param_text("p", "<x at 0x7f>") == ("str", "<x at 0x7f>")
