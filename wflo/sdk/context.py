from wflo.context import current, current_run, headers
from wflo.run_block import run

__all__ = ["current", "current_run", "headers", "run"]
