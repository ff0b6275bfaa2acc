from wflo.agent_messages import messages, send_message
from wflo.consensus import ConsensusVoting, consensus_vote
from wflo.decorators import track_agent_cost
from wflo.shared_state import SharedState

__all__ = ["ConsensusVoting", "SharedState", "consensus_vote", "messages", "send_message", "track_agent_cost"]
