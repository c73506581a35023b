"""What was measured, as JSON, as the tables of docs/performance.md, and as a plot."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import orjson

from benchmarks.processes import CHECKOUT, Cost

LIMIT = "the limit"
_BEGIN, _END = "<!-- measured -->", "<!-- end of what was measured -->"


@dataclass(frozen=True, slots=True)
class Cell:
    """The medians of one step of one contender, and the worst memory of it."""

    shape: str
    tasks: int
    step: str
    name: str
    wall: float
    cpu: float
    memory: float
    requests: int
    server: float
    stored: int

    @classmethod
    def of(cls, shape: str, tasks: int, step: str, name: str, costs: Sequence[Cost]) -> Cell:
        """Return the cell of several rounds."""
        return cls(
            shape, tasks, step, name,
            wall=round(median(cost.wall for cost in costs), 3),
            cpu=round(median(cost.cpu for cost in costs), 3),
            memory=round(max(cost.memory for cost in costs), 1),
            requests=int(median(cost.requests for cost in costs)),
            server=round(median(cost.server for cost in costs), 3),
            stored=int(median(cost.stored for cost in costs)),
        )  # fmt: skip


@dataclass(slots=True)
class Results:
    """A whole measurement."""

    machine: dict[str, str]
    rounds: int
    cells: list[Cell]

    def find(self, shape: str, tasks: int, step: str, name: str) -> Cell | None:
        """Return a cell, None where that was not measured."""
        wanted = (shape, tasks, step, name)
        return next((cell for cell in self.cells if (cell.shape, cell.tasks, cell.step, cell.name) == wanted), None)


def write(results: Results, folder: Path, python: Path | None) -> None:
    """Write performance.json, put the tables into performance.md, and draw performance.svg where ``python`` can."""
    kept = folder / "performance.json"
    kept.write_bytes(orjson.dumps(asdict(results), option=orjson.OPT_INDENT_2) + b"\n")
    page = folder / "performance.md"
    text = page.read_text(encoding="utf-8") if page.exists() else f"{_BEGIN}\n{_END}\n"
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    page.write_text(f"{before}{_BEGIN}\n{tables(results)}\n{_END}{after}", encoding="utf-8")
    if python is not None:
        drawing = [str(python), str(CHECKOUT / "benchmarks" / "plot.py"), str(kept), str(folder / "performance.svg")]
        subprocess.run(drawing, check=True)


def tables(results: Results) -> str:
    """Return the machine and a table for each shape and number of tasks."""
    machine = "; ".join(f"{name} {value}" for name, value in results.machine.items())
    parts = [f"Medians of {results.rounds} interleaved rounds. The machine: {machine}.", ""]
    for shape, tasks in dict.fromkeys((cell.shape, cell.tasks) for cell in results.cells):
        parts += [f"**{_shape(shape)}, {tasks:,} tasks**", "", *_rows(results, shape, tasks), ""]
    return "\n".join(parts).rstrip()


def _shape(shape: str) -> str:
    return "Full records of 4 KB" if shape == "full" else "Records of eight fields"


def _rows(results: Results, shape: str, tasks: int) -> Iterator[str]:
    yield (
        "| | step | seconds | CPU seconds | CPU of PostgreSQL | tasks a second | of the limit | times dlt | peak MB "
        "| requests | bytes a task |"
    )
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for cell in (cell for cell in results.cells if (cell.shape, cell.tasks) == (shape, tasks)):
        limit = results.find(shape, tasks, cell.step, LIMIT)
        dlt = results.find(shape, tasks, cell.step, cell.name.replace("kore-etl", "dlt"))
        speed = f"{tasks / cell.wall:,.0f}" if cell.step == "first" else ""
        of_limit = f"{limit.wall / cell.wall:.2f}" if limit else ""
        times = f"{dlt.wall / cell.wall:.1f}" if dlt and cell.name.startswith("kore-etl") else ""
        yield (
            f"| {cell.name} | {cell.step} | {cell.wall:.2f} | {cell.cpu:.2f} | {cell.server:.2f} | {speed} "
            f"| {of_limit} | {times} | {cell.memory:.0f} | {cell.requests} | {cell.stored / tasks:,.0f} |"
        )
