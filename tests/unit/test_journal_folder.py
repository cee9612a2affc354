"""The folder of a journal: shown with its lock held, cleared when it never was, whoever goes on at the worst moment."""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import ExitStack, suppress

import pytest

from mlfoundry.journal import Journal, folder
from mlfoundry.journal.reader import adopt
from mlfoundry.shipping import recovery

RUN = "0123456789abcdef" * 2
NAME = f"{RUN}.{7:016x}"
ORIGIN = {"run_id": RUN, "project_name": "p", "role": "owner", "user": "ann"}


class Maker:
    """Makes a journal's folder as `make_folder` does, one step at a time, as a process that is stopped in between."""

    def __init__(self, root):
        self._root = root
        self._hidden = root / f".{NAME}"
        self._fd = -1
        self.shown = False
        self.steps = [self._make, self._open, self._lock, self._show]

    def _make(self):
        self._hidden.mkdir(mode=0o700)

    def _open(self):
        self._fd = os.open(self._hidden / "lock", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def _lock(self):
        fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _show(self):
        os.rename(self._hidden, self._root / NAME)  # noqa: PTH104  not the one that the test watches
        self.shown = True
        (self._root / NAME / "segment").write_text("logged")

    def go_on(self):
        """Do the remaining steps, and clean up as `make_folder` does when one fails."""
        try:
            while self.steps:
                self.steps.pop(0)()
        except OSError:
            self.steps.clear()
            self.give_up()
            shutil.rmtree(self._hidden, ignore_errors=True)

    def give_up(self):
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


CALLS = {"os": ["open", "rename", "unlink", "rmdir", "close"], "fcntl": ["flock"]}


def watch(stack, meet):
    """Call `meet` before and after each system call of the clearing."""
    for module, names in CALLS.items():
        for name in names:
            real = getattr(getattr(folder, module), name)

            def watched(*args, real=real, **more):
                meet()
                try:
                    return real(*args, **more)
                finally:
                    meet()

            stack.enter_context(pytest.MonkeyPatch.context()).setattr(getattr(folder, module), name, watched)


def clear_with_a_maker(root, *, steps, moment):
    """Clear beside a maker that has done `steps` and goes on at `moment`; return it and how many moments there were."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    maker, seen, busy = Maker(root), 0, False
    for _ in range(steps):
        maker.steps.pop(0)()

    def meet():
        nonlocal seen, busy
        if busy:
            return
        seen += 1
        if seen == moment:
            busy = True
            maker.go_on()
            busy = False

    with ExitStack() as stack:
        watch(stack, meet)
        folder.clear_unfinished(root / f".{NAME}")
    maker.go_on()
    return maker, seen


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_a_maker_that_goes_on_at_any_moment_of_the_clearing_loses_nothing_that_it_shows(tmp_path, steps):
    root = tmp_path / "journals"
    moment, moments = 1, 1
    outcomes = set()
    while moment <= moments:
        maker, seen = clear_with_a_maker(root, steps=steps, moment=moment)
        moments = max(moments, seen)
        if maker.shown:
            shown = root / NAME
            assert (shown / "segment").read_text() == "logged"
            assert (shown / "lock").exists()
            assert adopt(shown) is None, "its owner lives"
        assert [path.name for path in root.iterdir()] == ([NAME] if maker.shown else [])
        outcomes.add(maker.shown)
        maker.give_up()
        moment += 1
    assert moments >= (2 if steps == 4 else 5)
    assert outcomes == ({True} if steps >= 3 else {True, False}), "both were tried"


def test_a_maker_that_never_goes_on_is_cleared(tmp_path):
    for steps in (1, 2):
        maker = Maker(tmp_path)
        for _ in range(steps):
            maker.steps.pop(0)()
        maker.give_up()
        folder.clear_unfinished(tmp_path / f".{NAME}")
        assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_anything_is_never_removed(tmp_path):
    hidden = tmp_path / f".{NAME}"
    hidden.mkdir()
    (hidden / "data").write_text("precious")
    for _ in range(2):
        for place in list(tmp_path.iterdir()):
            folder.clear_unfinished(place)
    assert [path.read_text() for path in tmp_path.rglob("data")] == ["precious"]


def test_a_clearing_that_was_interrupted_is_finished_by_the_next(tmp_path, monkeypatch):
    hidden = tmp_path / f".{NAME}"
    hidden.mkdir()
    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(folder.os, "rmdir", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        folder.clear_unfinished(hidden)
    (left,) = tmp_path.iterdir()
    assert folder.is_unfinished(left)
    os.utime(left, (0, 0))
    assert not any(map(recovery.take, recovery.folders_in([tmp_path])))
    assert list(tmp_path.iterdir()) == []


def test_a_maker_that_waits_for_the_lock_shows_nothing_after_a_clearing_that_was_interrupted(tmp_path, monkeypatch):
    maker = Maker(tmp_path)
    for _ in range(2):
        maker.steps.pop(0)()
    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(folder.os, "rmdir", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        folder.clear_unfinished(tmp_path / f".{NAME}")
    maker.go_on()
    assert not maker.shown, "others would take a journal without a lock for a dead one"
    assert not (tmp_path / NAME).exists()


@pytest.mark.parametrize("name", [".x", "parked", ".", f".{RUN}", NAME, f"{NAME}.cleared", ".git", f".{NAME}.files"])
def test_a_folder_of_another_name_is_none_that_was_never_shown(tmp_path, name):
    assert not folder.is_unfinished(tmp_path / name)


def test_a_young_hidden_folder_is_left_to_its_maker(tmp_path):
    (tmp_path / f".{NAME}").mkdir()
    assert not any(map(recovery.take, recovery.folders_in([tmp_path])))
    assert (tmp_path / f".{NAME}").exists()


def test_a_journal_whose_folder_is_cleared_while_it_is_made_gets_another(tmp_path, monkeypatch):
    """The whole of it: the real maker, cleared between its first two steps."""
    real, cleared = os.open, []

    def open_slowly(path, flags, *rest, **more):
        if str(path).endswith("/lock") and flags & os.O_EXCL and not cleared:
            cleared.append(path)
            folder.clear_unfinished(path.parent)
        return real(path, flags, *rest, **more)

    monkeypatch.setattr(folder.os, "open", open_slowly)
    monkeypatch.setattr("mlfoundry.journal.chain.RETRY_S", 0.0)
    journal = Journal(tmp_path, dict(ORIGIN))
    journal.log({"a": 1.0}, None)
    journal.sync()
    assert len(cleared) == 1
    assert journal.in_memory == 0
    assert [path.name for path in tmp_path.iterdir()] == [journal.folder.name]
    journal.close(settled=True)


def test_what_is_put_aside_twice_under_one_name_is_kept_twice(tmp_path):
    for content in ("1", "2", "3"):
        (tmp_path / "x").write_text(content)
        folder.put_aside(tmp_path / "x", tmp_path, "x")
    found = {path.name: path.read_text() for path in (tmp_path / "parked").iterdir()}
    assert found == {"x": "1", "x.2": "2", "x.3": "3"}


def test_a_journal_that_cannot_be_put_aside_stays_where_it_is_and_holds_up_nobody(tmp_path):
    journal = Journal(tmp_path, dict(ORIGIN))
    journal.log({"a": 1.0}, None)
    place = journal.folder
    journal.close(settled=False)
    (tmp_path / "parked").write_text("in the way")
    left = adopt(place)
    assert left.park() == place
    again = adopt(place)
    assert again is not None, "its lock was given back"
    again.close(settled=True)
