"""How a record shows itself; the one place where records look upwards."""

from __future__ import annotations


class Shown:
    """A record that shows itself as a card: text anywhere, HTML in a notebook."""

    __slots__ = ()

    def __repr__(self) -> str:
        from ..displays import cards  # how a record looks is not its own business; this is the one look upwards

        return cards.record_text(self)

    def _repr_html_(self) -> str:
        from ..displays import cards

        return cards.record_html(self)
