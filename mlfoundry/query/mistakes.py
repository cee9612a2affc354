"""What stands where it does not belong: the message that says so, and what to write instead."""

from __future__ import annotations

import difflib

from ..errors import InvalidFilter
from .tokens import OPERATORS, RESERVED, Token, Words

_OPERATOR_LIST = "= != < <= > >= like ilike contains in is"
_MISTAKES = {
    "=<": "<=", "=>": ">=", "=!": "!=", "===": "=", "!==": "!=", ">==": ">=", "<==": "<=",
    "=~": "~", "~=": "~", "~~": "like", "!~": "not (NAME ~ VALUE)",
    "&&": "and", "&": "and", "||": "or", "|": "or", "!": "!=",
    "equals": "=", "eq": "=", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=",
    "between": "NAME >= 1 and NAME <= 2", "matches": "like 'svm%'", "rlike": "like 'svm%'",
    "regexp": "like 'svm%'", "startswith": "like 'svm%'", "has": "contains", "isnull": "is null",
}  # fmt: skip
EXAMPLE = "metrics.loss < 0.1 and model = 'svm'"


def no_name(words: Words, token: Token, expected: str) -> InvalidFilter:
    """Return the error for what stands where a name belongs; `expected` says what would be one."""
    shown = words.shown(token)
    if token.kind == "end":
        found = f"the text ends after {words.before(token).text or '-'!r}."
    elif token.text == "!":
        found = "! is not understood; write not: not (model = 'svm')."
    elif token.kind == "'":
        found = f"{shown} is a text where a name belongs; names are quoted with backticks."
    elif token.kind == "word":
        found = f"{shown} stands where a name belongs; if it is the name, quote it with backticks."
    else:
        found = f"{shown} stands where a name belongs."
    return words.error(f"{found} {expected}", token)


def no_operator(words: Words, token: Token) -> InvalidFilter:
    """Return the error for what stands where an operator belongs."""
    before = words.before(token)
    name = words.shown(before)
    if token.kind == "end":
        return words.error(f"the text ends after {name}. Compare it with something: loss < 0.1.", token)
    mistake = _MISTAKES.get(token.text.lower())
    if mistake in ("and", "or"):
        mistake = None
    if mistake is None and token.kind == "word":
        close = difflib.get_close_matches(token.text.lower(), RESERVED - {"and", "or", "not", "null"}, n=1)
        mistake = close[0] if close else None
    hint = f"Write {mistake}." if mistake else f"There are {_OPERATOR_LIST}."
    if mistake is None and token.kind == "word":
        hint += " A name that holds a space is quoted with backticks: metrics.`val loss`."
    return words.error(f"an operator belongs after {name}, and {words.shown(token)} is none. {hint}", token)


def no_value(words: Words, token: Token) -> InvalidFilter:
    """Return the error for what stands where a value belongs."""
    shown = words.shown(token)
    before = words.before(token)
    if token.kind == "end":
        found = f"the text ends after {words.shown(before)}, where a value belongs."
    elif token.kind == "`":
        found = f"backticks are for names; write '{token.text[:40]}' for a text."
    elif token.kind == "operator":
        both = before.text + token.text
        right = _MISTAKES.get(both, both if both in OPERATORS else None)
        hint = f" Write {right}." if right else ""
        found = f"a value belongs after {words.shown(before)}, and {shown} is an operator.{hint}"
    elif token.text.lower() == "null":
        found = "nothing equals null; write is null or is not null, or 'null' for the text."
    elif token.kind == "word":
        found = f"a value is missing before {shown}. If it is the value, quote it: '{token.text}'."
    else:
        found = f"{shown} stands where a value belongs. Lists follow in: model in ('svm', 'cnn')."
    return words.error(found, token)


def after_comparison(words: Words) -> InvalidFilter:
    """Return the error for what stands after a comparison that is over."""
    token = words.next
    shown = words.shown(token)
    before = words.before(token)
    mistake = _MISTAKES.get(token.text.lower())
    if token.kind == ")":
        found = "this ) closes nothing. Remove it, or add a ( where the group begins."
    elif token.kind == ",":
        found = "a comma joins no comparisons; write and."
    elif mistake in ("and", "or"):
        found = f"{shown} is not understood; write {mistake}."
    elif token.kind == "operator":
        found = f"the comparison ends before {shown}. Join two with and: lr > 0.01 and lr < 0.1."
    elif token.kind == before.kind == "word" and words.after(token).kind in ("end", "word", ")"):
        found = (
            f"{shown} is not understood after {words.shown(before)}. Quote a value of several words: "
            f"'{before.text[:40]} {token.text[:40]}'. Join comparisons with and / or."
        )
    else:
        found = f"and / or is missing before {shown}. For example: {EXAMPLE}."
    return words.error(found, token)
