"""Who may import whom. The table is the architecture: a room imports only from the rooms beside it."""

import sys

import pytest

from tests.architecture.imports import imports, room, sources

EVERYBODY_MAY = {"errors", "records", "names", "values", "json_texts", "log"}

# A room is a file or a folder of mlfoundry/. From top to bottom: nobody imports from a row above its own.
LAYERS = {
    "mlfoundry_jupyter": {
        "panels", "", "login", "client", "runs", "results", "tracking", "system_metrics", "displays", "settings",
        "forks", "query", "surroundings",
    },
    "cli": {
        "server", "", "push", "login", "client", "runs", "suggestions", "results", "shipping", "tracking", "wire",
        "store", "journal", "documents", "system_metrics", "displays", "settings", "credentials", "loopback",
        "folders", "file_systems", "query", "slots",
    },
    "server": {"tracking", "store", "wire", "folders", "settings", "panels", "displays", "query", "loopback", ""},
    "panels": {"system_metrics", "displays"},
    "": set(),  # the package itself loads its names when they are used
    "push": {"tracking", "store", "wire", "slots", "documents"},
    "login": {"settings", "credentials", "tracking", "loopback"},
    "client": {"runs", "references", "results", "shipping", "tracking", "settings", "query"},
    "runs": {
        "", "suggestions", "results", "shipping", "journal", "documents", "system_metrics", "surroundings", "displays",
        "folders", "forks", "slots",
    },
    "references": {"suggestions"},
    "suggestions": {"tracking"},
    "results": {"displays", "dataframes"},
    "shipping": {"tracking", "store", "journal", "documents", "folders", "forks", "slots"},
    "tracking": {"store", "wire", "slots", "documents", "folders"},
    "wire": {"slots", "summaries", "displays"},
    "store": {"folders", "file_systems", "forks", "query", "slots", "summaries"},
    "journal": {"slots", "folders", "documents"},
    "documents": {"slots"},
    "system_metrics": {"forks"},
    "surroundings": {"", "forks"},
    "displays": set(),
    "settings": {"credentials", "folders"},
    "credentials": {"folders", "loopback"},
    "loopback": set(),
    "folders": set(),
    "file_systems": set(),
    "forks": set(),
    "query": set(),
    "slots": set(),
    "summaries": set(),
    "values": {"names", "errors", "json_texts"},
    "json_texts": set(),
    "log": set(),
    "names": {"errors"},
    "records": {"dataframes"},
    "dataframes": {"errors"},
    "errors": set(),
}  # fmt: skip
LEAVES = ("records", "errors", "names", "values", "json_texts", "log")

# Imports inside functions that close a circle of files, and why they may.
CIRCLES = {
    ("mlfoundry.runs.run", "mlfoundry.client"): "a pickled run joins through a client of the other process",
}
# Those that look upwards and close none.
UPWARDS = {("mlfoundry.records.shown", "mlfoundry.displays.cards"): "a record asks how it looks"}

EXECUTED = [i for i in imports() if i.when != "typing"]
OURS = [i for i in EXECUTED if i.imported.split(".")[0] in ("mlfoundry", "mlfoundry_jupyter")]
EDGES = {(i.importer, i.imported) for i in OURS}


def test_every_room_has_a_row_and_every_row_a_room():
    assert {room(module) for module in sources()} == set(LAYERS)


def test_a_room_imports_only_what_its_row_allows():
    def allowed(importer):
        return LAYERS[importer] | (set() if importer in LEAVES else EVERYBODY_MAY)

    assert [
        f"{i.importer}:{i.line} imports {i.imported}"
        for i in OURS
        if room(i.imported) not in allowed(room(i.importer)) | {room(i.importer)}
        and (i.importer, i.imported) not in CIRCLES | UPWARDS
    ] == []


def test_the_rows_themselves_point_downwards():
    order = list(LAYERS)
    for importer, others in LAYERS.items():
        assert [other for other in others if order.index(other) <= order.index(importer) and other] == []


def test_every_exception_is_still_needed():
    for exception in CIRCLES | UPWARDS:
        assert exception in EDGES


def test_modules_import_each_other_in_no_circle_not_even_inside_functions():
    graph = {module: set() for module in sources()}
    for i in OURS:
        if (i.importer, i.imported) not in CIRCLES and i.imported != i.importer:
            graph[i.importer].add(i.imported)
    assert find_circle(graph) == []


def find_circle(graph):
    """Return the modules of a circle, none when there is none."""
    done = set()

    def walk(module, path):
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        for other in sorted(graph.get(module, ())):
            if circle := walk(other, [*path, module]):
                return circle
        done.add(module)
        return []

    return next((circle for module in graph if (circle := walk(module, []))), [])


@pytest.mark.parametrize(
    ("graph", "circle"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": {"b"}}, ["b", "c", "b"]),
        ({"a": {"b", "c"}, "b": {"c"}, "c": set()}, []),
    ],
)
def test_a_circle_is_found_where_there_is_one(graph, circle):
    assert find_circle(graph) == circle


def test_the_core_never_imports_the_notebook_package():
    assert [
        i for i in imports() if i.imported.startswith("mlfoundry_jupyter") and i.importer.startswith("mlfoundry.")
    ] == []


def test_click_is_the_command_lines_and_sqlite_the_stores():
    # The system's SQLite, which sqlite3 uses, may be one that corrupts.
    homes = {"click": {"cli"}, "apsw": {"store", "cli"}, "sqlite3": set()}
    for i in EXECUTED:
        package = i.imported.split(".")[0]
        assert package not in homes or room(i.importer) in homes[package], f"{i.importer}:{i.line} imports {package}"


CORE = {
    "apsw", "backports", "click", "coolname", "numpy", "platformdirs", "psutil", "pynvml", "requests", "urllib3",
    "pandas", "pyarrow",  # extras, imported when asked for
    "compression",  # of Python 3.14
}  # fmt: skip
EXTRAS = {
    "server": {"fastapi", "starlette", "pydantic", "prometheus_client", "uvicorn", "jinja2"},
    "store": {"psycopg", "obstore"},
    "mlfoundry_jupyter": {"IPython", "ipywidgets", "anywidget", "traitlets", "plotly"},
}


def test_what_is_imported_from_outside_is_declared_and_extras_stay_in_their_rooms():
    assert [
        f"{i.importer}:{i.line} imports {i.imported}"
        for i in EXECUTED
        if (package := i.imported.split(".")[0]) not in {"mlfoundry", "mlfoundry_jupyter", *sys.stdlib_module_names}
        and package not in CORE | EXTRAS.get(room(i.importer), set())
    ] == []
