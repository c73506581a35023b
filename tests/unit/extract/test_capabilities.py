"""What the settings answer in place of a server: what it takes away again, and what it makes doubtful."""

from __future__ import annotations

from datetime import timedelta

from etl.extract.capabilities import ServerCapabilities

MINUTE = timedelta(minutes=1)
FOUND = (
    ServerCapabilities()
    .with_answer("window_field", "createdAt", "seen")
    .with_answer("ends_inclusive", answer=True, evidence="seen")
    .with_answer("granularity", MINUTE, "seen")
    .with_answer("page_rows", 50, "seen")
)


def test_what_the_settings_answer_is_kept_as_long_as_they_do() -> None:
    by_hand = FOUND.with_overrides({"page_rows": 20, "longest_range": MINUTE})
    assert (by_hand.page_rows, by_hand.longest_range, by_hand.any_range) == (20, MINUTE, False)
    assert by_hand.with_overrides({"page_rows": 20, "longest_range": MINUTE}) == by_hand
    without = by_hand.with_overrides({})
    assert (without.page_rows, without.longest_range, without.any_range) == (None, None, None)
    assert without.knows_less_than(by_hand)
    assert not by_hand.knows_less_than(FOUND)


def test_what_follows_from_another_answer_is_asked_for_again() -> None:
    for answers, unknown in (
        ({"window_field": "updatedAt"}, {"ends_inclusive", "granularity"}),
        ({"ends_inclusive": False}, {"granularity"}),
        ({"window_field": "updatedAt", "granularity": MINUTE}, {"ends_inclusive"}),
        ({"window_field": "createdAt", "ends_inclusive": True}, set()),
    ):
        assert set(FOUND.with_overrides(answers).unknown()) - set(FOUND.unknown()) == unknown
    found_by_it = FOUND.with_overrides({"ends_inclusive": False}).with_answer("granularity", MINUTE, "seen")
    assert found_by_it.with_overrides({}).granularity is None
