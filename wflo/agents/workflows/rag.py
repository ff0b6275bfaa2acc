"""Look it up, answer from what was found, check the answer against it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from wflo.agents.agent import Executor
from wflo.agents.workflows.reading import agrees
from wflo.agents.workflows.workflow import Turns, Workflow, need

NOTHING_FOUND = "Nothing was found that answers this."

Chunk = dict[str, Any]
Retriever = Callable[[str], "Sequence[Chunk] | Awaitable[Sequence[Chunk]]"]


@dataclass(slots=True, kw_only=True)
class RAGConfig:
    """``fallback_on_no_context``: where nothing is found, answer from what the model knows; else say that nothing was."""

    max_retrieved_chunks: int = 5
    include_sources: bool = True
    verify_facts: bool = False
    fallback_on_no_context: bool = True


class RAGWorkflow(Workflow):
    """``retriever(query)``, sync or async, gives chunks with ``content`` and ``source``, the best first."""

    name = "rag"

    def __init__(
        self,
        retriever: Retriever,
        generator: Executor,
        verifier: Executor | None = None,
        config: RAGConfig | None = None,
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self.retriever = retriever
        self.generator = generator
        self.verifier = verifier
        self.config = config or RAGConfig()

    def _check(self) -> None:
        need(self.config.max_retrieved_chunks >= 1, "max_retrieved_chunks", "must be at least 1")
        need(not self.config.verify_facts or self.verifier is not None, "verify_facts", "needs a verifier")

    async def _run(self, turn: Turns, given: str) -> tuple[str, int, dict[str, Any]]:
        chunks = (await self._found(given))[: self.config.max_retrieved_chunks]
        await turn.note("retrieval", agent="retriever", chunks=chunks)
        metadata: dict[str, Any] = {"retrieved_chunks": len(chunks), "verified": False, "sources_included": False}
        if not chunks and not self.config.fallback_on_no_context:
            return NOTHING_FOUND, 1, metadata
        answer = await turn.ask("generator", self.generator, self._prompt(given, chunks), stage="generation")
        if chunks and self.config.verify_facts and self.verifier is not None:
            answer, metadata["verified"] = await self._verified(turn, self.verifier, given, chunks, answer)
        sources = list(dict.fromkeys(str(chunk["source"]) for chunk in chunks if chunk.get("source")))
        if sources and self.config.include_sources:
            metadata["sources_included"] = True
            answer += "\n\nSources:\n" + "\n".join(f"- {source}" for source in sources)
        return answer, 1, metadata

    async def _found(self, query: str) -> list[Chunk]:
        found = (
            self.retriever(query)
            if inspect.iscoroutinefunction(self.retriever)
            else await asyncio.to_thread(self.retriever, query)
        )
        return list(await found if inspect.isawaitable(found) else found)

    async def _verified(
        self, turn: Turns, verifier: Executor, given: str, chunks: Sequence[Chunk], answer: str
    ) -> tuple[str, bool]:
        """An answer that says more than was found is written once more."""
        prompt = f"{_told(chunks)}\n\nThe question:\n{given}\n\nThe answer:\n{answer}\n\nIs every claim supported by the passages? Answer yes or no, then name what is not."
        verdict = await turn.ask("verifier", verifier, prompt, stage="verification")
        if agrees(verdict):
            return answer, True
        again = f"{self._prompt(given, chunks)}\n\nYour last answer:\n{answer}\n\nA reviewer says:\n{verdict}\n\nAnswer again, with what the passages support alone."
        answer = await turn.ask("generator", self.generator, again, stage="generation")
        return answer, False

    def _prompt(self, given: str, chunks: Sequence[Chunk]) -> str:
        if not chunks:
            return given
        return f"{_told(chunks)}\n\nAnswer from these passages alone; say so where they do not tell.\n\nThe question:\n{given}"


def _told(chunks: Sequence[Chunk]) -> str:
    return "\n\n".join(
        f"[{place}] {chunk.get('source') or 'passage'}:\n{chunk.get('content', '')}"
        for place, chunk in enumerate(chunks, 1)
    )
