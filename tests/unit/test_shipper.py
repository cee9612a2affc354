"""The shipper: how it backs off, what it makes of each refusal, and that nothing ends its threads."""

import io
import logging
import sys
import threading
import time
from datetime import UTC, datetime

import pytest

from mlfoundry import slots
from mlfoundry.errors import (
    BackendUnavailable,
    JournalGap,
    JournalUnreadable,
    NotAuthenticated,
    PermissionDenied,
    RunDeleted,
    RunNotFound,
    StoreBusy,
    TooLarge,
)
from mlfoundry.journal import Journal, chain
from mlfoundry.journal.reader import adopt
from mlfoundry.journal.spool import Spool
from mlfoundry.log import Log
from mlfoundry.records import Acknowledgement, NewRun, RunKey, RunRecord, RunStatus
from mlfoundry.shipping import recovery
from mlfoundry.shipping import shipper as shippers
from mlfoundry.shipping.shipment import HEARTBEAT_S, SETTLE_S, SLICE_S, Shipment
from mlfoundry.shipping.shipper import Shipper
from mlfoundry.shipping.tries import BACK_OFF_S, REFUSED_S

RUN = "ab" * 16
KEY = RunKey(7, RUN)
NEW = NewRun(RUN, "p", "r", None, {}, "", 0)


class Store:
    """Stands for a backend: keeps slots as the real one does, and fails as it is told to."""

    uri, user = "double", "ann"

    def __init__(self):
        self.data = b""
        self.calls = []
        self.errors = []
        self.error = None  # for as long as it is set
        self._changed = threading.Condition()

    def _called(self, verb, *how):
        with self._changed:
            self.calls.append((verb, *how))
            self._changed.notify_all()
        if self.error is not None:
            raise self.error
        if self.errors:
            raise self.errors.pop(0)

    def wait_for(self, condition):
        with self._changed:
            assert self._changed.wait_for(condition, 10), self.calls

    def create_run(self, new):
        self._called("create_run")
        at = datetime(2026, 1, 1, tzinfo=UTC)
        return RunRecord(KEY, "ann", "p", "r-2", RunStatus.RUNNING, "ann", at, None, at)

    def acked(self, run, journal_id):
        self._called("acked")
        return len(self.data) // 32

    def ingest(self, batch):
        self._called("ingest", batch.start, batch.stop, batch.settle)
        held = len(self.data) // 32
        if batch.start > held:
            raise JournalGap(expected=held, got=batch.start)
        self.data += batch.data[(held - batch.start) * 32 :]
        held = len(self.data) // 32
        return Acknowledgement(held, held if batch.settle else 0)

    def end_unheard(self, kept):
        return 0

    def steps(self, journal):
        return [
            int(s) for rows in slots.decode(self.data, journal_id=journal.journal_id, first=0).rows for s in rows.steps
        ]

    @property
    def batches(self):
        return [call[1:] for call in self.calls if call[0] == "ingest"]


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now

    thread_time = staticmethod(time.thread_time)


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    for module in ("shipment", "tries"):
        monkeypatch.setattr(sys.modules[f"mlfoundry.shipping.{module}"], "time", clock)
    return clock


@pytest.fixture
def journal(tmp_path):
    journal = Journal(tmp_path / "journals", {"run_id": RUN, "role": "owner"})
    journal.open()
    yield journal
    journal.close(settled=True)


@pytest.fixture
def shipment(journal, store):
    return Shipment(journal, store, NEW, run=KEY, fresh=True)


@pytest.fixture
def shipper(monkeypatch):
    """A shipper with its threads, which does not dawdle."""
    monkeypatch.setattr(shippers, "SHIP_S", 0.01)
    monkeypatch.setattr(shippers, "SYNC_S", 0.01)
    shipper = Shipper()
    yield shipper
    shipper.stop(10)


@pytest.fixture
def handler():
    """A handler of the program's own that raises when it was told something."""

    class Raising(logging.Handler):
        def __init__(self):
            super().__init__()
            self.told, self.error, self.changed = [], None, threading.Condition()

        def emit(self, record):
            with self.changed:
                self.told.append(record.getMessage())
                self.changed.notify_all()
            raise self.error

    made = Raising()
    logging.getLogger("mlfoundry").addHandler(made)
    yield made
    logging.getLogger("mlfoundry").removeHandler(made)


# -- what is sent --------------------------------------------------------------------------------


