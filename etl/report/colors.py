"""Colours that can be told from the page: a customer's own, made darker or lighter as far as that takes.

Contrast and luminance as in WCAG 2.2, which asks for 3:1 between graphics and what they stand on.
"""

from __future__ import annotations

import re

LIGHT, DARK = "#ffffff", "#161b22"  # what the charts stand on
LEAST = 3.0
_HEX = re.compile(r"#?([0-9a-f]{3}|[0-9a-f]{6})(?:[0-9a-f]{2})?", re.IGNORECASE)
_STEPS = 40
# For priorities without a usable colour, in turn; greys and earth, so that none looks like an alarm.
_SPARE = ("#475569", "#a16207", "#0f766e", "#7e5a9b", "#94a3b8", "#9f4a5e", "#4d7c3f", "#b08968")

Rgb = tuple[int, int, int]


def pair(color: str | None, place: int) -> tuple[str, str]:
    """For a priority's colour that on the light and on the dark page; by its place where there is none."""
    found = parse(color) or parse(_SPARE[place % len(_SPARE)]) or (0, 0, 0)
    return readable(found, LIGHT), readable(found, DARK)


def parse(text: str | None) -> Rgb | None:
    """Read #rgb or #rrggbb, with or without an opacity, which is ignored; None for anything else."""
    match = _HEX.fullmatch((text or "").strip())
    if match is None:
        return None
    digits = match[1] if len(match[1]) == 6 else "".join(each * 2 for each in match[1])
    return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)


def readable(color: Rgb, background: str) -> str:
    """The nearest shade of a colour that stands out against the background."""
    ground = parse(background) or (255, 255, 255)
    away = 0 if luminance(ground) > 0.5 else 255
    shade = color
    for step in range(_STEPS + 1):
        shade = (_toward(color[0], away, step), _toward(color[1], away, step), _toward(color[2], away, step))
        if contrast(shade, ground) >= LEAST:
            break
    return "#{:02x}{:02x}{:02x}".format(*shade)


def contrast(one: Rgb, other: Rgb) -> float:
    """From 1, the same, to 21, black on white."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(color: Rgb) -> float:
    """How light a colour looks, from 0 to 1."""
    red, green, blue = (_linear(each / 255) for each in color)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else float(((part + 0.055) / 1.055) ** 2.4)


def _toward(part: int, end: int, step: int) -> int:
    return round(part + (end - part) * step / _STEPS)
