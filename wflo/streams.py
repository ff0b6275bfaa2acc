"""A provider's stream, passed on as it is while somebody reads along: its pieces, its end, its failure, its being left."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any


def is_stream(answer: Any) -> bool:
    """Whether an answer comes in pieces: an iterator that is no text and no plain collection."""
    kind = type(answer)
    return (
        (hasattr(kind, "__next__") and hasattr(kind, "__iter__"))
        or hasattr(kind, "__anext__")
        or (hasattr(kind, "__aiter__") and not hasattr(kind, "model_dump"))
        or (hasattr(kind, "__iter__") and hasattr(kind, "__enter__") and hasattr(kind, "close"))
    )


def watched(
    stream: Any,
    on_piece: Callable[[Any], None],
    on_end: Callable[[BaseException | None], None],
    keep: Callable[[Any], bool] | None = None,
) -> Any:
    """The stream; ``on_end`` is told once: None when it was read to its end or let go, else what it failed with. Pieces that
    ``keep`` does not want are read and not passed on."""
    kind = type(stream)
    is_async = hasattr(kind, "__aiter__") or hasattr(kind, "__aenter__")
    if is_async and hasattr(kind, "__next__"):
        return EitherWatched(stream, on_piece, on_end, keep)
    return (AsyncWatched if is_async else Watched)(stream, on_piece, on_end, keep)


class _Told:
    def __init__(
        self,
        stream: Any,
        on_piece: Callable[[Any], None],
        on_end: Callable[[BaseException | None], None],
        keep: Callable[[Any], bool] | None = None,
    ) -> None:
        self._stream, self._on_piece, self._on_end, self._keep = stream, on_piece, on_end, keep
        self._iterator: Any = None
        self._is_over = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _over(self, error: BaseException | None = None) -> None:
        if not self._is_over:
            self._is_over = True
            self._on_end(error)

    def __del__(self) -> None:
        try:
            self._over()
        except Exception:
            return


class Watched(_Told):
    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self._iterator is None:
            self._iterator = iter(self._stream)
        while True:
            try:
                piece = next(self._iterator)
            except StopIteration:
                self._over()
                raise
            except BaseException as error:
                self._over(error)
                raise
            self._on_piece(piece)
            if self._keep is None or self._keep(piece):
                return piece

    def __enter__(self) -> Watched:
        entered = self._stream.__enter__() if hasattr(self._stream, "__enter__") else self._stream
        self._stream = self._stream if entered is None else entered
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> Any:
        self._over(error)
        leave = getattr(self._stream, "__exit__", None)
        return leave(kind, error, trace) if leave is not None else self.close()

    def close(self) -> None:
        self._over()
        close = getattr(self._stream, "close", None)
        if close is not None:
            close()


class AsyncWatched(_Told):
    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        if self._iterator is None:
            self._iterator = aiter(self._stream)
        while True:
            try:
                piece = await anext(self._iterator)
            except StopAsyncIteration:
                self._over()
                raise
            except BaseException as error:
                self._over(error)
                raise
            self._on_piece(piece)
            if self._keep is None or self._keep(piece):
                return piece

    async def __aenter__(self) -> AsyncWatched:
        if hasattr(self._stream, "__aenter__"):
            entered = await self._stream.__aenter__()
            self._stream = self._stream if entered is None else entered
        return self

    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> Any:
        self._over(error)
        leave = getattr(self._stream, "__aexit__", None)
        return await leave(kind, error, trace) if leave is not None else await self.close()

    async def close(self) -> None:
        self._over()
        close = getattr(self._stream, "close", None) or getattr(self._stream, "aclose", None)
        if close is not None:
            outcome = close()
            if outcome is not None:
                await outcome

    aclose = close


class EitherWatched(Watched, AsyncWatched):  # type: ignore[misc]  # close is the plain one, aclose is awaited
    """LiteLLM's streams are of one class, whether they are awaited or not."""
