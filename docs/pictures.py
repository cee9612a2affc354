"""The pictures of the README: the notebooks, executed in JupyterLab and photographed, on light and on dark.

python docs/pictures.py [NAME …] writes docs/pictures/NAME.png and docs/pictures/NAME-dark.png anew. It needs what the
tests need, Chromium among it; nothing leaves the machine.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.browser.conftest import chromium_path  # noqa: E402  the root has to be known first
from tests.browser.lab import Lab, Notebook, running_lab  # noqa: E402

FOLDER = ROOT / "docs" / "pictures"
MOST_BYTES = 150_000
COLOURS = 128
WAIT_MS = 300_000
SETTLE_MS = 2000  # until charts are drawn whose number is not known
THEMES = {"": "JupyterLab Light", "-dark": "JupyterLab Dark"}
# What belongs to JupyterLab and not to the picture: its cursor, prompts, toolbars of cells.
STYLE = """
.jp-Notebook-cell { padding-left: 0 !important; }
.jp-InputPrompt, .jp-OutputPrompt, .jp-Collapser, .jp-cell-toolbar, .jp-OutputArea-promptOverlay,
.jp-Notebook-footer, .cm-cursorLayer { display: none !important; }
.jp-Notebook-cell .jp-Cell-inputWrapper { border: 0 !important; }
.cm-activeLine { background: transparent !important; }
"""


def cell(path: Path, beginning: str) -> int:
    """Return the place of the cell whose text begins so."""
    import nbformat

    sources = [each.source for each in nbformat.read(path, as_version=4).cells]  # type: ignore[no-untyped-call]
    (place,) = [place for place, source in enumerate(sources) if source.startswith(beginning)]
    return place


def photograph(
    notebook: Notebook, place: int, name: str, *, part: str = "", width: int = 2000, height: int = 2000
) -> None:
    """Write a picture of a cell, or of a part of its output; of its first pixels at most."""
    seen = notebook.cell(place).locator(part).first if part else notebook.cell(place)
    seen.evaluate("element => { element.style.scrollMarginTop = '24px'; element.scrollIntoView({block: 'start'}); }")
    box = seen.bounding_box()
    clip = {**box, "width": min(width, box["width"]), "height": min(height, box["height"])}
    write(notebook.page.screenshot(clip=clip, animations="disabled", caret="hide"), FOLDER / f"{name}.png")


def write(png: bytes, path: Path) -> None:
    """Write a picture with few colours, which takes a third of the bytes and looks the same."""
    from PIL import Image

    with Image.open(io.BytesIO(png)) as whole:
        few = whole.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
        kept = io.BytesIO()
        few.save(kept, "PNG", optimize=True)
    if len(kept.getvalue()) > MOST_BYTES:
        raise SystemExit(f"{path.name} has {len(kept.getvalue()):,} bytes, at most {MOST_BYTES:,} are wanted")
    path.write_bytes(kept.getvalue())
    print(f"{path.relative_to(ROOT)}  {len(kept.getvalue()):,} bytes")


# The training of the picture would be over before the picture is taken: it works on at this epoch until it is told.
HELD_AT = 18
HELD = f"""
import time
from pathlib import Path
real_log_loss, losses = log_loss, []


def log_loss(*given):
    losses.append(real_log_loss(*given))
    ends_s = time.monotonic() + 0.08
    while time.monotonic() < ends_s or (len(losses) > 2 * {HELD_AT} and not Path("taken").exists()):
        sum(range(10_000))
    return losses[-1]
