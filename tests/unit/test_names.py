"""What may be a name: tables of legal and hostile ones, and the messages that say what to do."""

import subprocess
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlfoundry import names
from mlfoundry.errors import InvalidName


class Broken:
    """An object of a stranger that cannot even be shown."""

    def __repr__(self):
        raise RuntimeError("no text")


LEGAL = [
    "x",
    "iris-demo",
    "with inner spaces",
    "v1.2_final (best)",
    "größe",
    "名前",
    "تجربة",
    "नमस्ते",
    "می\u200cخواهم",  # a joiner inside a Persian word
    "👩\u200d🔬",  # a scientist: woman, joiner, microscope
    "❤\ufe0f",
    "<script>alert(1)</script>".replace("/", ""),
    "'; DROP TABLE run; --",
    "...",
    "-",
    "con",
    "x" * 128,
    "ß" * 128,
]


@pytest.mark.parametrize("name", LEGAL)
def test_a_visible_name_is_legal_and_kept_as_it_is(name):
    assert names.legal_name("run name", name) == name


HOSTILE = [
    ("", "run name '' (str) shows nothing. Give at least one visible character."),
    ("   ", "run name '   ' (str) shows nothing"),
    ("\u00a0\u2003", "shows nothing"),
    (" x", "run name ' x' begins or ends with a space. Remove it."),
    ("x\u3000", "begins or ends with a space"),
    ("a/b", "run name 'a/b' holds '/'. Names form owner/project/run and URLs, so / \\ % ? # are not allowed"),
    ("a\\b", "holds '\\\\'"),
    ("100%", "holds '%'"),
    ("why?", "holds '?'"),
    ("a#1", "holds '#'"),
    (".", "run name '.' means a folder. Choose another."),
    ("..", "run name '..' means a folder. Choose another."),
    ("a\0b", "holds '\\x00' (U+0000), which cannot be seen"),
    ("a\nb", "holds '\\n' (U+000A)"),
    ("a\tb", "holds '\\t' (U+0009)"),
    ("\x1b[31mred", "holds '\\x1b' (U+001B)"),
    ("\x7f", "(U+007F)"),
    ("a\x85b", "(U+0085)"),
    ("\u202etxt.exe", "holds '\\u202e' (U+202E), which cannot be seen there. Leave control, direction and invisible"),
    ("\u2067x\u2069", "(U+2067)"),
    ("\u061cx", "(U+061C)"),
    ("a\u200bb", "(U+200B)"),
    ("\ufeffx", "(U+FEFF)"),
    ("a\u00adb", "(U+00AD)"),
    ("a\u2028b", "(U+2028)"),
    ("a\u2029b", "(U+2029)"),
    ("\ud800", "(U+D800)"),
    ("\ue000", "(U+E000)"),
    ("\U000e0041x", "(U+E0041)"),
    ("x" * 129, "run name has 129 characters, at most 128 are allowed"),
    ("x" * 2**20, "run name has 1048576 characters, at most 128 are allowed"),
    (None, "run name must be a string, not None (NoneType)"),
    (5, "run name must be a string, not 5 (int)"),
    (b"x", "run name must be a string, not b'x' (bytes)"),
]


@pytest.mark.parametrize(("name", "message"), HOSTILE, ids=lambda value: ascii(value)[:20])
def test_a_hostile_name_is_refused_with_the_reason_and_the_remedy(name, message):
    with pytest.raises(InvalidName) as caught:
        names.legal_name("run name", name)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", [b"x" * 2**20, ["x"] * 10**5, Broken()], ids=["bytes", "list", "broken"])
def test_a_name_that_is_no_string_is_shown_short_and_safely(name):
    with pytest.raises(InvalidName, match="run name must be a string, not") as caught:
        names.legal_name("run name", name)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "name",
    ["\u200d", "\u200c\u200d", "\u3164", "\u2800", "\ufe0f", "\u034f", "\u115f", "\u200d\ufe0f"],
    ids=ascii,
)
def test_a_name_of_characters_that_leave_no_mark_is_refused(name):
    with pytest.raises(InvalidName):
        names.legal_name("run name", name)
    with pytest.raises(InvalidName):
        names.legal_key("metric key", name)


@pytest.mark.parametrize("name", ["a\u200d", "\u200da", "a\u200c"], ids=ascii)
def test_a_joiner_that_joins_nothing_makes_no_twin_of_a_name(name):
    with pytest.raises(InvalidName):
        names.legal_name("run name", name)


def test_names_are_kept_in_normal_form_so_that_there_are_no_twins():
    assert names.legal_name("run name", "e\u0301") == "\u00e9"
    assert names.legal_key("metric key", "A\u030a") == "\u00c5"
    assert names.legal_path("plots/e\u0301.png") == "plots/\u00e9.png"


def test_a_name_that_grows_beyond_the_limit_in_normal_form_is_refused():
    grows = "\ufb2c"  # one character whose normal form has three
    assert len(unicodedata.normalize("NFC", grows)) == 3
    assert len(names.legal_name("run name", grows * 42)) == 126
    with pytest.raises(InvalidName, match="run name has 384 characters in normal form, at most 128 are allowed"):
        names.legal_name("run name", grows * 128)


