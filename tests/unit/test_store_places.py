"""Places of databases and files as text: which are understood, and that none tells a password."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from mlfoundry.errors import InvalidSetting
from mlfoundry.store import places
from mlfoundry.store.database import Database
from mlfoundry.store.postgres import PostgresDatabase


def test_a_path_is_a_file_of_sqlite_and_its_folder_is_private(tmp_path: Path) -> None:
    database = places.open_database(str(tmp_path / "a" / "b" / "runs.db"))
    assert isinstance(database, Database)
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
    assert places.artifacts_beside(str(tmp_path / "a" / "b" / "runs.db")) == str(tmp_path / "a" / "b" / "artifacts")


@pytest.mark.parametrize(
    ("place", "shown", "has_password"),
    [
        ("postgresql://me:S3cret@db.example.org:5433/runs", "runs at db.example.org:5433", True),
        ("postgres://me@db/runs?password=S3cret", "runs at db", True),
        ("postgresql:///runs", "runs at the local socket", False),
        ("postgresql://", "the default database at the local socket", False),
    ],
)
def test_an_address_of_postgresql_is_shown_without_user_and_password(
    place: str, shown: str, has_password: bool
) -> None:
    assert isinstance(places.open_database(place), PostgresDatabase)
    assert places.shown(place) == shown
    assert places.has_password(place) is has_password
    assert places.artifacts_beside(place) is None


@pytest.mark.parametrize("place", ["mysql://me:S3cret@db/x", "postgresql://me:S3cret@db:x/%zz", "sqlite:///x", "", " "])
def test_what_is_no_place_of_a_database_is_refused_without_repeating_a_password(place: str) -> None:
    with pytest.raises(InvalidSetting) as refused:
        places.open_database(place)
    assert "S3cret" not in str(refused.value)
    assert "database" in str(refused.value)


def test_files_need_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidSetting, match="which is no folder"):
        places.open_artifacts(str(tmp_path / "file"))
    with pytest.raises(InvalidSetting, match=r"artifacts is 'ftp://…'; give"):
        places.open_artifacts("ftp://me:S3cret@x")
    places.open_artifacts(str(tmp_path / "files"))
    assert stat.S_IMODE((tmp_path / "files").stat().st_mode) == 0o700
