"""Verbs that are done again when their transaction gave way to another: nobody needs to hear of that."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from ..errors import StoreBusy

ATTEMPTS = 6
PAUSE_S = 0.02

Given = ParamSpec("Given")
Result = TypeVar("Result")
_random = random.Random()


def done_again(verb: Callable[Given, Result]) -> Callable[Given, Result]:
    """Make a verb that is one transaction: when the store undid it so that another could go on, it is done again.

    Raises:
        StoreBusy: It had to give way each time.
    """

    @wraps(verb)
    def attempt(*words: Given.args, **given: Given.kwargs) -> Result:
        for number in range(1, ATTEMPTS):
            try:
                return verb(*words, **given)
            except StoreBusy as error:
                if not error.gave_way:
                    raise
                time.sleep(_random.uniform(0.0, PAUSE_S * 2**number))
        return verb(*words, **given)

    return attempt
