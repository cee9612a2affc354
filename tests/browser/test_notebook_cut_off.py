"""A notebook whose kernel was killed in the midst of a long cell: its file tells the run up to shortly before."""

import json
import re

import nbformat
import pytest

from tests.browser.lab import running_lab
from tests.browser.test_notebook_panels import LAB_NOISE, SETUP, pictures, see

QUICK = """
from mlfoundry_jupyter.panels import renewal
renewal.FIRST_S, renewal.RAREST_S, renewal.SHARE = 0.5, 1.0, 1.0
"""
KILLED = """
import os, signal
run = client.create_run("cut", "svm", capture=False, system_metrics_interval_s=0.2)
run.log_params({{"lr": 0.1}})
RunPanel(run).show()
begun = time.monotonic()
for step in range(100_000):
    run.log_metrics({{"loss": math.exp(-step / 50), "seconds": time.monotonic() - begun}}, step=step)
    time.sleep(0.01)
    if time.monotonic() - begun > {after_s}:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def seconds_told(text):
    """Return up to when a picture tells its run."""
    return float(re.search(r"^ *seconds +(\S+)", text, re.MULTILINE)[1])


def test_a_kernel_that_is_killed_leaves_one_picture_of_shortly_before(tmp_path):
    from nbclient import NotebookClient
    from nbclient.exceptions import DeadKernelError

    cells = [nbformat.v4.new_code_cell(source) for source in (SETUP + QUICK, KILLED.format(after_s=6))]
    notebook = nbformat.v4.new_notebook(cells=cells)
    with pytest.raises(DeadKernelError):
        NotebookClient(notebook, timeout=120).execute()
    (output,) = [each for each in notebook.cells[1].outputs if "data" in each]
    told = output["data"]["text/plain"]
    assert told.startswith("● running")
    assert "shows it as it is now" in told
    assert seconds_told(told) > 3
    assert output["data"]["text/html"].count("data:image/svg") >= 3


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with running_lab(tmp_path_factory.mktemp("lab") / "server") as lab:
        yield lab
        lab.shutdown_kernels()


@pytest.fixture
def page(new_page):
    page = new_page(viewport={"width": 1200, "height": 700})
    page.set_default_timeout(30_000)
    page.watch.expected += LAB_NOISE
    return page


TABLE = "[...document.querySelectorAll('.mlfoundry-mount > div:first-child')].map(each => each.textContent).join()"
# Each frame: what a person sees of the panel, and what keys go to.
WATCH = """() => {
    window.frames_ = [];
    const look = () => {
        const view = document.querySelector('.mlf-run'), box = view.getBoundingClientRect();
        const held = document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.tagName;
        const list = document.querySelector('.mlf-chooser:not([hidden]) .mlf-chooser-list');
        frames_.push(JSON.stringify([box.top, box.height, held, list?.scrollLeft]));
        requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
}"""


def test_a_page_shows_nothing_of_it_when_the_picture_below_its_live_view_is_renewed(lab, page):
    lab.write("renewed.ipynb", [SETUP + QUICK, KILLED.format(after_s=60)])
    notebook = lab.open(page, "renewed.ipynb")
    notebook.run(0)
    notebook.start(1)
    page.wait_for_selector(".mlf-run .js-plotly-plot")
    page.get_by_role("tab", name="System").click()
    page.locator(".mlf-run-controls button:not(.mlf-away)").first.click()
    page.get_by_label("search charts").last.focus()
    page.locator(".mlf-chooser-list").last.evaluate("each => { each.style.maxHeight = '30px'; each.scrollTo(40, 0); }")
    see(page, f"() => /seconds/.test({TABLE})")
    page.evaluate(WATCH)
    before = page.evaluate(TABLE)
    for _ in range(2):
        see(page, f"before => ({TABLE}) !== before", before)
        before = page.evaluate(TABLE)
    seen = page.evaluate("[...new Set(frames_)]")
    assert len(seen) == 1
    *_, focused, scrolled = json.loads(seen[0])
    assert (focused, scrolled) == ("search charts", 40)


def test_a_notebook_of_a_killed_kernel_is_opened_again_and_tells_its_run(lab, page):
    lab.write("killed.ipynb", [SETUP + QUICK, KILLED.format(after_s=10)])
    notebook = lab.open(page, "killed.ipynb")
    notebook.run(0)
    notebook.start(1)
    page.wait_for_selector(".mlf-run .js-plotly-plot")
    see(page, "() => /kernel is gone/i.test(document.querySelector('.mlf-run').innerText)")
    notebook.save()
    (output,) = [each for each in lab.read("killed.ipynb").cells[1].outputs if "data" in each]
    assert seconds_told(output["data"]["text/plain"]) > 3
    page.goto("about:blank")
    lab.open(page, "killed.ipynb")
    pictures(page).first.wait_for()
    assert page.locator(".mlf-run").count() == 0
    assert "● running" in page.locator(".jp-OutputArea").last.inner_text()


ENDS = """
run = client.create_run("ends", "{name}", capture=False, system_metrics_interval_s=0.2)
RunPanel(run).show()
while not (client.settings.folder / "ends-{name}").exists():
    run.log_metrics({{"loss": 0.5}})
    time.sleep(0.02)
run.log_metrics({{"loss": 0.0625}})
run.end()
"""
SEEN = "() => /finished/.test(document.querySelector('.mlf-run')?.innerText)"
PICTURE = "() => /finished/.test(document.querySelector('.mlfoundry-mount > div')?.textContent)"


def told_in_file(lab, notebook, name):
    notebook.save()
    (output,) = [each for each in lab.read(name).cells[1].outputs if "data" in each]
    return output["data"]["text/plain"]


def test_a_page_that_is_loaded_again_in_the_midst_of_a_cell_saves_how_its_run_ended(lab, page):
    lab.write("loaded.ipynb", [SETUP, ENDS.format(name="one")])
    notebook = lab.open(page, "loaded.ipynb")
    notebook.run(0)
    notebook.start(1)
    page.wait_for_selector(".mlf-run-header")
    assert told_in_file(lab, notebook, "loaded.ipynb").startswith("● running")
    page.reload()
    (lab.home / "ends-one").touch()
    notebook.wait_until_ready()
    see(page, SEEN)
    see(page, PICTURE)
    told = told_in_file(lab, notebook, "loaded.ipynb")
    assert told.startswith("✓ finished")
    assert "0.0625" in told


def test_of_two_windows_the_one_that_executed_the_cell_alone_changes_the_file(lab, page, new_page):
    lab.write("two.ipynb", [SETUP, ENDS.format(name="two")])
    notebook = lab.open(page, "two.ipynb")
    notebook.run(0)
    notebook.start(1)
    page.wait_for_selector(".mlf-run-header")
    notebook.save()
    second = new_page()
    second.watch.expected += LAB_NOISE
    second.goto(f"{lab.url}/lab/tree/two.ipynb?token={lab.token}")
    second.wait_for_selector(".mlfoundry-mount")
    (lab.home / "ends-two").touch()
    second.wait_for_selector(".mlf-run-header")
    see(second, SEEN)
    see(page, PICTURE)
    second.wait_for_function("() => [...__mlfoundryPanels.values()].some(each => each.saved?.asked > 0)")
    asked = "Promise.all([...__mlfoundryPanels.values()].map(each => each.source.ask('picture')))"
    assert second.evaluate(asked) == [None]
    assert second.evaluate("jupyterapp.shell.currentWidget.context.model.dirty") is False
    assert told_in_file(lab, notebook, "two.ipynb").startswith("✓ finished")
