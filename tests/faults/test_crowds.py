"""Many processes on one store at once: unique names, no error, exact totals."""

from __future__ import annotations

import json

import pytest

from mlfoundry.records import RunStatus

CROWD = """
import json, os, sys, time
import mlfoundry
from mlfoundry import client as _, tracking, store  # imported once, before the crowd
import apsw, numpy
store, count, body = sys.argv[1], int(sys.argv[2]), sys.argv[3]

def create(number):
    run = mlfoundry.get_client(store, user="ann").create_run("p", "x")
    run.log_metrics({"number": float(number)})
    run.end()
    return run.run_name

def write(number):
    client = mlfoundry.get_client(store, user="ann")
    deadline = time.monotonic() + float(sys.argv[4])
    run, logged, named = client.create_run("p", f"x{number}"), 0, 0
    while time.monotonic() < deadline:
        run.log_metrics({"a": float(logged), "b": float(logged)})
        logged += 1
        if logged % 1000 == 0:
            run.log_params({f"p{logged}": logged})
            run.set_tags({"t": logged})
            run.flush()
            client.get_run(f"p/x{number}").get_metrics("a", max_points=100)
            list(client.list_runs("p"))
        if logged % 20000 == 0:
            run.log_text("text", f"{logged}.txt")
            client.create_run("p", "many").end()
            named += 1
    run.end()
    return [logged, named]

ready_in, ready_out = os.pipe()
go_in, go_out = os.pipe()
said_in, said_out = os.pipe()
children = []
for number in range(count):
    child = os.fork()
    if child == 0:
        os.close(go_out)
        os.write(ready_out, b".")
        os.read(go_in, 1)
        code = 1
        try:
            answer = json.dumps([number, globals()[body](number)])
            os.write(said_out, answer.encode() + b"\\n")
            code = 0
        finally:
            sys.stderr.flush()
            import traceback
            if code: traceback.print_exc()
            os._exit(code)
    children.append(child)
got = 0
while got < count:
    got += len(os.read(ready_in, count))
os.close(go_out)
codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
os.close(said_out)
print(json.dumps(codes))
with open(said_in) as said:
    print(json.dumps([json.loads(line) for line in said]), flush=True)
"""


def crowd(start, store, count, body, *more):
    program = start("-c", CROWD, store, count, body, *more)
    codes = json.loads(program.line(120))
    assert codes == [0] * count, program.messages()
    assert program.messages() == ""
    return dict(json.loads(program.line()))


@pytest.mark.parametrize("project", ["new", "known"])
def test_64_processes_that_create_one_name_at_once_get_64_names_without_a_gap(start, look, client, store, project):
    if project == "known":
        with client.create_run("p", "another", log_system_metrics=False, capture=False):
            pass
    names = crowd(start, store, 64, "create")
    assert set(names.values()) == {"x", *(f"x-{number}" for number in range(2, 65))}
    seen = look(store)
    assert len(seen.client.list_projects()) == 1
    assert len(seen.client.list_runs("p")) == 64 + (project == "known")
    for number, name in names.items():
        assert seen.run(name).status is RunStatus.FINISHED
        assert seen.values("number", name) == [float(number)]
    seen.check()
    assert list((store / "journals").iterdir()) == []


def test_8_processes_that_write_and_read_at_once_see_no_error_and_lose_nothing(start, look, store, scale):
    told = crowd(start, store, 8, "write", scale(30, 4))
    seen = look(store)
    for number, (logged, _) in told.items():
        run = seen.run(f"x{number}")
        assert run.status is RunStatus.FINISHED
        metrics = run.get_metrics()
        for key in "ab":
            assert metrics[key].values.tolist() == [float(value) for value in range(logged)]
        assert len(run.get_params()) == logged // 1000
        assert len(run.list_artifacts()) == logged // 20_000
    many = sum(named for _, named in told.values())
    names = {run.run_name for run in seen.client.list_runs("p") if run.run_name.startswith("many")}
    assert names == {"many" if number == 1 else f"many-{number}" for number in range(1, many + 1)}
    seen.check()
