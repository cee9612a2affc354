"""Runs, series, members and artifacts in tables: what is kept and how it is asked for.

One SQL text for every engine; what differs between engines is in `database` and `sqlite_connections`, and in `postgres`
and `postgres_connections`. No rule of who may do what is here (`tracking.service` has those). A statement is about one
project, or about one of the tables that are of none: those that lead to a project (by its owner and name, by a member,
by a run), and users, keys and sessions.
"""
