"""Logs points to a server until told to end: ``logs_over_network.py PROJECT NAME PAUSE_S``.

It reads orders line by line: ``go`` logs until the next order, ``how`` says how long the calls of the last stretch
took, ``flush`` whether all is stored, ``end`` ends the run. The order of the points is that of their values: 0, 1, 2, …
"""

import json
import sys
import threading
import time

import mlfoundry

project, name, pause_s = sys.argv[1], sys.argv[2], float(sys.argv[3])
began = time.perf_counter()
run = mlfoundry.get_client().create_run(project, name)
print(json.dumps({"run_id": run.run_id, "took_s": time.perf_counter() - began}), flush=True)
logged, took, lines, more = 0, [], [], threading.Condition()


def read() -> None:
    for line in sys.stdin:
        with more:
            lines.append(line.strip())
            more.notify()


threading.Thread(target=read, daemon=True).start()
while True:
    with more:
        more.wait_for(lambda: lines)
        order = lines.pop(0)
    if order == "go":
        took = []
        while not lines:
            at = time.perf_counter()
            run.log_metrics({"value": float(logged)}, step=logged)
            took.append(time.perf_counter() - at)
            logged += 1
            time.sleep(pause_s)
    elif order == "how":
        took.sort()
        p50, p99 = (took[int(len(took) * part)] for part in (0.5, 0.99))
        health = run.health
        print(
            json.dumps({"logged": logged, "p50": p50, "p99": p99, "max": took[-1], "state": health.state,
                        "message": health.message}),
            flush=True,
        )  # fmt: skip
    elif order == "flush":
        print(json.dumps({"stored": run.flush(10.0), "state": run.health.state}), flush=True)
    elif order == "end":
        at = time.perf_counter()
        run.end()
        print(json.dumps({"logged": logged, "took_s": time.perf_counter() - at, "left": run.health.pending_bytes}))
        break
