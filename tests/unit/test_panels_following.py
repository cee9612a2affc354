"""A run is read as it grows: whole frames at growing intervals, new points in between, its end at the end."""

import math

import pytest

import mlfoundry
from mlfoundry.store.database import Transaction
from mlfoundry_jupyter.panels.following import Following, total_bytes
from tests.unit.test_panels_frames import read


@pytest.fixture
def client(tmp_path):
    return mlfoundry.get_client(tmp_path, user="ann")


@pytest.fixture
def run(client):
    run = client.create_run("demo", "svm", log_system_metrics=False, capture=False)
    yield run
    run.end()


def kinds(messages):
    return [content["kind"] for content, _ in messages]


def frames(messages):
    return [read(frame) for _, carried in messages for frame in carried]


def log(run, step, **metrics):
    run.log_metrics(metrics, step=step)
    run.flush()


def test_the_first_look_gives_the_run_its_health_and_all_points(run):
    log(run, 0, loss=0.5, accuracy=0.9)
    messages = Following(run).new(0.0)
    assert kinds(messages) == ["run", "health", "frame"]
    header, columns = frames(messages)[0]
    assert header["whole"]
    assert dict(zip([each["name"] for each in header["series"]], columns["values"].tolist(), strict=True)) == {
        "loss": 0.5,
        "accuracy": 0.9,
    }


def test_between_whole_frames_only_new_points_are_sent(run):
    log(run, 0, loss=0.5)
    following = Following(run)
    following.new(0.0)
    log(run, 1, loss=0.25)
    (header, columns), *rest = frames(following.new(0.5))
    assert not rest
    assert not header["whole"]
    assert (columns["index"].tolist(), columns["since"].tolist(), columns["n"].tolist()) == ([0], [1], [1])
    assert (columns["steps"].tolist(), columns["values"].tolist()) == ([1.0], [0.25])


def test_nothing_is_sent_when_nothing_is_new(run):
    log(run, 0, loss=0.5)
    following = Following(run)
    following.new(0.0)
    following.new(1.0)
    assert following.new(1.5) == []


def test_whole_frames_come_one_four_sixteen_seconds_after_the_first(run):
    log(run, 0, loss=0.5)
    following = Following(run)
    moments = [
        second / 2 for second in range(80) if any(header["whole"] for header, _ in frames(following.new(second / 2)))
    ]
    assert moments == [0.0, 1.0, 4.0, 16.0]


def test_a_metric_that_is_new_comes_in_a_whole_frame(run):
    log(run, 0, loss=0.5)
    following = Following(run)
    following.new(0.0)
    log(run, 0, accuracy=0.5)
    (header, _), *_ = frames(following.new(0.5))
    assert header["whole"]
    assert {each["name"] for each in header["series"]} == {"loss", "accuracy"}


def test_deltas_after_a_whole_frame_put_together_are_the_whole_of_the_run(run):
    log(run, 0, loss=1.0)
    following = Following(run)
    values = {"loss": []}
    for step in range(1, 12):
        for header, columns in frames(following.new(step / 3)):
            if header["whole"]:
                values["loss"] = columns["values"].tolist()
            else:
                assert columns["since"].tolist() == [len(values["loss"])]
                values["loss"] += columns["values"].tolist()
        log(run, step, loss=1.0 / step)
    for header, columns in frames(following.new(4.0)):
        values["loss"] = columns["values"].tolist() if header["whole"] else values["loss"] + columns["values"].tolist()
    assert values["loss"] == run.get_metrics()["loss"].values.tolist()


def test_more_points_than_can_be_drawn_are_thinned_in_whole_frames_and_counted_in_full(run):
    for step in range(5000):
        run.log_metrics({"loss": math.sin(step)}, step=step)
    run.flush()
    following = Following(run)
    header, _ = frames(following.new(0.0))[0]
    assert header["series"][0]["n"] <= 1000
    assert header["series"][0]["count"] == 5000
    log(run, 5000, loss=0.0)
    (_, columns), *_ = frames(following.new(0.5))
    assert columns["since"].tolist() == [5000]


def test_a_param_that_is_no_number_does_not_make_the_run_be_told_again_and_again(run):
    run.log_params({"threshold": math.nan})
    log(run, 0, loss=0.5)
    following = Following(run)
    assert kinds(following.new(0.0))[0] == "run"
    following.new(3.0)
    assert "run" not in kinds(following.new(6.0))


