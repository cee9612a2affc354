"""What live panels cost: the kernel beside the cell, and a notebook that shows none."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.registry import Figures, Line, Workplace, measure
from benchmarks.stores import prepare_many_runs

TRACES = 32
POINTS_BEFORE = 600
KERNEL_S = 120.0

# Executed in a kernel; leaves its figures in the name `figures`.
_LIVE = """
import math, time
import mlfoundry
from mlfoundry_jupyter.panels import RunPanel
from mlfoundry_jupyter.panels.feed import feed

run = mlfoundry.get_client(user="ann").create_run("demo", "live", log_system_metrics=False, capture=False)

def log(step):
    values = {f"group-{trace % 8}/metric-{trace}": math.exp(-step / 50) * (trace + 1) for trace in range(TRACES)}
    run.log_metrics(values, step=step)

for step in range(POINTS_BEFORE):
    log(step)
run.flush()
panel = RunPanel(run)
time.sleep(2.5)  # imports, and the first whole frames
used, sends = [feed().cpu_s], []
for step in range(POINTS_BEFORE, POINTS_BEFORE + UPDATES):
    log(step)
    time.sleep(1.0)
    used.append(feed().cpu_s)
    began = time.thread_time()
    panel.send({"kind": "none"}, [bytes(BYTES)])
    sends.append(time.thread_time() - began)
