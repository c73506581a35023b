"""What ``kore-etl explore`` shows, in a real browser: at three widths, light and dark."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

EVERY = [(width, scheme) for width in (375, 768, 1440) for scheme in ("light", "dark")]
Show = Callable[..., Page]
# The least contrast of a text with the first ground behind it that is not transparent, as WCAG counts it.
LEAST_CONTRAST = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((each) => each / 255)
    .map((each) => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4)
    .reduce((sum, each, place) => sum + each * [0.2126, 0.7152, 0.0722][place], 0);
  const ground = (node) => {
    for (let each = node; each; each = each.parentElement) {
      const color = parse(getComputedStyle(each).backgroundColor);
      if (color.length < 4 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  const found = [...document.querySelectorAll("td, th a, h1, h2, h3, p, li, dt, dd, label, .facet-info-total")]
    .filter((node) => node.innerText?.trim()).map((node) => {
      const [one, other] = [light(parse(getComputedStyle(node).color)), light(ground(node))].sort((a, b) => b - a);
      return [(one + 0.05) / (other + 0.05), node.innerText.slice(0, 40)];
    });
  return found.sort((one, other) => one[0] - other[0])[0];
}"""


@pytest.fixture(scope="module")
def address(database: Path) -> Iterator[str]:
    """The address of a process that shows the demo's database."""
    env = {**os.environ, "KORE_ETL_DATABASE_URL": f"sqlite:///{database}"}
    command = [sys.executable, "-m", "etl", "explore", "-q"]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


@pytest.fixture
def show(browser: Browser, address: str) -> Iterator[Show]:
    """Open a page at a width and in a scheme; at the end there was no error, and nobody else was asked."""
    trouble: list[str] = []
    with ExitStack() as opened:

        def show(path: str = "", width: int = 1440, scheme: Any = "light") -> Page:
            context = opened.enter_context(
                browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
            )
            page = context.new_page()
            page.on("pageerror", lambda error: trouble.append(str(error)))
            page.on("request", lambda request: request.url.startswith(address) or trouble.append(request.url))
            page.goto(f"{address}{path}")
            return page

        yield show
    assert trouble == []


def asked(database: Path, sql: str) -> tuple[Any, ...]:
    with closing(sqlite3.connect(database)) as connection:
        return tuple(connection.execute(sql).fetchone())


def busiest(database: Path) -> tuple[Any, ...]:
    """The task with the most changes: its id and source, and how many."""
    return asked(
        database, "select task_id, source_id, count(*) from task_changes group by 1, 2 order by 3 desc, 1 limit 1"
    )


@pytest.mark.parametrize(("width", "scheme"), EVERY)
def test_pages_fit_and_can_be_read(show: Show, database: Path, width: int, scheme: str) -> None:
    key, source, _ = busiest(database)
    for path in (
        "",
        f"tasks/tasks/{key},{source}",
        "tasks/task_overview",
        "tasks/task_overview?status=none",
        "tasks/01-what-is-open",
    ):
        page = show(path, width, scheme)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        contrast, text = page.evaluate(LEAST_CONTRAST)
        assert contrast >= 3, (path, text, contrast)


@pytest.mark.parametrize("width", [375, 768, 1440])
def test_the_first_tasks_are_above_the_fold(show: Show, width: int) -> None:
    page = show("tasks/task_overview", width)
    box = page.locator(".rows-and-columns tbody tr").first.bounding_box()
    assert box is not None
    assert box["y"] < 700


def test_the_start_page_has_numbers_and_answers(show: Show, database: Path) -> None:
    page = show()
    numbers = dict(
        zip(page.locator(".headline dt").all_inner_texts(), page.locator(".headline dd").all_inner_texts(), strict=True)
    )
    opened, breached = asked(database, "select sum(is_open), sum(is_open and is_breached) from task_overview")
    assert (numbers["Open"], numbers["SLA breached"]) == (f"{opened:,}", f"{breached:,}")
    assert page.locator(".question").count() == 10
    assert page.locator(".question:has(tbody tr)").count() >= 8
    addresses = page.locator(".headline a").evaluate_all("links => links.map(each => each.href)")
    for address, (name, number) in zip(addresses, numbers.items(), strict=True):
        page.goto(address)
        assert page.inner_text("h3").startswith(f"{number} row"), name


def test_the_start_page_finds_a_task(show: Show, database: Path) -> None:
    ref_id, name = asked(database, "select ref_id, name from task_overview where source_id = 1 limit 1")
    page = show()
    page.fill("#words", ref_id)
    with page.expect_navigation():
        page.press("#words", "Enter")
    assert name in page.inner_text("table")


def test_a_task_shows_its_state_and_its_timeline(show: Show, database: Path) -> None:
    key, source, changes = busiest(database)
    ref_id, name, status = asked(
        database, f"select ref_id, name, status from task_overview where _id = '{key}' and source_id = {source}"
    )
    page = show(f"tasks/tasks/{key},{source}")
    assert page.inner_text("h1") == f"{ref_id}: {name}"
    assert page.locator(".timeline li").count() == changes + 1
    with page.expect_navigation():
        page.locator(".facts").get_by_role("link", name=status, exact=True).click()
    assert "/tasks/statuses/" in page.url
    assert status in page.inner_text(".content")
