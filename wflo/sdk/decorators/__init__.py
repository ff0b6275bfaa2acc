from wflo.checkpoints import checkpoint
from wflo.decorators import enforce_budget, track_agent_cost, track_llm_call, track_tool_call

__all__ = ["checkpoint", "enforce_budget", "track_agent_cost", "track_llm_call", "track_tool_call"]
