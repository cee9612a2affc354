"""The notebooks of the documentation are executed, and what each leaves in its store is what it says."""

import ast
import json
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

import mlfoundry
from mlfoundry.errors import ProjectNotFound

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
TIME_LIMIT_S = 400
EXECUTE = (
    "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); import demo; "
    "sys.exit(demo.execute(Path(sys.argv[2]), Path(sys.argv[3])) or 0)"
)


def execute(source: Path, folder: Path) -> nbformat.NotebookNode:
    """Execute a notebook as ann in a process of its own, with the store in `folder`; return it with its outputs."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("MLFOUNDRY_", "JUPYTER", "PYTEST"))}
    own = {
        "HOME": str(folder),
        "IPYTHONDIR": str(folder / "ipython"),
        "MLFOUNDRY_HOME": str(folder / "store"),
        "MLFOUNDRY_USER": "ann",
        "PYTHONPATH": str(NOTEBOOKS.parent),
        "OMP_NUM_THREADS": "1",  # threads that wait for each other take ten times as long on a busy machine
    }
    target = folder / source.name
    command = [sys.executable, "-c", EXECUTE, str(NOTEBOOKS), str(source), str(target)]
    done = subprocess.run(
        command, env={**kept, **own}, capture_output=True, text=True, timeout=TIME_LIMIT_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return nbformat.read(target, as_version=4)


class Executed:
    """A notebook that was executed, and the store that it left."""

    def __init__(self, name: str, folder: Path) -> None:
        self.folder = folder
        self.notebook = execute(NOTEBOOKS / name, folder)
        self.client = mlfoundry.get_client(folder / "store", user="ann")

    def runs(self, project: str) -> dict:
        return {run.run_name: run for run in self.client.list_runs(project)}

    def statuses(self, project: str) -> dict:
        return {name: run.status.value for name, run in self.runs(project).items()}

    def codes(self) -> list:
        return [cell for cell in self.notebook.cells if cell.cell_type == "code"]

    def shown(self, beginning: str) -> str:
        """Return what the cell showed that begins so."""
        (cell,) = [cell for cell in self.codes() if cell.source.startswith(beginning)]
        return "\n".join(str(output.get("text") or output.get("data", {}).get("text/plain")) for output in cell.outputs)

    def check(self) -> None:
        """What holds for each: all cells ran, errors are where they are meant to be, no state of widgets is kept."""
        codes = self.codes()
        assert [cell.execution_count for cell in codes] == list(range(1, len(codes) + 1))
        for cell in codes:
            may_fail = "raises-exception" in cell.metadata.get("tags", [])
            errors = [output for output in cell.outputs if output.output_type == "error"]
            assert bool(errors) == may_fail, cell.source
            assert not [output for output in cell.outputs if output.get("name") == "stderr"], cell.source
            for output in cell.outputs:
                assert len(output.get("data", {}).get("text/html", "")) < 50_000, cell.source


def executed(name: str, group: str):
    """Return a fixture that executes a notebook once; its tests go to one worker."""

    @pytest.fixture(scope="module")
    def fixture(tmp_path_factory):
        done = Executed(name, tmp_path_factory.mktemp(group))
        yield done
        done.client.close()

    return fixture


cells = executed("02_cells_and_system_metrics.ipynb", "cells")
search = executed("03_comparing_runs.ipynb", "search")
people = executed("04_collaborators.ipynb", "people")
scripts = executed("05_scripts_and_notebooks.ipynb", "scripts")


def records(run) -> list[dict]:
    """Return what is kept of a run's cells, in their order."""
    facts = run.get_facts()
    return [json.loads(facts[name]) for name in sorted(facts) if re.fullmatch(r"cell\.\d+", name)]


# -- cells and system metrics --------------------------------------------------------------------


