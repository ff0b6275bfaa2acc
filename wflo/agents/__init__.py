"""Agents: one for every provider, with tools, structured answers, streams, and sixteen ways to work together.

    from wflo.agents import complete

    result = await complete("What is 6 times 7?", model="demo/agent", tools=[multiply])
    result.final_response, result.tokens_used, result.cost_usd

Pure of any server; LiteLLM is imported at the first call that needs it, and ``demo/…`` models need neither it nor a key.

client.py       complete, structured_complete, stream_complete; Client, which remembers
agent.py        Agent, GenericAgent; executors, which answer in text
loop.py         ask, call tools, ask again; assembly.py puts streams together
tools.py        tools from functions
structured.py   answers that fit a type
model.py        what a loop asks of a model; models.py who serves it (litellm_model.py, demo_model.py)
steps.py        hooks, tallies, whose turn it is
errors.py       one tree for every provider's failures; retry.py which are tried again
conversation.py settings.py logs.py telemetry.py guardrails.py batch.py
workflows/      pipeline, iterative, debate, reflection, ... one a file
roles/          LiteLLMAgent and its kin
cli.py          wflo agents ...
"""

from wflo.agents.agent import Agent, AgentExecutor, Executor, GenericAgent, SimpleExecutor
from wflo.agents.batch import BatchResult, batch_complete
from wflo.agents.client import (
    Client,
    ExecutionResult,
    GlueLLM,
    StreamingChunk,
    ToolExecutionResult,
    complete,
    stream_complete,
    structured_complete,
)
from wflo.agents.conversation import BASE_SYSTEM_PROMPT, Conversation, Message, RequestConfig, Role, SystemPrompt
from wflo.agents.demo_model import DemoModel, Says, Scripted
from wflo.agents.errors import (
    APIConnectionError,
    APITimeoutError,
    AuthenticationError,
    BudgetExceededError,
    ContentPolicyError,
    GuardrailError,
    InvalidRequestError,
    LLMError,
    RateLimitError,
    StructuredOutputError,
    TokenLimitError,
    classify,
)
from wflo.agents.guardrails import Changed, Guardrails, blocklist, mask_personal_data, max_length
from wflo.agents.logs import (
    get_logger,
    log_async_function_call,
    log_function_call,
    log_operation,
    log_timing,
    setup_logging,
)
from wflo.agents.model import Answer, Model, Piece, Request
from wflo.agents.retry import RetryConfig
from wflo.agents.roles.agent import LiteLLMAgent, LiteLLMAgentWithRouter
from wflo.agents.roles.config import LiteLLMConfig
from wflo.agents.roles.context import ExecutionContext, RoleMessage, RoleType
from wflo.agents.roles.factory import (
    AGENT_TYPE_TO_FACTORY,
    ClaudeHaikuAgent,
    ClaudeOpusAgent,
    ClaudeSonnetAgent,
    CohereCommandRAgent,
    CohereCommandRPlusAgent,
    Gemini10Agent,
    Gemini15Agent,
    Gemini15FlashAgent,
    GPT_3_5_0125_Agent,
    GPT_4_0125_Agent,
    GPT_4_o_2024_05_13_Agent,
    MistralAgent,
    create_litellm_agent,
    create_router_agent,
)
from wflo.agents.roles.role import BaseRole
from wflo.agents.settings import Settings, get_settings, reload_settings, settings
from wflo.agents.steps import OnStep, Step, StepKind, Tally, acting_as, counting, watching
from wflo.agents.telemetry import (
    configure_tracing,
    disable_tracing,
    flush_tracing,
    is_tracing_enabled,
    record_token_usage,
    record_tool_execution,
    set_span_attributes,
    trace_llm_call,
)
from wflo.agents.tools import Tool, ToolResult, declare, tool
from wflo.agents.workflows.chain_of_density import ChainOfDensityConfig, ChainOfDensityWorkflow
from wflo.agents.workflows.chat_room import ChatRoomConfig, ChatRoomWorkflow
from wflo.agents.workflows.consensus import ConsensusConfig, ConsensusWorkflow
from wflo.agents.workflows.constitutional import ConstitutionalConfig, ConstitutionalWorkflow, Principle
from wflo.agents.workflows.debate import DebateConfig, DebateWorkflow
from wflo.agents.workflows.hierarchical import HierarchicalConfig, HierarchicalWorkflow
from wflo.agents.workflows.iterative import CriticConfig, IterativeConfig, IterativeRefinementWorkflow
from wflo.agents.workflows.map_reduce import MapReduceConfig, MapReduceWorkflow
from wflo.agents.workflows.mixture_of_experts import ExpertConfig, MixtureOfExpertsWorkflow, MoEConfig
from wflo.agents.workflows.pipeline import PipelineWorkflow
from wflo.agents.workflows.rag import RAGConfig, RAGWorkflow
from wflo.agents.workflows.react import ReActConfig, ReActWorkflow
from wflo.agents.workflows.reflection import ReflectionConfig, ReflectionWorkflow
from wflo.agents.workflows.round_robin import RoundRobinConfig, RoundRobinWorkflow
from wflo.agents.workflows.socratic import SocraticConfig, SocraticWorkflow
from wflo.agents.workflows.tree_of_thoughts import TreeOfThoughtsConfig, TreeOfThoughtsWorkflow
from wflo.agents.workflows.workflow import ConfigError, Workflow, WorkflowResult