"""


def live_run(notebook: Notebook, path: Path, suffix: str) -> None:
    """The cell of a run and its panel while it works."""
    first = cell(path, "%%mlfoundry_run digits-cells --name mlp")
    notebook.run(*(place for place in code_cells(path) if place < first), limit_ms=WAIT_MS)
    notebook.execute(HELD)
    notebook.start(first)
    page = notebook.page
    page.wait_for_function(
        "step => document.querySelector('.mlf-values-metrics .mlf-value')?.textContent === step",
        arg=str(HELD_AT),
        timeout=WAIT_MS,
    )
    page.locator(".mlf-run .js-plotly-plot").wait_for(timeout=WAIT_MS)
    page.wait_for_timeout(SETTLE_MS)
    photograph(notebook, first, f"live-run{suffix}")
    (path.parent / "taken").touch()
    notebook.wait_until_idle()
    (path.parent / "taken").unlink()


def cells_of_a_run(notebook: Notebook, path: Path, suffix: str) -> None:
    """What the machine did while each cell of a run was executed."""
    attached = cell(path, "%mlfoundry_attach digits-cells/pipeline")
    first = cell(path, "%mlfoundry_run digits-cells --name pipeline")
    notebook.run(
        *code_cells(path)[:3], *(place for place in code_cells(path) if first <= place <= attached), limit_ms=WAIT_MS
    )
    panel = notebook.cell(attached).locator(".mlf-run")
    panel.get_by_role("tab", name="System").click()
    panel.locator(".js-plotly-plot:visible").first.wait_for()
    notebook.page.wait_for_timeout(SETTLE_MS)
    photograph(notebook, attached, f"cells{suffix}", part=".mlf-run")


def compared_runs(notebook: Notebook, path: Path, suffix: str) -> None:
    """The table of a project's runs, some of them selected and compared."""
    last = cell(path, "from mlfoundry_jupyter.panels import RunsPanel")
    notebook.run(*(place for place in code_cells(path) if place <= last), limit_ms=WAIT_MS)
    notebook.page.wait_for_timeout(SETTLE_MS)
    photograph(notebook, last, f"runs{suffix}", part=".mlf-runs", height=962)


def collaborators(notebook: Notebook, path: Path, suffix: str) -> None:
    """Who is in a project, as one sees it who may change that."""
    shown = cell(path, "%mlfoundry_collaborators shared-digits --client ann")
    notebook.run(*(place for place in code_cells(path) if place <= shown), limit_ms=WAIT_MS)
    notebook.page.locator(".mlf-people").get_by_text("bob").first.wait_for()
    notebook.page.wait_for_function("() => !document.querySelector('.mlf-people-view').innerText.includes('queued')")
    photograph(notebook, shown, f"collaborators{suffix}", part=".mlf-people-view", width=610)


PICTURES: dict[str, tuple[str, Callable[[Notebook, Path, str], None]]] = {
    "live-run": ("02_cells_and_system_metrics.ipynb", live_run),
    "cells": ("02_cells_and_system_metrics.ipynb", cells_of_a_run),
    "runs": ("03_comparing_runs.ipynb", compared_runs),
    "collaborators": ("04_collaborators.ipynb", collaborators),
}


def code_cells(path: Path) -> list[int]:
    """Return the places of a notebook's code cells."""
    import nbformat

    cells = nbformat.read(path, as_version=4).cells  # type: ignore[no-untyped-call]
    return [place for place, each in enumerate(cells) if each.cell_type == "code"]


def take(lab: Lab, browser: Any, names: list[str]) -> None:
    """Take the pictures, each with a store of its own so that names and numbers are the same on light and dark."""
    for name in names:
        source, picture = PICTURES[name]
        for suffix, theme in THEMES.items():
            shutil.rmtree(lab.home)
            lab.home.mkdir()
            path = Path(shutil.copy(ROOT / "notebooks" / source, lab.folder / f"{name}{suffix}.ipynb"))
            page = browser.new_page(viewport={"width": 1060, "height": 1500}, device_scale_factor=2)
            page.set_default_timeout(WAIT_MS)
            notebook = lab.open(page, path.name)
            page.evaluate("theme => jupyterapp.commands.execute('apputils:change-theme', {theme})", theme)
            for command in ("application:toggle-left-area", "application:toggle-side-tabbar"):
                page.evaluate("command => jupyterapp.commands.execute(command).then(() => null, () => null)", command)
            page.add_style_tag(content=STYLE)
            picture(notebook, path, suffix)
            page.close()
            lab.shutdown_kernels()


def main() -> None:
    """Take the pictures that are named, or all."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description="Take the pictures of the README anew.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PICTURES)}; all when none is given")
    names = parser.parse_args().names or list(PICTURES)
    if unknown := [name for name in names if name not in PICTURES]:
        parser.error(f"there is no picture {unknown[0]!r}; there are {', '.join(PICTURES)}")
    FOLDER.mkdir(exist_ok=True)
    os.environ["OMP_NUM_THREADS"] = "1"  # the trainings are small; threads would wait for each other
    with tempfile.TemporaryDirectory() as folder, running_lab(Path(folder) / "lab") as lab, sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=chromium_path(), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        take(lab, browser, names)
        browser.close()


if __name__ == "__main__":
    main()
