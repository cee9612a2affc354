"""SIGKILL at random moments: every accepted record is stored exactly once and in order, and nothing else is."""

from __future__ import annotations

import mmap
import random
import struct

import pytest

from mlfoundry.records import RunStatus

WORKERS = 4
MODES = ("flat", "row", "khz", "mixed")


class Shared:
    """Memory that outlives the killed process: how many calls of each worker have returned."""

    def __init__(self, path):
        path.write_bytes(bytes(8 * 64))
        self.path = path
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)

    def returned(self, worker: int) -> int:
        return struct.unpack_from("<q", self._map, 8 * worker)[0]


def check_run(seen, shared, mode, workers):
    assert seen.left == 0
    run = seen.run()
    assert run.status is RunStatus.KILLED
    metrics = run.get_metrics()
    params, tags = run.get_params(), run.get_tags()
    last_us = 0
    for worker in range(workers):
        returned = shared.returned(worker)
        keys = [key for key in metrics if key == f"w{worker}" or key.startswith(f"w{worker}/")]
        if mode == "row" and returned:
            assert len(keys) == 20
        for key in keys:
            points = metrics[key]
            sign = -1.0 if key.endswith("/more") else 1.0
            count = len(points.values)
            assert returned <= count <= returned + 1, f"{key}: {returned} calls returned, {count} points are stored"
            assert points.values.tolist() == [sign * number for number in range(count)]
            assert points.steps.tolist() == list(range(count))
            last_us = max(last_us, int(points.times.max(initial=0)))
        assert returned == 0 or keys
        if mode == "mixed":
            own = {name: value for name, value in params.items() if name.startswith(f"w{worker}.")}
            assert own in [{f"w{worker}.p{n}": n for n in range(more)} for more in (returned, returned + 1)]
            assert returned == 0 or int(tags[f"w{worker}.last"]) in (returned - 1, returned)
    ended_us = round(run.ended_at.timestamp() * 1_000_000)
    assert run.ended_at >= run.started_at
    if mode == "flat" and workers == 1 and shared.returned(0):  # no other records than points follow the first one
        assert ended_us == last_us
    elif last_us:
        assert abs(ended_us - last_us) <= 1_500_000


def check_nothing_changes(seen, look, store):
    seen.check()
    before = seen.contents()
    assert look(store).left == 0
    assert seen.contents() == before
    assert [path for path in (store / "journals").iterdir() if not path.name.startswith(".")] == []


@pytest.mark.parametrize("mode", MODES)
def test_a_killed_process_loses_nothing_that_was_accepted(mode, start, look, tmp_path, scale):
    for turn in range(scale(50, 2)):
        store, shared = tmp_path / f"store{turn}", Shared(tmp_path / f"shared{turn}")
        program = start("logs_until_killed.py", store, shared.path, mode, 1)
        program.line()
        program.run_for(random.uniform(0.02, 1.5))
        program.kill()
        seen = look(store)
        check_run(seen, shared, mode, 1)
        check_nothing_changes(seen, look, store)


@pytest.mark.parametrize("mode", ["flat", "mixed"])
def test_a_killed_group_of_processes_loses_nothing_of_any_of_them(mode, start, look, tmp_path, scale):
    for turn in range(scale(50, 1)):
        store, shared = tmp_path / f"store{turn}", Shared(tmp_path / f"shared{turn}")
        program = start("logs_until_killed.py", store, shared.path, mode, WORKERS)
        program.line()
        program.run_for(random.uniform(0.2, 1.5))
        program.kill(group=True)
        seen = look(store)
        check_run(seen, shared, mode, WORKERS)
        check_nothing_changes(seen, look, store)


def test_a_process_killed_while_it_starts_leaves_a_store_that_opens(start, look, tmp_path, scale):
    for turn in range(scale(50, 3)):
        store, shared = tmp_path / f"store{turn}", Shared(tmp_path / f"shared{turn}")
        program = start("logs_until_killed.py", store, shared.path, "flat", 1)
        program.run_for(random.uniform(0.1, 0.5))
        program.kill()
        seen = look(store)
        assert seen.left == 0
        runs = [run for project in seen.client.list_projects() for run in seen.client.list_runs(project.name)]
        assert len(runs) >= min(1, shared.returned(0))
        if runs:
            check_run(seen, shared, "flat", 1)
        seen.check()


def test_a_recovery_killed_at_any_moment_is_done_again_and_stores_each_point_once(
    start, look, client, store, tmp_path, scale
):
    shared = Shared(tmp_path / "shared")
    program = start("logs_until_killed.py", store, shared.path, "row", 2)
    program.line()
    with client.backend.database.write():  # nothing of it is stored before the kill
        program.run_for(1.0)
        program.kill(group=True)
    killed_at_work = 0
    for _ in range(scale(50, 5)):
        recovery = start("recovers.py", store)
        recovery.line()
        recovery.run_for(random.uniform(0.0, 0.3))
        recovery.kill()
        killed_at_work += "done" not in recovery.rest()
    assert killed_at_work
    seen = look(store)
    check_run(seen, shared, "row", 2)
    check_nothing_changes(seen, look, store)


def test_several_recoveries_at_once_store_each_point_once(start, look, tmp_path):
    store, shared = tmp_path / "store", Shared(tmp_path / "shared")
    program = start("logs_until_killed.py", store, shared.path, "flat", 3)
    program.line()
    program.run_for(0.7)
    program.kill(group=True)
    recoveries = [start("recovers.py", store) for _ in range(4)]
    for recovery in recoveries:
        assert recovery.line() == "begins"
        assert recovery.line().startswith("done")
    seen = look(store)
    check_run(seen, shared, "flat", 3)
    check_nothing_changes(seen, look, store)
