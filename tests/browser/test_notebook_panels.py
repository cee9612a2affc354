"""Panels in a real JupyterLab and a real Notebook 7: live while the kernel is busy, and told by the saved file."""

import base64
import os
import shutil
import subprocess
import sys
import time

import nbformat
import numpy as np
import pytest

from mlfoundry.panels import frames
from tests.browser.lab import ROOT, running_lab
from tests.unit.test_panels_frames import PROJECT, metric, record, series

SETUP = """
import math, time, mlfoundry
from mlfoundry_jupyter.panels import CollaboratorsPanel, ProjectsPanel, RunPanel, RunsPanel
client = mlfoundry.get_client()
"""
BUSY = """
run = client.create_run("demo", "svm", capture=False, system_metrics_interval_s=0.2)
run.log_params({"lr": 0.1, "kernel": "rbf"})
panel = RunPanel(run)
panel.show()
step, end = 0, time.time() + 60
while time.time() < end and not (client.settings.folder / "enough").exists():
    run.log_metrics({"loss": math.exp(-step / 50), "val/acc": 1 - math.exp(-step / 50)}, step=step)
    step += 1
    sum(range(200_000))
run.end()
"""
ENDED = """
with client.create_run("{project}", "{name}", capture=False, system_metrics_interval_s=0.1) as run:
    run.log_params({{"lr": 0.1}})
    for step in range(20):
        run.log_metrics({{"loss": 1 / (step + 1)}}, step=step)
panel = RunPanel(run)
"""
THREE = """
for name, loss in (("a", 0.3), ("b", 0.1), ("c", 0.2)):
    with client.create_run("{project}", name, capture=False, log_system_metrics=False) as run:
        run.log_metrics({{"loss": loss}})
"""
LAB_NOISE = (
    "Failed to load resource",
    "WebSocket",
    "kernel",
    "404",
    "Error parsing",
    "favicon",
    "'schema'",
    "registered",
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with running_lab(tmp_path_factory.mktemp("lab") / "server") as lab:
        yield lab
        lab.shutdown_kernels()


@pytest.fixture
def page(new_page):
    page = new_page(viewport={"width": 1200, "height": 900})
    page.set_default_timeout(30_000)
    page.watch.expected += LAB_NOISE
    return page


def saved_outputs(lab, name):
    return [output for cell in lab.read(name).cells for output in cell.outputs if "data" in output]


def see(page, script, argument=None):
    """Wait until a script of the page gives something true."""
    page.wait_for_function(script, arg=argument, timeout=30_000)


def pictures(page):
    return page.locator(".mlfoundry-mount img")


def test_a_run_is_live_while_its_cell_is_busy_and_leaves_its_picture(lab, page):
    lab.write("busy.ipynb", [SETUP, BUSY])
    notebook = lab.open(page, "busy.ipynb")
    notebook.run(0)
    notebook.start(1)
    page.wait_for_selector(".mlf-run .js-plotly-plot")
    status = page.locator(".mlf-run").inner_text()
    assert "running" in status
    assert "svm" in status
    assert not pictures(page).first.is_visible()
    points = "() => document.querySelector('.mlf-run .js-plotly-plot').data.map(each => each.x.length).join()"
    before = page.evaluate(points)
    see(page, f"before => ({points})() !== before", before)
    page.get_by_role("tab", name="Details").click()
    page.get_by_text("kernel").last.wait_for()
    (lab.home / "enough").touch()
    notebook.wait_until_idle()
    see(page, "() => document.querySelector('.mlf-run').innerText.includes('finished')")
    assert page.evaluate("() => [window.Plotly === undefined, __mlfoundryContents.size].join()") == "true,1"
    notebook.save()
    (output,) = saved_outputs(lab, "busy.ipynb")
    assert sorted(output["data"]) == ["text/html", "text/plain"]
    assert len(output["data"]["text/html"]) < 50_000
    assert output["data"]["text/html"].count("<img ") >= 3
    assert output["data"]["text/plain"].startswith("✓ finished  ann/demo/svm")
    assert "widgets" not in lab.read("busy.ipynb").metadata


ELSEWHERE = """
import math, mlfoundry, sys, time
client = mlfoundry.get_client()
with client.create_run("elsewhere", "script", capture=False, system_metrics_interval_s=0.2) as run:
    step = 0
    while not (client.settings.folder / "script-enough").exists():
        run.log_metrics({"loss": math.exp(-step / 50)}, step=step)
        step += 1
        time.sleep(0.05)
"""


def test_a_run_of_another_process_is_attached_while_it_runs_and_followed_to_its_end(lab, page):
    environment = {**os.environ, "MLFOUNDRY_HOME": str(lab.home), "MLFOUNDRY_USER": "ann", "PYTHONPATH": str(ROOT)}
    script = subprocess.Popen([sys.executable, "-c", ELSEWHERE], env=environment)
    try:
        attach = "%load_ext mlfoundry_jupyter\n%mlfoundry_attach elsewhere/script"
        lab.write("attach.ipynb", [SETUP, "while not client.search_runs('elsewhere'): time.sleep(0.1)", attach])
        notebook = lab.open(page, "attach.ipynb")
        notebook.run(0)
        notebook.start(1, 2)
        page.wait_for_selector(".mlf-run .js-plotly-plot")
        assert "logged by another process" in page.locator(".mlf-run").inner_text()
        count = "() => Number(document.querySelector('.mlf-values-metrics .mlf-value').textContent.replace(',', ''))"
        before = page.evaluate(count)
        see(page, f"before => ({count})() > before", before)
        notebook.save()
        page.reload()
        notebook.wait_until_ready()
        see(page, f"before => document.querySelector('.mlf-values-metrics .mlf-value') && ({count})() > before", before)
        see(page, "() => /live · /.test(document.querySelector('.mlf-run').innerText)")
        (lab.home / "script-enough").touch()
        see(page, "() => document.querySelector('.mlf-run').innerText.includes('finished')")
        assert page.locator(".mlf-run-fresh").is_hidden()
    finally:
        (lab.home / "script-enough").touch()
        script.wait(60)


def test_a_panel_comes_back_when_the_page_is_loaded_again_and_says_when_the_kernel_is_gone(lab, page):
    lab.write("again.ipynb", [SETUP, ENDED.format(project="again", name="svm") + "panel"])
    notebook = lab.open(page, "again.ipynb")
    notebook.run(0, 1)
    page.wait_for_selector(".mlf-run .js-plotly-plot")
    notebook.save()
    page.reload()
    notebook.wait_until_ready()
    page.wait_for_selector(".mlf-run .js-plotly-plot")
    notebook.restart_kernel()
    see(page, "() => /kernel is gone/.test(document.querySelector('.mlf-run').innerText)")
    assert page.locator(".mlf-run .js-plotly-plot").is_visible()
    page.reload()
    notebook.wait_until_ready()
    pictures(page).first.wait_for()
    assert page.locator(".mlf-run").count() == 0
    assert "Error displaying widget" not in page.locator("body").inner_text()


def test_a_notebook_of_tomorrow_from_elsewhere_shows_the_pictures_without_kernel_and_without_trust(lab, page):
    lab.write("source.ipynb", [SETUP, ENDED.format(project="elsewhere", name="<b>bold") + "panel.show()"])
    notebook = lab.open(page, "source.ipynb")
    notebook.run(0, 1)
    page.wait_for_selector(".mlf-run")
    notebook.save()
    saved = lab.read("source.ipynb")
    lab.shutdown_kernels()
    saved.metadata["kernelspec"] = {"name": "nowhere", "display_name": "Nowhere"}
    for cell in saved.cells:
        cell.metadata.pop("trusted", None)
        cell.source += "\n# changed by somebody else"
    nbformat.write(saved, lab.folder / "elsewhere.ipynb")
    page.goto(f"{lab.url}/lab/tree/elsewhere.ipynb?reset&token={lab.token}")
    see(page, "() => [...document.querySelectorAll('.jp-OutputArea img')].filter(i => i.naturalWidth > 0).length >= 2")
    text = " ".join(page.locator(".jp-OutputArea").all_inner_texts())
    assert "finished" in text
    assert "<b>bold" in text
    assert "lr 0.1" in text


def test_the_main_journey_in_notebook_7(lab, page):
    lab.write("seven.ipynb", [SETUP, ENDED.format(project="seven", name="svm") + "panel.show()"])
    notebook = lab.open(page, "seven.ipynb", classic=True)
    notebook.run(0, 1)
    page.wait_for_selector(".mlf-run .js-plotly-plot")
    page.get_by_role("tab", name="System").click()
    see(page, "() => document.querySelector('.mlf-run').innerText.includes('CPU')")
    notebook.save()
    assert sorted(saved_outputs(lab, "seven.ipynb")[0]["data"]) == ["text/html", "text/plain"]


def test_each_copy_of_an_output_has_a_view_and_none_is_left_when_outputs_are_cleared(lab, page):
    lab.write(
        "copies.ipynb",
        [SETUP, ENDED.format(project="copies", name="svm") + "panel.show()", "panel.show()", "panel.is_seen"],
    )
    notebook = lab.open(page, "copies.ipynb")
    notebook.run(0, 1, 2)
    see(page, "() => document.querySelectorAll('.mlf-run .js-plotly-plot').length === 2")
    page.get_by_role("tab", name="Details").first.click()  # one state, so both views follow
    see(page, "() => document.querySelectorAll('.mlf-run [role=tab][aria-selected=true]')[1].textContent === 'Details'")
    notebook.command("notebook:clear-all-cell-outputs")
    see(page, "() => document.querySelectorAll('.mlf-run').length === 0")
    see(page, "() => [...__mlfoundryPanels.values()].every(panel => panel.stands.size === 0)")
    see(page, "() => [...__mlfoundryPanels.values()].every(panel => !panel.isShown)")
    notebook.run(3)
    assert notebook.cell(3).locator(".jp-OutputArea-output").inner_text().strip() == "False"


GONE_S = 30.0  # a page says after 3 s that a panel stands nowhere in it any more
COUNT = """
from ipywidgets.widgets import widget
[type(each).__name__ for each in widget._instances.values()].count("RunPanel")
"""


def expect_one_panel(notebook):
    """Execute the cell that counts, the third, until one is left."""
    shown = notebook.cell(2).locator(".jp-OutputArea-output")
    deadline = time.monotonic() + GONE_S
    while time.monotonic() < deadline:
        notebook.run(2)
        if shown.inner_text().strip() == "1":
            break
    assert shown.inner_text().strip() == "1"


def test_a_cell_that_is_executed_again_and_again_leaves_one_panel(lab, page):
    cell = "%%mlfoundry_run repeated --no-cost\nrun.log_metrics({'loss': 0.5})"
    lab.write("repeated.ipynb", [SETUP + "%load_ext mlfoundry_jupyter", cell, COUNT])
    notebook = lab.open(page, "repeated.ipynb")
    notebook.run(0)
    for _ in range(3):
        notebook.run(1)
        page.wait_for_selector(".mlf-run .js-plotly-plot")
    expect_one_panel(notebook)
    assert page.locator(".mlf-run .js-plotly-plot").count() == 1


def test_a_page_that_is_loaded_again_lets_former_panels_go_and_another_window_keeps_its_own(lab, new_page):
    cell = "panel = RunPanel(run)\npanel.show()"
    lab.write("windows.ipynb", [SETUP + "run = client.create_run('windows', 'svm', capture=False)", cell, COUNT])
    first, second = new_page(), new_page()
    for each in (first, second):
        each.watch.expected += LAB_NOISE
    notebook = lab.open(first, "windows.ipynb")
    notebook.run(0, 1)
    first.wait_for_selector(".mlf-run-header")
    notebook.save()
    lab.open(second, "windows.ipynb")
    second.wait_for_selector(".mlf-run-header")
    first.reload()
    notebook.wait_until_ready()
    first.wait_for_selector(".mlf-run-header")
    notebook.run(1)  # its former panel stands in the other window's copy of the output
    notebook.run(2)
    assert notebook.cell(2).locator(".jp-OutputArea-output").inner_text().strip() == "2"
    assert second.locator(".mlf-run-gone").is_hidden()
    # As when it is closed; the real end may come so soon that its last word is lost on a busy machine.
    second.evaluate("() => { for (const each of __mlfoundryPanels.values()) { each.left(); each.seen = () => {}; } }")
    expect_one_panel(notebook)
    first.wait_for_selector(".mlf-run-header")


def test_a_panel_in_a_box_is_a_widget_like_any_other(lab, page):
    box = "import ipywidgets\nipywidgets.VBox([ipywidgets.Label('above'), panel])"
    lab.write("box.ipynb", [SETUP, ENDED.format(project="box", name="svm"), box, "panel.tab"])
    notebook = lab.open(page, "box.ipynb")
    notebook.run(0, 1, 2)
    page.wait_for_selector(".widget-vbox .mlf-run .js-plotly-plot")
    page.get_by_role("tab", name="System").click()
    notebook.run(3)
    assert notebook.cell(3).locator(".jp-OutputArea-output").inner_text().strip() == "'system'"


def test_runs_are_selected_by_click_and_the_selection_arrives_in_the_kernel(lab, page):
    cells = [
        SETUP,
        THREE.format(project="select"),
        "panel = RunsPanel('select'); panel",
        "[r.run_name for r in panel.selected_runs]",
    ]
    lab.write("runs.ipynb", cells)
    notebook = lab.open(page, "runs.ipynb")
    notebook.run(0, 1, 2)
    page.get_by_role("row").filter(has_text="b").first.wait_for()
    page.get_by_role("row").filter(has_text="0.1").locator(".mlf-check").first.click()
    notebook.run(3)
    assert notebook.cell(3).locator(".jp-OutputArea-output").inner_text().strip() == "['b']"


def test_a_collaborator_is_added_by_hand(lab, page):
    show = "panel = CollaboratorsPanel('people'); panel"
    lab.write("people.ipynb", [SETUP, THREE.format(project="people"), show, "client.list_collaborators('people')"])
    notebook = lab.open(page, "people.ipynb")
    notebook.run(0, 1, 2)
    page.get_by_label("User to add").fill("bob")
    page.get_by_label("Permission to give").select_option("WRITE")
    page.get_by_role("button", name="add", exact=True).click()
    page.locator(".mlf-people").get_by_text("bob").first.wait_for()
    notebook.run(3)
    assert "bob" in notebook.cell(3).locator(".jp-OutputArea-output").inner_text()


def test_what_is_clicked_while_the_kernel_is_busy_is_done_at_once_or_said_to_be_queued_and_done_afterwards(lab, page):
    cells = [
        SETUP,
        THREE.format(project="queue"),
        "panel = CollaboratorsPanel('queue'); panel",
        "while not (client.settings.folder / 'go').exists(): time.sleep(0.05)",
    ]
    lab.write("queue.ipynb", cells)
    notebook = lab.open(page, "queue.ipynb")
    notebook.run(0, 1, 2)
    page.get_by_label("User to add").fill("bob")
    notebook.start(3)
    see(page, "() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'busy'")
    page.get_by_role("button", name="add", exact=True).click()
    # Kernels with subshells answer beside the busy cell, others when it has ended.
    see(page, "() => /queued, the kernel is busy|bob is in/.test(document.querySelector('.mlf-people-view').innerText)")
    (lab.home / "go").touch()
    page.locator(".mlf-people").get_by_text("bob").first.wait_for()


def test_of_what_is_clicked_while_the_kernel_is_busy_the_last_counts_also_when_the_page_is_loaded_again(lab, page):
    cells = [
        SETUP,
        ENDED.format(project="clicks", name="svm") + "panel.show()",
        "while not (client.settings.folder / 'clicked').exists(): time.sleep(0.05)",
        "panel.smoothing, panel.log_scale, panel.x_axis",
    ]
    lab.write("clicks.ipynb", cells)
    notebook = lab.open(page, "clicks.ipynb")
    notebook.run(0, 1)
    page.wait_for_selector(".mlf-run .js-plotly-plot")
    notebook.start(2)
    see(page, "() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'busy'")
    page.get_by_role("button", name="log y").click()
    page.get_by_role("button", name="time", exact=True).click()
    for smoothing in ("0.3", "0.6"):
        page.get_by_label("smoothing").fill(smoothing)
    notebook.save()
    page.reload()
    (lab.home / "clicked").touch()
    notebook.wait_until_ready()
    page.wait_for_selector(".mlf-run .js-plotly-plot")
    see(page, "() => document.querySelector('.mlf-smoothing-text').textContent === '0.60'")
    notebook.run(3)
    assert notebook.cell(3).locator(".jp-OutputArea-output").inner_text().strip() == "(0.6, True, 'time')"


def execute(tmp_path, cells):
    """Execute a notebook as scripts do, keeping its widgets' state; return it and its file."""
    from nbclient import NotebookClient

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    NotebookClient(notebook, timeout=120, store_widget_state=True).execute()
    path = tmp_path / "executed.ipynb"
    nbformat.write(notebook, path)
    return notebook, path


def test_a_notebook_that_a_script_executes_holds_the_final_picture_and_little_state(tmp_path):
    cell = BUSY.replace('not (client.settings.folder / "enough").exists()', "step < 30")
    notebook, path = execute(tmp_path, [SETUP, cell])
    (output,) = [each for each in notebook.cells[1].outputs if "data" in each]
    assert sorted(output["data"]) == ["text/html", "text/plain"]
    assert "✓ finished" in output["data"]["text/plain"]
    assert output["data"]["text/html"].count("<img ") >= 3
    assert len(str(notebook.metadata.get("widgets", ""))) < 50_000
    assert path.stat().st_size < 120_000
    command = [sys.executable, "-m", "nbconvert", "--to", "html", "--embed-images", str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    html = path.with_suffix(".html").read_text()
    assert html.count("data:image/svg+xml;base64") >= 3
    assert "ann" in html or shutil.which("whoami")
    assert "mlfoundry-mount" in html


def test_a_saved_table_follows_what_later_cells_filter_select_and_compare(tmp_path):
    then = (
        "panel.filter, panel.order_by = 'metrics.loss < 0.25', 'metrics.loss asc'\n"
        "panel.selected = [run.run_id for run in client.search_runs('later', panel.filter)]\npanel.compare = True"
    )
    three = THREE.format(project="later")
    notebook, _ = execute(tmp_path, [SETUP, three, "panel = RunsPanel('later'); panel", then])
    (output,) = notebook.cells[2].outputs
    told = output["data"]["text/plain"]
    assert "/later: 2 runs where metrics.loss < 0.25" in told
    assert told.index("\n✓ finished  b ") < told.index("\n✓ finished  c ")
    assert "2 runs, metrics by last value" in told
    assert "2 runs compared, metrics by last value" in output["data"]["text/html"]
    assert len(output["data"]["text/html"]) < 50_000


def test_a_run_that_fails_in_the_last_cell_is_told_failed(tmp_path):
    from nbclient.exceptions import CellExecutionError

    cell = """
with client.create_run("demo", "bad", capture=False) as run:
    RunPanel(run).show()
    raise ValueError("no <label>")
"""
    with pytest.raises(CellExecutionError, match="no <label>"):
        execute(tmp_path, [SETUP, cell])


DECODE = """
async ([address, text]) => {
    const { decode } = await import(address);
    const valueAt = (told, columns, row) => {
        const value = columns[told.name][row];
        if (told.dict) return value === 0 ? undefined : told.dict[value];
        return told.has && !columns[told.has][row] ? undefined : value;
    };
    const { header, columns } = decode(Uint8Array.from(atob(text), each => each.charCodeAt(0)));
    const rows = [];
    const count = Math.max(...header.columns.map(each => each.length));
    for (let row = 0; row < count; row += 1) {
        const cells = {};
        for (const told of header.columns) {
            if (row < told.length) {
                const value = valueAt(told, columns, row);
                cells[told.name] = typeof value === "number" && !Number.isFinite(value) ? String(value) : value ?? null;
            }
        }
        rows.push(cells);
    }
    return { header, rows };
}
"""


def decoded(new_page, panel_server, frame):
    page = new_page()
    page.goto(f"{panel_server}/pages/runs.html")
    return page.evaluate(DECODE, [f"{panel_server}/panels/frames.js", base64.b64encode(frame).decode()])


def test_frames_of_points_are_read_in_the_browser_as_they_were_written(new_page, panel_server):
    frame = frames.whole_points("r" * 32, [series("löss", [0.5, np.nan])], [series("system/cpu/percent", [10.0])])
    told = decoded(new_page, panel_server, frame)
    assert [each["name"] for each in told["header"]["series"]] == ["löss", "system/cpu/percent"]
    assert [row["values"] for row in told["rows"]] == [0.5, "NaN", 10]
    told = decoded(new_page, panel_server, frames.new_points("r" * 32, [(1, 600, series("x", [0.25], start=600))]))
    assert told["rows"] == [{"index": 1, "n": 1, "since": 600, "steps": 600, "times": 1_700_000_600, "values": 0.25}]


def test_frames_of_runs_are_read_in_the_browser_as_they_were_written(new_page, panel_server):
    records = [record(params={"lr": 0.1, "kernel": "rbf"}, metrics={"loss": metric(1e-300)}), record("b" * 32)]
    told = decoded(new_page, panel_server, frames.runs_frame(PROJECT, records, offset=0, total=2))
    first, second = told["rows"]
    assert (first["run_id"], second["run_id"]) == ("a" * 32, "b" * 32)
    assert (first["params.lr"], first["params.kernel"], first["metrics.loss"]) == (0.1, "rbf", 1e-300)
    assert (second["params.lr"], second["params.kernel"], second["metrics.loss"]) == (None, None, None)
