"""Makes docs/images from the demo's data: ``make screenshots``. Needs chromium, and fonts for CJK and emoji.

It fails without the fonts, because names would show as empty boxes. Look at each picture before you commit it.
"""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.sync_api import Browser, sync_playwright

IMAGES = Path(__file__).resolve().parent / "images"
# name: width, scheme, the elements with which the picture begins and ends
PICTURES: dict[str, tuple[int, str, str, str]] = {
    "report.png": (1280, "light", "header", "#chart-ages"),
    "report-dark.png": (1280, "dark", "#chart-agents", "#chart-arrivals"),
    "report-phone.png": (375, "light", "header", "#chart-flow"),
}
# name: width, scheme, page, height
EXPLORED: dict[str, tuple[int, str, str, int]] = {
    "explore.png": (1280, "light", "", 900),
    "explore-task.png": (1280, "light", "a task", 760),
    "explore-phone.png": (375, "dark", "tasks/task_overview", 780),
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
        page = Path(folder) / "report.html"
        _run("demo", "--keep", folder)
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        for name, picture in PICTURES.items():
            _take(browser, page, IMAGES / name, picture)
        _explore(browser, Path(folder) / "kore-etl.db")
        browser.close()


def _has_font(language: str) -> bool:
    found = subprocess.run(["fc-list", f":lang={language}"], check=False, capture_output=True)  # noqa: S603, S607 - ours
    return bool(found.stdout.strip())


def _explore(browser: Browser, database: Path) -> None:
    """Take the pictures of what kore-etl explore shows."""
    query = "select task_id, source_id from task_changes group by 1, 2 order by count(*) desc limit 1"
    with closing(sqlite3.connect(database)) as connection:
        task, source = connection.execute(query).fetchone()
    command = [sys.executable, "-m", "etl", "explore", "-q", "--database-url", f"sqlite:///{database}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - ours
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        address = process.stdout.readline().strip()
        for name, (width, scheme, path, height) in EXPLORED.items():
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]
            page.goto(address + path.replace("a task", f"tasks/tasks/{task},{source}"))
            page.screenshot(path=IMAGES / name)
            page.close()
            _tell_size(IMAGES / name)
        process.terminate()


def _run(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "etl", *arguments], check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - ours


def _take(browser: Browser, page_file: Path, image: Path, picture: tuple[int, Any, str, str]) -> None:
    width, scheme, start, end = picture
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto(page_file.as_uri())
    page.wait_for_selector("html[data-state=drawn]")
    first, last = page.locator(start).bounding_box(), page.locator(end).bounding_box()
    assert first is not None  # noqa: S101 - it is there
    assert last is not None  # noqa: S101 - as above
    top = max(0, first["y"] - _MARGIN)
    height = last["y"] + last["height"] + _MARGIN - top
    page.screenshot(path=image, full_page=True, clip={"x": 0, "y": top, "width": width, "height": height})
    page.close()
    _tell_size(image)


def _tell_size(image: Path) -> None:
    size = image.stat().st_size
    print(f"{image.name}: {size / 1000:.0f} kB")  # noqa: T201 - a script
    if size > MOST:
        sys.exit(f"{image} is too large")


if __name__ == "__main__":
    main()
