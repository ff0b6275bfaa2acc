"""Plotly's script, from the wheel that ships it, as a static file of this installation: nothing comes from outside."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.contrib.staticfiles.finders import BaseFinder
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import FileSystemStorage

NAME = "plotly/plotly.min.js"


class PlotlyScript(BaseFinder):
    """Finds one file. The package is located without importing it."""

    def __init__(self, *_: Any, **__: Any) -> None:
        spec = find_spec("plotly")
        if spec is None or spec.origin is None:
            raise ImproperlyConfigured("The package plotly is not installed; charts are drawn by the script in it.")
        storage = FileSystemStorage(location=str(Path(spec.origin).parent / "package_data"))
        storage.prefix = "plotly"  # type: ignore[attr-defined]  # collectstatic puts the file below it
        self._storage = storage

    def check(self, **_: Any) -> list[Any]:
        return []

    def find(self, path: str, find_all: bool = False, **_: Any) -> Any:
        found = self._storage.path("plotly.min.js") if path == NAME else None
        return ([found] if found else []) if find_all else found or []

    def list(self, ignore_patterns: Any) -> Iterator[tuple[str, FileSystemStorage]]:
        yield "plotly.min.js", self._storage
