"""Names in the order in which they are first met, each with its place; and counts that add up under such places."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

Key = tuple[int, ...]


class Places:
    """Gives each name its place, the next one to a new name."""

    def __init__(self, names: tuple[str, ...] = ()) -> None:
        self._places = {name: place for place, name in enumerate(names)}

    @property
    def names(self) -> list[str]:
        """All names by their places."""
        return list(self._places)

    def of(self, name: str) -> int:
        """The place of a name."""
        return self._places.setdefault(name, len(self._places))


class Sums:
    """Adds numbers up under keys, so many a key."""

    def __init__(self, width: int) -> None:
        self._sums: defaultdict[Key, list[int]] = defaultdict(lambda: [0] * width)

    def add(self, key: Key, place: int, number: int) -> None:
        """Add to one of a key's numbers."""
        self._sums[key][place] += number

    def add_all(self, key: Key, numbers: Sequence[int]) -> None:
        """Add to all of a key's numbers."""
        for place, number in enumerate(numbers):
            self._sums[key][place] += number

    def counts(self) -> dict[Key, list[int]]:
        """All keys that count anything, in order."""
        return {key: numbers for key, numbers in sorted(self._sums.items()) if any(numbers)}
