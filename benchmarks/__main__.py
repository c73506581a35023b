"""``python -m benchmarks``: measure kore-etl against the limit and against dlt, and write docs/performance.md."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.contenders import Contender, contenders, environment_of_dlt, postgres_server
from benchmarks.machine import description
from benchmarks.processes import CHECKOUT, Cost, Server, page_server
from benchmarks.report import Cell, Results, write

FULL_SIZES, EIGHT_SIZES = (10_000, 100_000), (10_000, 100_000, 1_000_000)
MOST_FOR_DLT = 100_000
MANY = 1_000_000  # from here on one round
CHANGES = 1000


def main() -> None:
    """Measure, and write what was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--quick", action="store_true", help="10,000 tasks and one round: some two minutes.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--without-dlt", action="store_true")
    parser.add_argument("--most", type=int, default=MANY, help="Leave larger sizes out.")
    parser.add_argument("--output", type=Path, default=CHECKOUT / "docs")
    given = parser.parse_args()
    rounds, most = (1, 10_000) if given.quick else (given.rounds, given.most)
    results = Results(description(), rounds, [])
    with tempfile.TemporaryDirectory(prefix="bench-", dir=CHECKOUT / "benchmarks") as scratch:
        dlt = None if given.without_dlt else environment_of_dlt(CHECKOUT / "benchmarks" / ".environment")
        with tempfile.TemporaryDirectory(prefix="bench-") as short, postgres_server(Path(short)) as postgres:
            everybody = contenders(postgres, dlt)
            for shape, sizes in (("full", FULL_SIZES), ("eight", EIGHT_SIZES)):
                for size in (size for size in sizes if size <= most):
                    results.cells += measured(everybody, Path(scratch), shape, size, 1 if size >= MANY else rounds)
    write(results, given.output, dlt)


def measured(everybody: list[Contender], folder: Path, shape: str, size: int, rounds: int) -> Iterator[Cell]:
    """Measure everybody in turn, round after round, on one server whose tasks change between the steps."""
    taking_part = [each for each in everybody if size <= MOST_FOR_DLT or not each.name.startswith("dlt")]
    costs: dict[tuple[str, str], list[Cost]] = {}
    with page_server(size, shape) as server:
        for number in range(rounds):
            for each in taking_part:
                each.begin_anew(folder)
            for step, changes in (("first", 0), ("quiet", 0), ("1 % changed", size // 100), ("1,000 changed", CHANGES)):
                if changes:
                    server.ask("/change", update=changes)
                for each in list(taking_part):
                    if step == "first" or each.name != "the limit":
                        cost = _cost(each, server)
                        print(f"{shape} {size:,} round {number + 1} {step}: {each.name} {cost}", file=sys.stderr)
                        if cost is None:
                            taking_part.remove(each)
                        else:
                            costs.setdefault((step, each.name), []).append(cost)
        for each in everybody:
            each.drop()
    for (step, name), found in costs.items():
        yield Cell.of(shape, size, step, name, found)


def _cost(contender: Contender, server: Server) -> Cost | None:
    """Return what a sync takes, None where dlt fails: the others are measured nevertheless."""
    try:
        return contender.sync(server)
    except RuntimeError as error:
        if not contender.name.startswith("dlt"):
            raise
        print(f"{contender.name} is left out: {error}", file=sys.stderr)
        return None


if __name__ == "__main__":
    main()
