"""What several tests of the store watch."""

from __future__ import annotations

import pytest

from mlfoundry.store.database import Transaction


@pytest.fixture
def statements(monkeypatch):
    """The text of every statement that is run from now on."""
    seen: list[str] = []
    for name in ("rows", "row", "run", "run_many"):
        kept = getattr(Transaction, name)

        def spy(self, sql, *values, kept=kept):
            seen.append(sql)
            return kept(self, sql, *values)

        monkeypatch.setattr(Transaction, name, spy)
    return seen
