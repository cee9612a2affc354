"""Listing, sorting and filtering ten thousand runs."""

from __future__ import annotations

from benchmarks.clock import median_ms
from benchmarks.registry import Figures, Line, Workplace, measure
from benchmarks.stores import RUNS, RUNS_QUICK, prepare_many_runs

SCREEN = 100


def select_rows(work: Workplace) -> Figures:
    """Eleven rows a run (itself, 5 params, 5 metrics) from a SQLite table, as tuples: of 100, of 1,000, of all runs."""
    import apsw

    runs = work.count(RUNS, RUNS_QUICK)
    connection = apsw.Connection(str(work.folder / "store.db"))
    connection.execute(
        "CREATE TABLE value (run INTEGER, name TEXT, text TEXT, num REAL, PRIMARY KEY (run, name)) WITHOUT ROWID"
    )
    rows = [(run, f"name-{name}", "text", 0.5) for run in range(runs) for name in range(11)]
    with connection:
        connection.executemany("INSERT INTO value VALUES (?, ?, ?, ?)", rows)

    def select_ms(count: int) -> float:
        return median_ms(lambda: connection.execute("SELECT * FROM value WHERE run < ?", (count,)).fetchall())

    screen = select_ms(SCREEN)
    return {"screen": screen, "page": select_ms(1000), "all": select_ms(runs), "sorted": screen, "filtered": screen}


@measure(
    "list",
    Line("list 10,000 runs: first 100", "ms", "screen", at_most=15),
    Line("  … first page of the client's own size (1,000)", "ms", "page"),
    Line("  … all", "ms", "all", at_most=300),
    Line("  … first 100 sorted by a metric", "ms", "sorted"),
    Line("  … first 100 by a metric and a param", "ms", "filtered"),
    limit=select_rows,
    prepare=prepare_many_runs,
)
def list_runs(work: Workplace) -> Figures:
    """``client.search_runs`` over 10,000 runs of 5 params and 5 metrics, with all their values as records.

    The first 100 (a screen's worth, page_size=100), the first page of the client's own size, all of them through
    the client's pages, the 100 least by a metric, and the first 100 where ``metrics.metric-0 < 0 and
    params.param-1 = '3'``. Each the median of 7, after one.
    """
    import mlfoundry

    client = mlfoundry.get_client(work.prepared / "store", user="ann")

    def first_ms(filter: str = "", order_by: str = "") -> float:  # noqa: A002
        return median_ms(lambda: client.search_runs("demo", filter, order_by, page_size=SCREEN)[:SCREEN])

    if len(client.list_runs("demo")) != work.count(RUNS, RUNS_QUICK):
        raise RuntimeError("not all runs are there")
    return {
        "screen": first_ms(),
        "page": median_ms(lambda: client.list_runs("demo")[0]),
        "all": median_ms(lambda: list(client.list_runs("demo"))),
        "sorted": first_ms(order_by="metrics.`metric-0` ASC"),
        "filtered": first_ms("metrics.`metric-0` < 0 and params.`param-1` = '3'"),
    }
