"""A project of a folder, carried to a server with its whole history: exactly once, however often it is broken off.

Each run goes the way that a living run goes: it is made under its own id, and what is kept of it becomes the slots of
one journal (`journal`). That journal's id follows from its content, and its content from the store, where points stand
in the order in which they came, which never changes. So whoever pushes again, from the start and knowing nothing, asks
the server how far it has that journal and goes on from there. The end of a run is the last of its slots and is sent
when its files are there: a run that has ended on the server is there whole.

What changed here since a push (points that came late, an edited tag) makes another journal, of what is missing there.
What was edited there meanwhile stays: see `edits`.
"""

from .project import Pushed, push, size_bytes

__all__ = ["Pushed", "push", "size_bytes"]
