"""What the panels' tests share: a run, and a comm that keeps what is sent, in place of a kernel's: their one double."""

import time

import comm
import pytest
from comm.base_comm import BaseComm

import mlfoundry
from mlfoundry_jupyter.panels import asset as assets
from mlfoundry_jupyter.panels import feed as feeds
from tests.unit.test_panels_frames import read

WAIT_S = 20.0


class Wire:
    """What was sent to the page, and the page's part of the talk."""

    def __init__(self):
        self.sent = []  # (id of the widget, kind of message, data, buffers)

    def messages(self, panel, kind=None):
        """Return the custom messages to the views of a panel as (content, buffers)."""
        found = [
            (data["content"], buffers)
            for owner, type_, data, buffers in list(self.sent)
            if owner == panel._mount_id and type_ == "comm_msg" and data.get("method") == "custom"
        ]
        return [message for message in found if kind in (None, message[0]["kind"])]

    def frames(self, panel):
        """Return all frames to a panel, read, and forget none of them."""
        return [read(buffers[0]) for content, buffers in self.messages(panel) if content["kind"] == "frame"]

    def forget(self):
        """Begin anew."""
        self.sent.clear()

    def hear(self, panel, **content):
        """Let a panel hear a message of a page."""
        panel._handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})

    def ask(self, panel, verb, **args):
        """Ask as a page does; return the answer and its frames."""
        self.hear(panel, kind="ask", page="p", id=len(self.sent), verb=verb, args=args)
        content, buffers = self.messages(panel, "answer")[-1]
        return content, [read(buffer) for buffer in buffers or ()]

    def state(self, panel):
        """Return the state that a page was given when the panel was made."""
        return next(
            data["state"] for owner, type_, data, _ in self.sent if owner == panel._mount_id and type_ == "comm_open"
        )


@pytest.fixture
def wire(monkeypatch):
    """A wire to no page; the feed does not run by itself."""
    wire = Wire()

    class KeptComm(BaseComm):
        def publish_msg(self, msg_type, data=None, metadata=None, buffers=None, **keys):
            wire.sent.append((self.comm_id, msg_type, data, buffers))

    monkeypatch.setattr(comm, "create_comm", lambda **given: KeptComm(**given))
    monkeypatch.setattr(feeds, "FIRST_S", 1e6)
    yield wire
    feeds.feed().stop()
    if assets._asset is not None:
        assets._asset._sending.join(WAIT_S)
        assert assets._asset.is_sent
        assets._asset.close()
    import ipywidgets

    ipywidgets.Widget.close_all()


def wait_for(holds):
    """Wait, for a bounded time, until something holds; return what it gave."""
    deadline = time.monotonic() + WAIT_S
    while not (found := holds()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)
    return found


@pytest.fixture
def client(tmp_path):
    return mlfoundry.get_client(tmp_path, user="ann")


@pytest.fixture
def run(client):
    run = client.create_run("demo", "svm", log_system_metrics=False, capture=False)
    run.log_metrics({"loss": 0.5}, step=0)
    run.flush()
    yield run
    run.end()
