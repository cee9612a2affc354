"""HTML, which escapes all that it is given, and the styles that tables and cards share."""

from __future__ import annotations

import html

from .texts import plain


class Html(str):
    """HTML that is safe to show: everything that is not `Html` itself is escaped on its way in."""

    __slots__ = ()

    @classmethod
    def of(cls, value: object) -> Html:
        """Return a value as HTML text."""
        return value if isinstance(value, Html) else cls(html.escape(plain(value), quote=True))

    @classmethod
    def element(cls, tag: str, *content: object, style: str = "", title: object = None) -> Html:
        """Return an element; `tag` and `style` are ours, content and title may be anybody's."""
        attributes = f' style="{html.escape(style, quote=True)}"' if style else ""
        if title is not None:
            attributes += f' title="{cls.of(title)}"'
        return cls(f"<{tag}{attributes}>{''.join(cls.of(each) for each in content)}</{tag}>")

    @classmethod
    def link(cls, address: str, text: object) -> Html:
        """Return a link that opens beside the page.

        Raises:
            ValueError: The address is none of http or https.
        """
        if not address.startswith(("http://", "https://")):
            raise ValueError(f"{address!r} is no address of http or https")
        href = html.escape(address, quote=True)
        return cls(f'<a href="{href}" target="_blank" rel="noopener noreferrer">{cls.of(text)}</a>')


CELL = "padding:2px 10px;white-space:nowrap;border-bottom:1px solid rgba(128,128,128,.25)"
NUMBER = f"{CELL};text-align:right;font-variant-numeric:tabular-nums"
