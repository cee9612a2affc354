"""The pictures of lists and of comparisons, beside that of a run in `fallback`. Pure functions from records.

They are kept in files, so they say when something was and never how long ago.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mlfoundry import displays
from mlfoundry.displays import Html
from mlfoundry.records import Collaborator, ProjectRecord, RunRecord, Series
from mlfoundry.results import SHOWN, CollaboratorList, Comparison, ProjectList

from . import ranking, sketch
from .fallback import Picture, chart

_TEXT = "font-size:13px;line-height:1.5"
COMPARED = len(sketch.COLOURS)
LIMIT_BYTES = 24_000  # of a list, and of a comparison below it
POINTS = 60


def runs_picture(project: ProjectRecord, records: Sequence[RunRecord], total: int, *, what: str = "") -> Picture:
    """Return the first runs of a project, and how many there are.

    Args:
        project: The project.
        records: At least the first of its runs, in the order of the table.
        total: How many there are.
        what: Which of them, such as ``where metrics.loss < 0.1``; all when empty.
    """
    caption = _runs_caption(project, total, what)
    html = text = ""
    for rows in (SHOWN, 10, 5, 2):  # very long names and values leave room for few
        told = f"{caption}; the first {rows}:" if total > rows else caption
        html, text = displays.runs_html(records[:rows], told), displays.runs_text(records[:rows], told, dated=True)
        if len(html.encode()) <= LIMIT_BYTES:
            break
    return html, text


def _runs_caption(project: ProjectRecord, total: int, what: str) -> str:
    name = f"{project.owner}/{project.name}"
    if not total and not what:
        return f"{name} has no runs yet. Make one: client.create_run({project.name!r})"
    count = f"{total:,} run{'s' if total != 1 else ''}"
    running = f", {project.running_count:,} running" if project.running_count and not what else ""
    return f"{name}: {count}{running}{f' {what}' if what else ''}"


def collaborators_picture(project: ProjectRecord, people: Sequence[Collaborator]) -> Picture:
    """Return who is in a project."""
    people = CollaboratorList(people)
    title = f"{project.owner}/{project.name}"
    html = Html.element("div", Html.element("div", title, style=f"{_TEXT};font-weight:600"), Html(people._repr_html_()))
    return html, f"{displays.plain(title)}\n{people.dated_text()}"


def projects_picture(projects: Sequence[ProjectRecord]) -> Picture:
    """Return the projects that somebody may see."""
    every = ProjectList(projects)
    return every._repr_html_(), every.dated_text()


def comparison_picture(compared: Comparison, series: Mapping[str, Mapping[str, Series]]) -> Picture:
    """Return runs side by side: what differs, their last values, and the courses of their metrics laid over each other.

    Args:
        compared: The runs, of which the first eight have lines.
        series: Points, or an overview of them, by run id and by name of the metric.
    """
    runs = compared.runs[:COMPARED]
    named = [
        name
        for name in ranking.ranked(compared.metrics)
        if any(_has_course(series.get(run.run_id, {}), name) for run in runs)
    ]
    html = Html()
    for charts, rows, points in ((6, 40, POINTS), (4, 24, 40), (2, 12, 30), (1, 6, 20)):
        drawn = [
            _overlay(name, [(run.run_name, series.get(run.run_id, {}).get(name)) for run in runs], points)
            for name in named[:charts]
        ]
        html = Html.element("div", _compared_table(compared, rows), *([Html.element("div", *drawn)] if drawn else []))
        if len(html.encode()) <= LIMIT_BYTES:
            break
    return html, repr(compared)


def _compared_table(compared: Comparison, rows: int) -> Html:
    headers, every, numeric = compared.table()
    shown = [[displays.shortened(cell, 32) for cell in row] for row in every[:rows]]
    left = f"; {len(every) - rows} rows are left out" if len(every) > rows else ""
    return displays.html_table(
        headers, shown, numeric, caption=f"{len(compared.runs)} runs compared, metrics by last value{left}"
    )


def _has_course(of_run: Mapping[str, Series], name: str) -> bool:
    return name in of_run and len(of_run[name].values) > 1


def _overlay(name: str, courses: Sequence[tuple[str, Series | None]], points: int) -> Html:
    lines, legend = [], []
    for (run_name, series), colour in zip(courses, sketch.COLOURS, strict=False):
        if series is not None and len(series.values):
            lines.append(sketch.Line(series.steps.astype(np.float64), series.values, colour))
            legend += [sketch.mark(colour), f"\u00a0{displays.shortened(run_name, 24)}   "]
    image = sketch.chart(lines, f"{displays.shortened(name, 80)} by step of {len(lines)} runs", points=points)
    return chart([Html.element("b", displays.shortened(name, 40))], image, legend)
