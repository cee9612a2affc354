"""A project of a folder, carried to a server with its whole history: exactly once, however often it is broken off.

Each run goes the way that a living run goes: it is made under its own id, and what is kept of it becomes the slots of
one journal (`journal`). Points stand here in the order in which they came, which never changes, so whoever pushes
again, knowing nothing, asks the server how many points of each metric it has and brings those after them. A push that
was broken off may have left a request on its way, though. So the journal of each push begins by taking the place of
that of the push before, and from then on the server takes nothing more of that one: see `Beginning`.

The end of a run is the last of its slots and is sent when its files are there: a run that has ended on the server is
there whole. What was edited there meanwhile stays: see `edits`.
"""

from .project import Pushed, push, size_bytes

__all__ = ["Pushed", "push", "size_bytes"]
