"""The crash-safe log of one run in one process: ``writer`` makes it, ``reader`` reads what a process left.

A journal is a folder, ``<run id>.<journal id>/``, of segment files and a ``lock``. The lock is held
with flock by the owner for as long as it lives: who can take it knows that the owner is gone.
"""

from .writer import Journal

__all__ = ["Journal"]
