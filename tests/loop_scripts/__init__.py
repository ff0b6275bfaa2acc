"""The traces of tests/data/loops that follow a rule; ``python -m tests.loop_scripts`` writes them anew.

What a person would say of a loop is said where it is built: ``here`` marks the call of a model at which it is one. The same
tool with the same arguments and answer is one at its third call, a stuck poll at its tenth, a failing request at its sixth.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from tests.loop_scripts import honest, loops
from tests.loop_scripts.trace import Trace

BY_RULE: dict[str, Callable[[], Iterator[Trace]]] = {
    name: function
    for name, function in sorted({**vars(honest), **vars(loops)}.items())
    if name.startswith(("loops_", "honest_")) and callable(function)
}


def written(family: str) -> str:
    traces = [trace.written() for trace in BY_RULE[family]()]
    lines = ",\n".join(json.dumps(trace, ensure_ascii=False) for trace in traces)
    return f'{{"family": "{family.replace("_", " ")}", "by": "rule", "traces": [\n{lines}\n]}}\n'
