"""How records look: complete plain text, and HTML of the same content for notebooks.

Pure functions from records and plain values. HTML is made by `Html` alone, which escapes all that it is
given: names, tags, keys and exception texts are strangers' text.

`texts`, `quantities` and `statuses` say single values, `markup` makes HTML of them, `tables` and `cards` lay them out,
`run_tables` chooses what of many runs is shown.
"""

from .cards import card_html, card_text, record_html, record_rows, record_text
from .markup import Html
from .quantities import ABSENT, age, duration_s, figure, moment, param, size, span, stamp
from .run_tables import RunColumns, runs_html, runs_text
from .statuses import STATUS_SIGNS, html_status, standing, status_text
from .tables import html_table, text_table
from .texts import cell_width, plain, shortened

__all__ = [
    "ABSENT",
    "STATUS_SIGNS",
    "Html",
    "RunColumns",
    "age",
    "card_html",
    "card_text",
    "cell_width",
    "duration_s",
    "figure",
    "html_status",
    "html_table",
    "moment",
    "param",
    "plain",
    "record_html",
    "record_rows",
    "record_text",
    "runs_html",
    "runs_text",
    "shortened",
    "size",
    "span",
    "stamp",
    "standing",
    "status_text",
    "text_table",
]
