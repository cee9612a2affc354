"""Which backend the settings mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import NotAuthenticated
from .backend import Backend
from .embedded import EmbeddedBackend

if TYPE_CHECKING:
    from ..settings import Settings


def open_backend(settings: Settings) -> Backend:
    """Return the backend that the settings name; nothing is asked of it yet.

    Raises:
        InvalidSetting: Its folder cannot be used.
        NotAuthenticated: It is a server, and there is no key for it.
    """
    if not settings.is_server:
        settings.require_folder()
        return EmbeddedBackend(settings.folder, settings.user)
    from .http import HttpBackend

    if not settings.api_key:
        raise NotAuthenticated(
            f"there is no API key for {settings.tracking_uri}. Run: mlfoundry login {settings.tracking_uri}, or set "
            "MLFOUNDRY_API_KEY."
        )
    return HttpBackend(settings.tracking_uri, settings.api_key, user=settings.user_of_key, renewed=settings.renewed_key)
