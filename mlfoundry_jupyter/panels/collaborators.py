"""The panel of who may do what in a project."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import mlfoundry
from mlfoundry import Client
from mlfoundry.panels import frames
from mlfoundry.records import ProjectRecord

from .. import list_pictures
from .feed import FIRST_S, feed
from .panel import Answer, Panel, Picture

LOOK_S = 10.0


class CollaboratorsPanel(Panel):
    """Who is in a project, with which permission; whoever is ADMIN adds, changes and removes.

    Args:
        project: The project: its name, ``owner/project``, or its record.
        client: Who asks; `mlfoundry.get_client` by default.
    """

    VIEW = "collaborators"
    MOUNT = "mountCollaborators"

    def __init__(self, project: str | ProjectRecord, client: Client | None = None, **traits: Any) -> None:
        self.client = client or mlfoundry.get_client()
        self._name = project if isinstance(project, str) else f"{project.owner}/{project.name}"
        self.project = self.client.get_project(self._name)
        self._told: dict[str, Any] = {}
        self._look_at_s = 0.0
        super().__init__(**traits)
        feed().add(self)

    def pulse(self, now_s: float) -> None:
        """See `Panel.pulse`."""
        if now_s < self._look_at_s or not self.is_seen:
            return
        # The page gets all twice: when the panel is made, and once a page had the time to open.
        self._look_at_s = now_s + (LOOK_S if self._told else FIRST_S)
        with self.lock:
            people = self._people()
            if people != self._told:
                self._tell(people)

    def send_all(self) -> None:
        """See `Panel.send_all`."""
        self._tell(self._people())

    def subject(self) -> str:
        """See `Panel.subject`."""
        return self._name

    def picture(self) -> Picture:
        """See `Panel.picture`."""
        return list_pictures.collaborators_picture(self.project, self.client.list_collaborators(self._name))

    def verbs(self) -> Mapping[str, Callable[..., Answer]]:
        """See `Panel.verbs`."""
        return {"list": self._list, "add": self._add, "change": self._change, "remove": self._remove}

    def _people(self) -> dict[str, Any]:
        self.project = self.client.get_project(self._name)
        people = self.client.list_collaborators(self._name)
        return {
            "kind": "people",
            "project": frames.project_json(self.project),
            "people": [frames.collaborator_json(each) for each in people],
            "me": self.client.user,
        }

    def _tell(self, people: dict[str, Any]) -> None:
        self._told = people
        self.say(people)

    def _list(self) -> Answer:
        return self._people(), ()

    def _add(self, user: str, permission: str) -> Answer:
        self.client.add_collaborator(self._name, user, permission)
        return self._changed()

    def _change(self, user: str, permission: str) -> Answer:
        self.client.set_permission(self._name, user, permission)
        return self._changed()

    def _remove(self, user: str) -> Answer:
        self.client.remove_collaborator(self._name, user)
        return self._changed()

    def _changed(self) -> Answer:
        people = self._people()
        self._tell(people)
        self.refresh_picture()
        return people, ()
