"""The made-up tasks: repeatable, of the whole shape, within their dates."""

from __future__ import annotations

from random import Random

import orjson
import pytest

from etl.sandbox.data.generator import TaskGenerator
from etl.sandbox.data.timestamps import DAY_MS, format_timestamp, parse_timestamp, round_down
from etl.sandbox.options import Options

NOW = 1_750_000_000_123
SAMPLE = ["_id", "caseId", "caseRefId", "name", "priority", "status", "createdAt", "updatedAt"]


def tasks(now=NOW, **options):
    chosen = Options(**{"tasks": 400, **options})
    return list(TaskGenerator(chosen, Random(chosen.seed)).history(now))


def test_the_same_seed_makes_the_same_tasks():
    assert tasks() == tasks()


def test_another_seed_makes_others():
    assert {each["_id"] for each in tasks()}.isdisjoint(each["_id"] for each in tasks(seed=2))


def test_the_small_shape_is_the_vendors_sample():
    first = tasks(shape="eight")[0]
    assert list(first) == SAMPLE
    assert set(first["priority"]) == {"name", "color"}
    assert set(first["status"]) == {"name", "statusCategory"}


def test_whole_tasks_have_some_four_kilobytes():
    sizes = [len(orjson.dumps(each)) for each in tasks()]
    assert 2500 < sum(sizes) / len(sizes) < 4500


def test_ids_are_all_different():
    assert len({each["_id"] for each in tasks(tasks=2000)}) == 2000


def test_nothing_happened_in_the_quiet_time_or_too_early():
    for each in tasks(quiet_seconds=3600, days=10):
        created, updated = parse_timestamp(each["createdAt"]), parse_timestamp(each["updatedAt"])
        assert NOW - 3_600_000 - 10 * DAY_MS <= created <= updated <= NOW - 3_600_000


def test_most_tasks_were_updated_later_and_some_never():
    moved = sum(each["updatedAt"] > each["createdAt"] for each in tasks())
    assert 200 < moved < 400


def test_timestamps_are_rounded_when_asked():
    for each in tasks(round_to=3600):
        assert each["createdAt"][-10:] == each["updatedAt"][-10:] == "00:00.000Z"


def test_custom_fields_come_in_both_spellings():
    named = [each for each in tasks() if "new field" in each]
    assert named
    for each in named:
        listed = next(field for field in each["fields"] if field["displayName"] == "new field")
        assert each["new field"]["selectedValue"] == listed["selectedValue"]


def test_there_are_statuses_without_id_and_names_beyond_ascii():
    made = tasks()
    assert any("_id" not in each["status"] for each in made)
    assert any("_id" not in each["priority"] for each in made)
    assert any(not each["name"].isascii() for each in made)


def test_a_due_date_comes_in_each_of_its_spellings():
    assert {type(each.get("dueDate")) for each in tasks()} == {str, int, type(None)}
    assert "" in {each.get("dueDate") for each in tasks()}


def test_a_revision_moves_updated_at_and_keeps_the_ids():
    generator = TaskGenerator(Options(tasks=1), Random(1))
    before = next(generator.history(NOW))
    after = generator.revise(before, NOW + 5)
    assert after["updatedAt"] == format_timestamp(NOW + 5)
    assert after["name"] != before["name"]
    assert {key: after[key] for key in ("_id", "createdAt", "caseId", "fields")} == {
        key: before[key] for key in ("_id", "createdAt", "caseId", "fields")
    }


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2025-05-26T18:30:00.000Z", 1_748_284_200_000),
        ("2025-05-27T00:00:00.001+05:30", 1_748_284_200_001),
        ("2025-05-26 18:30:00", 1_748_284_200_000),
        ("1969-12-31T23:59:59.999Z", -1),
        ("soon", None),
        ("", None),
        (17, 17),
        (True, None),
        (None, None),
    ],
    ids=str,
)
def test_moments_are_read_to_the_millisecond(text, moment):
    assert parse_timestamp(text) == moment


@pytest.mark.parametrize("moment", [0, 1, NOW, -1, 253_402_300_799_999])
def test_a_written_moment_reads_the_same(moment):
    assert parse_timestamp(format_timestamp(moment)) == moment


@pytest.mark.parametrize(("moment", "step", "rounded"), [(1999, 1000, 1000), (-1, 1000, -1000), (1999, 0, 1999)])
def test_moments_are_rounded_down(moment, step, rounded):
    assert round_down(moment, step) == rounded
