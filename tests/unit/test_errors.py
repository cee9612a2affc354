"""The exception tree: the drawing in the module is the tree, and the messages made there say what to do."""

import inspect
import pickle
import re

import pytest

from mlfoundry import errors

CLASSES = {
    name: cls for name, cls in vars(errors).items() if inspect.isclass(cls) and issubclass(cls, errors.MlfoundryError)
}


def drawn():
    """The tree of the module's docstring: name to (parent, other base)."""
    tree, path = {}, {}
    for line in errors.__doc__.splitlines():
        found = re.match(r"^(    [│ ├└─]*)(\w+)( +\(also (\w+)\))?", line)
        if not found or found[2] not in CLASSES:
            continue
        depth = (len(found[1]) - 4) // 4
        path[depth] = found[2]
        tree[found[2]] = (path[depth - 1] if depth else None, found[4])
    return tree


def test_the_drawing_is_the_tree():
    actual = {}
    for name, cls in CLASSES.items():
        ours = [base.__name__ for base in cls.__bases__ if base.__name__ in CLASSES]
        others = [base.__name__ for base in cls.__bases__ if base.__name__ not in CLASSES and base is not Exception]
        actual[name] = (ours[0] if ours else None, others[0] if others else None)
    assert drawn() == actual


def test_every_error_says_in_a_line_when_it_is_raised():
    assert all(cls.__doc__ and cls.__doc__.splitlines()[0].endswith(".") for cls in CLASSES.values())


@pytest.mark.parametrize(
    ("error", "also"),
    [
        (errors.InvalidName, ValueError),
        (errors.InvalidValue, ValueError),
        (errors.ParamChanged, ValueError),
        (errors.RunNotFound, LookupError),
        (errors.MissingExtra, ImportError),
        (errors.RunReadOnly, AttributeError),
    ],
)
def test_an_error_is_also_the_one_of_python_that_a_user_expects(error, also):
    assert issubclass(error, also)
    assert issubclass(error, errors.MlfoundryError)


def test_a_changed_param_tells_both_values_and_the_ways_out():
    error = errors.ParamChanged("lr", "0.1", "0.2")
    told, _, remedy = str(error).partition(": params do not change during a run. ")
    assert re.fullmatch(r"param 'lr' is 0\.1 already and cannot become 0\.2", told)
    assert remedy == "Log the new value under another name, or as a tag, or start a new run."
    assert error.name == "lr"


def test_a_changed_param_of_great_length_makes_no_message_of_great_length():
    assert len(str(errors.ParamChanged("lr", "x" * 60_000, "y" * 60_000))) < 600


def test_a_filter_that_cannot_be_read_points_at_the_place():
    error = errors.InvalidFilter("there is no 'is'", text="metrics.loss is 3", position=13, length=2)
    assert str(error).splitlines() == ["there is no 'is'", "  metrics.loss is 3", "               ^^"]
    assert errors.InvalidFilter("at the end", text="a", position=1, length=0).length == 1
    assert str(errors.InvalidFilter("no text")) == "no text"
    assert str(errors.InvalidFilter("two lines", text="a\nb", position=2)) == "two lines"


def test_a_gap_tells_where_the_store_stands():
    error = errors.JournalGap(expected=5, got=9)
    assert str(error) == "the store holds this journal up to slot 5, the batch begins at 9"
    assert (error.expected, error.got) == (5, 9)


def test_an_unavailable_backend_may_say_when_to_come_back():
    assert errors.BackendUnavailable("away").retry_after_s is None
    assert errors.StoreBusy("busy", retry_after_s=3.0).retry_after_s == 3.0


def test_a_param_that_changed_far_into_its_text_is_told_from_there():
    held, given = "[" + "0.0, " * 100 + "1.5]", "[" + "0.0, " * 100 + "2.5]"
    told = str(errors.ParamChanged("w", held, given))
    assert "is …0.0, 0.0, 0.0, 0.0, 1.5] already and cannot become …0.0, 0.0, 0.0, 0.0, 2.5]:" in told
    assert "is 1 already and cannot become 1.0:" in str(errors.ParamChanged("w", 1, 1.0))
    assert len(str(errors.ParamChanged("w", "a" * 500, "b" * 500))) < 400


def test_a_missing_package_comes_with_the_command_that_gets_it():
    error = errors.MissingExtra("pandas", "to_pandas()")
    assert str(error) == "to_pandas() needs pandas, which is not installed. Run: pip install pandas"
    assert error.package == "pandas"
    error = errors.MissingExtra("fastapi", "mlfoundry ui", "server")
    assert str(error) == (
        "mlfoundry ui needs fastapi (the extra 'server'), which is not installed. Run in the clone that MLFoundry came "
        "from: pip install '.[server]'"
    )


@pytest.mark.parametrize(
    "error",
    [
        errors.ParamChanged("lr", 1, 2),
        errors.InvalidFilter("no", text="a b", position=2),
        errors.JournalGap(expected=1, got=2),
        errors.BackendUnavailable("away", retry_after_s=2.0),
        errors.MissingExtra("pandas", "x"),
        errors.MissingExtra("fastapi", "x", "server"),
        errors.InvalidName("no"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_comes_whole_out_of_a_worker_process(error):
    back = pickle.loads(pickle.dumps(error))
    assert (type(back), str(back), vars(back)) == (type(error), str(error), vars(error))


def test_a_value_is_shown_with_its_type_on_one_line():
    assert errors.shown("a\nb") == "'a\\nb' (str)"
    assert "\n" not in errors.shown(type("Tall", (), {"__repr__": lambda self: "a\nb"})())
