"""Secrets in a cell's source are masked before anything of it is kept.

A string is masked for its name (``api_key = "…"``, ``connect(password="…")``, ``{"token": "…"}``) or for its own
shape: tokens of well-known services, private keys, URLs with credentials. It errs on the side of masking.
Not found: a secret that is called nothing and looks like nothing.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

MASK = "***"

_IS_SECRET = re.compile(
    r"(?:api)?keys?|tokens?|secrets?|passwords?|passwd|pwd|pw|passphrase|credentials?|auth|authorization"
)
# What sklearn, pandas, transformers and others call their harmless arguments.
_HARMLESS = re.compile(
    r"(?:sort|group|primary|foreign|dict|state|partition|cache|column|index|join|merge|data|label|feature|metric|"
    r"x|y|pad|eos|bos|unk|sep|cls|mask|max|min|new|num|n|special|stop|image)_(?:key|keys|token|tokens)"
)
_NUMBER_TOO = re.compile(r"password|passwd|pwd|passphrase|secret|pin")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

# All repetitions have bounds, so that a cell with a line of 100,000 characters costs no noticeable time.
# Shapes of what services give out; each is long enough that ordinary words are not taken for one.
_SHAPES = re.compile(
    r"""
      \bsk-[A-Za-z0-9_-]{16,}            | \b[spr]k_(?:live|test)_[A-Za-z0-9]{10,}
    | \bgh[pousr]_[A-Za-z0-9]{20,}       | \bgithub_pat_[A-Za-z0-9_]{20,}   | \bglpat-[A-Za-z0-9_-]{16,}
    | \b(?:AKIA|ASIA)[A-Z0-9]{16}\b      | \bAIza[A-Za-z0-9_-]{30,}         | \bya29\.[A-Za-z0-9_-]{20,}
    | \bxox[abeoprs]-[A-Za-z0-9-]{10,}   | \bhf_[A-Za-z0-9]{20,}            | \bnpm_[A-Za-z0-9]{30,}
    | \bpypi-[A-Za-z0-9_-]{32,}          | \bdop_v1_[a-f0-9]{32,}           | \bdapi[a-f0-9]{32}\b
    | \bmlf_[A-Za-z0-9]{20,}
    | \bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}
    | \beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?
    | -----BEGIN[ A-Z]*PRIVATE[ ]KEY-----(?:.|\n)*?(?:-----END[ A-Z]*PRIVATE[ ]KEY-----|\Z)
    """,
    re.VERBOSE,
)
# user:password@, but not the @ in a path behind host:port/
_URL = re.compile(
    r"(\b[A-Za-z][A-Za-z0-9+.-]{0,30}://)[^\s/@:'\"]{0,200}:(?!\d{1,5}/)[^\s'\"]{0,200}?@(?=[^\s@'\"]{0,200}(?:[\s'\"/]|$))"
)
_URL_USER = re.compile(r"(\b[A-Za-z][A-Za-z0-9+.-]{0,30}://)[^\s/@:'\"]{20,200}@")
_BEARER = re.compile(r"(?i)\b((?:bearer|basic)\s+)[A-Za-z0-9+/_.=-]{8,}")
# NAME=VALUE and NAME: VALUE where there is no syntax to go by: comments, shell lines, connection strings.
_PAIR = re.compile(
    r"""(?ix) ( (?<![\w.-]) [\w.-]{0,60} (?:api[_-]?key|access[_-]?key|secret|token|passw(?:or)?d|passwd|pwd|passphrase)
                [\w.-]{0,60} ["']? \s{0,20} [=:] \s{0,20} ) ( "[^"\n]*" | '[^'\n]*' | (?!["'{$(<\[]) [^\s;,&)}"']+ )"""
)
_OPTION = re.compile(
    r"(?i)((?<![\w-])--?[\w-]{0,40}(?:api-?key|secret|token|passw(?:or)?d|passwd)\s{1,20})(?![-{$])(\"[^\"\n]*\"|'[^'\n]*'|\S+)"
)
_ENV = re.compile(r"(?m)^(\s*%(?:set_)?env\s{1,20}(\w{1,100})[ \t]{1,20})(?![=\s{$])(\S[^\n]*)")

# Calls whose first argument says where a secret lies, and is none.
_LOOK_UPS = frozenset(
    {"getenv", "get", "pop", "getpass", "input", "prompt", "get_secret", "get_password", "setdefault"}
)


def is_secret(name: str) -> bool:
    """Return whether a name says that its value is a secret.

    >>> [is_secret(name) for name in ("api_key", "openaiApiKey", "DB_PASSWORD", "tokenizer", "max_tokens", "monkey")]
    [True, True, True, False, False, False]
    """
    words = [word.lower() for word in _WORD.findall(name)]
    if not any(_IS_SECRET.fullmatch(word) for word in words):
        return False
    return _HARMLESS.fullmatch("_".join(words[-2:])) is None or any(_NUMBER_TOO.fullmatch(word) for word in words)


def looks_secret(text: str) -> bool:
    """Return whether a text has the shape of a secret, or holds one."""
    return masked_text(text) != text


def masked_text(text: str) -> str:
    """Return text with everything masked that has the shape of a secret."""
    text = _SHAPES.sub(MASK, text)
    text = _URL.sub(rf"\g<1>{MASK}@", text)
    text = _URL_USER.sub(rf"\g<1>{MASK}@", text)
    return _BEARER.sub(rf"\g<1>{MASK}", text)


def masked(source: str) -> tuple[str, int]:
    """Return the source of a cell with its secrets masked, and how many places were.

    Args:
        source: As the user typed it, magics and shell lines included.
    """
    source = source.replace("\r\n", "\n").replace("\r", "\n")
    tree = parsed(source)
    text, count = source, 0
    if tree is not None:
        text, count = _replaced(source, sorted(set(_spans(tree))))
    lines = []
    goes_on = False  # a shell command behind a backslash
    for line in _lines(text):
        is_magic = goes_on or _MAGIC.match(line) is not None
        goes_on = is_magic and line.rstrip("\n").endswith("\\")
        start = _free_from(line, has_syntax=tree is not None and not is_magic)
        tail = _OPTION.sub(rf"\g<1>{MASK}", _PAIR.sub(_pair_masked, line[start:]))
        tail = _ENV.sub(lambda found: f"{found[1]}{MASK}" if is_secret(found[2]) else found[0], tail)
        lines.append(line[:start] + tail)
    free = "".join(lines)
    shaped = masked_text(free)
    return shaped, count + max(0, shaped.count(MASK) - text.count(MASK))


def _lines(source: str) -> list[str]:
    """Split as Python does: a form feed and its like end no line."""
    return re.findall(r"[^\n]*\n|[^\n]+", source)


def parsed(source: str) -> ast.Module | None:
    """Return the syntax tree of a cell's Python, with positions as in the source; None when there is none.

    Lines of IPython's own syntax (magics, shell commands, help) count as ``pass``.
    """
    for make in (str, _without_cell_magics, _without_magics):  # the last one may spoil a text of several lines
        try:
            return ast.parse(make(source))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return None


_MAGIC = re.compile(r"\s*(?:[%!?]|[\w.\[\]'\", ]+=\s*[%!])|.*\?\s*$")


def _without_cell_magics(source: str) -> str:
    return re.sub(r"(?m)^%%.*$", "pass", source)


def _without_magics(source: str) -> str:
    lines = []
    is_continued = False
    for line in _lines(source):
        if is_continued or _MAGIC.match(line):
            # A shell command goes on behind a backslash; then its next line is no Python either.
            indent = "" if is_continued else line[: len(line) - len(line.lstrip())]
            lines.append(("" if is_continued else f"{indent}pass") + ("\n" if line.endswith("\n") else ""))
            is_continued = line.rstrip("\n").endswith("\\")
        else:
            lines.append(line)
    return "".join(lines)


def _free_from(line: str, *, has_syntax: bool) -> int:
    """Return from where on a line has no syntax that tells names and values apart."""
    if not has_syntax:
        return 0
    place = line.find("#")
    return place if place >= 0 else len(line)


def _pair_masked(found: re.Match[str]) -> str:
    name = re.split(r"[\"'\s=:]", found[1])[0]
    value = found[2]
    if _HARMLESS.fullmatch("_".join(word.lower() for word in _WORD.findall(name)[-2:])) or value.strip("\"'") == MASK:
        return found[0]
    quote = value[0] if value[0] in "\"'" else ""
    return f"{found[1]}{quote}{MASK}{quote}"


Span = tuple[int, int, int, int, str]


def _spans(tree: ast.Module) -> Iterator[Span]:
    """Find what is to be masked: (line, column, end line, end column, what stands there instead); columns in bytes."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        for name, value in _named_values(node):
            if is_secret(name):
                yield from _masks(value, with_numbers=_says_number(name))
        if isinstance(node, ast.JoinedStr):  # Python 3.11 does not know where its parts are
            if _holds_secret(node):
                yield _span(node, f'"{MASK}"')
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" not in node.value:
            without = _PAIR.sub(_pair_masked, node.value)
            if without != node.value:
                yield _span(node, repr(without))
        waiting.extend(ast.iter_child_nodes(node))


def _holds_secret(formatted: ast.JoinedStr) -> bool:
    for node in ast.walk(formatted):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and masked_text(node.value) != node.value:
            return True
        for name, value in _named_values(node):
            if is_secret(name) and any(True for _ in _masks(value, with_numbers=_says_number(name))):
                return True
    return False


def _says_number(name: str) -> bool:
    return any(_NUMBER_TOO.fullmatch(word.lower()) for word in _WORD.findall(name))


def _named_values(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Give the names that a node gives values to, with the values."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            yield from _pairs(target, node.value)
    elif isinstance(node, (ast.AnnAssign, ast.AugAssign, ast.NamedExpr)) and node.value is not None:
        yield from _pairs(node.target, node.value)
    elif isinstance(node, ast.keyword) and node.arg:
        yield node.arg, node.value
    elif isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                yield key.value, value
    elif isinstance(node, ast.arguments):
        arguments = [*node.posonlyargs, *node.args]
        yield from zip((a.arg for a in arguments[len(arguments) - len(node.defaults) :]), node.defaults, strict=True)
        yield from ((a.arg, d) for a, d in zip(node.kwonlyargs, node.kw_defaults, strict=True) if d is not None)
    elif isinstance(node, ast.Compare) and isinstance(node.left, (ast.Name, ast.Attribute)):
        for value in node.comparators:
            yield from _pairs(node.left, value)
    elif isinstance(node, ast.Call) and _called(node) in ("setdefault", "putenv", "setenv") and len(node.args) == 2:
        yield str(getattr(node.args[0], "value", "")), node.args[1]


def _pairs(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    """Yield each name with the text that is given to it."""
    if isinstance(target, (ast.Tuple, ast.List)):
        if isinstance(value, (ast.Tuple, ast.List)) and len(value.elts) == len(target.elts):
            for one, its in zip(target.elts, value.elts, strict=True):
                yield from _pairs(one, its)
        else:
            for one in target.elts:
                yield from _pairs(one, value)
    elif isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, ast.Attribute):
        yield target.attr, value
    elif isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
        yield str(target.slice.value), value
    elif isinstance(target, ast.Starred):
        yield from _pairs(target.value, value)


def _called(node: ast.Call) -> str:
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def _masks(value: ast.expr, *, with_numbers: bool) -> Iterator[Span]:
    """Mask the strings of a value, but not those that only say where it comes from."""
    if isinstance(value, ast.JoinedStr):
        yield _span(value, f'"{MASK}"')
    elif isinstance(value, ast.Constant):
        is_text = isinstance(value.value, (str, bytes)) and bool(value.value) and not _is_placeholder(value.value)
        is_number = with_numbers and type(value.value) in (int, float)
        if is_text or is_number:
            yield _span(value, ('b"' if isinstance(value.value, bytes) else '"') + f'{MASK}"')
    elif isinstance(value, ast.Subscript):
        yield from _masks(value.value, with_numbers=with_numbers)
    elif isinstance(value, ast.Compare):
        return
    elif isinstance(value, ast.Call):
        arguments = value.args[1:] if _called(value) in _LOOK_UPS else value.args
        for each in [*arguments, *(keyword.value for keyword in value.keywords)]:
            yield from _masks(each, with_numbers=with_numbers)
        if isinstance(value.func, ast.Attribute):
            yield from _masks(value.func.value, with_numbers=with_numbers)
    elif isinstance(value, ast.Lambda):
        return
    elif isinstance(value, ast.IfExp):
        for each in (value.body, value.orelse):
            yield from _masks(each, with_numbers=with_numbers)
    elif isinstance(value, ast.Dict):
        for each in value.values:
            yield from _masks(each, with_numbers=with_numbers)
    else:
        for child in ast.iter_child_nodes(value):
            if isinstance(child, ast.expr):
                yield from _masks(child, with_numbers=with_numbers)


def _is_placeholder(text: str | bytes) -> bool:
    """Return whether this is a mark of a tokenizer, such as ``<pad>`` or ``[CLS]``."""
    return isinstance(text, str) and re.fullmatch(r"<\|?\w{1,20}\|?>|\[[A-Z]{2,8}\]", text) is not None


def _span(node: ast.expr, instead: str) -> Span:
    return node.lineno, node.col_offset, node.end_lineno or node.lineno, node.end_col_offset or 0, instead


def _replaced(source: str, spans: list[Span]) -> tuple[str, int]:
    """Replace from the end to the beginning; of spans that lie in one another the outer one counts."""
    lines = [line.encode() for line in _lines(source)]
    outer: list[Span] = []
    for span in sorted(spans, key=lambda each: (each[0], each[1], -each[2], -each[3])):
        if not outer or span[:2] >= outer[-1][2:4]:
            outer.append(span)
    for line, column, end_line, end_column, instead in reversed(outer):
        whole = lines[line - 1][:column] + instead.encode() + lines[end_line - 1][end_column:]
        lines[line - 1 : end_line] = [whole]
    return b"".join(lines).decode("utf-8", "replace"), len(outer)