each = sorted(later - earlier for earlier, later in zip(used, used[1:]))
figures = {
    "panel": each[len(each) // 2] * 1e3,
    "whole": each[-1] * 1e3,
    "send": sorted(sends)[len(sends) // 2] * 1e3,
}
panel.close()
run.end()
"""
_FIGURE_WIDGET = """
import time
import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

widget = go.FigureWidget(make_subplots(rows=2, cols=4))
for trace in range(TRACES):
    widget.add_scatter(x=[], y=[], row=trace % 8 // 4 + 1, col=trace % 4 + 1)
used = []
for step in range(POINTS_BEFORE, POINTS_BEFORE + UPDATES):
    x = np.arange(step, dtype=np.float32)
    ys = [np.exp(-x / 50) * (trace + 1) for trace in range(TRACES)]
    began = time.thread_time()
    with widget.batch_update():
        for trace in range(TRACES):
            widget.data[trace].x = x
            widget.data[trace].y = ys[trace]
    used.append(time.thread_time() - began)
figures = {"figure_widget": sum(used) / len(used) * 1e3}
"""


def _in_kernel(work: Workplace, *cells: str) -> dict[str, float]:
    """Execute cells in a real IPython kernel; return all that they leave in `figures`."""
    from jupyter_client.manager import KernelManager

    home = str(work.folder)
    environment = {**os.environ, "MLFOUNDRY_HOME": f"{home}/store", "HOME": home, "IPYTHONDIR": f"{home}/ipython"}
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(env=environment, cwd=str(Path.cwd()))
    client = manager.blocking_client()
    client.start_channels()
    figures: dict[str, float] = {}
    try:
        client.wait_for_ready(timeout=KERNEL_S)
        for cell in cells:
            asked = client.execute(cell, user_expressions={"figures": "__import__('json').dumps(figures)"})
            reply: Any = {}
            while reply.get("parent_header", {}).get("msg_id") != asked:
                reply = client.get_shell_msg(timeout=KERNEL_S)
            if reply["content"]["status"] != "ok":
                raise RuntimeError(f"{reply['content'].get('ename')}: {reply['content'].get('evalue')}")
            told = reply["content"]["user_expressions"]["figures"]["data"]["text/plain"]
            figures.update(json.loads(told.strip("'")))
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    return figures


def _bytes_an_update(work: Workplace) -> float:
    """Return what each of the first updates of a run takes, with its share of the whole frames."""
    import mlfoundry
    from mlfoundry_jupyter.panels.following import Following

    client = mlfoundry.get_client(work.folder / "counted", user="ann")
    run = client.create_run("demo", "counted", log_system_metrics=False, capture=False)
    following, sent, updates = Following(run), 0, work.count(600, 60)
    for step in range(updates):
        run.log_metrics({f"group-{trace % 8}/metric-{trace}": 1 / (step + trace + 1) for trace in range(TRACES)}, step)
        run.flush()
        for content, carried in following.new(float(step)):
            sent += len(json.dumps(content)) + sum(len(each) for each in carried)
    run.end()
    client.backend.close()
    return sent / updates


@measure(
    "live panel",
    Line("live panel, 32 traces at 1 Hz: kernel CPU an update", "ms", "panel", at_most=1.5),
    Line("  … of which sending a message of that size takes", "ms", "send"),
    Line("  … when all is sent again (1, 4, 16, 64 … s after the first)", "ms", "whole"),
    Line("  … plotly's FigureWidget, the same data", "ms", "figure_widget"),
    Line("  … bytes an update", "B", "bytes", at_most=2000),
    repeats=3,
    warm_up=False,
)
def live_panel(work: Workplace) -> Figures:
    """A `RunPanel` of a run that logs 32 metrics once a second, beside 600 points of each, in a real kernel for 20 s.

    CPU time of the thread that feeds panels, reading from the store and sending included: the median second, and the
    greatest, in which a whole frame is sent. Sending: one custom message of a widget with a buffer of an update's size,
    in the same seconds: no panel can do without. FigureWidget: CPU time of one
    ``batch_update`` of 32 float32 arrays that grow alike, in the same kernel afterwards. Bytes: content and buffers of
    what a panel says in the first 600 updates of such a run, whole frames included.
    """
    size = _bytes_an_update(work)
    names = f"TRACES = {TRACES}; POINTS_BEFORE = {POINTS_BEFORE}; UPDATES = {work.count(20, 5)}; BYTES = {size:.0f}\n"
    figures = _in_kernel(work, names + _LIVE, names + _FIGURE_WIDGET)
    return {**figures, "bytes": size}


@measure(
    "extension",
    Line("%load_ext mlfoundry_jupyter", "s", "load", at_most=0.15),
    Line("  … size that the picture of a run adds to the notebook", "kB", "picture", at_most=50),
)
def load_extension(work: Workplace) -> Figures:
    """``load_ipython_extension`` in a shell of IPython, imports included; neither plotly nor ipywidgets is among them.

    The picture: text and HTML of the output of a `RunPanel` of an ended run of 8 metrics of 500 points.
    """
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    began = time.perf_counter()
    shell.run_line_magic("load_ext", "mlfoundry_jupyter")
    took_s = time.perf_counter() - began
    early = [name for name in ("plotly", "ipywidgets", "anywidget", "numpy") if name in sys.modules]
    if early:
        raise RuntimeError(f"loading the extension imports {', '.join(early)}")
    return {"load": took_s, "picture": _picture_bytes(work) / 1024}


def _picture_bytes(work: Workplace) -> int:
    import mlfoundry
    from mlfoundry_jupyter.panels import RunPanel

    client = mlfoundry.get_client(work.folder / "store", user="ann")
    with client.create_run("demo", "pictured", capture=False) as run:
        for step in range(500):
            run.log_metrics({f"metric-{number}": 1 / (step + number + 1) for number in range(8)}, step=step)
    panel = RunPanel(run)
    size = sum(len(text.encode()) for text in panel.picture())
    panel.close()
    return size


@measure(
    "runs panel",
    Line("runs panel: first screen of 10,000 runs, kernel CPU", "ms", "screen"),
    Line("  … all of them", "ms", "all"),
    Line("  … bytes", "MB", "bytes"),
    Line("  … a look that finds nothing new", "ms", "look", at_most=2),
    prepare=prepare_many_runs,
    repeats=3,
)
def runs_panel(work: Workplace) -> Figures:
    """What a `RunsPanel` reads and sends of 10,000 runs of 5 params and 5 metrics: frames, without a page; and its look
    every 2 s when nothing has happened. CPU time of the thread.
    """
    import mlfoundry
    from mlfoundry_jupyter.panels.listing import Listing

    client = mlfoundry.get_client(work.prepared / "store", user="ann")
    listing = Listing(client, client.get_project("demo"))
    list(listing.whole())
    began = time.thread_time()
    pieces = listing.whole()
    size = len(next(pieces))
    screen_s = time.thread_time() - began
    size += sum(len(piece) for piece in pieces)
    all_s = time.thread_time() - began
    looks = []
    for _ in range(20):
        began = time.thread_time()
        if listing.changes() != []:
            raise RuntimeError("something has changed")
        looks.append(time.thread_time() - began)
    look_s = sorted(looks)[len(looks) // 2]
    return {"screen": screen_s * 1e3, "all": all_s * 1e3, "bytes": size / 1e6, "look": look_s * 1e3}
