"""Open a store for the first time and log to a run; be killed at the given SQL statement. Arguments: store, number."""

import os
import signal
import sys

import apsw

import mlfoundry

left = int(sys.argv[2])


def count(*_: object) -> bool:
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    return True


apsw.connection_hooks.append(lambda connection: connection.set_exec_trace(count))
run = mlfoundry.get_client(sys.argv[1], user="ann").create_run("p", "x", log_system_metrics=False, capture=False)
run.log_metrics({"a": 1.0})
print("accepted", flush=True)
run.end()
print("done", left, flush=True)
