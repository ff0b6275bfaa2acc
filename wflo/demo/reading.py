"""What requests of all dialects have in common, read leniently: a demo model refuses nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from wflo.demo.scripts import IMAGE_TOKENS, MESSAGE_TOKENS, Told, Tool, tokens_of

_TEXTS = ("text", "input_text", "output_text")
_PICTURES = ("image_url", "input_image", "image")


def text_of(content: Any) -> str:
    """Of a message's content: text, or parts of which some are text."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return " ".join(part if isinstance(part, str) else text_of(part) for part in content)
    if isinstance(content, dict) and content.get("type") in _TEXTS:
        return text_of(content.get("text"))
    return ""


def content_tokens(content: Any) -> int:
    pictures = 0
    if isinstance(content, list):
        pictures = sum(1 for part in content if isinstance(part, dict) and part.get("type") in _PICTURES)
    return tokens_of(text_of(content)) + pictures * IMAGE_TOKENS


def count(told: Told, messages: Iterable[int], tools: Iterable[Tool], *, system_tokens: int = 0) -> None:
    """Tokens of ``told`` from those of its messages. All but the last one of a conversation were seen before."""
    each = [tokens + MESSAGE_TOKENS for tokens in messages]
    offered = sum(1 + tokens_of(tool.description) for tool in tools)
    told.messages = len(each)
    told.tokens = sum(each) + offered + system_tokens
    if len(each) > 2:
        told.cached = told.tokens - each[-1]


def of_tool(name: Any, schema: Any, description: Any) -> Tool:
    return Tool(str(name or "tool"), schema, description if isinstance(description, str) else "")