@given(st.text(max_size=140))
def test_whatever_is_legal_stays_legal_and_unchanged(text):
    try:
        legal = names.legal_name("run name", text)
    except InvalidName:
        return
    assert names.legal_name("run name", legal) == legal
    assert names.legal_key("metric key", legal) == legal
    assert 1 <= len(legal) <= 128
    assert unicodedata.is_normalized("NFC", legal)
    assert not set(legal) & set("/\\%?#\0\n")


# -- keys ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["val/loss", "a.b", "100%", "why?", "x" * 250, " padded", "..", "a\\b"])
def test_keys_may_hold_what_groups_them_and_more(key):
    assert names.legal_key("metric key", key) == key
    assert names.legal_metric_key(key) == key


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("", "metric key '' (str) shows nothing"),
        ("x" * 251, "metric key has 251 characters, at most 250 are allowed"),
        ("a\u202eb", "(U+202E)"),
        (3, "metric key must be a string, not 3 (int)"),
        ("system/cpu", "metric key 'system/cpu' begins with 'system/', which is kept for system metrics. Choose"),
    ],
)
def test_a_hostile_key_is_refused(key, message):
    with pytest.raises(InvalidName) as caught:
        names.legal_metric_key(key)
    assert message in str(caught.value)


def test_only_the_prefix_is_kept_for_the_sampler():
    assert names.legal_metric_key("system") == "system"
    assert names.legal_metric_key("my/system/x") == "my/system/x"


# -- paths ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["a", "plots/loss.png", "a b/c d.txt", ".hidden", "...", "a/..b/c..", "é" * 127])
def test_a_plain_relative_path_is_legal(path):
    assert names.legal_path(path) == path


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "a/", "a//b", "../x", "a/../../x", "a/./b", ".", "..", "a\\b", "\\\\host\\share", "a/ b", "a /b"],
)
def test_a_path_that_leads_elsewhere_is_refused_with_an_example_of_a_good_one(path):
    with pytest.raises(InvalidName, match=r"is not a plain relative path like 'plots/loss.png': no leading"):
        names.legal_path(path)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("C:/x", "artifact path 'C:/x' begins with a drive letter; give a relative path"),
        ("c:", "begins with a drive letter"),
        ("a\0b", "(U+0000)"),
        ("a/\nb", "(U+000A)"),
        ("\udcff.bin", "(U+DCFF)"),
        ("", "artifact path '' (str) shows nothing"),
        (None, "artifact path must be a string, not None (NoneType)"),
        ("x" * 1001, "artifact path has 1001 characters, at most 1000 are allowed"),
        ("a/" + "x" * 256, "has a part of more than 255 bytes, which no disk takes"),
        ("é" * 128, "has a part of more than 255 bytes"),
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_a_path_that_no_disk_takes_is_refused(path, message):
    with pytest.raises(InvalidName) as caught:
        names.legal_path(path)
    assert message in str(caught.value)


# -- names for those who give none ---------------------------------------------------------------


def test_a_name_that_is_taken_gets_a_number():
    assert names.numbered("x", 2) == "x-2"
    assert names.numbered("x-2", 2) == "x-2-2"


@pytest.mark.parametrize(
    ("found", "number"),
    [("x-2", 2), ("x-1000", 1000), ("x", None), ("x-", None), ("x-02", None), ("y-2", None), ("x-2-3", None),
     ("x-²", None), ("x-" + "9" * 30, None)],
)  # fmt: skip
def test_the_number_of_a_name_is_read_back(found, number):
    assert names.number_of(found, "x") == number


def test_a_long_name_is_cut_to_make_room_for_its_number():
    full = "y" * 128
    assert names.numbered(full, 2) == "y" * 126 + "-2"
    assert names.numbered(full, 100) == "y" * 124 + "-100"
    assert names.number_of("y" * 124 + "-100", full) == 100


def test_random_names_are_two_words_that_are_legal_and_rarely_meet():
    made = [names.random_name() for _ in range(200)]
    assert all(names.legal_name("run name", name) == name and name.count("-") >= 1 for name in made)
    assert len(set(made)) > 190


def test_the_words_for_random_names_are_loaded_only_when_one_is_wanted():
    code = "import sys, mlfoundry.names as n\nn.legal_name('a', 'b')\nprint('coolname' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("LOSS", ["loss", "val/loss", "train.loss"]),
        ("los", ["loss"]),
        ("lss", ["loss"]),
        ("accuracy", ["val/accuracy"]),
        ("glass", []),
        ("speed", []),
    ],
)
def test_what_a_wrong_name_was_perhaps_meant_as_looks_like_it_or_ends_in_it(name, meant):
    assert names.alike(name, ["val/loss", "loss", "val/accuracy", "train.loss", "lr"]) == meant


def test_of_names_that_differ_in_case_alone_all_are_meant():
    assert names.alike("lr", ["Lr", "other", "LR"]) == ["Lr", "LR"]
