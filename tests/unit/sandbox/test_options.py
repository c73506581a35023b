"""What the sandbox's options accept."""

from __future__ import annotations

import pytest

from etl.sandbox import Options
from etl.sandbox.options import FIXED, option_types


@pytest.mark.parametrize(
    "wrong",
    [
        {"window_field": "dueDate"},
        {"cap": 0},
        {"cap": True},
        {"cap": 10.5},
        {"page_default": 0},
        {"latency_ms": "soon"},
        {"latency_ms": float("nan")},
        {"tasks": -1},
        {"days": 1e9},
        {"jti_required": 1},
        {"account_id": 7},
        {"max_skip_status": 500},
        {"rate_limit_status": 200},
        {"shuffle": 1.5},
        {"faults": {"504": 0.1}},
        {"faults": {"503": -0.1}},
        {"faults": {"503": 0.6, "429": 0.6}},
        {"algorithm": "RS256"},
    ],
    ids=str,
)
def test_a_wrong_value_is_refused_by_the_name_of_its_option(wrong):
    with pytest.raises(ValueError, match="public_key" if "algorithm" in wrong else next(iter(wrong))):
        Options(**wrong)


def test_options_from_json_equal_those_from_code():
    changed = Options().changed({"sort_fields": ["updatedAt"], "faults": {"503": 0.5}})
    assert changed == Options(sort_fields=("updatedAt",), faults={"503": 0.5})


def test_faults_cannot_be_changed_behind_its_back():
    faults = {"503": 0.5}
    options = Options(faults=faults)
    faults["503"] = 1.0
    assert options.faults == {"503": 0.5}


@pytest.mark.parametrize("name", sorted(FIXED))
def test_what_the_server_was_started_with_stays(name):
    with pytest.raises(ValueError, match=f"{name}: cannot be changed"):
        Options().changed({name: getattr(Options(), name)})


def test_an_unknown_option_is_refused():
    with pytest.raises(ValueError, match="capp: there is no such option"):
        Options().changed({"capp": 10})


def test_every_option_has_a_line_of_help():
    helps = {each.name: each.metadata.get("help", "") for each in Options.__dataclass_fields__.values()}
    assert [name for name in option_types() if not helps[name].endswith(".")] == []
