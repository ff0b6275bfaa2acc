"""Repair of single spans. The numbers I… are cases of the catalogue of ingest faults."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracking.ingest.clean import SPAN_CHARS_MAX, VALUE_CHARS_MAX, clean, clean_all
from tracking.ingest.clocks import DAY_NS, EARLIEST_NS
from tracking.ingest.decoded import ATTRIBUTES_MAX, EVENTS_MAX, LINKS_MAX
from tracking.ingest.normalise import normalise
from wflo.spans import Span

SECOND = 10**9
NOW_NS = 1_790_000_000 * SECOND


def span(**fields: Any) -> Span:
    values: dict[str, Any] = {
        "trace_id": "a" * 32,
        "span_id": "b" * 16,
        "started_ns": NOW_NS - SECOND,
        "ended_ns": NOW_NS,
        "name": "step",
        **fields,
    }
    return Span(**values)


def cleaned(**fields: Any) -> Span:
    made = span(**fields)
    assert clean(made, received_ns=NOW_NS) is None
    return made


def attribute(value: Any) -> Any:
    return cleaned(attributes={"key": value}).attributes["key"]


def test_a_healthy_span_stays_as_it_is_and_bears_no_note() -> None:
    attributes = {
        "text": "plain",
        "unicode": "Köln ✓ 固体電池 🙃",
        "n": 2**63 - 1,
        "m": -(2**63),
        "f": 0.5,
        "yes": True,
        "none": None,
    }
    made = cleaned(attributes=dict(attributes), events=[{"name": "e", "attributes": {"a": 1}}])
    assert made.attributes == attributes
    assert made.notes == ()


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("a\0b", "a�b"),
        ("\ud800", "�"),
        ("a\udfffb", "a�b"),
        ("\ud83d\ude43", "🙃"),  # a pair of surrogates is one character
        (["a\0", {"k\0": "\ud800"}], ["a�", {"k�": "�"}]),
    ],
)
def test_nul_and_lone_surrogates_become_the_replacement_character_I14_I15(sent: Any, kept: Any) -> None:
    assert attribute(sent) == kept


def test_every_text_of_a_span_is_cleaned_I14() -> None:
    bad = "x\0\ud800"
    made = cleaned(
        name=bad, scope=bad, error=bad, tags=(bad,), metadata={bad: bad}, convention="wflo", agent=bad, model=bad,
        session_id=bad, user_id=bad, tool_name=bad, attributes={bad: bad, "neighbour": "kept"},
        events=[{"name": bad, "attributes": {bad: bad}}], links=[{"trace_id": "c" * 32, "attributes": {bad: bad}}],
    )  # fmt: skip
    orjson.dumps(
        [made.attributes, made.events, made.links, made.metadata, made.name, made.error, made.tags, made.agent]
    )
    assert "\0" not in json.dumps([made.attributes, made.events, made.links, made.name, made.scope, made.error])
    assert made.attributes["neighbour"] == "kept"
    assert made.agent == "x��"


def test_the_resource_that_spans_share_is_cleaned() -> None:
    resource = {"service.name": "a\0", "bad\0key": 2**70}
    kept, _ = clean_all([span(resource=resource), span(resource=resource)], received_ns=NOW_NS)
    assert kept[0].resource is kept[1].resource
    assert kept[0].resource["service.name"] == "a�"
    assert "\0" not in "".join(kept[0].resource)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (2**63, str(2**63)),
        (-(2**63) - 1, str(-(2**63) - 1)),
        (2**64, str(2**64)),
        (10**100_000, "about 10^100000"),
        (-(10**50), "-about 10^50"),
        (-0.0, -0.0),
        (float("inf"), None),
        (float("nan"), None),
        ([1, float("-inf"), 2**65], [1, None, str(2**65)]),
    ],
    ids=lambda value: "" if isinstance(value, int) else str(value),
)
def test_numbers_that_cannot_be_stored_become_text_or_nothing_with_a_note_I12_I13(sent: Any, kept: Any) -> None:
    made = cleaned(attributes={"key": sent})
    assert made.attributes["key"] == kept
    assert bool(made.notes) is (sent != kept)


@pytest.mark.parametrize("key", ["gen_ai.usage.input_tokens", "llm.token_count.prompt", "operation.cost"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_figure_that_is_no_number_refuses_the_span_and_names_it_I13(key: str, value: float) -> None:
    kept, rejected = clean_all([span(), span(attributes={key: value})], received_ns=NOW_NS)
    assert len(kept) == 1
    assert (rejected[0].index, rejected[0].code) == (1, "not_a_number")
    assert key in rejected[0].message


@pytest.mark.parametrize(
    ("started", "ended", "want"),
    [
        (0, 0, (NOW_NS, NOW_NS)),
        (0, None, (NOW_NS, None)),
        (NOW_NS, NOW_NS - SECOND, (NOW_NS, NOW_NS)),
        (1_790_000_000 - 5, 1_790_000_000, (NOW_NS - 5 * SECOND, NOW_NS)),
        (1_790_000_000_000 - 5, 1_790_000_000_000, (NOW_NS - 5 * 10**6, NOW_NS)),
        (1_790_000_000_000_000 - 5, 1_790_000_000_000_000, (NOW_NS - 5_000, NOW_NS)),
        (NOW_NS - SECOND, 2**64 - 1, (NOW_NS - SECOND, NOW_NS - SECOND)),
        (2**63 - 1 - SECOND, 2**63 - 1, (NOW_NS - SECOND, NOW_NS)),  # the year 2262, one second long
        (2**64 - 1, 2**64 - 1, (NOW_NS, NOW_NS)),
        (10**21, None, (NOW_NS, None)),
        (-5, NOW_NS, (NOW_NS, NOW_NS)),
        (NOW_NS + 2 * DAY_NS, NOW_NS + 2 * DAY_NS + SECOND, (NOW_NS - SECOND, NOW_NS)),
        (EARLIEST_NS - 1, NOW_NS, (NOW_NS, NOW_NS)),
    ],
)
def test_times_that_cannot_be_true_are_repaired_and_kept_in_words_I18(
    started: int, ended: int | None, want: tuple[int, int | None]
) -> None:
    made = cleaned(started_ns=started, ended_ns=ended)
    assert (made.started_ns, made.ended_ns) == want
    assert made.notes == (f"times {started} to {ended} as sent",)


def test_an_open_span_stays_open() -> None:
    assert cleaned(ended_ns=None).ended_ns is None


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"trace_id": "0" * 32}, "trace_id"),
        ({"trace_id": "abc"}, "trace_id"),
        ({"trace_id": ""}, "trace_id"),
        ({"trace_id": "g" * 32}, "trace_id"),
        ({"trace_id": "a" * 33}, "trace_id"),
        ({"span_id": "0" * 16}, "span_id"),
        ({"span_id": "b" * 15}, "span_id"),
        ({"span_id": "b" * 16 + "\n"}, "span_id"),
        ({"parent_id": "short"}, "parent_id"),
    ],
)
def test_ids_nobody_can_use_refuse_the_span_alone_I26(fields: dict[str, Any], names: str) -> None:
    kept, rejected = clean_all([span(**fields), span()], received_ns=NOW_NS)
    assert len(kept) == 1
    assert rejected[0].code == "bad_id"
    assert rejected[0].message.startswith(names)


def test_upper_case_ids_are_the_same_ids_and_an_empty_parent_is_none_I26() -> None:
    made = cleaned(trace_id="A" * 32, span_id="B" * 16, parent_id="C" * 16)
    assert (made.trace_id, made.span_id, made.parent_id) == ("a" * 32, "b" * 16, "c" * 16)
    assert cleaned(parent_id="0" * 16).parent_id is None
    assert cleaned(parent_id="").parent_id is None


def test_a_huge_text_is_cut_with_a_mark_and_a_long_one_is_kept_I29() -> None:
    long = "x" * 70_000
    assert attribute(long) == long
    made = cleaned(attributes={"key": "x" * (VALUE_CHARS_MAX + 5_000), "other": "y" * 100})
    assert made.attributes["key"].startswith("xxx")
    assert "characters more]" in made.attributes["key"]
    assert made.attributes["other"] == "y" * 100
    assert any("key was cut" in note for note in made.notes)


def test_a_span_that_is_too_large_gives_up_its_largest_texts_first_I29() -> None:
    attributes: dict[str, Any] = {f"part{n}": "x" * 100_000 for n in range(12)}
    made = cleaned(attributes={**attributes, "big": "y" * 900_000, "nested": ["z" * 600_000], "small": "kept"})
    assert sum(len(str(value)) for value in made.attributes.values()) <= SPAN_CHARS_MAX + 1_000
    assert made.attributes["small"] == "kept"
    assert made.notes


def test_too_many_attributes_events_and_links_are_dropped_and_counted_I29() -> None:
    made = cleaned(
        attributes={f"k{n}": n for n in range(10_000)},
        events=[{"name": "e", "attributes": {}} for _ in range(10_000)],
        links=[{"trace_id": "c" * 32, "span_id": "d" * 16, "attributes": {}} for _ in range(10_000)],
    )
    assert (len(made.attributes), len(made.events), len(made.links)) == (ATTRIBUTES_MAX, EVENTS_MAX, LINKS_MAX)
    assert len(made.notes) == 3
    assert all("dropped" in note for note in made.notes)


@pytest.mark.parametrize("key", ["__proto__", "", "k" * 10_000, "a.b.c", 'it\'s "quoted"', "‮rtl", "🙃", "k" * 2_700])
def test_no_name_of_an_attribute_is_too_odd_I30(key: str) -> None:
    assert cleaned(attributes={key: 1}).attributes == {key: 1}


def test_values_nested_too_deep_are_dropped_with_a_note() -> None:
    value: Any = "deep"
    for _ in range(10_000):
        value = [value]
    made = cleaned(attributes={"key": value})
    assert any("nested deeper" in note for note in made.notes)
    orjson.dumps(made.attributes)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(), max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(st.text(st.characters(), max_size=12), anything, max_size=8),
    st.integers(-(2**65), 2**65),
    st.none() | st.integers(-(2**65), 2**65),
)
@settings(max_examples=300, deadline=None)
def test_whatever_comes_can_be_stored_afterwards(attributes: dict[str, Any], started: int, ended: int | None) -> None:
    made = span(attributes=attributes, started_ns=started, ended_ns=ended)
    if clean(made, received_ns=NOW_NS) is not None:
        return  # a figure that is no number; refused with its name
    stored = orjson.dumps(made.attributes)
    assert b"\\u0000" not in stored.replace(rb"\\", b""), "an escaped backslash before it is text"
    assert EARLIEST_NS <= made.started_ns <= NOW_NS + DAY_NS
    assert made.ended_ns is None if ended is None else made.started_ns <= (made.ended_ns or 0) <= NOW_NS + DAY_NS
    kept, rejected = normalise([made])
    assert len(kept) + len(rejected) == 1

    again = span(attributes=dict(made.attributes), started_ns=made.started_ns, ended_ns=made.ended_ns)
    assert clean(again, received_ns=NOW_NS) is None
    assert (again.attributes, again.notes) == (made.attributes, ())