def test_what_is_new_is_sent_once_and_in_order(shipment, journal, store):
    for _ in range(5):
        journal.log({"a": 0.0}, None)
    shipment.ship()
    assert store.steps(journal) == [0, 1, 2, 3, 4]
    assert (shipment.acked, shipment.pending) == (journal.tail, 0)
    shipment.ship()
    assert len(store.batches) == 1
    journal.log({"a": 0.0}, None)
    assert shipment.pending == 1
    shipment.ship()
    assert store.steps(journal) == [0, 1, 2, 3, 4, 5]


def test_a_batch_knows_the_names_that_it_uses(shipment, journal, store, monkeypatch):
    journal.log({"a": 0.0, "b": 1.0}, None)
    seen, ingest = [], store.ingest
    monkeypatch.setattr(store, "ingest", lambda batch: (seen.append(dict(batch.names)), ingest(batch))[1])
    shipment.ship()
    assert seen == [{1: ("a",), 2: ("b",), 3: ("a", "b")}]


def test_an_old_journal_asks_first_how_far_the_store_is(journal, store):
    journal.log({"a": 0.0}, None)
    whole, _ = journal.read(0)
    store.data = whole[:64]
    Shipment(journal, store, NEW, run=KEY).ship()
    assert [call[0] for call in store.calls] == ["acked", "ingest"]
    assert store.batches[0][0] == 2
    assert store.data == whole


def test_a_run_that_the_store_does_not_have_is_made_first_and_once(journal, store):
    made = []
    shipment = Shipment(journal, store, NEW, run=None, on_made=made.append, fresh=True)
    journal.log({"a": 0.0}, None)
    shipment.ship()
    shipment.ship()
    assert [record.run_name for record in made] == ["r-2"]
    assert shipment.run == KEY
    assert [call[0] for call in store.calls].count("create_run") == 1


def test_the_store_is_asked_to_settle_the_first_batch_and_then_only_when_a_file_can_go(
    shipment, journal, store, monkeypatch
):
    monkeypatch.setattr(chain, "SEGMENT_SLOTS", (32,))
    for settles in (True, False):
        store.calls.clear()
        journal.log({"a": 0.0}, None)
        shipment.ship()
        assert [settle for _, _, settle in store.batches] == [settles]
    store.calls.clear()
    for _ in range(8300):
        journal.log({"a": 0.0}, None)
    files = len(list(journal.folder.glob("*.seg")))
    assert files > 1
    shipment.ship()
    assert any(settle for _, _, settle in store.batches)
    assert len(list(journal.folder.glob("*.seg"))) == 1
    store.calls.clear()
    journal.log({"a": 0.0}, None)
    shipment.ship()
    assert [settle for _, _, settle in store.batches] == [False]


def test_what_is_logged_while_it_ships_waits_for_its_next_turn(shipment, journal, store):
    took = store.ingest

    def busily(batch):
        journal.log({"a": 0.0}, None)
        return took(batch)

    store.ingest = busily
    for step in range(3):
        journal.log({"a": 0.0}, None)
        before = len(store.batches)
        shipment.ship()
        assert len(store.batches) == before + 1
        assert store.steps(journal) == list(range(2 * step + 1))
        assert not shipment.has_more


def test_of_a_turn_with_several_files_the_last_batch_is_settled(clock, store, tmp_path, monkeypatch):
    monkeypatch.setattr(chain, "SEGMENT_SLOTS", (32,))
    journal = Journal(tmp_path / "journals", {"run_id": RUN, "role": "owner"})
    shipment = Shipment(journal, store, NEW, run=KEY, fresh=True)
    journal.log({"a": 0.0}, None)
    shipment.ship()
    took, pause_s = store.ingest, 0.0

    def ingest(batch):
        clock.now += pause_s
        return took(batch)

    store.ingest = ingest
    settles = []
    for pause_s in (0.0, SETTLE_S * 0.6):  # noqa: B007  a closure's
        while len(list(journal.folder.glob("*.seg"))) < 5:
            journal.log({"a": 0.0}, None)
        store.calls.clear()
        shipment.ship()
        settles.append([settle for _, _, settle in store.batches])
        assert len(list(journal.folder.glob("*.seg"))) == 1
    assert settles[0] == [False] * (len(settles[0]) - 1) + [True]
    assert settles[1] == [False, False, True, False, True], "each second of a turn that takes long"
    journal.close(settled=True)


def test_the_last_shipment_is_settled_deleted_and_done(shipment, journal, store):
    journal.log({"a": 0.0}, None)
    folder = journal.folder
    shipment.last = True
    shipment.ship()
    assert store.batches == [(0, journal.tail, True)]
    assert shipment.done.is_set()
    assert not folder.exists()


def test_a_last_shipment_that_holds_nothing_new_settles_what_was_sent_before(shipment, journal, store):
    for _ in range(2):
        journal.log({"a": 0.0}, None)
        shipment.ship()
    shipment.last = True
    shipment.ship()
    assert store.batches[-1] == (journal.tail, journal.tail, True)
    assert shipment.done.is_set()


