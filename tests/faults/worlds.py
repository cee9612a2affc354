"""Log while the world fails in the way that the second argument names; say JSON objects as they come.

python worlds.py STORE WAY [BUSY_S]. Each call is timed; the slowest counts.
"""

import json
import logging
import os
import signal
import sys
import threading
import time

import mlfoundry
from mlfoundry.shipping import recovery
from mlfoundry.store import sqlite_connections

SLOW_S = 0.05
logging.basicConfig(format="%(message)s")
client = mlfoundry.get_client(sys.argv[1], user="ann", end_timeout_s=3)


def say(**told):
    print(json.dumps(told), flush=True)


class Logging:
    """Log values that count up, and note how long the calls took.

    On a machine that others use as well any call may be put off by the scheduler: few are.
    """

    def __init__(self, run):
        self.run = run
        self.count = 0
        self.slowest_s = 0.0
        self.slow = 0

    def log(self, calls):
        for _ in range(calls):
            began = time.perf_counter()
            self.run.log_metrics({"a": float(self.count)})
            took_s = time.perf_counter() - began
            self.slowest_s = max(self.slowest_s, took_s)
            self.slow += took_s > SLOW_S
            self.count += 1

    def tell(self, **more):
        health = self.run.health
        say(
            count=self.count,
            slowest_s=self.slowest_s,
            slow=self.slow,
            state=health.state,
            message=health.message,
            lost=health.lost,
            accepted=health.accepted,
            in_memory=health.in_memory_bytes,
            pending=health.pending_bytes,
            not_durable=health.not_durable_bytes,
            **more,
        )


def wait_till_well(limit_s):
    """Wait until nothing is in memory alone and health has nothing to say."""
    deadline, pause = time.monotonic() + limit_s, threading.Event()
    while time.monotonic() < deadline and (logged.run.health.in_memory_bytes or logged.run.health.message):
        pause.wait(0.05)


def plain():
    """Log, then do what stdin says: "log CALLS FLUSH_S", "heal LIMIT_S"; end at another line."""
    logged.log(1000)
    logged.tell(flushed=logged.run.flush(3))
    while (line := sys.stdin.readline().split()) and line[0] in ("log", "heal"):
        if line[0] == "log":
            logged.log(int(line[1]))
            logged.tell(flushed=logged.run.flush(float(line[2])))
        else:
            wait_till_well(float(line[1]))
            logged.tell()
    began = time.monotonic()
    logged.run.end()
    say(ended_s=time.monotonic() - began, lost=logged.run.health.lost)


def clock_that_jumps():
    """Put a wall clock in place that is off by the first item of the list returned, in nanoseconds."""
    real, jump = time.time_ns, [0]

    def fake():
        return real() + jump[0]

    for module in [each for name, each in sys.modules.items() if name.startswith("mlfoundry")]:
        for name, value in list(vars(module).items()):
            if value is real:
                setattr(module, name, fake)
    time.time_ns = fake
    return jump


def clock():
    """The wall clock jumps back and forth between calls."""
    for number in range(2000):
        jump[0] = (0, -3600, 86400 * 3650, -86400 * 3650)[number % 4] * 10**9
        logged.log(1)
    jump[0] = -86400 * 10**9
    logged.run.end()
    say(count=logged.count)


def clock_back():
    """The wall clock has jumped back while the run was made; then the process dies."""
    logged.log(10)
    os.kill(os.getpid(), signal.SIGKILL)


jump = clock_that_jumps() if sys.argv[2].startswith("clock") else [0]
if sys.argv[2] == "clock_back":
    origin = recovery.origin  # asked for when the start is known and nothing is written yet
    recovery.origin = lambda *new, **told: jump.__setitem__(0, -86400 * 10**9) or origin(*new, **told)
if len(sys.argv) > 3:
    sqlite_connections.BUSY_S = float(sys.argv[3])
began = time.monotonic()
logged = Logging(client.create_run("p", "x"))
say(create_s=time.monotonic() - began, run_id=logged.run.run_id)
globals()[sys.argv[2]]()
