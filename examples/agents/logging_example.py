"""Logging: JSON lines in a file of your choice, and your own functions told of. Nothing of the host's logging is touched."""

import asyncio
import json
import tempfile
from pathlib import Path

from wflo.agents import complete, get_logger, log_async_function_call, log_operation, log_timing, setup_logging


@log_async_function_call(log_result=True)
async def ask(question: str) -> str:
    return (await complete(question, model="demo/echo")).final_response


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        setup_logging("WARNING", log_dir=folder, log_file_name="agents.log", log_json_format=True, force=True)
        log = get_logger("example")
        with log_operation("a day's work", log, questions=2), log_timing("both questions", log):
            for question in ("What is an owl?", "What is a fox?"):
                await ask(question)
        log.debug("asked", extra={"model": "demo/echo", "tokens": 4})
        for line in (Path(folder) / "agents.log").read_text().splitlines():
            print(json.loads(line))
        setup_logging("WARNING", force=True)


if __name__ == "__main__":
    asyncio.run(main())
