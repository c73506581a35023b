"""Finding out what a server does, with a handful of requests: each question has its own small experiment.

What the rows at hand cannot show stays unknown. Nothing is concluded from what an answer might show by chance: an
order counts as obeyed only if both directions came back in order and differ.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from etl.extract.capabilities import Abilities, Question
from etl.extract.http.page import Page
from etl.extract.http.query import Field
from etl.extract.paging.base import Fetch, is_sorted, moments
from etl.extract.probe.date_filters import learn_dates
from etl.extract.probe.limits import first_page, learn_range, page_of
from etl.extract.probe.session import Experiment, OutOfRequests
from etl.times import format_time


@dataclass(frozen=True, slots=True)
class Finding:
    """What a probe found: the abilities, where history begins by each field, and the requests that it took."""

    abilities: Abilities
    beginnings: dict[Field, datetime]
    requests: int


def probe(fetch: Fetch, known: Abilities) -> Finding:
    """Ask what ``known`` leaves open, in at most twelve requests, and return what is known then."""
    experiment = Experiment(fetch, known)
    with suppress(OutOfRequests):
        _ask_all(experiment)
    return Finding(experiment.known, experiment.beginnings, experiment.requests)


def _ask_all(experiment: Experiment) -> None:
    first = first_page(experiment)
    if first is None or not first.records:
        return
    if experiment.holds_all:
        _note_beginnings(experiment, first)
    _learn_sorting(experiment, "updatedAt", "sort_updated", first)
    _learn_sorting(experiment, "createdAt", "sort_created", first)
    learn_dates(experiment)
    learn_range(experiment)


def _note_beginnings(experiment: Experiment, page: Page) -> None:
    fields: tuple[Field, Field] = ("createdAt", "updatedAt")
    for field in fields:
        if found := moments(page, field):
            experiment.beginnings[field] = min(found)


def _learn_sorting(experiment: Experiment, field: Field, question: Question, first: Page) -> None:
    """Both directions have to come in order, and differ: a fixed order cannot do that."""
    if not experiment.wants(question) or (experiment.holds_all and len(set(moments(first, field))) < 2):
        return
    firsts = []
    for descending in (True, False) if field == "updatedAt" else (False, True):
        # The first page of all was asked for in this order.
        page = first if field == "updatedAt" and descending else page_of(experiment, field, descending=descending)
        if page is None:
            experiment.learn(question, answer=False, evidence=f"requests with sortBy {field} are refused")
            return
        values = moments(page, field)
        if not is_sorted(values, descending=descending):
            experiment.learn(question, answer=False, evidence=f"rows out of order although sorted by {field}")
            return
        firsts += values[:1]
    if len(set(firsts)) == 2:
        newest, oldest = max(firsts), min(firsts)
        evidence = f"ascending begins {format_time(oldest)}, descending {format_time(newest)}"
        experiment.learn(question, answer=True, evidence=evidence)
        experiment.beginnings[field] = oldest
