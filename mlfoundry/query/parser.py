"""The grammar of the filter language: a filter and an order, read into the nodes of `tree`.

Owns the limits of a filter; what is not understood is told by `mistakes`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from ..errors import InvalidFilter
from . import mistakes
from .mistakes import EXAMPLE
from .tokens import OPERATORS, RESERVED, Token, Words, number, number_or_text
from .tree import (
    AGGREGATES,
    ATTRIBUTES,
    KINDS,
    TEXT_OPERATORS,
    And,
    Comparison,
    Field,
    Node,
    Not,
    Or,
    OrderTerm,
    Value,
    attribute_value,
    known_attribute,
)

MAX_COMPARISONS = 200
MAX_DEPTH = 50
MAX_LIST = 1_000


def parse_filter(text: str) -> Node | None:
    """Read a filter.

    Args:
        text: At most 10,000 characters, 200 comparisons, 50 levels of nesting and 1,000 values in a list.

    Returns:
        The tree; None for a text of white space, which every run matches.

    Raises:
        InvalidFilter: Which word was not understood, where, and what to write instead.

    Example:
        >>> parse_filter("lr < 0.01").field
        Field(kind=None, name='lr', aggregate='last')
    """
    return _Parser(text, "filter").whole_filter()


def parse_order(order: str | Iterable[str]) -> tuple[OrderTerm, ...]:
    """Read what to sort by, the most important first.

    Args:
        order: ``"metrics.loss ASC, started_at DESC"``, or a list of such terms. Ascending when nothing
            is said; a leading ``-`` means descending.

    Raises:
        InvalidFilter: Which word was not understood, where, and what to write instead. Of a list,
            ``text`` is the item.
    """
    items = [order] if isinstance(order, str) else list(order)
    terms = tuple(term for item in items for term in _Parser(item, "order").whole_order())
    if len(terms) > MAX_COMPARISONS:
        raise InvalidFilter(f"the order has {len(terms)} terms; at most {MAX_COMPARISONS} are allowed")
    return terms


class _Parser:
    """Reads one text from left to right; recursion is bounded by MAX_DEPTH."""

    def __init__(self, text: str, what: str) -> None:
        self._words = Words(text, what)
        self._comparisons = 0
        self._depth = 0

    def whole_filter(self) -> Node | None:
        if self._words.next.kind == "end":
            return None
        node = self._or()
        if self._words.next.kind != "end":
            raise mistakes.after_comparison(self._words)
        return node

    def whole_order(self) -> list[OrderTerm]:
        terms: list[OrderTerm] = []
        if self._words.next.kind == "end":
            return terms
        while True:
            terms.append(self._order_term())
            separator = self._words.take()
            if separator.kind == "end":
                return terms
            if separator.kind != ",":
                raise self._error(
                    f"{self._shown(separator)} is not understood here. After its name, an order has asc, "
                    "desc or a comma: metrics.loss asc, started_at desc.",
                    separator,
                )

    def _order_term(self) -> OrderTerm:
        descending = self._words.accept_dash()
        start = self._words.next
        field = self._field("An order begins with a name: metrics.loss desc.")
        length = self._words.length_since(start)
        if self._words.is_next("asc", "ascending", "desc", "descending"):
            if descending:
                raise self._error("the - before the name means desc; write one of them.", self._words.next)
            descending = self._words.take().text.lower().startswith("desc")
        return OrderTerm(field, descending, start.position, length)

    def _or(self) -> Node:
        parts = [self._and()]
        while self._words.accept("or"):
            parts.append(self._and())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _and(self) -> Node:
        parts = [self._not()]
        while self._words.accept("and"):
            parts.append(self._not())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _not(self) -> Node:
        if self._words.next.kind != "(" and not self._words.is_next("not"):
            return self._comparison()
        opening = self._words.take()
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(f"this is nested too deep; at most {MAX_DEPTH} levels are allowed.", opening)
        node = self._group(opening) if opening.kind == "(" else Not(self._not())
        self._depth -= 1
        return node

    def _group(self, opening: Token) -> Node:
        node = self._or()
        if self._words.next.kind == "end":
            raise self._error("this ( is never closed. Add a ) where the group ends.", opening)
        if self._words.next.kind != ")":
            raise mistakes.after_comparison(self._words)
        self._words.take()
        return node

    def _comparison(self) -> Comparison:
        """Read a name, an operator and what belongs after it."""
        start = self._words.next
        field = self._field(f"A comparison begins with a name: {EXAMPLE}.")
        length = self._words.length_since(start)
        self._comparisons += 1
        if self._comparisons > MAX_COMPARISONS:
            raise self._error(f"this is comparison {MAX_COMPARISONS + 1}; {MAX_COMPARISONS} are allowed.", start)
        operator = self._operator(field)
        value: Value | tuple[Value, ...] | None = None
        beginning = self._words.next
        if operator in ("IN", "NOT IN"):
            value = self._list(field, operator)
        elif operator not in ("IS NULL", "IS NOT NULL"):
            value = self._value(field, operator)
        if value is None:
            return Comparison(field, operator, value, start.position, length)
        value_length = self._words.length_since(beginning)
        return Comparison(field, operator, value, start.position, length, beginning.position, value_length)

    def _field(self, expected: str) -> Field:
        """Read a name with or without its kind, or a function of a metric."""
        token = self._words.take()
        if token.kind in ('"', "`"):
            return Field(None, self._name(token.text, token))
        if token.kind != "word" or token.text.lower() in RESERVED:
            raise mistakes.no_name(self._words, token, expected)
        if self._words.next.kind == "(":
            return self._aggregate(token)
        kind, dot, name = token.text.partition(".")
        if dot and kind.lower() in KINDS:
            return self._field_of_kind(KINDS[kind.lower()], name, token)
        if number(token.text) is not None:
            raise self._error(
                f"{self._shown(token)} is a number where a name belongs. Write the name first: loss < 0.1. "
                "A name that looks like a number is quoted with backticks.",
                token,
            )
        if not (token.text[0].isalnum() or token.text[0] == "_"):
            raise self._error(f"{self._shown(token)} is no name; quote it with backticks if it is one.", token)
        return Field(None, self._name(token.text, token))

    def _field_of_kind(self, kind: str, name: str, token: Token) -> Field:
        following = self._words.next
        if following.kind in ('"', "`", "'") and following.position == token.position + token.length:
            if name or following.kind == "'":
                raise self._error(f"quote the whole name with backticks: {kind}.`my name`.", following)
            name = self._words.take().text
        name = self._name(name, token)
        if kind == "attributes":
            try:
                name = known_attribute(name)
            except InvalidFilter as error:
                raise self._error(str(error.args[0]), token) from None
        return Field(kind, name)

    def _name(self, name: str, token: Token) -> str:
        if not name.strip():
            raise self._error(f"{self._shown(token)} needs a name, as in metrics.loss or tags.`my tag`.", token)
        return unicodedata.normalize("NFC", name)

    def _aggregate(self, function: Token) -> Field:
        """Read min(…), max(…) or last(…) of a metric, whose name `function` is."""
        aggregate = function.text.lower()
        if aggregate not in AGGREGATES:
            raise self._error(
                f"there is no function {self._shown(function)}. Metrics have {', '.join(AGGREGATES)}: "
                "min(metrics.loss) < 0.1.",
                function,
            )
        self._words.take()
        inner = self._words.next
        if inner.kind == "word" and self._words.after(inner).kind == "(":
            raise self._error(f"{aggregate}() takes the name of a metric, no other function.", inner)
        field = self._field(f"Write the name of a metric: {aggregate}(metrics.loss).")
        if field.kind not in (None, "metrics"):
            raise self._error(f"{aggregate}() takes a metric: {aggregate}(metrics.loss).", inner)
        if self._words.next.kind != ")":
            raise self._error(f"a ) is missing here: {aggregate}(metrics.loss).", self._words.next)
        self._words.take()
        return Field("metrics", field.name, aggregate)

    def _operator(self, field: Field) -> str:
        token = self._words.take()
        operator = self._word_operator(token) if token.kind == "word" else OPERATORS.get(token.text)
        if operator is None or token.kind not in ("word", "operator"):
            raise mistakes.no_operator(self._words, token)
        if operator in TEXT_OPERATORS and not _may_be_text(field):
            raise self._error(
                f"{self._shown(token)} searches in texts, and {field.name} is no text. Use = != < <= > >=.",
                token,
            )
        return operator

    def _word_operator(self, token: Token) -> str | None:
        """Read the rest of an operator that is a word; None when the word is none."""
        word = token.text.upper()
        if word in ("IN", "LIKE", "ILIKE", "CONTAINS"):
            return word
        if word == "IS":
            operator = "IS NOT NULL" if self._words.accept("not") else "IS NULL"
            if not self._words.accept("null"):
                raise self._error("after is comes null or not null: ended_at is null.", self._words.next)
            return operator
        if word == "NOT":
            if self._words.is_next("in", "like", "ilike"):
                return f"NOT {self._words.take().text.upper()}"
            raise self._error(
                "after this not comes like, ilike or in. To turn a comparison round, put not before it: "
                "not model contains svm.",
                token,
            )
        return None

    def _list(self, field: Field, operator: str) -> tuple[Value, ...]:
        """Read the values in parentheses after in."""
        example = f"{operator.lower()} ('svm', 'cnn')"
        opening = self._words.take()
        if opening.kind != "(":
            raise self._error(f"{operator.lower()} takes a list in parentheses: {example}.", opening)
        values: list[Value] = []
        while True:
            if self._words.next.kind == ")":
                what = "ends with a comma" if values else "is empty"
                raise self._error(f"this list {what}. Write values, commas between: {example}.", self._words.next)
            values.append(self._value(field, operator))
            if len(values) > MAX_LIST:
                raise self._error(f"this list has more than {MAX_LIST:,} values, which is the limit.", opening)
            separator = self._words.take()
            if separator.kind == ")":
                return tuple(values)
            if separator.kind == "end":
                raise self._error("this list is never closed. Add a ) where it ends.", opening)
            if separator.kind != ",":
                raise self._error(f"a comma or ) is missing before {self._shown(separator)}: {example}.", separator)

    def _value(self, field: Field, operator: str) -> Value:
        """Read what a field is compared with."""
        token = self._words.take()
        if token.kind not in ("word", "'", '"') or (token.kind == "word" and token.text.lower() in RESERVED):
            raise mistakes.no_value(self._words, token)
        if field.kind == "metrics":
            value = number(token.text.strip())
            if value is None:
                raise self._error(
                    f"metrics are compared with numbers, and {self._shown(token)} is none. For example: "
                    "metrics.loss < 0.1.",
                    token,
                )
            return value
        keeps_text = token.kind != "word" or operator in TEXT_OPERATORS
        if keeps_text or (field.kind == "attributes" and _may_be_text(field)):
            literal: Value = token.text
        else:
            literal = number_or_text(token.text)
        if field.kind == "attributes" and operator not in TEXT_OPERATORS:
            try:
                attribute_value(field.name, literal)
            except InvalidFilter as error:
                raise self._error(str(error.args[0]), token) from None
        return literal

    def _error(self, message: str, at: Token) -> InvalidFilter:
        return self._words.error(message, at)

    def _shown(self, token: Token) -> str:
        return self._words.shown(token)


def _may_be_text(field: Field) -> bool:
    if field.kind == "attributes":
        return ATTRIBUTES[field.name] in ("text", "status")
    return field.kind != "metrics"
