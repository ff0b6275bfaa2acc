"""The least a durable receiver in Python can do on this machine: decode, COPY, commit, 200. No keys, prices or sums.

The targets were set on a machine where a receiver like this took FLOOR spans a second, a trace a request. What this one
takes here says how fast this machine is, so that figures seen on another can be compared.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
from typing import Any

import psycopg
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bench import client

FLOOR = 16_000  # spans/s
CONNECTIONS = 4
_TABLE = """
DROP TABLE IF EXISTS bench_floor;
CREATE TABLE bench_floor (trace_id uuid, span_id bytea, parent_id bytea, name text, status smallint, started numeric,
  ended numeric, model text, tokens_in bigint, tokens_out bigint, attributes jsonb, PRIMARY KEY (trace_id, span_id));
CREATE INDEX ON bench_floor (started);
"""


def spans_per_second(database_url: str, bodies: list[tuple[bytes, int]]) -> float:
    """Of the third of three sendings of ``bodies``, with client and receiver in two processes."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(_TABLE)
        port, ready = multiprocessing.Value("i", 0), multiprocessing.Event()
        receiver = multiprocessing.Process(target=_serve, args=(database_url, port, ready), daemon=True)
        receiver.start()
        try:
            if not ready.wait(20):
                raise RuntimeError("the floor's receiver did not start")
            rates = []
            for _ in range(3):
                connection.execute("TRUNCATE bench_floor")
                sent = asyncio.run(client.send(port.value, {}, bodies, connections=8))
                rates.append(sent.spans / sent.seconds)
            return rates[-1]
        finally:
            receiver.kill()
            receiver.join()
            connection.execute("DROP TABLE bench_floor")


def _serve(database_url: str, port: Any, ready: Any) -> None:
    asyncio.run(_receive(database_url, port, ready))


async def _receive(database_url: str, port: Any, ready: Any) -> None:
    pool: asyncio.Queue[psycopg.AsyncConnection[Any]] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        pool.put_nowait(await psycopg.AsyncConnection.connect(database_url, autocommit=True))

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                return writer.close()
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            rows = _rows(await reader.readexactly(length))
            connection = await pool.get()
            async with connection.cursor() as cursor, cursor.copy("COPY bench_floor FROM STDIN") as copy:
                await copy.write(rows)
            pool.put_nowait(connection)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port.value = server.sockets[0].getsockname()[1]
    ready.set()
    await server.serve_forever()


def _rows(body: bytes) -> str:
    lines = []
    for group in ExportTraceServiceRequest.FromString(body).resource_spans:
        for scope in group.scope_spans:
            for span in scope.spans:
                values = {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in span.attributes}
                cells = (
                    span.trace_id.hex(), rf"\\x{span.span_id.hex()}", rf"\\x{span.parent_span_id.hex()}", span.name,
                    span.status.code, span.start_time_unix_nano, span.end_time_unix_nano,
                    values.get("gen_ai.request.model", r"\N"), values.get("gen_ai.usage.input_tokens", r"\N"),
                    values.get("gen_ai.usage.output_tokens", r"\N"), json.dumps(values).replace("\\", r"\\"),
                )  # fmt: skip
                lines.append("\t".join(map(str, cells)))
    return "\n".join(lines) + "\n"
