"""A number of a custom field has one text, whether its record comes from the API or from a column of PostgreSQL."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from sqlalchemy import text as sql

from etl.exact_json import read
from etl.load.database.engine import open_engine, reading
from etl.transform.convert_values import text

whole = some.from_regex(r"-?(0|[1-9][0-9]{0,24})", fullmatch=True)
fraction = some.from_regex(r"(\.[0-9]{1,20})?", fullmatch=True)
exponent = some.from_regex(r"([eE][+-]?[0-9]{1,3})?", fullmatch=True)
numbers = some.tuples(whole, fraction, exponent).map("".join)


@given(some.lists(numbers, min_size=1, max_size=50))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_number_has_one_text(migrated_postgres_url: str, spelt: list[str]) -> None:
    engine = open_engine(migrated_postgres_url)
    with reading(engine) as connection:
        query = sql("select cast(cast(each as jsonb) as text) from unnest(cast(:spelt as text[])) as each")
        kept = connection.execute(query, {"spelt": spelt}).scalars().all()
    engine.dispose()
    for one, other in zip(kept, spelt, strict=True):
        assert text(read(f"[{one}]")[0]) == text(read(f"[{other}]")[0])
