"""Log to a run until killed; shared memory holds how many calls of each worker have returned.

python logs_until_killed.py STORE SHARED MODE WORKERS; worker 0 is the process that made the run.
Modes: flat (1 key, no pause), row (20 keys), khz (1 key, 1,000 times a second), mixed (params and tags too).
"""

import mmap
import os
import sys
import time
from pathlib import Path

import mlfoundry


def log_for_ever(run, mode, worker, returned):
    prefix = f"w{worker}"
    keys = [f"{prefix}/k{number}" for number in range(20)]
    count = 0
    while True:
        value = float(count)
        if mode == "row":
            run.log_metrics(dict.fromkeys(keys, value))
        else:
            run.log_metrics({prefix: value})
        if mode == "mixed":
            run.log_params({f"{prefix}.p{count}": count})
            run.set_tags({f"{prefix}.last": str(count)})
            run.log_metrics({prefix + "/also": value, prefix + "/more": -value}, step=count)
        count += 1
        returned[worker] = count  # one store of 8 bytes: struct.pack_into would write zeros first
        if mode == "khz":
            time.sleep(0.001)


def main():
    store, shared_path, mode, workers = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    with Path(shared_path).open("r+b") as file:
        returned = memoryview(mmap.mmap(file.fileno(), 0)).cast("q")
    run = mlfoundry.get_client(store, user="ann").create_run("p", "x")
    print("ready", flush=True)
    for worker in range(1, workers):
        if os.fork() == 0:
            log_for_ever(run, mode, worker, returned)
    log_for_ever(run, mode, 0, returned)


main()
