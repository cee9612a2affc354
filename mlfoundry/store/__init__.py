"""Runs, series, members and artifacts in tables: what is kept and how it is asked for.

One SQL text for every engine; what differs between engines is in `database` alone. No rule of who
may do what is here (`tracking.service` has those), and no statement needs more than one project.
"""
