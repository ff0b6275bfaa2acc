"""Secrets taken out of streams, wherever the pieces are cut; and what the pieces are of each dialect."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tracking.gateway.dialects.deltas import deltas_of
from tracking.gateway.dialects.sse import Events, event, name_and_data
from tracking.gateway.sieve import Sieve
from tracking.redaction import redactor

KEY = "sk-proj-" + "a1B2c3D4" * 5
CARD = "4111 1111 1111 1111"
BEARER = "Bearer " + "z" * 30
PRIVATE = "-----BEGIN RSA PRIVATE KEY-----\nMIIE" + "Ab9/" * 40 + "\n-----END RSA PRIVATE KEY-----"
MAIL = "alice@example.org"
URL = "postgres://bob:hunter2@db.example.org/x"
SECRETS = (KEY, CARD, BEARER, PRIVATE, MAIL, URL)
REDACT = redactor("secrets_and_personal")


def chat(text: str, index: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "id": "c",
        "object": "chat.completion.chunk",
        "choices": [{"index": index, "delta": {"content": text}, **more}],
    }


def told(events: list[bytes], *, is_blocking: bool = False, cut: int = 0) -> tuple[list[dict[str, Any]], Sieve]:
    """What comes out of these events, fed as they are or in pieces of ``cut`` bytes."""
    sieve = Sieve(REDACT, is_blocking=is_blocking)
    stream = b"".join(events)
    pieces = [stream[at : at + cut] for at in range(0, len(stream), cut)] if cut else events
    out = b"".join(sieve.feed(piece) for piece in pieces) + sieve.end()
    return [
        json.loads(inside) for one in Events().cut(out) if (inside := name_and_data(one)[1]) not in (b"", b"[DONE]")
    ], sieve


def text_of(said: list[dict[str, Any]], lane: tuple[Any, ...] = (0, "content")) -> str:
    return "".join(delta.box[delta.key] for one in said for delta in deltas_of(one) if delta.lane == lane)


def cut_at(text: str, cuts: list[int]) -> list[str]:
    places = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    return [text[start:end] for start, end in zip(places, places[1:], strict=False)]


words = st.lists(
    st.sampled_from([*SECRETS, "hello", "41", "1111", "bearer", "-----BEGIN", "é☃", '"', "\\n", " ", "\n", ". ", "/"]),
    max_size=12,
)


cuts_of = st.lists(st.integers(0, 2000), max_size=30)


def sifted(text: str, cuts: list[int]) -> str:
    events = [event(json.dumps(chat(piece)).encode()) for piece in cut_at(text, cuts)]
    said, _ = told([*events, event(json.dumps(chat("", finish_reason="stop")).encode()), event(b"[DONE]")])
    return text_of(said)


@given(words, cuts_of, st.sampled_from([" ", "\n", ", ", '" "']))
@example([PRIVATE], [10, 40, 90], " ")
@example([BEARER], [3, 7, 20], " ")
@example(["41", "1111", CARD], [5, 9, 14], " ")
def test_cut_anywhere_a_text_comes_out_as_it_would_whole(parts: list[str], cuts: list[int], between: str) -> None:
    text = between.join(parts)
    assert sifted(text, cuts) == REDACT.words(text)


@given(words, cuts_of)
@example([CARD, "-----BEGIN"], [])
@example([KEY, PRIVATE], [])
def test_of_texts_that_run_into_one_another_no_less_is_taken_out(parts: list[str], cuts: list[int]) -> None:
    text = "".join(parts)
    out, whole = sifted(text, cuts), REDACT.words(text)
    assert [secret for secret in SECRETS if secret in out and secret not in whole] == []


@given(st.lists(st.integers(0, 200), max_size=12), st.integers(1, 60))
def test_choices_that_take_turns_are_kept_apart_and_bytes_may_be_cut_anywhere(cuts: list[int], size: int) -> None:
    texts = [f"my key is {KEY} yes", f"write to {MAIL} or pay with {CARD}"]
    pieces = [cut_at(text, cuts) for text in texts]
    events = [
        event(json.dumps(chat(pieces[index][turn], index)).encode())
        for turn in range(len(pieces[0]))
        for index in (0, 1)
    ]
    events += [event(json.dumps(chat("", index, finish_reason="stop")).encode()) for index in (0, 1)]
    said, _ = told([*events, event(b"[DONE]")], cut=size)
    assert [text_of(said, (index, "content")) for index in (0, 1)] == [REDACT.words(text) for text in texts]


def test_what_needs_no_waiting_is_let_go_at_once() -> None:
    sieve = Sieve(REDACT)
    assert b"one two " in sieve.feed(event(json.dumps(chat("one two thr")).encode()))
    assert b"three " in sieve.feed(event(json.dumps(chat("ee ")).encode()))


def anthropic(text: str) -> list[tuple[str, dict[str, Any]]]:
    return [
        ("content_block_start", {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        *[("content_block_delta", {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": c}}) for c in text],
        ("content_block_stop", {"type": "content_block_stop", "index": 0}),
        ("content_block_start", {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}}}),
        *[("content_block_delta", {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": c}})
          for c in json.dumps({"key": text})],
        ("content_block_stop", {"type": "content_block_stop", "index": 1}),
        ("message_stop", {"type": "message_stop"}),
    ]  # fmt: skip


def responses(text: str) -> list[tuple[str, dict[str, Any]]]:
    place = {"item_id": "m", "output_index": 0, "content_index": 0}
    item = {"type": "message", "id": "m", "content": [{"type": "output_text", "text": text}]}
    said: list[dict[str, Any]] = [
        *[{"type": "response.output_text.delta", **place, "delta": c, "logprobs": [{"token": c}]} for c in text],
        {"type": "response.output_text.done", **place, "text": text},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": {"id": "r", "output": [item]}},
    ]
    return [(one["type"], {**one, "sequence_number": number}) for number, one in enumerate(said)]


@pytest.mark.parametrize("secret", SECRETS)
def test_anthropic_texts_and_arguments(secret: str) -> None:
    text = f"it is {secret}"
    said, _ = told([event(json.dumps(one).encode(), name) for name, one in anthropic(text)])
    assert text_of(said, (0, "text")) == REDACT.words(text)
    assert json.loads(text_of(said, (1, "partial_json")))["key"] != text
    assert [one["type"] for one in said if "delta" not in one["type"]] == [
        "content_block_start", "content_block_stop", "content_block_start", "content_block_stop", "message_stop",
    ]  # fmt: skip
    assert secret not in json.dumps(said)


@pytest.mark.parametrize("secret", SECRETS)
def test_responses_tell_no_secret_in_pieces_nor_whole_and_keep_their_numbers(secret: str) -> None:
    text = f"it is {secret}"
    said, _ = told([event(json.dumps(one).encode(), name) for name, one in responses(text)])
    assert text_of(said, (0, 0, None, "response.output_text.delta", "delta")) == REDACT.words(text)
    done = next(one for one in said if one["type"] == "response.output_text.done")
    assert done["text"] == REDACT.words(text) == said[-1]["response"]["output"][0]["content"][0]["text"]
    assert all(one["logprobs"] == [] for one in said if one["type"].endswith(".delta"))
    numbers = [one["sequence_number"] for one in said]
    assert numbers == list(range(len(said)))


def test_arguments_of_tools_and_thoughts() -> None:
    arguments = json.dumps({"to": MAIL})
    chunks = [
        {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": c}}]}}]}
        for c in arguments
    ]
    thoughts = [{"choices": [{"index": 0, "delta": {"reasoning_content": c}}]} for c in f"so {KEY}"]
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}
    said, sieve = told([event(json.dumps(one).encode()) for one in [*thoughts, *chunks, end]])
    assert json.loads(text_of(said, (0, "tool", 0, "arguments"))) == {"to": "[redacted mail]"}
    assert text_of(said, (0, "reasoning_content")) == "so [redacted key]"
    assert sorted(sieve.found) == ["key", "mail"]
    assert said[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_a_word_without_end_is_let_go_of_and_a_secret_too_long_to_keep_is_none_of_it_told(settings: Any) -> None:
    settings.LIMITS = {**settings.LIMITS, "guard_kept_back_chars": 1000}
    plain = [event(json.dumps(chat("abcdefghij" * 10)).encode()) for _ in range(40)]
    said, _ = told(plain)
    assert text_of(said) == "abcdefghij" * 400
    endless = [
        event(json.dumps(chat(piece)).encode()) for piece in ["the key sk-", *["a1B2c3D4" * 10] * 40, " and more"]
    ]
    said, sieve = told(endless)
    assert text_of(said) == "the key [redacted key] and more"
    assert sieve.found == ["key"]


def test_a_secret_elsewhere_in_an_event_is_taken_out_too() -> None:
    said, sieve = told([event(json.dumps({**chat("hello "), "note": f"see {KEY}"}).encode())])
    assert said[0]["note"] == "see [redacted key]"
    assert (text_of(said), sieve.found) == ("hello ", ["key"])


def test_a_block_ends_before_the_secret() -> None:
    sieve = Sieve(REDACT, is_blocking=True)
    out = sieve.feed(event(json.dumps(chat(f"the key is {KEY[:20]}")).encode()))
    assert b"the key is" in out
    sieve.feed(event(json.dumps(chat(f"{KEY[20:]} there")).encode()))
    assert sieve.is_stopped
    assert sieve.found == ["key"]
