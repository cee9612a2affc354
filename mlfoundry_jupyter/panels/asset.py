"""What every panel of a page needs once: the front end's modules, its style and plotly.js.

A hidden widget without a view. Its bytes (1.7 MB) are sent as a custom message, once when it is made and again
when a page asks that was loaded after that; they are never a trait, so that no saved widget state holds them.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import re
import threading
import uuid
from importlib import resources
from typing import Any

import anywidget
import numpy as np
import traitlets

from mlfoundry import panels
from mlfoundry.panels import frames

_BEFORE_LOADER = ("content", "clicks", "source", "saved", "places")  # each imports only those before it
_IMPORT = re.compile(r"^import \{[^}]*\} from \"\./\w+\.js\";\n", re.MULTILINE)
_EXPORT = re.compile(r"^export (?=class |const |function )", re.MULTILINE)
_LEVEL = 3  # 60 ms; the highest level takes 5 times as long for 8 % less


def own_source(name: str) -> str:
    """Return the text of a module of this folder."""
    return resources.files(__package__).joinpath(f"{name}.js").read_text(encoding="utf-8")


def loader_source() -> str:
    """Return the loader as one module: a page gets it as text, from where nothing can be imported."""
    before = [panels.source("frames"), *(own_source(name) for name in _BEFORE_LOADER)]
    texts = [_EXPORT.sub("", text) for text in before] + [own_source("loader")]
    return "\n".join(_IMPORT.sub("", text) for text in texts)


@functools.cache
def _texts() -> dict[str, bytes]:
    texts = {f"{name}.js": panels.source(name) for name in panels.module_names()}
    return {name: text.encode() for name, text in {**texts, panels.STYLE: panels.source(panels.STYLE)}.items()}


@functools.cache
def content_hash() -> str:
    """Return what identifies the content: the same for the same modules and the same plotly."""
    digest = hashlib.sha256(_plotly_version().encode())
    for name, text in _texts().items():
        digest.update(name.encode() + b"\0" + text + b"\0")
    return digest.hexdigest()[:16]


@functools.cache
def compressed() -> bytes:
    """Return the content: a gzipped frame whose columns are the files."""
    plotly = resources.files("plotly").joinpath("package_data", "plotly.min.js").read_bytes()
    files = {**_texts(), "plotly": plotly}
    columns: list[frames.Column] = [
        ({"name": name, "type": "u1"}, np.frombuffer(data, np.uint8)) for name, data in files.items()
    ]
    return gzip.compress(frames.frame({"kind": "asset"}, columns), _LEVEL, mtime=0)


def _plotly_version() -> str:
    from importlib import metadata

    return metadata.version("plotly")


class Asset(anywidget.AnyWidget):
    """The widget that brings the content to a page; made by `asset`."""

    _esm = loader_source()
    _view_name = traitlets.Any(None, allow_none=True).tag(sync=True)
    _asset_id = traitlets.Unicode().tag(sync=True)
    content_hash = traitlets.Unicode().tag(sync=True)
    is_sent = traitlets.Bool(False).tag(sync=True)

    def __init__(self) -> None:
        own = uuid.uuid4().hex
        super().__init__(model_id=own, _asset_id=own, content_hash=content_hash())
        self.on_msg(self._asked)
        self._sending = threading.Thread(target=self._send_first, name="mlfoundry-asset", daemon=True)
        self._sending.start()

    def _send_first(self) -> None:
        self.send({"kind": "asset"}, [compressed()])
        self.is_sent = True

    def _asked(self, _: Any, content: Any, buffers: Any) -> None:  # noqa: ARG002  ipywidgets' signature
        if isinstance(content, dict) and content.get("ask") == "asset":
            self.send({"kind": "asset"}, [compressed()])


_lock = threading.Lock()
_asset: Asset | None = None


def asset() -> Asset:
    """Return the asset of this process; made with the first panel, and anew when it was closed."""
    global _asset
    with _lock:
        if _asset is None or _asset.comm is None:
            _asset = Asset()
        return _asset
