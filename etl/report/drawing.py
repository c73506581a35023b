"""Vega by way of vl-convert: charts drawn as SVG, charts compiled for the browser, and the runtime that draws there."""

from __future__ import annotations

from typing import Any

import vl_convert

Spec = dict[str, Any]


def runtime() -> str:
    """Vega as a script that defines ``vegaEmbed``."""
    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return bundle.replace("</script", "<\\/script")


def drawn(spec: Spec) -> str:
    """The chart as an SVG element that is as wide as there is room."""
    svg: str = vl_convert.vegalite_to_svg(spec)
    return svg.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)


def compiled(spec: Spec) -> Spec:
    """The chart as Vega."""
    found: Spec = vl_convert.vegalite_to_vega(spec)
    return found