def test_a_silent_run_is_heard_of_by_a_heartbeat(clock, journal, store):
    shipment = Shipment(journal, store, NEW, run=KEY, fresh=True)
    journal.log({"a": 0.0}, None)
    shipment.ship()
    clock.now += HEARTBEAT_S - 1
    shipment.ship()
    assert len(store.batches) == 1
    clock.now += 2
    shipment.ship()
    assert store.batches[1:] == [(journal.tail, journal.tail, False)]
    clock.now += 1
    shipment.ship()
    assert len(store.batches) == 2


# -- what goes wrong -----------------------------------------------------------------------------


def test_failures_back_off_up_to_a_limit_and_a_success_forgets_them(clock, journal, store, caplog):
    shipment = Shipment(journal, store, NEW, run=KEY, fresh=True)
    journal.log({"a": 0.0}, None)
    store.error = BackendUnavailable("no route")
    delays = []
    for _ in range(12):
        shipment.ship()
        delays.append(shipment.data.retry_at - clock.now)
        assert (shipment.trouble, shipment.refused) == ("no route", False)
    least, most = BACK_OFF_S
    expected = [min(most, least * 2**i) for i in range(12)]
    assert all(0.7 * e <= d <= 1.3 * e for d, e in zip(delays, expected, strict=True)), delays
    assert caplog.text.count("Not stored yet, and tried again until it is: no route") == 1
    store.error = None
    shipment.ship()
    assert (shipment.trouble, shipment.pending) == ("", 0)
    assert "double is reachable again; shipping goes on." in caplog.text
    journal.log({"a": 0.0}, None)
    store.errors = [StoreBusy("busy")]
    shipment.ship()
    assert shipment.data.retry_at - clock.now <= 1.3 * least


def test_a_store_that_is_away_for_days_is_still_tried_again(clock, journal, store):
    shipment = Shipment(journal, store, NEW, run=KEY, fresh=True)
    journal.log({"a": 0.0}, None)
    store.error = BackendUnavailable("no route")
    for _ in range(3000):
        shipment.ship()
    assert shipment.data.retry_at - clock.now <= 1.3 * BACK_OFF_S[1]
    store.error = None
    shipment.ship()
    assert store.steps(journal) == [0]


def test_the_wait_that_the_store_asks_for_is_honoured(clock, shipment, journal, store):
    journal.log({"a": 0.0}, None)
    store.errors = [BackendUnavailable("slow down", retry_after_s=17.0)]
    shipment.ship()
    assert 17.0 <= shipment.data.retry_at - clock.now <= 18.0  # not all clients at once, and never earlier


