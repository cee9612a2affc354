"""The front end of notebooks and of the dashboard: ES modules and one style sheet, used as they are.

Gives their texts; `frames` makes what is sent to them.

A view is put into an element by ``mountRun``, ``mountRuns``, ``mountCompare`` (``run_view.js``, ``runs_view.js``,
``compare_view.js``), ``mountCollaborators`` or ``mountProjects`` (``collaborators_view.js``, ``projects_view.js``),
each called as ``mount(element, source)``; it returns ``{dispose}``. A view knows neither kernels nor HTTP: all that it
knows and does goes through its source, an object with

* ``get(name)``, ``set(name, value)``: pieces of the view's state, kept by whoever owns the source. Of a run:
  ``tab``, ``paused``, ``smoothing``, ``log``, ``x_axis``, ``selected_series``; of runs: ``selected``, ``filter``,
  ``quick``, ``order_by``, ``columns``, ``compare``, ``compare_state``, ``best``; of projects: ``opened``.
  A piece that nobody has set is undefined, and the view then chooses itself.
* ``onChange(name, call)``: call with every new value, the view's own included; returns a function that ends it.
* ``listen(call)``: call with every message; first, at once, with those that were told before and still hold.
  Returns a function that ends it.
* ``ask(verb, args, {onQueued})``: a promise of the answer; refused with an ``Error`` whose message people read, for
  filters with ``position`` and ``length`` of what is wrong. Calls ``onQueued`` when the answer takes long.
* ``plotly()``: a promise of plotly.js, asked for when the first chart is drawn.
* ``now()``: seconds since 1970 by the clock that the times of the messages are of.

Messages have a ``kind``: ``run`` {run}, ``points`` {header, columns}, ``health`` {health}, ``ended``, ``gone`` (nobody
answers any longer); ``runs`` {header, columns}; ``people`` {project, people, me}; ``projects`` {projects, me}.
``run`` is what `frames.run_snapshot` gives; header and columns are what ``decode`` of ``frames.js`` reads from the
frames of `frames.whole_points`, `frames.new_points` and `frames.runs_frame`. The header of ``runs`` also has ``whole``
(the first piece of a new list), ``paged`` (the source holds more than it sends), ``gone`` (ids), ``user`` and
``store`` (where the runs are kept, in words).

Questions of a run: ``whole``, ``set_tags`` {tags}, ``set_description`` {text}. Of runs: ``page`` {filter, order_by,
offset, count}, ``search`` {filter} (ids that match), ``series`` {runs, names, max_points} (frames), ``runs_detail``
{runs}, ``delete`` and ``restore`` {runs}, and ``set_tags`` and ``set_description`` with a {run}. Of collaborators:
``list``, ``add`` and ``change`` {user, permission}, ``remove`` {user}. Of projects: ``list``, ``open`` {owner, name}.
"""

from __future__ import annotations

from importlib import resources

STYLE = "style.css"


def module_names() -> list[str]:
    """Return the names of all modules."""
    files = (file.name for file in resources.files(__name__).iterdir())
    return sorted(name.removesuffix(".js") for name in files if name.endswith(".js"))


def source(name: str) -> str:
    """Return the text of a module or of the style sheet.

    Args:
        name: A name that `module_names` gives, or `STYLE`.

    Raises:
        FileNotFoundError: There is no such file in this installation.
    """
    file = name if name == STYLE else f"{name}.js"
    return resources.files(__name__).joinpath(file).read_text(encoding="utf-8")
