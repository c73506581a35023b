"""Makes docs/images from the demo's data: ``make screenshots``. Needs chromium, and fonts for CJK and emoji.

It fails without the fonts, because names would show as empty boxes. Look at each picture before you commit it.
"""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.sync_api import Browser, sync_playwright

DOCS = Path(__file__).resolve().parent
IMAGES = DOCS / "images"
# Each page is shown at three widths, light and dark: report-375-dark.png and so on.
HEIGHTS = {1440: 1390, 768: 1390, 375: 1390}
SCHEMES = ("light", "dark")
# name: width, scheme, the elements with which the picture begins and ends
PARTS = {
    "report-charts.png": (1440, "dark", "#chart-agents", "#chart-arrivals"),
    "report-tasks.png": (1440, "light", "#waiting", "footer"),
}
# name: width, scheme, page, height
EXPLORED = {
    "explore-task.png": (1440, "light", "a task", 760),
    "explore-list.png": (375, "dark", "tasks/task_overview", 780),
}
FONTS = {"ja": "fonts-noto-cjk", "und-zsye": "fonts-noto-color-emoji"}  # by fontconfig's language: Debian's package
_MARGIN = 20
MOST = 300_000  # bytes


def main() -> None:
    """Make the data, the report and the pictures."""
    path = shutil.which("chromium")
    if path is None:
        sys.exit("no chromium is installed: apt-get install chromium")
    missing = [package for language, package in FONTS.items() if not _has_font(language)]
    if missing:
        sys.exit(f"fonts are missing: apt-get install {' '.join(missing)}")
    IMAGES.mkdir(exist_ok=True)
    with TemporaryDirectory(prefix="kore-etl-") as folder, sync_playwright() as playwright:
        _run("etl", "demo", "--keep", folder)
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        report = (Path(folder) / "report.html").as_uri()
        _take_all(browser, "report", report)
        for name, part in PARTS.items():
            _take_part(browser, name, report, part)
        with _explored(Path(folder) / "kore-etl.db") as (address, task):
            _take_all(browser, "explore", address)
            for name, (width, scheme, page, height) in EXPLORED.items():
                _take(browser, name, address + page.replace("a task", task), width, height, scheme)
        _run("sphinx", "--quiet", "--builder", "html", str(DOCS), f"{folder}/site")  # with the pictures above
        _take_all(browser, "docs", Path(folder, "site", "index.html").as_uri())
        browser.close()


def _has_font(language: str) -> bool:
    found = subprocess.run(["fc-list", f":lang={language}"], check=False, capture_output=True)  # noqa: S603, S607 - ours
    return bool(found.stdout.strip())


@contextmanager
def _explored(database: Path) -> Iterator[tuple[str, str]]:
    """Run kore-etl explore; give its address and the path of the task with the most changes."""
    query = "select task_id, source_id from task_changes group by 1, 2 order by count(*) desc limit 1"
    with closing(sqlite3.connect(database)) as connection:
        task, source = connection.execute(query).fetchone()
    command = [sys.executable, "-m", "etl", "explore", "-q", "--database-url", f"sqlite:///{database}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - ours
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        yield process.stdout.readline().strip(), f"tasks/tasks/{task},{source}"
        process.terminate()


def _run(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", *arguments], check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - ours


def _take_all(browser: Browser, name: str, address: str) -> None:
    for width, height in HEIGHTS.items():
        for scheme in SCHEMES:
            _take(browser, f"{name}-{width}-{scheme}.png", address, width, height, scheme)


def _take(browser: Browser, name: str, address: str, width: int, height: int, scheme: Any) -> None:
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    page.goto(address)
    page.screenshot(path=IMAGES / name)
    page.close()
    _tell_size(IMAGES / name)


def _take_part(browser: Browser, name: str, address: str, part: tuple[int, Any, str, str]) -> None:
    width, scheme, start, end = part
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto(address)
    first, last = page.locator(start).bounding_box(), page.locator(end).bounding_box()
    assert first is not None  # noqa: S101 - it is there
    assert last is not None  # noqa: S101 - as above
    top = max(0, first["y"] - _MARGIN)
    height = last["y"] + last["height"] + _MARGIN - top
    page.screenshot(path=IMAGES / name, full_page=True, clip={"x": 0, "y": top, "width": width, "height": height})
    page.close()
    _tell_size(IMAGES / name)


def _tell_size(image: Path) -> None:
    size = image.stat().st_size
    print(f"{image.name}: {size / 1000:.0f} kB")  # noqa: T201 - a script
    if size > MOST:
        sys.exit(f"{image} is too large")


if __name__ == "__main__":
    main()
