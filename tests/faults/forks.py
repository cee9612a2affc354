"""Log from forked and spawned processes in the way that the second argument names, then say "fine".

python forks.py STORE WAY; the children's exit codes are part of what is said.
"""

import multiprocessing
import os
import sys
import threading
from pathlib import Path

import mlfoundry

COUNT = 200


def log_here(run, key, count=COUNT):
    for number in range(count):
        run.log_metrics({key: float(number)})


def log_in_pool(arguments):
    run, key = arguments
    log_here(run, key)
    return os.getpid()


def forked(body):
    """Return the process id of a child that runs `body` and then leaves as a program leaves."""
    child = os.fork()
    if child == 0:
        body()
        sys.exit(0)
    return child


def code_of(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def journals():
    return sorted((Path(sys.argv[1]) / "journals").iterdir())


def plain_fork(run):
    log_here(run, "parent")
    print(code_of(forked(lambda: log_here(run, "child"))))
    log_here(run, "parent")


def silent_fork(run):
    log_here(run, "parent")
    before = journals()
    child = os.fork()
    if child == 0:
        os._exit(0 if journals() == before else 9)
    print(code_of(child))
    print(code_of(forked(lambda: None)))
    assert journals() == before


def ends_of_children(run):
    def left_by_os_exit():
        log_here(run, "os_exit")
        os._exit(3)

    def left_by_sys_exit():
        log_here(run, "sys_exit")
        sys.exit(4)

    def left_by_exception():
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        log_here(run, "exception")
        raise ValueError("in the child")

    def left_by_end():
        log_here(run, "end")
        run.end("FAILED")

    def left_by_block():
        with run:
            log_here(run, "block")

    bodies = (left_by_os_exit, left_by_sys_exit, left_by_exception, left_by_end, left_by_block)
    print(*[code_of(forked(body)) for body in bodies])
    log_here(run, "parent")


def double_fork(run):
    def child():
        workers = [forked(lambda worker=worker: log_here(run, f"grandchild{worker}")) for worker in range(3)]
        log_here(run, "child")
        print(*[code_of(worker) for worker in workers], flush=True)

    log_here(run, "parent")
    print(code_of(forked(child)))


def after_a_silent_child(run):
    def child():
        workers = [forked(lambda worker=worker: log_here(run, f"grandchild{worker}")) for worker in range(3)]
        print(*[code_of(worker) for worker in workers], flush=True)

    log_here(run, "parent")
    print(code_of(forked(child)))


def beside_busy_threads(run):
    stop = threading.Event()

    def log_till_stopped(key, counts):
        while not stop.is_set():
            run.log_metrics({key: float(counts[key])})
            counts[key] += 1

    counts = {f"thread{number}": 0 for number in range(4)}
    threads = [threading.Thread(target=log_till_stopped, args=(key, counts)) for key in counts]
    for thread in threads:
        thread.start()
    codes = [code_of(forked(lambda number=number: log_here(run, f"child{number}"))) for number in range(12)]
    stop.set()
    for thread in threads:
        thread.join()
    print(*codes)
    print(*counts.values())


def two_runs(run):
    with run.client.create_run("p", "other") as other:
        child = forked(lambda: (log_here(run, "child"), log_here(other, "child")))
        print(code_of(child))
    log_here(run, "parent")


def with_multiprocessing(run, way):
    context = multiprocessing.get_context(way)
    process = context.Process(target=log_here, args=(run, "process"))
    process.start()
    process.join()
    with context.Pool(4) as pool:
        pids = pool.map(log_in_pool, [(run, f"pool{number}") for number in range(8)], chunksize=1)
    log_here(run, "parent")
    print(process.exitcode, len(pids))


def main():
    way = sys.argv[2]
    client = mlfoundry.get_client(sys.argv[1], user="ann", end_timeout_s=20)
    with client.create_run("p", "x") as run:
        if way in ("fork", "spawn", "forkserver"):
            with_multiprocessing(run, way)
        else:
            globals()[way](run)
    print("fine", run.status.value, flush=True)


if __name__ == "__main__":
    main()
