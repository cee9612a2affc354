"""What all panels share: the live view's wire, the picture in the saved file, questions and answers.

A panel that is displayed on its own puts its picture, and nothing else, into the output; the page finds the
picture and puts the live view in its place (see `places.js`). So a saved notebook never holds a widget that
some later reader could not show. In layouts of ipywidgets it is a widget like any other.
"""

from __future__ import annotations

import abc
import os
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import anywidget
import traitlets

from mlfoundry.displays import Html
from mlfoundry.errors import InvalidFilter, InvalidInput, MlfoundryError
from mlfoundry.log import Log

from .asset import asset, own_source
from .feed import feed
from .outputs import outputs

Answer = tuple[Any, Sequence[bytes]]
Picture = tuple[str, str]

_log = Log("mlfoundry")
_WIDGET_MIME = "application/vnd.jupyter.widget-view+json"


class _Kind(type(anywidget.AnyWidget), abc.ABCMeta):  # type: ignore[misc]
    """The class of panels' classes: of widgets, and of those that leave something to be written."""


class Panel(anywidget.AnyWidget, metaclass=_Kind):
    """A live view in the page; each of its traits can be observed and linked like those of any ipywidget.

    Questions of the page may arrive in any thread; what they read and write is guarded by `lock`.
    """

    VIEW: ClassVar[str]
    MOUNT: ClassVar[str]

    _pid = 0  # of no process: what was never made has nothing to close
    _esm = own_source("panel")
    _view = traitlets.Unicode().tag(sync=True)
    _mount = traitlets.Unicode().tag(sync=True)
    _mount_id = traitlets.Unicode().tag(sync=True)
    _asset_id = traitlets.Unicode().tag(sync=True)
    _picture = traitlets.Int(0).tag(sync=True)  # the number of the newest, see `saved.js`

    def __init__(self, **traits: Any) -> None:
        own = uuid.uuid4().hex
        self.lock = threading.RLock()
        self._display_ids: list[str] = []
        self._pages_away: dict[str, bool] = {}
        self._pages_standing: dict[str, bool] = {}
        self._is_replaced = self._is_within = self._is_resting = False
        self._unseen_since_s = 0.0
        self._closed = False
        self._pid = os.getpid()
        super().__init__(
            model_id=own, _mount_id=own, _asset_id=asset().model_id, _view=self.VIEW, _mount=self.MOUNT, **traits
        )
        self.on_msg(self._heard)

    # -- what each panel has of its own ----------------------------------------------------------

    @abc.abstractmethod
    def verbs(self) -> Mapping[str, Callable[..., Answer]]:
        """Return what the page may ask: the names of its questions and what answers them."""

    @abc.abstractmethod
    def picture(self) -> Picture:
        """Return how things stand as HTML, without what makes the view live, and as text."""

    @abc.abstractmethod
    def subject(self) -> str:
        """Return what the panel is of, as users write it; reads nothing."""

    @abc.abstractmethod
    def send_all(self) -> None:
        """Send all that a view needs which knows nothing yet."""

    def send_since(self, away_s: float) -> None:  # noqa: ARG002  what sends little sends all
        """Send what a page does not know that has seen all until it looked away; the pulse sends nothing meanwhile.

        Args:
            away_s: For how long nobody has looked.
        """
        self.send_all()

    @abc.abstractmethod
    def pulse(self, now_s: float) -> None:
        """Send what is new; the feed calls it once a second."""

    def settle(self) -> None:
        """Bring the picture up to date; the feed calls it when a cell has ended."""

    # -- showing ---------------------------------------------------------------------------------

    def show(self) -> None:
        """Display the panel here: its picture, over which the page puts the live view."""
        from IPython.display import display

        self._wake()
        self._is_replaced = False
        handle = display(self._bundle(), raw=True, display_id=True)  # type: ignore[no-untyped-call]
        if handle is not None:
            self._display_ids.append(handle.display_id)
        outputs.note(self)

    def refresh_picture(self) -> None:
        """Replace the picture wherever the panel was shown, also from another thread."""
        if self._display_ids:
            self._replace(self._bundle(self._picture + 1))

    def renew_picture(self) -> None:
        """Replace the picture by a newer one; the former stays when the store cannot be read.

        Raises:
            MlfoundryError: The store cannot be read now.
        """
        if self._display_ids:
            self._replace(self._bundle_of(*self.picture(), self._picture + 1))

    def _replace(self, bundle: dict[str, Any]) -> None:
        from IPython.display import update_display

        for display_id in self._display_ids:
            update_display(bundle, display_id=display_id, raw=True)  # type: ignore[no-untyped-call]
        self._picture += 1

    def _ipython_display_(self) -> None:
        self.show()

    def _repr_mimebundle_(self, **_: Any) -> Any:
        self._wake()
        return self._bundle()

    def _bundle(self, number: int | None = None) -> dict[str, Any]:
        try:
            html, text = self.picture()
        except MlfoundryError as error:  # a store that cannot be read now is said, not raised, in an output
            html, text = Html.element("div", str(error)), str(error)
        return self._bundle_of(html, text, self._picture if number is None else number)

    def _bundle_of(self, html: str, text: str, number: int) -> dict[str, Any]:
        bundle: dict[str, Any] = {"text/plain": text}
        if os.environ.get("MLFOUNDRY_PANEL_VIEW") == "widget" and not self._closed:
            bundle[_WIDGET_MIME] = {"version_major": 2, "version_minor": 0, "model_id": self._mount_id}
        else:
            mark = f"mlfoundry-mount mlfoundry-mount-{self._mount_id} mlfoundry-picture-{number}"
            bundle["text/html"] = f'<div class="{mark}"><div>{html}</div></div>'
        return bundle

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.subject()!r})"

    # -- rest: what no page shows any more is not kept for it --------------------------------------

    @property
    def model_id(self) -> Any:
        """The id of the model; whoever asks is about to use it, so a panel that rests wakes."""
        self._wake()
        return super().model_id

    def replaced(self) -> None:
        """See `outputs.Shown`; the panel rests as soon as no page has a view of it left, as in a copy of the output."""
        self._is_replaced = True
        self._rest_if_left()

    def _rest_if_left(self) -> None:
        is_left = self._is_replaced and not self._is_within and not any(self._pages_standing.values())
        if not is_left or self._is_resting or self._closed:
            return
        feed().remove(self)
        self._display_ids.clear()
        self._pages_away.clear()
        self._pages_standing.clear()
        super().close()
        self.__dict__.pop("_repr_mimebundle_", None)
        self._is_resting = True

    def _wake(self) -> None:
        if not getattr(self, "_is_resting", False) or self._closed or self._pid != os.getpid():
            return
        self._is_resting = False
        self.open()
        feed().add(self)

    def close(self) -> None:
        """End the live view; its picture stays. Twice is a no-op."""
        if self._pid != os.getpid():  # a forked child's collector must not close the panel of its parent
            return
        self._closed = True
        feed().remove(self)
        if not self._is_resting:
            super().close()
        self.__dict__.pop(
            "_repr_mimebundle_", None
        )  # ipywidgets takes it from a closed widget; the picture can be shown

    # -- the wire --------------------------------------------------------------------------------

    def say(self, content: Mapping[str, Any], *frames: bytes) -> None:
        """Send a message to all views."""
        self.send({**content, "at": time.time()}, list(frames) or None)

    @property
    def is_seen(self) -> bool:
        """Whether anybody looks, as far as the pages have said."""
        pages = self._pages_away.values()
        return not pages or not all(pages)

    @property
    def _is_kept(self) -> bool:
        """Whether anybody may save the picture: a page that holds it, or who hears outputs and is no page."""
        pages = self._pages_standing.values()
        return bool(self._display_ids) and (not pages or any(pages))

    def _heard(self, _: Any, content: Any, buffers: Any) -> None:  # noqa: ARG002  ipywidgets' signature
        if not isinstance(content, dict) or self._closed:
            return
        kind, page = content.get("kind"), str(content.get("page", ""))
        if (before := content.get("before")) is not None:  # the page that was in its place
            self._pages_away.pop(str(before), None)
            self._pages_standing.pop(str(before), None)
        if kind == "ask":
            self._answer(content, page)
        elif kind == "visible":
            was_seen = self.is_seen
            self._pages_away[page] = content.get("is") is False
            self._pages_standing[page] = content.get("stands") is True
            self._is_within |= content.get("within") is True
            if was_seen and not self.is_seen:
                self._unseen_since_s = time.monotonic()
            elif not was_seen and self.is_seen:
                away_s = time.monotonic() - self._unseen_since_s
                self._send_guarded(lambda: self.send_since(away_s))
            self._rest_if_left()
        elif kind == "ready":
            self._pages_away[page] = False
            self._send_guarded(self.send_all)

    def _send_guarded(self, send: Callable[[], None]) -> None:
        try:
            with self.lock:
                send()
        except MlfoundryError as error:
            self.say({"kind": "trouble", "message": str(error)})

    def _answer(self, content: dict[str, Any], page: str) -> None:
        told: dict[str, Any] = {"kind": "answer", "id": content.get("id"), "page": page}
        frames: Sequence[bytes] = ()
        try:
            with self.lock:
                told["value"], frames = self._call(content.get("verb"), content.get("args"))
            told["ok"] = True
        except InvalidFilter as error:  # the page underlines the place itself
            details = {"position": error.position, "length": error.length}
            told.update(ok=False, error=str(error.args[0]), details=details)
        except MlfoundryError as error:
            told.update(ok=False, error=str(error))
        except Exception as error:  # noqa: BLE001  a question must get its answer, whatever went wrong
            _log.debug("a panel could not answer", exc_info=True)
            told.update(ok=False, error=f"{type(error).__name__}: {error}")
        self.say(told, *frames)

    def _call(self, verb: object, args: object) -> Answer:
        if verb == "picture":  # of two pages that save one file only one may change it, and both have asked
            return (self._bundle() if sum(self._pages_standing.values()) <= 1 else None), ()
        verbs = self.verbs()
        if verb not in verbs or not isinstance(verb, str):
            raise InvalidInput(f"this panel does not know {verb!r}; it knows {', '.join(verbs)}")
        if not isinstance(args, dict):
            raise InvalidInput(f"{verb} wants its arguments by name")
        return verbs[verb](**args)
