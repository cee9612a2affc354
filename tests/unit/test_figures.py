"""Figures of matplotlib and plotly as files; neither is imported for the sake of asking."""

import json
import subprocess
import sys
import warnings

import pytest

from mlfoundry.errors import InvalidValue, MlfoundryError
from mlfoundry.runs.figures import figure_bytes


@pytest.fixture(scope="module")
def pyplot():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import matplotlib as mpl

        mpl.use("agg")
        from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


@pytest.fixture
def drawn(pyplot):
    figure, axes = pyplot.subplots(figsize=(1, 1))
    axes.plot([1, 2, 3])
    yield figure
    pyplot.close(figure)


@pytest.fixture(scope="module")
def plotly_figure():
    from plotly import graph_objects

    return graph_objects.Figure(graph_objects.Scatter(y=[1, 2, 3]))


@pytest.mark.parametrize(
    ("path", "begins", "ending"),
    [
        ("loss", b"\x89PNG", ".png"),
        ("loss.png", b"\x89PNG", ""),
        ("plots/loss.PNG", b"\x89PNG", ""),
        ("loss.svg", b"<?xml", ""),
        ("loss.pdf", b"%PDF", ""),
    ],
)
def test_a_matplotlib_figure_is_made_in_the_format_that_the_path_asks_for(drawn, path, begins, ending):
    data, added = figure_bytes(drawn, path)
    assert data.startswith(begins)
    assert added == ending


def test_axes_and_pyplot_stand_for_their_figure(drawn, pyplot):
    assert figure_bytes(drawn.axes[0], "x")[0].startswith(b"\x89PNG")
    assert figure_bytes(pyplot, "x")[0].startswith(b"\x89PNG")


def test_a_plotly_figure_is_json_or_a_page_that_needs_no_network(plotly_figure):
    data, added = figure_bytes(plotly_figure, "loss")
    assert added == ".json"
    assert json.loads(data)["data"][0]["y"] == [1, 2, 3]
    assert figure_bytes(plotly_figure, "loss.json") == (data, "")
    page, added = figure_bytes(plotly_figure, "loss.html")
    assert added == ""
    assert b"<script src=" not in page.replace(b'type="text/javascript" ', b"")
    assert len(page) > 1_000_000  # plotly.js is inside


@pytest.mark.parametrize("path", ["x.gif", "x.json", "x.v2"])
def test_a_format_that_matplotlib_does_not_make_is_refused_with_those_that_it_does(drawn, path):
    ending = path.split(".")[1]
    with pytest.raises(
        InvalidValue, match=rf"cannot make \.{ending} of a matplotlib figure; use \.png, \.svg or \.pdf"
    ):
        figure_bytes(drawn, path)


def test_a_format_that_plotly_does_not_make_is_refused_with_those_that_it_does(plotly_figure):
    with pytest.raises(InvalidValue, match=r"cannot make \.png of a plotly figure; use \.json or \.html"):
        figure_bytes(plotly_figure, "x.png")


@pytest.mark.parametrize("thing", [None, "loss.png", 5, object(), {"data": []}], ids=lambda thing: type(thing).__name__)
def test_what_is_no_figure_is_refused(thing):
    with pytest.raises(
        InvalidValue, match=r"^log_figure got \w+; give a matplotlib or plotly figure, or use log_artifact"
    ):
        figure_bytes(thing, "x.png")


def test_neither_library_is_imported_to_recognise_a_figure():
    code = (
        "import sys\nfrom mlfoundry import errors\nfrom mlfoundry.runs import figures\n"
        "try: figures.figure_bytes(object(), 'x')\n"
        "except errors.InvalidValue: print([m for m in sys.modules if m.startswith(('matplotlib', 'plotly'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_asking_leaves_the_figure_as_it_was(drawn):
    before = drawn.get_size_inches().tolist(), drawn.dpi
    figure_bytes(drawn, "x.png")
    assert (drawn.get_size_inches().tolist(), drawn.dpi) == before
    assert issubclass(InvalidValue, MlfoundryError)
