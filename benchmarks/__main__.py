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

SIZES = (10_000, 100_000)
CHANGES, FEW = 1000, 10


def main() -> None:
    """Measure, and write what was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--quick", action="store_true", help="10,000 tasks and one round: some two minutes.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--without-dlt", action="store_true")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="Numbers of tasks.")
    parser.add_argument("--output", type=Path, default=CHECKOUT / "docs")
    given = parser.parse_args()
    rounds, sizes = (1, SIZES[:1]) if given.quick else (given.rounds, given.sizes)
    results = Results(description(), rounds, [])
    with tempfile.TemporaryDirectory(prefix="bench-", dir=CHECKOUT / "benchmarks") as scratch:
        dlt = None if given.without_dlt else environment_of_dlt(CHECKOUT / "benchmarks" / ".environment")
        with tempfile.TemporaryDirectory(prefix="bench-") as short, postgres_server(Path(short)) as (postgres, process):
            everybody = contenders(postgres, process, dlt)
            for shape in ("full", "eight"):
                for size in sizes:
                    results.cells += measured(everybody, Path(scratch), shape, size, rounds)
    write(results, given.output, dlt)


def measured(everybody: list[Contender], folder: Path, shape: str, size: int, rounds: int) -> Iterator[Cell]:
    """Measure everybody in turn, round after round, on one server whose tasks change between the steps."""
    taking_part = list(everybody)
    steps = {"first": 0, "quiet": 0, "1 % changed": size // 100, "1,000 changed": CHANGES, "10 after that": FEW}
    costs: dict[tuple[str, str], list[Cost]] = {}
    with page_server(size, shape) as server:
        for number in range(rounds):
            for each in taking_part:
                each.begin_anew(folder)
            for step, changes in steps.items():
                if changes:
                    server.ask("/change", update=min(changes, size))
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
