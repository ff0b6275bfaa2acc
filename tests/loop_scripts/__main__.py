from __future__ import annotations

from tests.loop_scripts import BY_RULE, written
from tests.loop_traces import FOLDER

FOLDER.mkdir(parents=True, exist_ok=True)
for family in BY_RULE:
    (FOLDER / f"{family.replace('_', '-')}.json").write_text(written(family))
