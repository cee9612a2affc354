"""The panel of all projects that one may see."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import traitlets

import mlfoundry
from mlfoundry import Client
from mlfoundry.panels import frames

from .. import list_pictures
from .feed import feed
from .panel import Answer, Panel, Picture

LOOK_S = 10.0


class ProjectsPanel(Panel):
    """The projects that a user may see, each with its counts.

    Args:
        client: Who asks; `mlfoundry.get_client` by default.

    Attributes:
        opened: The project that was opened last, as ``owner/project``; empty before one was.
    """

    VIEW = "projects"
    MOUNT = "mountProjects"

    opened = traitlets.Unicode("").tag(sync=True)

    def __init__(self, client: Client | None = None, **traits: Any) -> None:
        self.client = client or mlfoundry.get_client()
        self._told: dict[str, Any] = {}
        self._look_at_s = 0.0
        super().__init__(**traits)
        feed().add(self)

    def pulse(self, now_s: float) -> None:
        """See `Panel.pulse`."""
        if now_s < self._look_at_s or not self.is_seen:
            return
        self._look_at_s = now_s + LOOK_S
        with self.lock:
            projects = self._projects()
            if projects != self._told:
                self._tell(projects)

    def send_all(self) -> None:
        """See `Panel.send_all`."""
        self._tell(self._projects())

    def subject(self) -> str:
        """See `Panel.subject`."""
        return self.client.user

    def picture(self) -> Picture:
        """See `Panel.picture`."""
        return list_pictures.projects_picture(self.client.list_projects())

    def verbs(self) -> Mapping[str, Callable[..., Answer]]:
        """See `Panel.verbs`."""
        return {"list": self._list, "open": self._open}

    def _projects(self) -> dict[str, Any]:
        projects = [frames.project_json(project) for project in self.client.list_projects()]
        return {"kind": "projects", "projects": projects, "me": self.client.user}

    def _tell(self, projects: dict[str, Any]) -> None:
        self._told = projects
        self.say(projects)

    def _list(self) -> Answer:
        return self._projects()["projects"], ()

    def _open(self, owner: str, name: str) -> Answer:
        project = self.client.get_project(name, owner)
        self.opened = f"{project.owner}/{project.name}"
        return frames.project_json(project), ()
