"""The names of the SDK under the home they have had elsewhere."""

from wflo.checkpoints import checkpoint
from wflo.decorators import track_llm_call
from wflo.retry import with_retry
from wflo.workflow import WfloAgent, WfloWorkflow, with_wflo

__all__ = ["WfloAgent", "WfloWorkflow", "checkpoint", "track_llm_call", "with_retry", "with_wflo"]
