"""A handle of a run in the store travels: to other processes, and into copies."""

from __future__ import annotations

import copy
import pickle
from multiprocessing import get_context

import pytest

import mlfoundry


@pytest.fixture
def stored(tmp_path):
    client = mlfoundry.get_client(tmp_path / "store", user="ann", end_timeout_s=7)
    with client.create_run("p", "x", log_system_metrics=False, capture=False) as run:
        run.log_metrics({"loss": 0.5})
        run.log_params({"depth": 3})
    yield client.get_run("ann/p/x")
    client.backend.close()


def told(run):
    run.client.backend.close()  # the process may be a worker that lives on
    return type(run).__name__, run.fqn, run.client.user, run.get_params(), run.get_metrics()["loss"].values.tolist()


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_it_reads_in_another_process(stored, method):
    with get_context(method).Pool(1) as pool:
        assert pool.map(told, [stored]) == [("StoredRun", "ann/p/x", "ann", {"depth": 3}, [0.5])]


def test_what_was_pickled_has_a_client_of_its_own_with_the_same_settings(stored):
    again = pickle.loads(pickle.dumps(stored))
    assert again.client is not stored.client
    assert again.client.settings == stored.client.settings
    assert (again.record, again.get_params()) == (stored.record, stored.get_params())
    again.set_tags({"seen": "yes"})
    again.client.backend.close()
    assert stored.get_tags() == {"seen": "yes"}


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy])
def test_a_copy_reads_as_well(stored, make):
    again = make(stored)
    assert again.get_metrics()["loss"].values.tolist() == [0.5]
    again.client.backend.close()
