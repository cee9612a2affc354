"""The statements of the store, read as text: one project each, one dialect for all engines."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import mlfoundry.store
from mlfoundry.store.schema import migrations

FOLDER = Path(mlfoundry.store.__file__).parent
# What an engine alone understands stands there; `places` reads addresses of both.
ENGINES = {"database.py", "postgres.py", "postgres_connections.py", "sqlite_connections.py", "places.py"}
FILES = sorted(path for path in FOLDER.glob("*.py") if path.name not in ENGINES)
STATEMENT = re.compile(r"\s*((NOT )?EXISTS )?\(?\s*(SELECT|INSERT|UPDATE|DELETE|WITH|REPLACE|CREATE|ALTER|DROP)\s+\S")
# The look-ups that lead to a project: by its owner and name, by a member of it, by a run of it. And what belongs to
# the whole server: its users, their keys and their sessions.
OF_NO_PROJECT = ("project_name", "member_of", "run_home", "account", "api_key", "session")
LOOK_UPS = re.compile(rf"\b(FROM|INTO|UPDATE) ({'|'.join(OF_NO_PROJECT)})\b")
# What SQLite understands and PostgreSQL does not, or not so.
ONLY_SQLITE = (
    "PRAGMA", "AUTOINCREMENT", "ROWID", "_ROWID_", "OID", "STRICT", "GLOB", "REGEXP", "MATCH", "IFNULL", "INSERT OR",
    "REPLACE INTO", "UPDATE OR", "INDEXED BY", "IIF", "STRFTIME", "JULIANDAY", "DATETIME(", "UNIXEPOCH", "RANDOMBLOB",
    "ZEROBLOB", "TYPEOF", "PRINTF", "INSTR", "GROUP_CONCAT", "TOTAL(", "LAST_INSERT_ROWID", "CHANGES(", "SQLITE_",
    "JSON_", "JSON(", "HEX(", "UNHEX", "ATTACH", "VACUUM", "COLLATE NOCASE", "==", "BLOB", "`", "[", "LIMIT -1",
)  # fmt: skip
# What PostgreSQL understands and SQLite (or a sharded PostgreSQL) does not.
ONLY_POSTGRESQL = (
    "SERIAL", "NEXTVAL", "FOR UPDATE", "FOR SHARE", "ILIKE", "::", "ANY(", "ARRAY[", "GREATEST", "LEAST(", "NOW()",
    "JSONB", "RETURNING *", "ON CONFLICT ON CONSTRAINT", "DISTINCT ON", "LATERAL", "NULLS LAST", "TRIGGER",
    "REFERENCES",
)  # fmt: skip


def pieces(node: ast.expr, known: dict[str, str]) -> str:
    """Return the text of a string as it is written; what is filled in stands as ``…`` unless it is `known`."""
    match node:
        case ast.Constant(value=str() as text):
            return text
        case ast.JoinedStr(values=values):
            return "".join(pieces(value, known) for value in values)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return pieces(left, known) + pieces(right, known)
        case ast.FormattedValue(value=ast.Name(id=name)):
            return known.get(name, "…")
    return "…"


def statements(path: Path) -> list[tuple[int, str]]:
    """Return (line, text) of every statement that a module holds."""
    found, inner = [], set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    known = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, (ast.Constant, ast.JoinedStr, ast.BinOp)) and id(node) not in inner:
            inner.update(id(child) for child in ast.walk(node))
            text = pieces(node, known)
            if STATEMENT.match(text):
                found.append((node.lineno, " ".join(text.split())))
    return found


ALL = [(path.name, line, sql) for path in FILES for line, sql in statements(path)]
NAMED = [pytest.param(sql, id=f"{name}:{line}") for name, line, sql in ALL]


def contains(sql: str, word: str) -> bool:
    """Tell whether a statement uses a word; a word of letters must stand alone."""
    if re.fullmatch(r"[A-Z_ ]+", word):
        return re.search(rf"(?<![A-Z_]){re.escape(word)}(?![A-Z_])", sql.upper()) is not None
    return word in sql.upper()


def test_the_statements_of_the_store_are_found():
    assert len(ALL) >= 50
    assert {name for name, _, _ in ALL} >= {
        "artifact_rows.py", "journals.py", "keys.py", "members.py", "projects.py", "runs.py", "search.py", "series.py",
    }  # fmt: skip


def test_nobody_but_the_store_holds_statements():
    root = FOLDER.parent.parent
    others = [
        path for room in ("mlfoundry", "mlfoundry_jupyter") for path in (root / room).rglob("*.py")
        if FOLDER not in path.parents
    ]  # fmt: skip
    assert len(others) > 100
    assert [(path.name, sql) for path in others for _, sql in statements(path)] == []


@pytest.mark.parametrize("sql", NAMED)
def test_a_statement_names_its_project_or_is_a_look_up_that_leads_to_one(sql):
    if LOOK_UPS.search(sql):
        assert not re.search(
            r"\b(run|attr|key|series|chunk|journal|artifact|member|project)\b(?!_)", sql.replace("…", "")
        )
        return
    assert "project_id" in sql
    if not sql.startswith("INSERT") and "FROM (" not in sql:
        assert re.search(r"project_id = (\?|\w+\.project_id)", sql)


@pytest.mark.parametrize("sql", NAMED)
def test_a_join_stays_within_one_project(sql):
    if LOOK_UPS.search(sql):  # what belongs to the whole server lies in one place, see docs/scaling.md
        return
    assert len(re.findall(r"\bJOIN\b", sql)) == len(re.findall(r"\bON \w+\.project_id = \w+\.project_id", sql)) <= 2
    for inner in re.findall(r"\(SELECT (?:(?!\(SELECT).)*", sql):
        assert "project_id = ?" in inner or "project_id" in inner


@pytest.mark.parametrize("sql", NAMED)
def test_a_statement_is_written_for_every_engine(sql):
    assert [word for word in (*ONLY_SQLITE, *ONLY_POSTGRESQL) if contains(sql, word)] == []


@pytest.mark.parametrize("sql", NAMED)
def test_no_value_is_written_into_a_statement(sql):
    literals = set(re.findall(r"'([^']*)'", sql))
    assert literals <= {"", "\\", "param", "tag", "fact", "metric", "system", "RUNNING"}, "only names of our own"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_only_the_database_knows_the_engine(path):
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    imported = {
        alias.name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in ([ast.alias(node.module or "")] if isinstance(node, ast.ImportFrom) else node.names)
    }
    assert imported.isdisjoint({"apsw", "sqlite3", "psycopg"})
    assert "PRAGMA" not in text


def test_the_tables_have_a_key_that_begins_with_the_project():
    whole = "\n".join(sql for _, sql in migrations())
    tables = re.findall(r"CREATE TABLE (\w+) \((.*?)\n\)", whole, re.DOTALL)
    assert len(tables) >= 12
    for name, body in tables:
        (key,) = re.findall(r"PRIMARY KEY \(([^)]+)\)", body)
        if name not in OF_NO_PROJECT:
            assert key.split(", ")[0] == "project_id", name
    for table, columns in re.findall(r"CREATE (?:UNIQUE )?INDEX \w+ ON (\w+) \(([^)]+)\)", whole):
        assert columns.split(", ")[0] == "project_id" or table in OF_NO_PROJECT, table


def test_the_migrations_are_written_for_every_engine():
    for _, sql in migrations():
        plain = re.sub(r"--.*", "", sql)
        assert [word for word in (*ONLY_SQLITE, *ONLY_POSTGRESQL) if contains(plain, word)] == []
        types = set(re.findall(r"^  \w+ +(BIGINT|SMALLINT|TEXT|BYTEA|DOUBLE PRECISION|\w+)\b", plain, re.MULTILINE))
        assert types <= {"BIGINT", "SMALLINT", "TEXT", "BYTEA", "DOUBLE PRECISION", "KEY"}
