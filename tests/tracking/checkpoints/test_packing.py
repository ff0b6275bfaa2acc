"""States in parts: they come back as they were, and what comes again is stored once."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from tracking.checkpoints import packing
from tracking.checkpoints.difference import difference
from tracking.checkpoints.packing import Parts


def stored(parts: Parts) -> Any:
    """As a store would hand them out, asked level by level."""
    return lambda wanted: {digest: parts[digest] for digest in wanted}


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(max_size=400)
    | st.sampled_from(["$wflo.json", "$wflo.list"]),
    lambda inner: (
        st.lists(inner, max_size=40)
        | st.dictionaries(
            st.text(max_size=10) | st.sampled_from(["$wflo.json", "$wflo.list", "$wflo.x"]), inner, max_size=5
        )
    ),
    max_leaves=60,
)


@given(json_values)
def test_a_state_comes_back_as_it_was(state: Any) -> None:
    manifest, parts = packing.pack(state)
    manifest = orjson.loads(orjson.dumps(manifest))
    assert packing.unpack(manifest, packing.names(manifest, stored(parts))) == state


def test_two_hundred_steps_store_each_message_once() -> None:
    messages: list[dict[str, str]] = []
    all_parts: Parts = {}
    manifests = 0
    for number in range(200):
        messages.append({"role": "assistant", "content": f"message {number} " + "words " * 200})
        manifest, parts = packing.pack({"messages": messages, "step": number})
        all_parts |= parts
        manifests += len(orjson.dumps(manifest))
    whole = len(orjson.dumps(messages))
    kept = sum(map(len, all_parts.values()))
    assert kept < 1.7 * whole  # each message once, and the chunks that name them
    assert manifests < whole


def test_what_two_states_differ_in() -> None:
    one = {"messages": ["a"], "plan": {"steps": [1, 2, 3], "done": False}, "old": 1}
    other = {"messages": ["a", "b"], "plan": {"steps": [1, 5], "done": True}, "new": None}
    assert difference(one, other) == [
        {"path": "messages", "change": "appended", "before": None, "after": ["b"]},
        {"path": "plan.steps[1]", "change": "changed", "before": 2, "after": 5},
        {"path": "plan.steps[2]", "change": "removed", "before": 3, "after": None},
        {"path": "plan.done", "change": "changed", "before": False, "after": True},
        {"path": "old", "change": "removed", "before": 1, "after": None},
        {"path": "new", "change": "added", "before": None, "after": None},
    ]
    assert difference(one, one) == []
    assert difference({"a": 1}, {"a": True})[0]["change"] == "changed"
