"""Which metrics a person asks for first, by their names: the order of charts and tables in pictures.

The live panels order theirs by the same rules in ``mlfoundry/panels/columns.js`` and ``run_charts.js``; a test compares
the two. What those rules know of several runs (how many of them have a metric) is left out here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

_LESS_IS_BETTER = (
    "loss", "nll", "err", "error", "mae", "mse", "rmse", "mape", "perplexity", "ppl", "cer", "wer", "fid", "cost",
    "regret",
)  # fmt: skip
_MORE_IS_BETTER = (
    "acc", "accuracy", "auc", "auroc", "f1", "f1_score", "precision", "recall", "score", "r2", "reward", "return",
    "bleu", "rouge", "iou", "miou", "map", "dice", "elo",
)  # fmt: skip
_MARKS = " _-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$"  # in Unicode's order
_PARTS = re.compile(r"\d+|.", re.DOTALL)
_HELD_OUT = ("val", "valid", "validation", "test", "eval", "dev", "holdout")


def _word(words: Iterable[str]) -> re.Pattern[str]:
    return re.compile(rf"(^|[^a-z])({'|'.join(words)})([^a-z]|$)", re.IGNORECASE)


_LESS, _MORE, _HELD = _word(_LESS_IS_BETTER), _word(_MORE_IS_BETTER), _word(_HELD_OUT)


def ranked(names: Iterable[str]) -> list[str]:
    """Return names with those in front that a person asks for first; equals as people count, ``m2`` before ``m10``."""
    return sorted(sorted(names, key=_natural), key=_rank, reverse=True)


def charted(names: Iterable[str]) -> list[str]:
    """Return names in the order of a run's charts: ranked, and those of one section (``val/`` …) together."""
    order = ranked(names)
    sizes = Counter(_group(name) for name in order)
    sections = [_group(name) if sizes[_group(name)] > 1 else "" for name in order]
    first = {section: place for place, section in reversed(list(enumerate(sections)))}
    places = sorted(range(len(order)), key=lambda place: (first[sections[place]], place))
    return [order[place] for place in places]


def _rank(name: str) -> float:
    is_less = _LESS.search(name) is not None
    known = 2 if is_less or _MORE.search(name) else 0
    return known * (2 if _HELD.search(name) else 1) + (0.5 if is_less else 0.0)


def _group(name: str) -> str:
    return name.rpartition("/")[0]


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Return what sorts names as browsers do: marks, then numbers by their value, then letters of either case."""
    return [_place(part) for part in _PARTS.findall(name)]


def _place(part: str) -> tuple[int, int, str]:
    if part in _MARKS:
        return 0, _MARKS.index(part), ""
    return (1, int(part), "") if part.isdecimal() else (2, 0, part.casefold())
