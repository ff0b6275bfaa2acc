"""A scripted provider that speaks the providers' wire formats and keeps a bill of its own, the judge of every money test.

It answers OpenAI's chat completions, completions, embeddings and responses, Anthropic's messages, and Gemini's
generateContent, by the address.
The model's name is the script: ``echo`` answers with the last message; after it, words joined by "-":
``slow`` (half a second before the answer), ``drip`` (a stream of a piece each 20 ms), ``pause`` (half a
minute after the first), ``hang`` (never answers),
``cut`` (a stream that breaks off), ``nodone`` (one that ends without its last event), ``nousage``, ``badusage``,
``deaf`` (does not keep to max_tokens: 200 pieces), ``long`` (as many pieces as it may), ``fail429 fail500 fail400
ctxlen`` and ``flaky`` (fails the first time of each request), ``tool`` (calls the first tool offered until its result is
there; ``tools`` calls them all at once; ``walk30`` calls one after the other, thirty times, then answers), ``json`` (answers what fits the schema asked for), ``cached`` (half of the prompt
came from the cache, an eighth was written to it), ``think`` (thinks a word before each word it says), ``crlf`` (ends the
lines of a stream with both), ``torn`` (sends it in pieces of 7 bytes), ``error`` (an error event after three pieces).
A prompt has a token for each 4 bytes of its text, an answer one for each word. Every call that was answered, whole or
in part, is a line of the bill: tokens that the provider would be paid for.
"""

from __future__ import annotations

from tests.fake_provider.provider import Provider, a_provider
from tests.fake_provider.script import tokens_of

__all__ = ["Provider", "a_provider", "tokens_of"]