@pytest.mark.parametrize(
    ("error", "gone"),
    [
        (PermissionDenied("ask bob"), False),
        (NotAuthenticated("no key"), False),
        (RunDeleted("deleted"), True),
        (RunNotFound("gone"), True),
        (JournalUnreadable("too new"), True),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_refusal_is_not_hammered_and_heals_when_it_is_lifted(clock, journal, store, error, gone):
    shipment = Shipment(journal, store, NEW, run=KEY, fresh=True)
    journal.log({"a": 0.0}, None)
    store.error = error
    for _ in range(3):
        shipment.ship()
        assert (shipment.refused, shipment.gone, shipment.data.retry_at) == (True, gone, clock.now + REFUSED_S)
    assert shipment.trouble == f"the store does not take it: {error}"
    store.error = None
    shipment.ship()
    assert (shipment.refused, shipment.trouble, store.steps(journal)) == (False, "", [0])


def test_a_gap_makes_it_go_on_from_where_the_store_stands(clock, journal, store):
    shipment = Shipment(journal, store, NEW, run=KEY, fresh=True)
    for _ in range(5):
        journal.log({"a": 0.0}, None)
    shipment.ship()
    store.data = store.data[:32]  # a power cut took its last commits
    journal.log({"a": 0.0}, None)
    shipment.ship()
    assert shipment.acked == 1
    assert f"the store asks for slot 1, not {journal.tail - 1}" in shipment.trouble
    shipment.ship()
    assert store.steps(journal) == [0, 1, 2, 3, 4, 5]
    assert shipment.trouble == ""


def test_a_store_that_is_further_than_this_process_knows_is_believed(shipment, journal, store):
    journal.log({"a": 0.0}, None)
    store.data, _ = journal.read(0)  # the answer to an earlier try was lost
    shipment.ship()
    journal.log({"a": 0.0}, None)
    shipment.ship()
    assert store.steps(journal) == [0, 1]


def test_an_error_that_nobody_thought_of_is_told_and_tried_again(clock, journal, store):
    shipment = Shipment(journal, store, NEW, run=KEY, fresh=True)
    journal.log({"a": 0.0}, None)
    store.errors = [ZeroDivisionError("a bug")]
    shipment.ship()
    assert shipment.trouble == "ZeroDivisionError: a bug"
    shipment.ship()
    assert (shipment.trouble, store.steps(journal)) == ("", [0])


# -- the threads ---------------------------------------------------------------------------------


def test_what_is_logged_reaches_store_and_disk_without_being_asked(shipper, shipment, journal, store):
    shipper.add(shipment)
    journal.log({"a": 0.0}, None)
    store.wait_for(lambda: store.batches)
    assert shipper.wait(lambda: journal.durable == journal.tail, 10)


def test_no_unexpected_error_ends_the_thread(shipper, shipment, journal, store, caplog, monkeypatch):
    store.error = RuntimeError("a bug")
    shipper.add(shipment)
    shipper.later(lambda: 1 / 0)
    journal.log({"a": 0.0}, None)
    store.wait_for(lambda: len(store.batches) >= 1)
    monkeypatch.setattr(journal, "sync", lambda: 1 / 0)
    store.error = None
    assert shipper.wait(lambda: shipment.pending == 0, 10)
    assert all(thread.is_alive() for thread in shipper._threads)
    began = []
    shipper.later(lambda: began.append(True))
    assert shipper.wait(lambda: bool(began), 10)


@pytest.mark.parametrize("error", [RuntimeError("the handler's"), SystemExit(3), KeyboardInterrupt()], ids=repr)
def test_a_handler_of_the_program_that_raises_ends_no_thread(
    shipper, shipment, journal, store, handler, monkeypatch, error
):
    store.error = RuntimeError("a bug")
    handler.error = error
    shipper.add(shipment)
    journal.log({"a": 0.0}, None)
    assert shipper.wait(lambda: bool(shipment.trouble), 10)
    synced = journal.sync
    monkeypatch.setattr(journal, "sync", lambda: 1 / 0)
    with handler.changed:
        assert handler.changed.wait_for(lambda: any("forced to the disk" in text for text in handler.told), 10)
    monkeypatch.setattr(journal, "sync", synced)
    store.error = None
    assert shipper.wait(lambda: shipment.pending == 0 and not shipment.trouble, 10)
    assert shipper.is_whole
    assert any(text.startswith("Not stored yet") for text in handler.told)


@pytest.mark.parametrize("error", [RuntimeError("the handler's"), MemoryError()], ids=repr)
def test_a_handler_that_raises_reaches_nobody_who_logs_and_an_interrupt_in_it_does(handler, error):
    handler.error = error
    Log("mlfoundry").warning("%s is told", "this")
    assert handler.told == ["this is told"]
    handler.error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        Log("mlfoundry").warning("and this")


def test_a_shipment_that_fails_does_not_hold_up_the_others(shipper, journal, store, tmp_path):
    broken = Store()
    broken.error = RuntimeError("a bug")
    other = Journal(tmp_path / "journals", {"run_id": "cd" * 16, "role": "owner"})
    other.open()
    shipper.add(Shipment(other, broken, NEW, run=KEY, fresh=True))
    shipper.add(Shipment(journal, store, NEW, run=KEY, fresh=True))
    other.log({"a": 0.0}, None)
    journal.log({"a": 0.0}, None)
    store.wait_for(lambda: store.data)
    other.close(settled=True)


def test_waiting_gives_up_when_the_time_is_over_and_says_so(shipper, shipment, journal, store):
    store.error = BackendUnavailable("no route")
    shipper.add(shipment)
    journal.log({"a": 0.0}, None)
    assert shipper.wait(lambda: shipment.pending == 0, 0.05) is False


@pytest.mark.parametrize("error", [BackendUnavailable("no route", retry_after_s=3600.0), PermissionDenied("ask bob")])
def test_waiting_tries_once_more_at_once_what_was_put_off(shipper, shipment, journal, store, error):
    store.error = error
    shipper.add(shipment)
    journal.log({"a": 0.0}, None)
    assert shipper.wait(lambda: bool(shipment.trouble), 10)
    store.error = None
    assert shipment.pending > 0
    assert shipper.wait(lambda: shipment.pending == 0 and not shipment.trouble, 10)


def test_a_run_that_is_waited_for_goes_before_all_others_of_a_round_that_has_begun(shipper, tmp_path):
    sent, entered, gate = [], threading.Event(), threading.Event()

    class Told(Store):
        def __init__(self, number):
            super().__init__()
            self.number = number

        def ingest(self, batch):
            sent.append(self.number)
            if self.number == 0:
                entered.set()
                assert gate.wait(10)
            return super().ingest(batch)

    journals, shipments = [], []
    for number in range(6):
        run_id = f"{number:032x}"
        journals.append(Journal(tmp_path / "journals", {"run_id": run_id, "role": "owner"}))
        journals[-1].open()
        journals[-1].log({"a": 0.0}, None)
        new = NewRun(run_id, "p", "r", None, {}, "", 0)
        shipments.append(Shipment(journals[-1], Told(number), new, run=RunKey(7, run_id), fresh=True))
    for each in shipments:
        shipper.add(each)
    assert entered.wait(10)  # a round has begun: it has the first in hand, and may or may not know of the others
    last, asked = shipments[-1], []

    def until():
        asked.append(last.is_awaited)
        if len(asked) == 2:  # the lane was woken
            gate.set()
        return last.pending == 0

    assert shipper.wait(until, 10, run_id=last.new.run_id)
    assert shipper.wait(lambda: all(each.pending == 0 for each in shipments), 10)
    assert sent[:2] == [0, 5]
    assert sorted(sent) == [0, 1, 2, 3, 4, 5]
    for each in journals:
        each.close(settled=True)


def test_waiting_does_not_hammer_a_store_that_refuses(shipper, shipment, journal, store):
    store.error = PermissionDenied("ask bob")
    shipper.add(shipment)
    journal.log({"a": 0.0}, None)
    assert shipper.wait(lambda: shipment.refused, 10)
    count = shipment.data.count
    assert not shipper.wait(lambda: shipment.pending == 0, 0.2)
    assert shipment.data.count <= count + 2


def test_what_is_done_is_taken_off_the_table(shipper, shipment, journal, store):
    shipper.add(shipment)
    (lane,) = shipper._lanes.values()
    assert lane.shipments == [shipment]
    journal.log({"a": 0.0}, None)
    shipment.last = True
    assert shipper.wait(lambda: shipment.done.is_set(), 10)
    assert shipper.wait(lambda: lane.shipments == [], 10)


def test_stopping_leaves_the_journals_to_others_and_twice_is_a_no_op(shipper, shipment, journal, store):
    store.error = BackendUnavailable("no route")
    shipper.add(shipment)
    journal.log({"a": 0.0}, None)
    threads, folder = list(shipper._threads), journal.folder
    shipper.stop(10)
    shipper.stop(10)
    assert not any(thread.is_alive() for thread in threads)
    left = adopt(folder)
    assert left is not None
    assert left.names == {1: ("a",)}
    left.close(settled=True)


def test_no_thread_starts_before_there_is_something_to_do():
    shipper = Shipper()
    assert shipper._threads == []
    assert shipper.wait(lambda: False, 5) is False
    shipper.stop()


def test_a_process_has_one_shipper_and_after_a_stop_another():
    first = shippers.shipper()
    assert shippers.shipper() is first is shippers.current()
    shippers.stop()
    assert shippers.current() is None
    assert shippers.shipper() is not first


def test_the_threads_say_what_they_are_and_keep_no_process_alive(shipper, shipment):
    shipper.add(shipment)
    assert shipper.wait(lambda: len(shipper._threads) == 2, 10)
    assert {thread.name for thread in shipper._threads} == {"mlfoundry-shipper", "mlfoundry-disk"}
    assert all(thread.daemon for thread in shipper._threads)


# -- lanes: one a backend ------------------------------------------------------------------------


class Elsewhere(Store):
    """Another store, which can be silent."""

    uri = "elsewhere"
    user_if_known = "ann"

    def __init__(self):
        super().__init__()
        self.answers = threading.Event()
        self.answers.set()
        self.asked = []

    def create_run(self, new):
        assert self.answers.wait(30)
        return super().create_run(new)

    def ingest(self, batch):
        assert self.answers.wait(30)
        return super().ingest(batch)

    def get_run(self, run_id):
        self.asked.append(run_id)
        if self.error is not None:
            raise self.error
        raise RunNotFound("there is none")

    def on_behalf_of(self, user):
        return self


def another_journal(folder, number):
    journal = Journal(folder / "journals", {"run_id": f"{number:032x}", "role": "owner", "user": "ann"})
    journal.open()
    journal.log({"a": 0.0}, None)
    return journal


def test_a_backend_that_does_not_answer_holds_up_no_other_and_no_flush_of_it(
    shipper, shipment, journal, store, tmp_path
):
    silent, other = Elsewhere(), another_journal(tmp_path, 1)
    silent.answers.clear()
    stuck = Shipment(other, silent, NEW, run=KEY, fresh=True)
    shipper.add(stuck)
    shipper.add(shipment)
    journal.log({"a": 0.0}, None)
    began = []
    shipper.later(lambda: began.append(True))
    assert shipper.wait(lambda: shipment.pending == 0, 10, backend=store, sweep=True)
    assert shipper.wait(lambda: bool(began), 10, backend=store)
    assert stuck.pending == other.tail
    assert shipper.wait(lambda: stuck.pending == 0, 0.05, backend=silent) is False
    silent.answers.set()
    assert shipper.wait(lambda: stuck.pending == 0, 10, backend=silent)
    other.close(settled=True)


def test_one_try_finds_out_for_all_that_a_backend_is_away_and_when_it_is_back(shipper, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("mlfoundry.shipping.tries.BACK_OFF_S", (30.0, 30.0))
    away = Elsewhere()
    away.error = BackendUnavailable("no route")
    journals = [another_journal(tmp_path, number) for number in range(5)]
    shipments = [Shipment(each, away, NEW, run=KEY, fresh=True) for each in journals]
    for each in shipments:
        shipper.add(each)
    assert shipper.wait(lambda: all(each.trouble == "no route" for each in shipments), 10)
    tries = len(away.calls)
    assert not shipper.wait(lambda: False, 0.4)
    assert len(away.calls) == tries + 1  # the one that waiting asks for
    assert shipper.away_s(away) > 0
    away.error = None
    assert shipper.wait(lambda: all(each.pending == 0 and not each.trouble for each in shipments), 10)
    assert shipper.away_s(away) == 0
    assert caplog.text.count("Not stored yet") <= 2, "said once, or once more for the try that waiting asked for"
    for each in journals:
        each.close(settled=True)


def test_what_a_dead_process_left_is_not_read_again_while_its_backend_is_away(shipper, tmp_path, monkeypatch):
    away = Elsewhere()
    away.error = BackendUnavailable("no route")
    left = another_journal(tmp_path, 7)
    left.close(settled=False)
    reads, take = [], recovery.take
    monkeypatch.setattr(recovery, "take", lambda folder: (reads.append(folder), take(folder))[1])
    monkeypatch.setattr("mlfoundry.shipping.tries.BACK_OFF_S", (0.01, 0.01))
    monkeypatch.setattr(shippers, "SWEEP_S", 0.01)
    shipper.watch(away, [tmp_path / "journals"])
    away.wait_for(lambda: True)
    assert shipper.wait(lambda: len(away.asked) >= 5, 10)
    assert len(reads) == 1
    assert shipper.count_left(away, [tmp_path / "journals"]) == 1
    away.error = None
    assert shipper.wait(lambda: shipper.count_left(away, [tmp_path / "journals"]) == 0, 10, sweep=True)
    assert away.data


def test_a_journal_that_is_not_taken_is_told_of_once_and_looked_at_again_when_asked(
    shipper, tmp_path, monkeypatch, caplog
):
    strict = Elsewhere()
    strict.error = NotAuthenticated("the journal is bob's")
    another_journal(tmp_path, 7).close(settled=False)
    monkeypatch.setattr(shippers, "SWEEP_S", 0.01)
    shipper.watch(strict, [tmp_path / "journals"])
    assert shipper.wait(lambda: len(strict.asked) == 1, 10, sweep=True)
    for _ in range(3):
        shipper.wait(lambda: False, 0.05, sweep=True)
    assert len(strict.asked) == 1
    assert caplog.text.count("is left where it is: the journal is bob's") == 1
    strict.error = None
    shipper.reconsider(strict)
    assert shipper.wait(lambda: shipper.count_left(strict, [tmp_path / "journals"]) == 0, 10, sweep=True)


# -- turns and heartbeats ------------------------------------------------------------------------


def spool_of(journal):
    return Spool(journal.folder)


def test_a_long_journal_gives_others_their_turn(clock, store, tmp_path, monkeypatch):
    monkeypatch.setattr(chain, "SEGMENT_SLOTS", (64, 64))
    journal = Journal(tmp_path / "journals", {"run_id": RUN, "role": "owner"})
    journal.open()
    for number in range(600):
        journal.log({"a": float(number)}, None)
    shipment = Shipment(journal, store, NEW, run=KEY, fresh=True)
    took = store.ingest

    def slowly(batch):
        clock.now += SLICE_S / 2
        return took(batch)

    store.ingest = slowly
    rounds = 0
    while not rounds or shipment.has_more:
        before = len(store.batches)
        shipment.ship()
        rounds += 1
        assert len(store.batches) - before <= 3
        assert not shipment.trouble
        assert shipment.has_more is bool(shipment.pending)
        assert shipment.is_due(clock.now) or not shipment.has_more
    assert rounds > 2
    assert store.steps(journal) == list(range(600))
    journal.close(settled=True)


def test_after_each_file_others_have_their_turn(clock, journal, store):
    stored = []

    def put_artifact(_run, path, source):
        clock.now += SLICE_S + 1
        stored.append((path, source.read()))

    store.put_artifact = put_artifact
    for number in range(3):
        spool_of(journal).put(f"file-{number}", io.BytesIO(b"x"))
    shipment = Shipment(journal, store, NEW, run=KEY, fresh=True, last=True)
    for number in range(3):
        shipment.ship()
        assert not shipment.done.is_set()
        assert shipment.has_files_due(clock.now)
        shipment.send_files(lambda: False)
        assert [path for path, _ in stored] == [f"file-{n}" for n in range(number + 1)]
    shipment.ship()
    assert shipment.done.is_set()


def test_between_two_files_it_stops_when_the_process_does(journal, store):
    store.put_artifact = lambda _run, path, _source: store._called("put_artifact", path)
    for number in range(3):
        spool_of(journal).put(f"file-{number}", io.BytesIO(b"x"))
    shipment = Shipment(journal, store, NEW, run=KEY, fresh=True)
    shipment.ship()
    shipment.send_files(lambda: True)
    assert store.calls[-1] == ("put_artifact", "file-0")
    assert spool_of(journal).size()[0] == 2


def test_a_large_file_on_its_way_holds_up_no_records_and_an_end_waits_for_it(shipper, store, tmp_path):
    arrived, go_on = threading.Event(), threading.Event()

    def put_artifact(_run, _path, _source):
        arrived.set()
        assert go_on.wait(20)

    store.put_artifact = put_artifact
    ingest = store.ingest
    store.ingest = lambda batch: (
        ingest(batch) if batch.journal_id == sending.journal_id else Acknowledgement(batch.stop, 0)
    )
    sending, other = another_journal(tmp_path, 1), another_journal(tmp_path, 2)
    spool_of(sending).put("weights", io.BytesIO(b"x"))
    shipments = [Shipment(each, store, NEW, run=KEY, fresh=True) for each in (sending, other)]
    for each in shipments:
        shipper.add(each)
    assert arrived.wait(20)
    for journal, shipment in zip((sending, other), shipments, strict=True):
        journal.log({"a": 2.0}, None)
        assert shipper.wait(lambda shipment=shipment: not shipment.pending, 10)
        assert not shipment.trouble
    shipments[0].last = True
    assert not shipper.wait(shipments[0].done.is_set, 1.2)
    assert not go_on.is_set()
    go_on.set()
    assert shipper.wait(shipments[0].done.is_set, 10)
    other.close(settled=True)


def test_a_file_that_is_not_taken_is_trouble_of_its_own_and_is_tried_again(clock, journal, store):
    told = []

    def put_artifact(_run, _path, _source):
        if told:
            raise told.pop()

    store.put_artifact = put_artifact
    spool_of(journal).put("weights", io.BytesIO(b"x"))
    journal.log({"a": 1.0}, None)
    shipment = Shipment(journal, store, NEW, run=KEY, fresh=True)
    is_refused_again = shipment.refusals()
    assert not is_refused_again()
    for error, message in (
        (BackendUnavailable("no route"), "no route"),
        (PermissionDenied("ask bob"), "the store does not take it: ask bob"),
    ):
        shipment.ship()
        assert shipment.has_files_due(clock.now)
        told.append(error)
        shipment.send_files(lambda: False)
        assert (shipment.trouble, shipment.data.trouble, shipment.pending) == (message, "", 0)
        assert not shipment.has_files_due(clock.now)
        clock.now += REFUSED_S + 1
    assert (is_refused_again(), shipment.refusals()(), shipment.refused, shipment.refusal) == (True, False, True, error)
    shipment.send_files(lambda: False)
    assert (shipment.trouble, shipment.refused, shipment.refusal, shipment.has_files) == ("", False, None, False)


def test_trouble_with_a_file_is_over_when_no_file_waits_any_more(journal, store):
    store.put_artifact = lambda *_: store._called("put_artifact")
    spool_of(journal).put("weights", io.BytesIO(b"x"))
    shipment = Shipment(journal, store, NEW, run=KEY, fresh=True)
    shipment.ship()
    store.error = BackendUnavailable("no route")
    shipment.send_files(lambda: False)
    store.error = None
    assert shipment.trouble == "no route"
    for _, file in spool_of(journal).waiting():
        Spool.done(file)
    shipment.ship()
    assert (shipment.trouble, shipment.has_files) == ("", False)


def test_while_a_slow_batch_is_on_its_way_all_runs_are_heard_of(shipper, store, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["mlfoundry.shipping.shipment"], "HEARTBEAT_S", 0.05)
    monkeypatch.setattr(sys.modules["mlfoundry.shipping.lane"], "HEARTBEAT_S", 0.05)
    monkeypatch.setattr(sys.modules["mlfoundry.shipping.lane"], "BEATS_EVERY_S", 0.01)
    arrived, go_on = threading.Event(), threading.Event()
    heard, is_slow = [], threading.Event()
    took = store.ingest

    def ingest(batch):
        with store._changed:
            heard.append((batch.journal_id, len(batch.data), arrived.is_set() and not go_on.is_set()))
            store._changed.notify_all()
        if batch.journal_id != sending.journal_id:
            return Acknowledgement(batch.stop, 0)
        if batch.data and is_slow.is_set():
            arrived.set()
            assert go_on.wait(20)
        return took(batch)

    store.ingest = ingest
    journals = [Journal(tmp_path / name, {"run_id": RUN, "role": "owner"}) for name in ("sending", "silent")]
    sending = journals[0]
    for each in journals:
        each.open()
        each.log({"a": 1.0}, None)
    shipments = [Shipment(each, store, NEW, run=KEY, fresh=True) for each in journals]
    for each in shipments:
        shipper.add(each)
    shipper.wait(lambda: not any(each.pending for each in shipments), 10)
    is_slow.set()
    sending.log({"a": 2.0}, None)
    assert arrived.wait(20)
    beats = {(each.journal_id, 0, True) for each in journals}
    store.wait_for(lambda: beats <= set(heard))
    assert not any(each.trouble for each in shipments)
    go_on.set()
    store.wait_for(lambda: not shipper._lanes["double"].is_held_up)
    for each in journals:
        each.close(settled=True)


def test_a_heartbeat_that_does_not_arrive_is_no_trouble(clock, shipment, journal, store):
    journal.log({"a": 0.0}, None)
    shipment.ship()
    clock.now += HEARTBEAT_S + 1
    store.error = BackendUnavailable("away")
    shipment.beat()
    assert store.calls[-1][0] == "ingest"
    assert not shipment.trouble
    store.error = None
    shipment.beat()
    count = len(store.calls)
    shipment.beat()  # a moment later there is nothing to say
    assert len(store.calls) == count
    assert Shipment(journal, store, NEW, run=None).beat() is None  # one that nobody knows yet
    assert len(store.calls) == count


# -- what is too large ---------------------------------------------------------------------------


class Narrow(Store):
    """A backend behind a proxy that takes no large request."""

    most = 40 * 32

    def ingest(self, batch):
        if len(batch.data) > self.most:
            self._called("too large", len(batch.data))
            raise TooLarge("a proxy takes no request of this size")
        return super().ingest(batch)


def test_what_is_too_large_for_a_proxy_goes_in_smaller_batches(journal):
    store = Narrow()
    for number in range(300):
        journal.log({"a": float(number)}, None)
        if number % 50 == 0:
            journal.write({"kind": "tags", "values": {"note": "x" * 300}})
    shipment = Shipment(journal, store, NEW, run=KEY, fresh=True)
    shipment.ship()
    assert (shipment.trouble, shipment.refused, shipment.pending) == ("", False, 0)
    decoded = slots.decode(store.data, journal_id=journal.journal_id, first=0, is_written=True)
    assert not decoded.damage
    assert store.steps(journal) == list(range(300))
    refused = sum(call[0] == "too large" for call in store.calls)
    journal.log({"a": 300.0}, None)
    shipment.ship()
    assert sum(call[0] == "too large" for call in store.calls) == refused <= 10  # it is remembered


def test_a_record_that_no_request_can_hold_is_kept_and_said_and_not_tried_all_the_time(clock, journal):
    store = Narrow()
    journal.log({"a": 0.0}, None)
    journal.write({"kind": "tags", "values": {"note": "x" * 5000}})
    shipment = Shipment(journal, store, NEW, run=KEY, fresh=True)
    shipment.ship()
    assert shipment.refused
    assert not shipment.gone
    assert "a proxy takes no request of this size" in shipment.trouble
    assert shipment.data.retry_at == clock.now + REFUSED_S
    assert shipment.pending > 100
    assert store.steps(journal) == [0]
    store.most = 1 << 20  # somebody has raised the limit
    shipment.ship()
    assert (shipment.trouble, shipment.pending) == ("", 0)
