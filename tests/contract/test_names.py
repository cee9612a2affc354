"""Names of runs: unique in their project, numbered in turn, free again after a deletion."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from mlfoundry.errors import InvalidName, RunNotFound
from mlfoundry.records import RunChanges


def test_a_taken_name_gets_a_suffix_and_the_suffixes_have_no_gap(make_run):
    assert [make_run("svm").run_name for _ in range(5)] == ["svm", "svm-2", "svm-3", "svm-4", "svm-5"]


def test_a_gap_in_the_suffixes_is_filled_first(make_run, backend):
    runs = [make_run("svm") for _ in range(4)]
    backend.delete_run(runs[1].key)
    assert make_run("svm").run_name == "svm-2"
    assert make_run("svm").run_name == "svm-5"


def test_the_next_run_of_a_name_follows_the_last_whatever_was_made_since(make_run, backend):
    runs = [make_run("svm") for _ in range(40)]
    assert runs[-1].run_name == "svm-40"
    make_run("forest")
    assert make_run("svm").run_name == "svm-41", "found though the latest run has another name"
    for _ in range(25):
        make_run("forest")
    assert make_run("svm").run_name == "svm-42", "found though none of the latest has it"


def test_of_many_runs_of_one_name_no_two_get_the_same_after_deletions(make_run, backend, wish):
    runs = [make_run("svm") for _ in range(30)]
    for run in runs[10:28:3]:
        backend.delete_run(run.key)
    # Older than all that there are, as a run that was begun offline.
    names = [backend.create_run(wish("svm", started_at_us=1)).run_name for _ in range(10)]
    kept = [run.run_name for run in runs if run not in runs[10:28:3]]
    assert len({*kept, *names}) == len(kept) + len(names)


def test_a_name_that_was_asked_for_with_a_suffix_is_a_name_like_any_other(make_run):
    names = [make_run(name).run_name for name in ("svm-2", "svm", "svm", "svm-2", "svm-2-2")]
    assert names == ["svm-2", "svm", "svm-3", "svm-2-2", "svm-2-2-2"]


def test_names_that_only_begin_alike_do_not_take_each_other(make_run):
    names = [make_run(name).run_name for name in ("svm_2", "svm%", "svm-20", "SVM", "svm") if "%" not in name]
    assert names == ["svm_2", "svm-20", "SVM", "svm"]
    assert make_run("svm").run_name == "svm-2"


def test_the_same_name_in_another_project_is_free(make_run):
    assert make_run("svm", project="iris").run_name == make_run("svm", project="digits").run_name == "svm"


@pytest.mark.parametrize("length", [118, 119, 120, 121, 126, 127, 128])
def test_a_long_name_is_cut_to_make_room_for_the_suffix(make_run, length):
    name = "n" * (length - 1) + "x"
    names = [make_run(name).run_name for _ in range(12)]
    assert len(set(names)) == 12
    assert max(map(len, names)) <= 128
    assert names[0] == name
    assert [each.rpartition("-")[2] for each in names[1:]] == [str(number) for number in range(2, 13)]


def test_long_names_that_differ_only_where_they_are_cut_get_names_of_their_own(make_run):
    names = [make_run("n" * 126 + ending).run_name for ending in ("aa", "ab", "aa", "ab")]
    assert names[:2] == ["n" * 126 + "aa", "n" * 126 + "ab"]
    assert names[2:] == ["n" * 126 + "-2", "n" * 126 + "-3"]


def test_a_name_of_many_bytes_to_a_character_gets_a_suffix(make_run):
    name = "損" * 128
    assert [make_run(name).run_name for _ in range(2)] == [name, "損" * 126 + "-2"]


def test_two_spellings_of_one_name_are_one_name(make_run):
    assert make_run("gro\u0308\u00dfe").run_name == "gr\u00f6\u00dfe"
    assert make_run("gr\u00f6\u00dfe").run_name == "gr\u00f6\u00dfe-2"


def test_a_deleted_run_frees_its_name(make_run, backend):
    first = make_run("svm")
    backend.delete_run(first.key)
    assert make_run("svm").run_name == "svm"
    with pytest.raises(RunNotFound):
        backend.get_run_by_name(None, "iris", "svm-2")


def test_a_restored_run_whose_name_is_taken_gets_a_suffix(make_run, backend):
    first = make_run("svm")
    backend.delete_run(first.key)
    second = make_run("svm")
    assert backend.restore_run(first.key).run_name == "svm-2"
    assert backend.get_run_by_name(None, "iris", "svm").key == second.key


def test_a_restored_run_whose_name_is_free_keeps_it(make_run, backend):
    run = make_run("svm")
    backend.delete_run(run.key)
    assert backend.restore_run(run.key).run_name == "svm"
    assert backend.restore_run(run.key).run_name == "svm", "restoring what is not deleted changes nothing"


def test_a_renamed_run_is_found_under_its_new_name_alone(make_run, backend):
    run = make_run("svm")
    assert backend.update_run(run.key, RunChanges(run_name="forest")).run_name == "forest"
    assert backend.get_run_by_name(None, "iris", "forest").key == run.key
    with pytest.raises(RunNotFound):
        backend.get_run_by_name(None, "iris", "svm")


def test_renaming_to_a_taken_name_gives_a_suffix(make_run, backend):
    make_run("forest")
    run = make_run("svm")
    assert backend.update_run(run.key, RunChanges(run_name="forest")).run_name == "forest-2"


def test_renaming_a_run_to_the_name_that_it_has_changes_nothing(make_run, backend):
    run = make_run("svm")
    assert backend.update_run(run.key, RunChanges(run_name="svm")).run_name == "svm"


@pytest.mark.parametrize("name", ["", "  ", "a/b", "a\nb", "..", " x", "n" * 129])
def test_a_name_that_is_not_legal_is_refused_and_makes_neither_run_nor_project(backend, wish, name):
    with pytest.raises(InvalidName):
        backend.create_run(wish(name, project="fresh"))
    with pytest.raises(InvalidName):
        backend.create_run(wish("run", project=name))
    assert backend.list_projects() == []


def test_threads_that_make_one_name_at_once_get_names_without_a_gap(backend, wish):
    with ThreadPoolExecutor(8) as threads:
        names = list(threads.map(lambda _: backend.create_run(wish("svm")).run_name, range(48)))
    assert sorted(names) == sorted(["svm", *(f"svm-{number}" for number in range(2, 49))])
