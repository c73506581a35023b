"""Changes show when the server's delay is over, in the order they were made."""

from __future__ import annotations

import pytest

from etl.sandbox import Options
from etl.sandbox.data.timestamps import parse_timestamp
from etl.sandbox.server.answer_requests import Service


class Clock:
    def __init__(self):
        self.seconds = 1_750_000_000.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


def serve(clock, **options):
    return Service(Options(**{"tasks": 20, "shape": "eight", **options}), clock)


def changed(service, kind, **counts):
    """The first task that a change touched, as it is afterwards."""
    (row_id, *_) = service.change(**counts)[kind]
    return by_id(service)[row_id]


def by_id(service):
    return {each["_id"]: each for each in service.tasks()}


def test_each_kind_of_change_touches_other_tasks(clock):
    service = serve(clock)
    before = by_id(service)
    ids = service.change(update=5, insert=3, delete=2)
    after = by_id(service)
    assert [len(ids[kind]) for kind in ("updated", "inserted", "deleted")] == [5, 3, 2]
    assert set(after) == set(before) - set(ids["deleted"]) | set(ids["inserted"])
    assert {row_id for row_id in before if row_id in after and before[row_id] != after[row_id]} == set(ids["updated"])


def test_no_more_tasks_are_changed_than_there_are(clock):
    service = serve(clock)
    assert len(service.change(update=15, delete=15)["deleted"]) == 5


def test_a_change_carries_the_servers_time(clock):
    service = serve(clock, clock_skew=3600)
    clock.seconds += 0.25
    ids = service.change(update=1, insert=1)
    stamps = {by_id(service)[row_id]["updatedAt"] for kind in ("updated", "inserted") for row_id in ids[kind]}
    assert {parse_timestamp(stamp) for stamp in stamps} == {int((clock.seconds + 3600) * 1000)}


def test_a_clock_that_goes_back_does_not_take_changes_with_it(clock):
    service = serve(clock)
    first = changed(service, "inserted", insert=1)
    clock.seconds -= 60
    second = changed(service, "inserted", insert=1)
    assert second["updatedAt"] == first["updatedAt"]


def test_many_changes_share_an_instant_when_asked(clock):
    service = serve(clock)
    ids = service.change(update=20, same_instant=True)["updated"]
    assert len({by_id(service)[row_id]["updatedAt"] for row_id in ids}) == 1


def test_changes_are_rounded_only_when_asked(clock):
    service = serve(clock, round_to=3600)
    clock.seconds += 17
    assert not changed(service, "updated", update=1)["updatedAt"].endswith(":00:00.000Z")
    service.configure(round_changes=True)
    assert changed(service, "updated", update=1)["updatedAt"].endswith(":00:00.000Z")


def test_a_late_change_shows_after_its_delay_with_its_date(clock):
    service = serve(clock, visible_after=2)
    before = by_id(service)
    made = int(clock.seconds * 1000)
    ids = service.change(update=3, insert=2, delete=1)
    clock.seconds += 1.9
    assert by_id(service) == before
    clock.seconds += 0.2
    after = by_id(service)
    assert {parse_timestamp(after[row_id]["updatedAt"]) for row_id in ids["updated"] + ids["inserted"]} == {made}
    assert not set(ids["deleted"]) & set(after)


def test_a_late_change_builds_on_one_that_does_not_show_yet(clock):
    service = serve(clock, tasks=1, visible_after=2)
    service.change(update=1)
    clock.seconds += 1
    service.change(update=1)
    last = int(clock.seconds * 1000)
    clock.seconds += 2
    assert parse_timestamp(service.tasks()[0]["updatedAt"]) == last


def test_a_task_whose_deletion_does_not_show_yet_is_left_alone(clock):
    service = serve(clock, tasks=3, visible_after=2)
    deleted = service.change(delete=2)["deleted"]
    assert len(service.change(update=3)["updated"]) == 1
    clock.seconds += 2
    assert not set(deleted) & set(by_id(service))


def test_a_deleted_task_may_come_as_inactive(clock):
    service = serve(clock, deletes="inactive")
    clock.seconds += 1
    task = changed(service, "deleted", delete=1)
    assert task["isActive"] is False
    assert parse_timestamp(task["updatedAt"]) == int(clock.seconds * 1000)


def test_odd_records_are_kept_as_given_and_never_changed(clock):
    service = serve(clock, tasks=0)
    odd = [{"name": "no id"}, {"_id": 17}, {"_id": ""}, "text", None]
    service.put([*odd, {"_id": "ti-1", "name": "old"}, {"_id": "ti-1", "name": "new"}])
    assert service.tasks() == [*odd, {"_id": "ti-1", "name": "new"}]
    assert service.change(update=9)["updated"] == ["ti-1"]


def test_records_are_removed_without_a_trace(clock):
    service = serve(clock, tasks=0)
    names = service.put([{"_id": "ti-1"}, "text"])
    service.remove(names[1:])
    assert service.tasks() == [{"_id": "ti-1"}]
