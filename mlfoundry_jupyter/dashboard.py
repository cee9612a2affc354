"""What ``%mlfoundry_dashboard`` shows: the way to a page of the dashboard, or how to have one."""

from __future__ import annotations

from dataclasses import dataclass

from mlfoundry import displays
from mlfoundry.displays import Html

_NONE = "no dashboard serves this store now; run this in a terminal, and then the magic again:"
_COMMAND = "mlfoundry ui"


@dataclass(frozen=True, slots=True)
class DashboardLink:
    """The address of a page.

    Attributes:
        address: The address, None while nothing serves the store.
        what: What the page shows.
        store: The store.
    """

    address: str | None
    what: str
    store: str

    def __repr__(self) -> str:
        if self.address is None:
            return f"{_NONE} {_COMMAND} --uri {displays.plain(self.store)}"
        return f"{displays.plain(self.what)} in the dashboard: {displays.plain(self.address)}"

    def _repr_html_(self) -> str:
        if self.address is None or not self.address.startswith(("http://", "https://")):
            return Html.element("div", f"{_NONE} ", Html.element("code", f"{_COMMAND} --uri {self.store}"))
        return Html.element(
            "div", Html.link(self.address, f"open {self.what} in the dashboard"), style="font-size:13px"
        )
