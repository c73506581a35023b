"""Draws first syncs by tasks a second: ``python plot.py performance.json performance.svg``, where matplotlib is."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(results: str, drawing: str) -> None:
    """Draw one panel a shape, one line a contender."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "kore-etl"
    from matplotlib import pyplot as plt

    cells = [cell for cell in json.loads(Path(results).read_text(encoding="utf-8"))["cells"] if cell["step"] == "first"]
    shapes = list(dict.fromkeys(cell["shape"] for cell in cells))
    figure, panels = plt.subplots(1, len(shapes), figsize=(5 * len(shapes), 4), squeeze=False)
    for panel, shape in zip(panels[0], shapes, strict=True):
        for name in dict.fromkeys(cell["name"] for cell in cells):
            mine = [cell for cell in cells if cell["shape"] == shape and cell["name"] == name]
            panel.plot([c["tasks"] for c in mine], [c["tasks"] / c["wall"] for c in mine], marker="o", label=name)
        panel.set(xscale="log", ylim=(0, None), xlabel="tasks", ylabel="tasks a second", title=f"first sync, {shape}")
        panel.legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(drawing, metadata={"Date": None})


if __name__ == "__main__":
    main(*sys.argv[1:])
