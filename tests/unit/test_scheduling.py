"""How often a schedule runs, as systemd and cron write it."""

from __future__ import annotations

import pytest

from etl.errors import ConfigError
from etl.scheduling.cron import crontab_times
from etl.scheduling.systemd import calendar


@pytest.mark.parametrize(
    ("every", "systemd", "cron"),
    [
        ("1m", "*:0/1", "* * * * *"),
        ("5m", "*:0/5", "*/5 * * * *"),
        ("300", "*:0/5", "*/5 * * * *"),
        ("30m", "*:0/30", "*/30 * * * *"),
        ("60m", "0/1:00", "0 */1 * * *"),
        ("6h", "0/6:00", "0 */6 * * *"),
        ("1d", "daily", "0 0 * * *"),
    ],
)
def test_an_even_part_of_an_hour_or_a_day_is_written_for_both(every, systemd, cron):
    assert (calendar(every), crontab_times(every)) == (systemd, cron)


@pytest.mark.parametrize("every", ["7m", "90m", "5h", "2d", "30s", "0", "often", "-5m", "5m30s"])
def test_what_would_not_come_evenly_is_refused(every):
    with pytest.raises(ConfigError, match="does not divide an hour or a day evenly"):
        calendar(every)
