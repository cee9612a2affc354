"""Live panels of runs, lists of runs, collaborators and projects: ipywidgets that draw themselves in the browser.

Importing this package imports ipywidgets and anywidget; a notebook that shows no panel never does.
"""

from __future__ import annotations

from .collaborators import CollaboratorsPanel
from .projects import ProjectsPanel
from .run import RunPanel
from .runs import RunsPanel

__all__ = ["CollaboratorsPanel", "ProjectsPanel", "RunPanel", "RunsPanel"]