@pytest.mark.xdist_group("guide-cells")
class TestCells:
    def test_it_is_executed_from_its_first_to_its_last_cell(self, cells):
        cells.check()
        assert cells.statuses("digits-cells") == {
            "mlp": "FINISHED",
            "bagged-trees": "FINISHED",
            "too-deep": "FAILED",
            "linear": "FINISHED",
            "pipeline": "FINISHED",
        }

    def test_the_cell_taught_its_params_its_source_and_its_points(self, cells):
        mlp = cells.runs("digits-cells")["mlp"]
        assert mlp.get_params() == {"hidden": [64, 32], "learning_rate": 0.003, "epochs": 25}
        metrics = mlp.get_metrics()
        assert list(metrics["val/loss"].steps) == list(range(1, 26))
        assert metrics["val/loss"].values[-1] < metrics["val/loss"].values[0]
        assert metrics["val/accuracy"].values[-1] > 0.9
        assert "%%mlfoundry_run digits-cells --name mlp" in mlp.get_facts()["cell.0001.source"]

    def test_variables_became_metrics_without_a_line_of_logging(self, cells):
        trees = cells.runs("digits-cells")["bagged-trees"]
        metrics = trees.get_metrics()
        assert metrics["by_trees"].count == 5
        assert metrics["accuracy"].values[0] == metrics["by_trees"].values[-1] > 0.9
        assert trees.get_params() == {"max_depth": 12}

    def test_the_failure_is_kept_with_its_exception_and_its_line(self, cells):
        failed = cells.runs("digits-cells")["too-deep"]
        assert failed.error.startswith("InvalidParameterError: ")
        assert "line 4, in <module>" in failed.get_facts()["error.traceback"]

    def test_the_cells_of_the_pipeline_cost_what_the_notebook_says_of_them(self, cells):
        run = cells.runs("digits-cells")["pipeline"]
        growing, searching, waiting = records(run)
        assert {cell["status"] for cell in (growing, searching, waiting)} == {"FINISHED"}
        assert growing["ended_at"] <= searching["started_at"] < searching["ended_at"] <= waiting["started_at"]
        assert waiting["wall_s"] >= 1.5
        assert searching["cpu_s"] > 2 * waiting["cpu_s"]
        assert growing["peak_bytes"] > 80 << 20
        memory = run.get_system_metrics("system/process/memory_rss_bytes")["system/process/memory_rss_bytes"]
        assert memory.values.max() - memory.values[0] > 60 << 20
        times = memory.times / 1e6
        assert ((times >= waiting["started_at"]) & (times <= waiting["ended_at"])).sum() >= 2
        assert run.get_params() == {"shift": 2, "neighbours": 3}

    def test_executing_a_cell_again_makes_the_next_version_and_says_what_changed(self, cells, tmp_path):
        wanted = ("%load_ext", "import numpy", "%%mlfoundry_run digits-cells --name linear")
        kept = [cell for cell in cells.codes() if cell.source.startswith(wanted)]
        assert len(kept) == 3
        kept[2].source = kept[2].source.replace("alpha = 0.001", "alpha = 0.1")
        again = tmp_path / "again.ipynb"
        nbformat.write(nbformat.v4.new_notebook(cells=kept, metadata=cells.notebook.metadata), again)
        done = execute(again, cells.folder)
        told = " ".join(output.get("data", {}).get("text/plain", "") for output in done.cells[2].outputs)
        assert "since linear: alpha 0.001 → 0.1; source +1 −1 lines" in told
        runs = cells.runs("digits-cells")
        assert runs["linear-v2"].get_tags()["version"] == "2"
        assert runs["linear-v2"].get_params() == {"alpha": 0.1}


# -- comparing runs ------------------------------------------------------------------------------


@pytest.mark.xdist_group("guide-search")
class TestComparing:
    def test_it_is_executed_and_leaves_three_seeds_of_each_setting(self, search):
        search.check()
        runs = search.runs("digits-search").values()
        assert {run.status.value for run in runs} == {"FINISHED"}
        settings = [(run.record.params["width"], run.record.params["lr"]) for run in runs]
        assert {settings.count(setting) for setting in settings} == {3}
        assert len(settings) == 18
        assert {run.record.metrics["val/loss"].count for run in runs} == {15}

    def test_the_setting_with_the_best_mean_is_marked_as_reviewed(self, search):
        by_setting = {}
        for run in search.runs("digits-search").values():
            key = run.record.params["width"], run.record.params["lr"]
            by_setting.setdefault(key, []).append(run)
        best = max(
            by_setting.values(), key=lambda runs: statistics.mean(r.record.metrics["val/accuracy"].last for r in runs)
        )
        reviewed = search.client.search_runs("digits-search", "tags.reviewed = 'yes'")
        assert {run.run_id for run in reviewed} == {run.run_id for run in best}
        assert {run.description.partition(" (")[0] for run in reviewed} == {
            "First of six settings by its mean over three seeds"
        }

    def test_the_linked_slider_filtered_and_counted(self, search):
        count = len(search.client.search_runs("digits-search", "metrics.val/accuracy > 0.92"))
        assert f"('metrics.val/accuracy > 0.92', '{count} runs')" in search.shown("least.value")

    def test_the_selection_is_told_in_its_order(self, search):
        found = search.client.search_runs("digits-search", "tags.seed = '0'", "metrics.val/accuracy desc")
        assert ast.literal_eval(search.shown("first_seeds")) == [run.run_name for run in found]


