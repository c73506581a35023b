"""The site of the documentation in a real browser: it fits, it shows its pictures, and its search finds pages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = ("index", "how-to/report", "how-to/explore", "schema/views", "reference/commands", "contributing")
UNSEEN = "() => [...document.images].filter((each) => !each.naturalWidth).map((each) => each.src)"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    subprocess.run([sys.executable, "-m", "sphinx", "-q", "-W", "-b", "html", DOCS, folder], check=True)
    return folder


def opened(browser: Browser, site: Path, name: str, width: int = 1440, scheme: str = "light") -> Page:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(f"{site.as_uri()}/{name}")
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 768, 1440])
def test_pages_fit_and_show_their_pictures(browser: Browser, site: Path, width: int, scheme: str) -> None:
    for name in PAGES:
        page = opened(browser, site, f"{name}.html", width, scheme)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        assert page.evaluate(UNSEEN) == [], name
        page.close()


def test_the_first_page_has_three_doors(browser: Browser, site: Path) -> None:
    page = opened(browser, site, "index.html")
    assert [page.locator(f"#{door} a").count() > 4 for door in ("operate", "analyse", "understand")] == [True] * 3
    page.close()


def test_search_finds_backup(browser: Browser, site: Path) -> None:
    page = opened(browser, site, "search.html?q=backup")
    found = page.locator("#search-results li a")
    found.first.wait_for()
    assert "Backup and restore" in found.all_text_contents()
    page.close()
