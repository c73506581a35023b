"""Makes docs/images from the demo's data: ``make screenshots``. Needs chromium, and fonts for all that names hold.

Look at each before it is committed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
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
_MARGIN = 20
MOST = 300_000  # bytes


def main() -> None:
    """Make the data, the report and the pictures."""
    path = shutil.which("chromium")
    if path is None:
        sys.exit("no chromium is installed: apt-get install chromium")
    IMAGES.mkdir(exist_ok=True)
    with TemporaryDirectory(prefix="kore-etl-") as folder, sync_playwright() as playwright:
        page = Path(folder) / "report.html"
        _run("demo", "--keep", folder)
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        for name, picture in PICTURES.items():
            _take(browser, page, IMAGES / name, picture)
        browser.close()


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
    size = image.stat().st_size
    print(f"{image.name}: {size / 1000:.0f} kB")  # noqa: T201 - a script
    if size > MOST:
        sys.exit(f"{image} is too large")


if __name__ == "__main__":
    main()
