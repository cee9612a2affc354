"""The words of the filter language: text to tokens, a place among them, and which words are numbers.

Owns what stands between white space, quotes and operators; `parser` makes a tree of it. Every pattern is
one character class repeated, so reading takes time in proportion to the text.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from ..errors import InvalidFilter

MAX_TEXT = 10_000
RESERVED = frozenset({"and", "or", "not", "in", "is", "like", "ilike", "contains", "null"})
OPERATORS = {
    "=": "=", "==": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">=", "~": "CONTAINS",
}  # fmt: skip

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_PLAIN_INTEGER = re.compile(r"[+-]?(?:0|[1-9][0-9]{0,17})")
_LOOKS_LIKE_A_CODE = re.compile(r"[+-]?(?:0[0-9]+|[0-9]{19,})")  # 007; an id made of digits
_NOT_FINITE = {
    "inf": math.inf, "+inf": math.inf, "-inf": -math.inf, "nan": math.nan,
    "infinity": math.inf, "+infinity": math.inf, "-infinity": -math.inf,
}  # fmt: skip


def number(word: str) -> float | int | None:
    """Return the number that a word stands for, None when it stands for none or for one too large."""
    if _PLAIN_INTEGER.fullmatch(word):
        return int(word)
    if _NUMBER.fullmatch(word):
        value = float(word)
        return None if math.isinf(value) else value
    return _NOT_FINITE.get(word.lower())


def number_or_text(word: str) -> float | int | str:
    """Return the number that a word stands for, else the word.

    007 and long rows of digits stay text: they name something, and as numbers they would lose digits.
    """
    value = None if _LOOKS_LIKE_A_CODE.fullmatch(word) else number(word)
    return word if value is None else value


def shortened(value: object) -> str:
    """Return a value as messages show it: a text in quotes, and not more than 60 characters."""
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


class Token(NamedTuple):
    """One word, operator, quoted text, parenthesis or comma.

    Attributes:
        kind: ``word``, ``operator``, ``end``, or the character itself: a quote, a parenthesis, a comma.
        text: As written; of a quoted token what stands between the quotes, doubled quotes undone.
        position: Index of its first character.
        length: With its quotes.
    """

    kind: str
    text: str
    position: int
    length: int


class Words:
    """A text as tokens, read from left to right.

    Args:
        text: What the user wrote.
        what: ``filter`` or ``order``, for messages.

    Raises:
        InvalidFilter: It is no text, too long, or holds characters that are nowhere understood.
    """

    def __init__(self, text: str, what: str) -> None:
        if not isinstance(text, str):
            raise InvalidFilter(f"the {what} must be a text such as 'lr < 0.1', and {shortened(text)} is none")
        if len(text) > MAX_TEXT:  # not repeated in the error: a message of a megabyte helps nobody
            raise InvalidFilter(f"the {what} has {len(text):,} characters; at most {MAX_TEXT:,} are allowed")
        for position, character in enumerate(text):
            if character == "\0" or "\ud800" <= character <= "\udfff":  # no database keeps them
                raise InvalidFilter(
                    f"the {what} holds U+{ord(character):04X}, which is no text. Remove it.",
                    text=text.encode("utf-8", "replace").decode(),
                    position=position,
                )
        self._text = text
        self._tokens = _tokens(text)
        self._index = 0

    @property
    def next(self) -> Token:
        """The token that has not been taken yet; of kind ``end`` when there is none."""
        return self._tokens[self._index]

    def is_next(self, *words: str) -> bool:
        """Tell whether the next token is one of these words, in any case."""
        return self.next.kind == "word" and self.next.text.lower() in words

    def take(self) -> Token:
        """Return the next token and go on; the end can be taken again and again."""
        token = self.next
        self._index = min(self._index + 1, len(self._tokens) - 1)
        return token

    def accept(self, word: str) -> bool:
        """Take the next token if it is this word."""
        found = self.is_next(word)
        if found:
            self.take()
        return found

    def accept_dash(self) -> bool:
        """Take the dash with which the next word begins, and leave the rest of the word."""
        token = self.next
        found = token.kind == "word" and token.text.startswith("-")
        if found:
            rest = Token("word", token.text[1:], token.position + 1, token.length - 1)
            self._tokens[self._index : self._index + 1] = [rest] if rest.text else []
        return found

    def before(self, token: Token) -> Token:
        """Return the token before this one, itself for the first."""
        return self._tokens[max(0, self._tokens.index(token) - 1)]

    def after(self, token: Token) -> Token:
        """Return the token after this one, itself for the end."""
        return self._tokens[min(self._tokens.index(token) + 1, len(self._tokens) - 1)]

    def length_since(self, start: Token) -> int:
        """Return how many characters lie between the beginning of a token and the end of the last taken."""
        last = self._tokens[self._index - 1]
        return last.position + last.length - start.position

    def shown(self, token: Token) -> str:
        """Return a token as messages show it: in quotes, its own where it has some."""
        written = self._text[token.position : token.position + token.length]
        return written[:60] if token.kind in "'\"`" else shortened(written)

    def error(self, message: str, at: Token) -> InvalidFilter:
        """Return the error that points at a token, at the last word where the text ends too early."""
        at = self.before(at) if at.kind == "end" else at
        return InvalidFilter(message, text=self._text, position=at.position, length=at.length)


_SPACE = re.compile(r"\s*")
_OPERATOR = re.compile(r"[=<>!~&|]+")
_WORD = re.compile(r"[^\s\x00-\x1f\x7f!\"'`()=<>~,;&|\\^?\[\]{}‘’‚“”„«»]+")
_CHARACTER_HINTS = {
    ";": "One filter is one expression: join comparisons with and / or.",
    "[": "Write lists in parentheses: model in ('svm', 'cnn').",
    "{": "Write lists in parentheses: model in ('svm', 'cnn').",
    "\\": "A text with a backslash is quoted: path = 'C:\\data'.",
} | dict.fromkeys("‘’‚“”„«»", "It is a typographic quote; write a straight ' or \" instead.")


def _tokens(text: str) -> list[Token]:
    tokens: list[Token] = []
    position = 0
    while True:
        space = _SPACE.match(text, position)
        position = space.end() if space else position
        if position == len(text):
            tokens.append(Token("end", "", position, 1))
            return tokens
        token = _token(text, position)
        tokens.append(token)
        position += token.length


def _token(text: str, position: int) -> Token:
    """Return the token that begins at a place."""
    character = text[position]
    if character in "\"'`":
        return _quoted(text, position)
    if character in "(),":
        return Token(character, character, position, 1)
    for kind, pattern in (("operator", _OPERATOR), ("word", _WORD)):
        found = pattern.match(text, position)
        if found and (kind == "operator" or found[0].isprintable()):
            return Token(kind, found[0], position, len(found[0]))
        if found:
            position += next(i for i, letter in enumerate(found[0]) if not letter.isprintable())
    character = text[position]
    shown = f"'{character}'" if character.isprintable() else f"the invisible U+{ord(character):04X}"
    hint = _CHARACTER_HINTS.get(character, "Names and values that hold it are quoted: tags.`a?` = 'b?'.")
    raise InvalidFilter(f"{shown} means nothing here. {hint}", text=text, position=position)


def _quoted(text: str, position: int) -> Token:
    """Return the text in quotes that begins at a place."""
    quote = text[position]
    end = text.find(quote, position + 1)
    while end >= 0 and text[end + 1 : end + 2] == quote:  # doubled: it stands for itself
        end = text.find(quote, end + 2)
    if end < 0:
        raise InvalidFilter(
            f"this {quote} is never closed. Add a {quote} where the text ends; inside it, write {quote * 2} "
            f"for a {quote}.",
            text=text,
            position=position,
            length=len(text) - position,
        )
    inner = text[position + 1 : end].replace(quote * 2, quote)
    return Token(quote, inner, position, end + 1 - position)