# -- collaborators -------------------------------------------------------------------------------


@pytest.mark.xdist_group("guide-people")
class TestCollaborators:
    def test_it_is_executed_and_each_refusal_is_the_one_it_speaks_of(self, people):
        people.check()
        refused = [output.ename for cell in people.codes() for output in cell.outputs if output.output_type == "error"]
        assert refused == ["ProjectNotFound", "ProjectNotFound", "PermissionDenied", "PermissionDenied", "LastAdmin"]

    def test_bob_is_gone_what_he_logged_stays_and_cleo_reads(self, people):
        members = {each.user: each.permission.name for each in people.client.list_collaborators("shared-digits")}
        assert members == {"ann": "ADMIN", "cleo": "READ"}
        made_by = {name: run.record.created_by for name, run in people.runs("shared-digits").items()}
        assert made_by == {"ann-svm": "ann", "bob-svm": "bob"}
        assert set(people.statuses("shared-digits").values()) == {"FINISHED"}
        with mlfoundry.get_client(people.folder / "store", user="bob") as bob:
            with pytest.raises(ProjectNotFound):
                bob.list_runs("ann/shared-digits")
            assert list(bob.list_projects()) == []
        with mlfoundry.get_client(people.folder / "store", user="cleo") as cleo:
            assert len(cleo.list_runs("ann/shared-digits")) == 2

    def test_no_project_was_made_by_accident(self, people):
        assert [(project.owner, project.name) for project in people.client.list_projects()] == [
            ("ann", "shared-digits")
        ]


# -- scripts and notebooks -----------------------------------------------------------------------


@pytest.mark.xdist_group("guide-scripts")
class TestScripts:
    def test_it_is_executed_and_each_run_says_how_it_ended(self, scripts):
        scripts.check()
        assert scripts.statuses("digits-scripts") == {
            "script": "FINISHED",
            "script-2": "FAILED",
            "script-3": "KILLED",
            "cross-validation": "FINISHED",
            "ranks": "FINISHED",
        }
        runs = scripts.runs("digits-scripts")
        assert re.fullmatch(
            r"RuntimeError: the loss is [\d.]+ after epoch \d; a smaller --lr may help", runs["script-2"].error
        )

    def test_the_script_and_the_killed_one_left_their_points(self, scripts):
        runs = scripts.runs("digits-scripts")
        assert list(runs["script"].get_metrics("val/loss")["val/loss"].steps) == list(range(1, 31))
        assert runs["script"].get_params() == {"project": "digits-scripts", "lr": 0.002, "epochs": 30}
        killed = runs["script-3"].get_metrics("val/loss")["val/loss"]
        assert list(killed.steps) == list(range(1, killed.count + 1))
        assert killed.count >= 5

    def test_the_points_of_all_workers_are_in_one_run(self, scripts):
        runs = scripts.runs("digits-scripts")
        metrics = runs["cross-validation"].get_metrics()
        folds = [metrics[f"fold-{fold}/accuracy"] for fold in range(4)]
        assert [list(fold.steps) for fold in folds] == [[0, 1, 2, 3]] * 4
        assert metrics["accuracy/mean"].values[0] == pytest.approx(statistics.mean(fold.values[-1] for fold in folds))
        ranks = runs["ranks"].get_metrics()
        assert {name: series.count for name, series in ranks.items()} == {"rank-0/loss": 50, "rank-1/loss": 50}

    def test_the_panel_of_the_script_tells_its_end_in_the_saved_notebook(self, scripts):
        assert scripts.shown("%mlfoundry_attach").startswith("✓ finished  ann/digits-scripts/script")