def test_the_run_is_told_again_only_when_more_than_its_values_has_changed(run):
    log(run, 0, loss=0.5)
    following = Following(run)
    following.new(0.0)
    log(run, 1, loss=0.25)
    assert "run" not in kinds(following.new(3.0))
    run.set_tags({"stage": "tuned"})
    run.flush()
    assert "run" not in kinds(following.new(6.0))  # nothing had changed, so it is looked at again after a while
    told = [content for content, _ in following.new(8.0) if content["kind"] == "run"]
    assert told[0]["run"]["tags"] == {"stage": "tuned"}
    run.set_tags({"stage": "done"})
    run.flush()
    assert kinds(following.new(8.5, looks=True))[0] == "run"


def test_a_run_of_another_handle_is_followed_without_a_health_of_its_own(client, run):
    log(run, 0, loss=0.5)
    messages = Following(client.get_run(run.run_id)).new(0.0)
    assert kinds(messages) == ["run", "frame"]
    assert messages[0][0]["run"]["health"] is None


def test_the_end_is_noticed_with_all_points_before_it(client, run):
    following = Following(client.get_run(run.run_id))
    following.new(0.0)
    log(run, 0, loss=0.5)
    run.end("FAILED")
    messages = following.new(2.5)
    assert following.has_ended
    assert kinds(messages)[-1] == "ended"
    assert messages[0][0]["run"]["status"] == "FAILED"
    assert frames(messages)[-1][1]["values"].tolist() == [0.5]


def test_the_end_of_a_run_of_this_process_is_noticed_at_once(run):
    following = Following(run)
    following.new(0.0)
    run.end()
    following.new(0.1)
    assert following.has_ended


def test_what_one_may_do_is_part_of_the_run(tmp_path, client, run):
    client.add_collaborator("demo", "bob", "READ")
    bob = mlfoundry.get_client(tmp_path, user="bob")
    assert Following(run).whole()[0][0]["run"]["may_admin"] is True
    told = Following(bob.get_run(run.run_id)).whole()[0][0]["run"]
    assert (told["may_write"], told["may_admin"]) == (False, False)


def test_cells_and_tracebacks_are_taken_from_the_facts(client):
    with pytest.raises(ValueError, match="odd"), client.create_run("demo", "bad", capture=False) as run:
        raise ValueError("odd")
    told = Following(client.get_run(run.run_id)).whole()[0][0]["run"]
    assert told["error"] == "ValueError: odd"
    assert "Traceback" in told["traceback"]


def test_an_update_of_32_traces_takes_at_most_2_kilobytes(run):
    metrics = {f"metric-{i}": 0.1 for i in range(32)}
    run.log_metrics(metrics, step=0)
    run.flush()
    following = Following(run)
    following.new(0.0)
    run.log_metrics(metrics, step=1)
    run.flush()
    assert 0 < total_bytes(following.new(0.5)) <= 2000


def test_an_update_of_many_metrics_is_small_and_asks_the_store_few_questions(run, monkeypatch):
    names = [f"group-{number % 8}/metric-{number}" for number in range(32)]
    log(run, 0, **dict.fromkeys(names, 1.0))
    following = Following(run)
    following.new(0.0)
    log(run, 1, **dict.fromkeys(names, 0.5))
    asked = []
    for verb in ("rows", "row"):
        ask = getattr(Transaction, verb)
        monkeypatch.setattr(
            Transaction, verb, lambda self, *given, ask=ask: asked.append(given[0]) or ask(self, *given)
        )
    messages = following.new(0.5)
    assert kinds(messages) == ["frame"]
    assert total_bytes(messages) <= 1500
    assert len(asked) <= 8, asked


def test_of_more_metrics_than_a_page_is_sent_the_first_are_and_how_many_are_left_out_is_told(run, monkeypatch):
    monkeypatch.setattr("mlfoundry.panels.limits.SERIES_MOST", 3)
    log(run, 0, **dict.fromkeys("edcba", 0.5))
    following = Following(run)
    ((header, _),) = frames(following.new(0.0))
    assert [each["name"] for each in header["series"]] == ["a", "b", "c"]
    assert header["total"] == {"logged": 5, "system": 0}
    log(run, 1, **dict.fromkeys("fedcba", 0.25))
    ((header, columns),) = frames(following.new(0.5))
    assert (header["whole"], columns["index"].tolist()) == (False, [0, 1, 2])
    ((header, _),) = frames(following.whole())
    assert header["total"] == {"logged": 6, "system": 0}
