"""A page of runs by columns: what goes in comes out, and what is damaged is said to be."""

from __future__ import annotations

import json
import math
import random
import struct

import pytest

from mlfoundry.errors import InvalidInput
from mlfoundry.records import RunRows
from mlfoundry.wire import pages
from mlfoundry.wire.frames import frame, read_frame

FIRST, SECOND = bytes(15) + b"\x01", b"\xff" * 16
AT = 1_700_000_000_000_000


def page(**given):
    """Return a page of two runs, the first with all that a run can have."""
    whole = {
        "project_id": (1 << 63) - 1,
        "owner": "ann",
        "project_name": "iris",
        "runs": [
            (FIRST, "svm", "FAILED", "bob", AT, AT + 1, AT + 2, "d", "ValueError: 損", AT + 3),
            (SECOND, "forest", "RUNNING", "ann", -AT, None, -AT, "", "", None),
        ],
        "attributes": [
            (FIRST, "param", "lr", "float", "0.1"),
            (SECOND, "param", "layers", "json", "[1,2]"),
            (FIRST, "tag", "stage", "str", "dev"),
        ],
        "metrics": [
            (SECOND, 77, 1, None, -(2**63), AT, None, None),
            (FIRST, 77, 3, -0.0, 2**63 - 1, AT, -math.inf, math.inf),
            (FIRST, 5, 1, 0.5, 7, AT, 0.5, 0.5),
        ],
        "metric_names": {5: "accuracy", 77: "loss"},
        "next_cursor": "more",
        "hints": ("no run of ann/iris has a metric 'los'",),
    }
    return RunRows(**(whole | given))


def test_a_page_comes_out_as_it_went_in():
    read = pages.read_page_frame(pages.page_frame(page()))
    svm, forest = read.runs
    assert (read.next_cursor, read.hints) == ("more", page().hints)
    assert (svm.key.project_id, svm.key.run_id, forest.key.run_id) == ((1 << 63) - 1, FIRST.hex(), SECOND.hex())
    assert (svm.owner, svm.project_name, svm.run_name, svm.status, svm.created_by) == (
        "ann",
        "iris",
        "svm",
        "FAILED",
        "bob",
    )
    assert (svm.description, svm.error) == ("d", "ValueError: 損")
    assert [at.microsecond for at in (svm.started_at, svm.ended_at, svm.last_seen_at, svm.deleted_at)] == [0, 1, 2, 3]
    assert (forest.ended_at, forest.deleted_at, forest.started_at.year) == (None, None, 1916)
    assert (svm.params, svm.tags, forest.params, forest.tags) == ({"lr": 0.1}, {"stage": "dev"}, {"layers": [1, 2]}, {})
    assert list(svm.metrics) == ["loss", "accuracy"]
    loss = svm.metrics["loss"]
    assert (loss.count, loss.last_step, loss.min, loss.max) == (3, 2**63 - 1, -math.inf, math.inf)
    assert struct.pack("<d", loss.last) == struct.pack("<d", -0.0)
    lone = forest.metrics["loss"]
    assert (len(forest.metrics), lone.last_step) == (1, -(2**63))
    assert all(math.isnan(value) for value in (lone.last, lone.min, lone.max))


def test_an_empty_page_is_one():
    read = pages.read_page_frame(pages.page_frame(page(runs=[], attributes=[], metrics=[], next_cursor=None, hints=())))
    assert (read.runs, read.next_cursor, read.hints) == ((), None, ())


def changed(**header):
    """Return a page whose header says something else."""
    told, body = read_frame(pages.page_frame(page()), pages._size)
    return frame(told | header, body)


@pytest.mark.parametrize(
    "header",
    [{"runs": 3}, {"runs": 1}, {"metrics": 2}, {"metrics": 4}, {"params": 1}, {"tags": 9}, {"text": 3}, {"runs": -1}],
)
def test_a_page_whose_columns_do_not_fit_is_none(header):
    with pytest.raises(InvalidInput):
        pages.read_page_frame(changed(**header))


@pytest.mark.parametrize("word", ["runs", "metrics", "project", "run_ids"])
def test_a_page_that_lacks_a_part_is_none(word):
    told, body = read_frame(pages.page_frame(page()), pages._size)
    text = json.loads(body[: told["text"]])
    del text[word]
    shorter = json.dumps(text).encode()
    with pytest.raises(InvalidInput):
        pages.read_page_frame(frame(told | {"text": len(shorter)}, shorter + body[told["text"] :]))


def test_bytes_that_are_damaged_are_no_page_and_nothing_worse(scale):
    whole, chance = pages.page_frame(page()), random.Random(1)
    for _ in range(scale(2000, 200)):
        damaged = bytearray(whole[: chance.randrange(len(whole))] if chance.random() < 0.3 else whole)
        for _ in range(chance.randrange(1, 4)):
            if damaged:
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        try:
            pages.read_page_frame(bytes(damaged))
        except InvalidInput:
            continue
