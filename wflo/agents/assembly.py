"""One answer from a stream's pieces, whatever shape a provider's tool calls come in.

OpenAI numbers calls and sends a name, then arguments bit by bit; others send whole calls at once, all with the number 0,
without a number, without an id, or with arguments that are an object already.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

from wflo.agents.model import Answer, Message, Piece


class Assembly:
    """``add`` each piece; ``answer`` at the end, or at any moment before it."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._calls: list[dict[str, Any]] = []
        self._places: dict[Any, dict[str, Any]] = {}
        self._last = Piece()

    def add(self, piece: Piece) -> None:
        if piece.text:
            self._texts.append(piece.text)
        if piece.thought:
            self._thoughts.append(piece.thought)
        for delta in piece.calls:
            self._add_call(delta)
        last = self._last
        self._last = Piece(
            finish_reason=piece.finish_reason or last.finish_reason,
            usage=piece.usage or last.usage,
            cost_usd=piece.cost_usd if piece.cost_usd is not None else last.cost_usd,
            model=piece.model or last.model,
            raw=piece.raw if piece.raw is not None else last.raw,
        )

    def _add_call(self, delta: dict[str, Any]) -> None:
        function = delta.get("function") or {}
        id, name, arguments = delta.get("id") or "", function.get("name") or "", function.get("arguments")
        call = self._place_of(delta.get("index"), id, name)
        call["id"] = call["id"] or id
        if name and not call["function"]["name"].endswith(name):  # some say the name again with every piece
            call["function"]["name"] += name
        if isinstance(arguments, str):
            call["function"]["arguments"] += arguments
        elif arguments is not None:
            call["function"]["arguments"] = json.dumps(arguments)

    def _place_of(self, index: Any, id: str, name: str) -> dict[str, Any]:
        """The call a delta goes on with; another id at a known number is another call."""
        known = (
            self._places.get(index) if index is not None else (self._calls[-1] if self._calls and not name else None)
        )
        if known is None and index is None and id:
            known = next((call for call in self._calls if call["id"] == id), None)
        if known is not None and not (id and known["id"] and id != known["id"]):
            return known
        call: dict[str, Any] = {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
        self._calls.append(call)
        self._places[index] = call
        return call

    def answer(self) -> Answer:
        message: Message = {"role": "assistant", "content": "".join(self._texts) or None}
        if self._thoughts:
            message["reasoning_content"] = "".join(self._thoughts)
        if self._calls:
            for call in self._calls:
                call["id"] = call["id"] or f"call_{uuid.uuid4().hex[:24]}"
                call["function"]["arguments"] = call["function"]["arguments"] or "{}"
            message["tool_calls"] = self._calls
        last = self._last
        return Answer(
            message=message, usage=last.usage, cost_usd=last.cost_usd, model=last.model,
            finish_reason=last.finish_reason, raw=last.raw,
        )  # fmt: skip
