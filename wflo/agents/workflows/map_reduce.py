"""A long text in pieces: each is read for itself, at the same time, and what was said is put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wflo.agents.agent import Executor
from wflo.agents.workflows.workflow import PARALLEL_MAX, Turns, Workflow, need, need_one_of

BATCH = 4  # answers that one reduction of a tree puts together
STRATEGIES = ("summarize", "concatenate", "hierarchical")
_REDUCE = "Parts of a text were read one by one. Put together what was said of them, as one answer:"


@dataclass(slots=True, kw_only=True)
class MapReduceConfig:
    """``chunk_size`` and ``chunk_overlap`` in characters, cut between words; None: the text is one chunk.

    ``reduce_strategy``: one reduction, none at all (joined as they are), or a tree of reductions of BATCH each.
    """

    chunk_size: int | None = None
    chunk_overlap: int = 0
    max_parallel_chunks: int | None = None
    reduce_strategy: str = "summarize"


class MapReduceWorkflow(Workflow):
    name = "map_reduce"

    def __init__(
        self, mapper: Executor, reducer: Executor | None = None, config: MapReduceConfig | None = None, **more: Any
    ) -> None:
        self.config = config or MapReduceConfig()
        parallel = self.config.max_parallel_chunks
        super().__init__(**{"parallel_max": PARALLEL_MAX if parallel is None else parallel, **more})
        self.mapper = mapper
        self.reducer = reducer or mapper

    def _check(self) -> None:
        size, overlap = self.config.chunk_size, self.config.chunk_overlap
        need(size is None or size >= 1, "chunk_size", "must be at least 1")
        need(overlap >= 0, "chunk_overlap", "must be at least 0")
        need(size is None or overlap < size, "chunk_overlap", "must be smaller than chunk_size")
        parallel = self.config.max_parallel_chunks
        need(parallel is None or parallel >= 1, "max_parallel_chunks", "must be at least 1")
        need_one_of(self.config.reduce_strategy, STRATEGIES, "reduce_strategy")

    async def _run(self, turn: Turns, given: str) -> tuple[str, int, dict[str, Any]]:
        chunks = chunks_of(given, self.config.chunk_size, self.config.chunk_overlap)
        await turn.note("chunking", agent="workflow", chunks=len(chunks))
        said = await turn.all(
            turn.try_ask("mapper", self.mapper, chunk, stage="map", chunk_index=place)
            for place, chunk in enumerate(chunks)
        )
        answers = [one for one in said if one is not None]
        metadata = {
            "chunks_processed": len(answers), "reduce_strategy": self.config.reduce_strategy,
            "parallel_chunks": min(self.parallel_max, len(chunks)),
        }  # fmt: skip
        return await self._reduced(turn, answers), len(chunks), metadata

    async def _reduced(self, turn: Turns, answers: Sequence[str]) -> str:
        strategy = self.config.reduce_strategy
        if strategy == "concatenate" or len(answers) <= 1:
            joined = "\n\n".join(answers)
            await turn.note("reduce", agent="workflow", output=joined)
            return joined
        if strategy == "summarize":
            return await self._one(turn, answers)
        level = list(answers)
        while len(level) > 1:
            batches = [level[start : start + BATCH] for start in range(0, len(level), BATCH)]
            level = await turn.all(self._one(turn, batch) for batch in batches)
        return level[0]

    async def _one(self, turn: Turns, answers: Sequence[str]) -> str:
        if len(answers) == 1:
            return answers[0]
        told = "\n\n".join(f"[{place}]\n{text}" for place, text in enumerate(answers, 1))
        return await turn.ask("reducer", self.reducer, f"{_REDUCE}\n\n{told}", stage="reduce")


def chunks_of(text: str, size: int | None, overlap: int = 0) -> list[str]:
    """Pieces of at most ``size`` characters, each beginning ``overlap`` characters back, cut at blanks where there are any."""
    if size is None or len(text) <= size:
        return [text]
    chunks, start = [], 0
    while start < len(text):
        end = min(start + size, len(text))
        if end < len(text):
            blank = max(text.rfind(" ", start + 1, end + 1), text.rfind("\n", start + 1, end + 1))
            end = blank if blank - overlap > start else end
        chunks.append(text[start:end].strip())
        if end >= len(text):
            break
        start = max(end - overlap, start + 1)
    return [chunk for chunk in chunks if chunk]
