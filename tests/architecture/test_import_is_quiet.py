"""``import mlfoundry`` starts nothing, opens nothing and loads nothing of others."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Python itself opens source and byte code when it imports; everything else is seen here.
WATCH = """
import _thread, json, sys, threading
seen, own = [], {root!r}
def watch(event, args):
    if event == "open":
        path, mode, flags = args
        if not (str(path).endswith((".py", ".pyc")) and not (flags & 3)):
            seen.append([event, str(path)])
    elif event.split(".")[0] in ("socket", "subprocess", "shutil", "tempfile", "sqlite3", "ctypes", "fcntl", "mmap"):
        seen.append([event, repr(args)])
    elif event in ("os.mkdir", "os.rename", "os.remove", "os.system", "os.fork"):
        seen.append([event, repr(args)])
def watching(start):
    def started(*args, **kwargs):
        seen.append(["thread", repr(args)])
        return start(*args, **kwargs)
    return started
for module in (_thread, threading):  # Python 3.11 has no audit event for it
    for name in [name for name in vars(module) if name.strip("_") in ("start_new_thread", "start_joinable_thread")]:
        setattr(module, name, watching(getattr(module, name)))
sys.path.insert(0, own)
before = set(sys.modules)
sys.addaudithook(watch)
{code}
threads = [thread.name for thread in threading.enumerate()]
print(json.dumps({{"seen": seen, "modules": sorted(set(sys.modules) - before), "threads": threads}}))
"""


def watched(code):
    child = WATCH.format(root=str(ROOT), code=code)
    command = [sys.executable, "-I", "-B", "-c", child]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)


def test_nothing_is_opened_or_started():
    found = watched("import mlfoundry")
    assert found["seen"] == []
    assert found["threads"] == ["MainThread"]


def test_nothing_of_others_is_loaded():
    modules = watched("import mlfoundry")["modules"]
    assert "mlfoundry" in modules
    others = {name.split(".")[0] for name in modules} - {"mlfoundry"} - set(sys.stdlib_module_names)
    assert others == set()


def test_names_load_when_they_are_used():
    modules = watched("import mlfoundry; mlfoundry.RunStatus")["modules"]
    assert "mlfoundry.records" in modules
    assert "mlfoundry.client" not in modules
    assert "numpy" not in modules


@pytest.mark.parametrize(
    ("code", "event"),
    [
        ("open('/dev/null', 'rb')", "open"),
        ("import socket; socket.socket()", "socket.__new__"),
        ("thread = threading.Thread(target=print, args=('',), kwargs={'end': ''}); thread.start(); thread.join()",
         "thread"),
    ],
)  # fmt: skip
def test_the_watch_sees_what_it_watches_for(code, event):
    assert event in [name for name, _ in watched(code)["seen"]]
