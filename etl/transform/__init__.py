"""Turns a record into rows, or into a rejection with its reason. Pure: no clock, no file, no network."""

from __future__ import annotations

from etl.transform.drop_fields import dropper, tombstone
from etl.transform.transform_any_shape import transform
from etl.transform.transform_known_shape import transform_typed
from etl.transform.transform_result import Rejection, Stream, TaskRows

__all__ = ["Rejection", "Stream", "TaskRows", "dropper", "tombstone", "transform", "transform_typed"]
