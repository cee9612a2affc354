"""``python -m benchmarks``: takes the measurements and prints the table."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from inspect import getdoc
from pathlib import Path
from textwrap import indent

from benchmarks import machine, peers
from benchmarks.child import ProbeFailed, in_fresh_process
from benchmarks.registry import Figures, Measurement, measurements
from benchmarks.results import Result, table, take, write_json


def main() -> int:
    """Measure what was asked for; return 1 when something could not be measured."""
    asked, known = _arguments(), measurements()
    unknown = [name for name in asked.only if name not in known]
    if unknown:
        print(f"There is no measurement {', '.join(unknown)}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    chosen = [m for m in known.values() if (m.name in asked.only if asked.only else m.in_quick or not asked.quick)]
    if asked.explain:
        print("\n\n".join(_explained(measurement) for measurement in chosen))
        return 0
    about = machine.describe()
    for name, text in about.items():
        print(f"{name:10} {text}")
    print(f"{'load':10} {machine.load():.2f} at the start\n", flush=True)
    if asked.quick:
        print("Quick: long series have 200,000 points, long lists 1,000 runs, and no figure is a good one.\n")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mlfoundry-benchmarks-") as place:
        results = [_taken(measurement, Path(place), asked) for measurement in chosen]
        print(table(results))
        if asked.peers is not None:
            print("\n" + peers.table(asked.peers, Path(place), quick=asked.quick))
    took_s = time.monotonic() - began
    print(f"\nload {machine.load():.2f} at the end; took {took_s:.0f} s. Times of processes, medians of fresh ones.")
    if asked.json is not None:
        write_json(asked.json, results, about={"machine": about, "quick": asked.quick, "took_s": round(took_s, 1)})
    return int(any(result.failure for result in results))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure MLFoundry beside the machine.")
    parser.add_argument("--quick", action="store_true", help="less than a minute: fewer rounds, smaller stores")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these measurements alone")
    parser.add_argument(
        "--rounds", type=int, metavar="N", help="processes of each kind, instead of each one's own number"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there as well")
    parser.add_argument("--explain", action="store_true", help="say what is measured, and measure nothing")
    parser.add_argument(
        "--peers",
        nargs="?",
        const=sys.executable,
        metavar="PYTHON",
        help="measure other trackers as well, those that this Python can import",
    )
    return parser.parse_args()


def _taken(measurement: Measurement, place: Path, asked: argparse.Namespace) -> Result:
    print(f"  {measurement.name} …", end="\r", file=sys.stderr, flush=True)
    prepared = place / (measurement.prepare.__name__ if measurement.prepare else "nothing")
    module = measurement.probe.__module__
    rounds = asked.rounds or (1 + measurement.warm_up if asked.quick else measurement.repeats)

    def run(function: str, of: str = module) -> Figures:
        return in_fresh_process(of, function, folder=place, prepared=prepared, quick=asked.quick)

    try:
        if measurement.prepare is not None and not prepared.exists():
            prepared.mkdir()
            run(measurement.prepare.__name__, measurement.prepare.__module__)
        result = take(measurement, run, rounds=rounds, load=machine.load)
    except ProbeFailed as error:
        result = Result(measurement, failure=str(error))
        print(error, file=sys.stderr)
    print(" " * 60, end="\r", file=sys.stderr, flush=True)
    return result


def _explained(measurement: Measurement) -> str:
    told = {"measured": getdoc(measurement.probe)}
    if measurement.limit is not None:
        told["limit"] = getdoc(measurement.limit)
    parts = [measurement.name, *(indent(f"{what}: {doc}", "  ") for what, doc in told.items())]
    return "\n".join(parts)


if __name__ == "__main__":
    sys.exit(main())
