"""Log while signals arrive at random; the second argument names what their handler does, the third how many come.

python signalled.py STORE logs|interrupts|ends COUNT; says a JSON object.
"""

import json
import random
import signal
import sys
import time

import mlfoundry
from mlfoundry.errors import RunEnded

client = mlfoundry.get_client(sys.argv[1], user="ann")
COUNT = int(sys.argv[3])


def soon():
    signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0001, 0.003))


def logs():
    """The handler logs, the same keys and its own."""
    run = client.create_run("p", "x")
    handled = []

    def handle(*_):
        run.log_metrics({"shared": -1.0, "handler": float(len(handled))})
        run.log_metrics({"a": -1.0})
        run.log_params({f"handled{len(handled)}": len(handled)})
        handled.append(time.monotonic())
        if len(handled) < COUNT:
            soon()

    signal.signal(signal.SIGALRM, handle)
    soon()
    calls = 0
    while len(handled) < COUNT:
        run.log_metrics({"a": float(calls), "b": float(calls)})
        run.log_metrics({"a": float(calls)})
        if calls % 50 == 0:
            run.log_metrics({f"new{calls}": 0.0, "shared": float(calls)})
        calls += 1
    health = run.health
    run.end()
    return {"calls": calls, "handled": len(handled), "lost": health.lost, "accepted": health.accepted}


def interrupts():
    """The handler raises KeyboardInterrupt."""
    run = client.create_run("p", "x")
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    returned, calls, count = [], 0, 0
    while count < COUNT:
        try:
            soon()
            while True:
                calls += 1
                if calls % 20 == 0:
                    run.log_metrics({f"new{calls}": 1.0})
                run.log_metrics({"a": float(calls), "b": float(calls)})
                returned.append(calls)
        except KeyboardInterrupt:
            count += 1
    run.log_metrics({"after": 1.0})
    run.end()
    return {"calls": calls, "returned": returned}


def ends():
    """The handler ends the run, as when a cluster takes the machine away."""
    slowest = 0.0
    counts = []
    for number in range(COUNT):
        run = client.create_run("p", f"x{number}")

        def handle(*_, run=run):
            nonlocal slowest
            began = time.monotonic()
            run.end("KILLED")
            slowest = max(slowest, time.monotonic() - began)

        signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, random.uniform(0.001, 0.05))
        calls = 0
        try:
            while True:
                run.log_metrics({"a": float(calls)})
                calls += 1
        except RunEnded:
            counts.append(calls)
    return {"slowest": slowest, "counts": counts}


print(json.dumps(globals()[sys.argv[2]]()), flush=True)