GlueLLMSettings = Settings

__all__ = [
    "AGENT_TYPE_TO_FACTORY",
    "APIConnectionError",
    "APITimeoutError",
    "Agent",
    "AgentExecutor",
    "Answer",
    "AuthenticationError",
    "BASE_SYSTEM_PROMPT",
    "BaseRole",
    "BatchResult",
    "BudgetExceededError",
    "ChainOfDensityConfig",
    "ChainOfDensityWorkflow",
    "Changed",
    "ChatRoomConfig",
    "ChatRoomWorkflow",
    "ClaudeHaikuAgent",
    "ClaudeOpusAgent",
    "ClaudeSonnetAgent",
    "Client",
    "CohereCommandRAgent",
    "CohereCommandRPlusAgent",
    "ConfigError",
    "ConsensusConfig",
    "ConsensusWorkflow",
    "ConstitutionalConfig",
    "ConstitutionalWorkflow",
    "ContentPolicyError",
    "Conversation",
    "CriticConfig",
    "DebateConfig",
    "DebateWorkflow",
    "DemoModel",
    "ExecutionContext",
    "ExecutionResult",
    "Executor",
    "ExpertConfig",
    "GPT_3_5_0125_Agent",
    "GPT_4_0125_Agent",
    "GPT_4_o_2024_05_13_Agent",
    "Gemini10Agent",
    "Gemini15Agent",
    "Gemini15FlashAgent",
    "GenericAgent",
    "GlueLLM",
    "GlueLLMSettings",
    "GuardrailError",
    "Guardrails",
    "HierarchicalConfig",
    "HierarchicalWorkflow",
    "InvalidRequestError",
    "IterativeConfig",
    "IterativeRefinementWorkflow",
    "LLMError",
    "LiteLLMAgent",
    "LiteLLMAgentWithRouter",
    "LiteLLMConfig",
    "MapReduceConfig",
    "MapReduceWorkflow",
    "Message",
    "MistralAgent",
    "MixtureOfExpertsWorkflow",
    "MoEConfig",
    "Model",
    "OnStep",
    "Piece",
    "PipelineWorkflow",
    "Principle",
    "RAGConfig",
    "RAGWorkflow",
    "RateLimitError",
    "ReActConfig",
    "ReActWorkflow",
    "ReflectionConfig",
    "ReflectionWorkflow",
    "Request",
    "RequestConfig",
    "RetryConfig",
    "Role",
    "RoleMessage",
    "RoleType",
    "RoundRobinConfig",
    "RoundRobinWorkflow",
    "Says",
    "Scripted",
    "Settings",
    "SimpleExecutor",
    "SocraticConfig",
    "SocraticWorkflow",
    "Step",
    "StepKind",
    "StreamingChunk",
    "StructuredOutputError",
    "SystemPrompt",
    "Tally",
    "TokenLimitError",
    "Tool",
    "ToolExecutionResult",
    "ToolResult",
    "TreeOfThoughtsConfig",
    "TreeOfThoughtsWorkflow",
    "Workflow",
    "WorkflowResult",
    "acting_as",
    "batch_complete",
    "blocklist",
    "classify",
    "complete",
    "configure_tracing",
    "counting",
    "create_litellm_agent",
    "create_router_agent",
    "declare",
    "disable_tracing",
    "flush_tracing",
    "get_logger",
    "get_settings",
    "is_tracing_enabled",
    "log_async_function_call",
    "log_function_call",
    "log_operation",
    "log_timing",
    "mask_personal_data",
    "max_length",
    "record_token_usage",
    "record_tool_execution",
    "reload_settings",
    "set_span_attributes",
    "settings",
    "setup_logging",
    "stream_complete",
    "structured_complete",
    "tool",
    "trace_llm_call",
    "watching",
]
