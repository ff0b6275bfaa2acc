"""Icons: one file each, 16 px grid, put into a page as one sprite. frame.css draws them: the text's colour, a
stroke of 1.4."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

_FOLDER = Path(__file__).parent
_SVG = re.compile(
    r'<svg xmlns="http://www\.w3\.org/2000/svg" viewBox="(?P<box>[0-9 ]+)">(?P<shapes>.*)</svg>\s*', re.DOTALL
)
_HATCH = (
    '<pattern id="{id}" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect width="5" height="5" fill="var({ground})"/><rect width="{width}" height="5" fill="var({line})"/></pattern>'
)


@cache
def names() -> frozenset[str]:
    return frozenset(file.stem for file in _FOLDER.glob("*.svg"))


@cache
def icon(name: str) -> SafeString:
    """A reference into the page's sprite. Raises ValueError for a name that is not drawn."""
    if name not in names():
        raise ValueError(f"There is no icon {name!r} in dashboards/icons.")
    return format_html('<svg aria-hidden="true"><use href="#i-{}"/></svg>', name)


@cache
def sprite() -> SafeString:
    """Every icon as a symbol, and the hatches that mean "held". About 2 kB compressed."""
    symbols = "".join(_symbol(file) for file in sorted(_FOLDER.glob("*.svg")))
    hatches = _HATCH.format(id="hatch", ground="--spent-soft", line="--spent", width="1.6") + _HATCH.format(
        id="hatch-ink", ground="--sunken", line="--ink-3", width="1.3"
    )
    return mark_safe(f'<svg class="sprite" aria-hidden="true"><defs>{hatches}</defs>{symbols}</svg>')


def _symbol(file: Path) -> str:
    drawn = _SVG.fullmatch(file.read_text())
    if drawn is None:
        raise ValueError(f"{file.name} is not of the shape of the other icons.")
    return f'<symbol id="i-{file.stem}" viewBox="{drawn["box"]}">{drawn["shapes"]}</symbol>'
