"""What is particular to a wire format, one file each: what a request asks for, what an answer held, how a stream ends."""

from __future__ import annotations

from tracking.gateway.dialects.anthropic_messages import AnthropicMessages
from tracking.gateway.dialects.dialect import Dialect
from tracking.gateway.dialects.openai_chat import OpenAiChat
from tracking.gateway.dialects.openai_completions import OpenAiCompletions
from tracking.gateway.dialects.openai_embeddings import OpenAiEmbeddings
from tracking.gateway.dialects.openai_responses import OpenAiResponses

CHAT: Dialect = OpenAiChat()
COMPLETIONS: Dialect = OpenAiCompletions()
EMBEDDINGS: Dialect = OpenAiEmbeddings()
RESPONSES: Dialect = OpenAiResponses()
MESSAGES: Dialect = AnthropicMessages()

__all__ = ["CHAT", "COMPLETIONS", "EMBEDDINGS", "MESSAGES", "RESPONSES", "Dialect"]
