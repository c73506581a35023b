"""The report in a real browser: it draws, it filters, it asks nobody, and it fits a phone."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.conftest import EVIL

pytestmark = pytest.mark.browser

CHARTS = ("backlog", "flow", "ages", "agents", "queues", "stays", "arrivals")
OPEN = "is_open"
Show = Callable[..., Page]


@pytest.fixture
def show(browser: Browser) -> Iterator[Show]:
    """Open a file at a width and in a scheme; at the end there was no error, and nobody was asked for anything."""
    trouble: list[str] = []
    with ExitStack() as opened:

        def show(path: Path, width: int = 1440, scheme: Any = "light", **options: Any) -> Page:
            size: Any = {"width": width, "height": 900}
            context = opened.enter_context(browser.new_context(viewport=size, color_scheme=scheme, **options))
            page = context.new_page()
            page.on("console", lambda message: trouble.append(message.text))
            page.on("pageerror", lambda error: trouble.append(str(error)))
            page.on(
                "request", lambda request: request.url.startswith(("file:", "data:")) or trouble.append(request.url)
            )
            page.goto(path.as_uri())
            if options.get("java_script_enabled", True):
                page.wait_for_selector("html[data-state=drawn]")
            return page

        yield show
    assert trouble == []


def numbers(page: Page) -> dict[str, str]:
    keys = ("open", "overdue", "breached", "unassigned", "created", "resolved", "reopened", "resolution", "response")
    return {key: page.inner_text(f"#tile-{key} .value") for key in keys}


def texts(page: Page, selector: str) -> list[str]:
    return [" ".join(text.split()) for text in page.locator(selector).all_text_contents()]


def asked(database: Path, condition: str = OPEN) -> Any:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(f"SELECT count(*) FROM task_overview WHERE {condition}").fetchone()[0]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 768, 1440])
def test_every_chart_is_drawn_within_the_width(show: Show, page_file: Path, width: int, scheme: str) -> None:
    page = show(page_file, width, scheme)
    found = page.evaluate(DRAWN)
    assert [each["name"] for each in found] == list(CHARTS)
    for each in found:
        assert each["marks"] > 0, each
        assert each["height"] > 60, each
        assert 0 <= each["left"] < each["right"] <= width, each
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_of_few_days_each_has_its_own_label(show: Show, week_page_file: Path) -> None:
    page = show(week_page_file)
    days = [label for label in texts(page, f"#chart-backlog {LABELS}") if " " in label]
    assert len(days) == len(set(days)) == 8


def test_a_chart_follows_the_window(show: Show, page_file: Path) -> None:
    page = show(page_file, 1440)
    page.set_viewport_size({"width": 375, "height": 900})
    page.wait_for_function("document.querySelector('#chart-arrivals svg').clientWidth < 360")
    assert all(each["right"] <= 375 for each in page.evaluate(DRAWN))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(show: Show, page_file: Path, scheme: str) -> None:
    page = show(page_file, 1440, scheme)
    for selector in (
        "h1",
        ".made",
        ".tile h2",
        ".tile .note",
        ".sentence",
        ".legend li:visible",
        "td.bad",
        ".tile .good",
        ".tile .bad",
        "footer li",
        "td",
    ):
        assert page.locator(selector).first.evaluate(CONTRAST) >= 4.5, selector
    assert page.locator("#chart-backlog svg text").first.evaluate(CONTRAST) >= 4.5


def test_a_choice_changes_numbers_charts_and_tables(show: Show, page_file: Path, database: Path) -> None:
    page = show(page_file)
    before = texts(page, "#chart-agents tbody tr")
    page.get_by_role("combobox", name="Queue").select_option(label="Billing")
    wanted = asked(database, f"{OPEN} AND queue = 'Billing'")
    assert 0 < wanted < asked(database)
    assert numbers(page)["open"] == str(wanted)
    assert texts(page, "#chart-agents tbody tr") != before
    assert min(10, wanted) <= page.locator("#waiting tbody tr").count() <= min(20, wanted)
    page.get_by_role("combobox", name="Priority").select_option(label="Medium")
    assert numbers(page)["open"] == str(asked(database, f"{OPEN} AND queue = 'Billing' AND priority = 'Medium'"))
    assert set(texts(page, "#waiting tbody td:nth-child(4)")) == {"Medium"}
    page.get_by_role("button", name="Show all").click()
    assert numbers(page)["open"] == str(asked(database))
    assert texts(page, "#chart-agents tbody tr") == before


def test_of_a_few_tasks_no_number_stands_twice_on_an_axis(show: Show, page_file: Path) -> None:
    page = show(page_file)
    seen = set()
    for queue in page.locator("select[name=queue] option").all_text_contents():
        page.get_by_role("combobox", name="Queue").select_option(label=queue)
        for priority in page.locator("select[name=priority] option").all_text_contents():
            page.get_by_role("combobox", name="Priority").select_option(label=priority)
            for name in ("backlog", "flow", "ages", "agents", "queues"):
                labels = texts(page, f"#chart-{name}:has(.drawing:not([hidden])) {LABELS}")
                whole = [label for label in labels if label.isdecimal()]
                assert len(whole) == len(set(whole)), (queue, priority, name, labels)
                seen.update(whole[-1:])
    assert "1" in seen


def test_a_source_can_be_chosen(show: Show, page_file: Path, database: Path) -> None:
    page = show(page_file)
    page.get_by_role("combobox", name="Source").select_option(label="second")
    assert numbers(page)["open"] == str(asked(database, f"{OPEN} AND stream_id = 'st-2'"))


def test_the_headline_numbers_are_those_of_the_views(show: Show, page_file: Path, database: Path) -> None:
    shown = numbers(show(page_file))
    opened = asked(database)
    assert shown["open"] == str(opened)
    assert shown["overdue"] == str(asked(database, f"{OPEN} AND due_at < strftime('%Y-%m-%d %H:%M:%f', 'now')"))
    with closing(sqlite3.connect(database)) as connection:
        query = """SELECT sum(is_breached), count(is_breached), sum(assignee_id IS NULL)
            FROM task_overview WHERE is_open"""
        breached, known, nobody = connection.execute(query).fetchone()
    assert shown["breached"] == f"{breached / known:.0%}"
    assert shown["unassigned"] == str(nobody)


def test_medians_say_of_how_many_and_a_response_is_no_reply(show: Show, page_file: Path, database: Path) -> None:
    page = show(page_file)
    with closing(sqlite3.connect(database)) as connection:
        query = "SELECT count(*) FROM task_cycle_times WHERE {} >= ?"
        since = (datetime.now(ZoneInfo("Europe/Berlin")) - timedelta(days=90)).replace(hour=0, minute=0, second=0)
        moment = f"{since.astimezone(UTC):%Y-%m-%d %H:%M:%S}.000"
        resolved, responded = (
            connection.execute(query.format(column), (moment,)).fetchone()[0]
            for column in ("resolved_at", "first_response_at")
        )
    assert f"of {resolved} resolutions since" in page.inner_text("#tile-resolution .note")
    assert f"of {responded} changes of status, not replies" in page.inner_text("#tile-response .note")
    assert "It is not a reply" in page.inner_text("footer")


def test_a_difference_is_coloured_by_whether_it_is_good(show: Show, page_file: Path) -> None:
    page = show(page_file)
    for key, good in (("open", "fewer"), ("resolved", "more"), ("reopened", "fewer")):
        note = page.locator(f"#tile-{key} .note span").first
        direction = note.inner_text().split()[1]
        wanted = "" if direction == "many" else "good" if direction == good else "bad"
        assert note.get_attribute("class") == wanted, key
    assert page.locator("#tile-created .note span").first.get_attribute("class") == ""


def test_the_header_says_until_when_the_data_is_complete(show: Show, page_file: Path) -> None:
    assert "data complete until" in show(page_file).inner_text("header")


def test_on_the_first_day_it_says_what_is_not_known_yet(show: Show, first_day_page_file: Path) -> None:
    page = show(first_day_page_file)
    assert "The history begins with the first sync" in page.inner_text("#chart-backlog .nothing")
    assert page.locator("#chart-backlog svg").count() == 0
    assert "not known" in page.inner_text("#tile-open .note")
    assert page.locator("#chart-ages svg").is_visible()


def test_later_a_line_marks_the_first_sync(show: Show, page_file: Path, young_page_file: Path) -> None:
    page = show(young_page_file)
    assert "first sync" in texts(page, f"#chart-backlog {LABELS}")
    assert page.locator("#chart-backlog .swatch.unknown").count() == 1
    line = page.locator("#chart-backlog .first").evaluate("(line) => Number(line.getAttribute('x1'))")
    width = page.locator("#chart-backlog svg").evaluate("(svg) => Number(svg.getAttribute('width'))")
    assert line / width == pytest.approx(50 / 90, abs=0.03)
    assert show(page_file).locator("#chart-backlog .first").count() == 0


def test_each_task_links_to_the_console_at_task_url(show: Show, page_file: Path, first_day_page_file: Path) -> None:
    links = show(first_day_page_file).locator("#waiting th a")
    assert links.count() >= 10
    assert (links.first.get_attribute("href") or "").startswith("https://console.invalid/ti-")
    assert show(page_file).locator("#waiting a").count() == 0


def test_single_days_are_drawn_on_wide_screens_only(show: Show, page_file: Path) -> None:
    assert show(page_file, 1440).locator("#chart-flow .pale").count() == 2
    assert show(page_file, 375).locator("#chart-flow .pale").count() == 0


def test_of_few_days_the_lines_are_steps(show: Show, page_file: Path, week_page_file: Path) -> None:
    for file, is_stepped in ((page_file, False), (week_page_file, True)):
        path = show(file).locator("#chart-flow path.mark").first.get_attribute("d") or ""
        assert ("H" in path) is is_stepped


def test_without_scripts_it_tells_the_headline_numbers(show: Show, page_file: Path, database: Path) -> None:
    page = show(page_file, java_script_enabled=False)
    assert f"{asked(database)} open" in page.inner_text("main")
    assert not page.locator("#filters").is_visible()
    assert not page.locator("#charts").is_visible()


def test_names_stay_text(show: Show, page_file: Path) -> None:
    page = show(page_file)
    assert page.title().startswith("Support tasks")
    assert set(texts(page, "#waiting td.name")) == {EVIL}
    assert any(EVIL in text for text in texts(page, "#chart-agents tbody th"))


def test_a_mark_tells_its_numbers(show: Show, page_file: Path) -> None:
    page = show(page_file)
    page.locator("#chart-queues").scroll_into_view_if_needed()
    page.locator("#chart-queues .mark").last.hover()
    page.wait_for_selector("#tip:visible")
    assert "Queue" in page.inner_text("#tip")


def test_every_chart_has_a_text_and_a_table_instead(show: Show, page_file: Path) -> None:
    page = show(page_file)
    for name in CHARTS:
        drawing = page.locator(f"#chart-{name} [role=img]")
        assert len(drawing.get_attribute("aria-label") or "") > 40, name
        assert page.locator(f"#chart-{name} table th[scope=col]").count() >= 2, name
        assert page.locator(f"#chart-{name} .drawing svg:not([aria-hidden=true])").count() == 0, name


def test_everything_can_be_reached_by_the_keyboard(show: Show, page_file: Path) -> None:
    page = show(page_file)
    reached = []
    for _ in range(6):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.name || document.activeElement.tagName"))
    assert reached[:5] == ["A", "stream", "queue", "priority", "SUMMARY"]


def test_printed_it_leaves_out_what_is_for_the_hand(show: Show, page_file: Path) -> None:
    page = show(page_file, 1440, "dark")
    page.emulate_media(media="print", color_scheme="light")
    assert not page.locator("#filters").is_visible()
    assert page.locator("#chart-arrivals svg").is_visible()
    assert len(page.pdf()) > 10_000


def test_printed_charts_are_redrawn_with_large_words(show: Show, page_file: Path) -> None:
    page = show(page_file, 1440)
    on_screen = page.evaluate(WIDTHS)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    within_a4 = 703  # pixels, of which a chart of half the width has somewhat less than half
    assert all(width < 1.2 * within_a4 for width in page.evaluate(WIDTHS))
    assert page.evaluate(WIDTHS)[-1] < 1.2 * within_a4 / 2
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(WIDTHS) == on_screen


def test_without_tasks_it_says_what_to_do(show: Show, empty_page_file: Path) -> None:
    page = show(empty_page_file)
    assert "kore-etl sync" in page.inner_text("#empty")
    assert page.locator("figure, .tile, form").count() == 0
    assert "No source was synced yet." in page.inner_text("footer")


LABELS = "svg text.label"
DRAWN = """() => [...document.querySelectorAll("figure")].map((figure) => {
  const box = figure.querySelector(".drawing svg").getBoundingClientRect();
  const marks = figure.querySelectorAll(".mark").length;
  return { name: figure.id.slice(6), marks, height: box.height, left: box.left, right: box.right };
})"""
WIDTHS = "() => [...document.querySelectorAll('figure .drawing svg')].map((svg) => Number(svg.getAttribute('width')))"
CONTRAST = """(element) => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (text) => {
    const linear = (p) => (p <= 0.04045 ? p / 12.92 : ((p + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = parse(text).map((part) => linear(part / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  let behind = element;
  while (behind && parse(getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
  const style = getComputedStyle(element);
  const ink = element instanceof SVGElement ? style.fill : style.color;
  const [a, b] = [light(ink), light(getComputedStyle(behind ?? document.body).backgroundColor)].sort((x, y) => y - x);
  return (a + 0.05) / (b + 0.05);
}"""
