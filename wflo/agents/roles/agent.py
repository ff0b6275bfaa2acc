"""One agent for every provider, through LiteLLM."""

from __future__ import annotations

import ast
import asyncio
import json
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, ClassVar

from wflo import model_names
from wflo.agents import litellm_model, telemetry
from wflo.agents.errors import BudgetExceededError, LLMError, classify
from wflo.agents.model import Answer, Message, Request
from wflo.agents.models import model_for
from wflo.agents.retry import RetryConfig
from wflo.agents.roles.cache import cache_of
from wflo.agents.roles.config import deployments_of
from wflo.agents.roles.context import ExecutionContext, RoleMessage, RoleType, code_of
from wflo.agents.roles.role import BaseRole
from wflo.agents.steps import Tally, counted

GENERATION = {"temperature": 0.0, "max_tokens": 1024, "timeout": 30}
RETRIES = 3
_OWN = (
    "cache_config",
    "cost_tracking",
    "max_budget",
    "num_retries",
    "stream",
    "router",
    "fallbacks",
    "model_list",
    "routing_strategy",
    "agent_name",
)


class LiteLLMAgent(BaseRole):
    """``config``: api_key, base_url, generation parameters (temperature 0, max_tokens 1024, timeout 30 s), ``num_retries`` (3),
    ``cache_config``, ``max_budget`` in USD, ``stream``; ``fallbacks`` (names of models) makes a router.

    ``tally`` is what it cost so far. Raises ValueError for a model's name that is empty or an option that cannot be.
    """

    role_type: ClassVar[RoleType] = RoleType.AGENT

    def __init__(self, model_name: str, context: ExecutionContext | None = None, **config: Any) -> None:
        super().__init__(context)
        if not model_name.strip():
            raise ValueError("model_name must not be empty.")
        self.model_name = model_names.normalise(model_name)
        self._options = self._validate_and_setup_config(dict(config))
        self.router = self._setup_router_if_needed()
        self.cache = cache_of(config.get("cache_config"))
        self.tally = Tally()
        self.costs: dict[tuple[str, str], Decimal] = {}  # by model and user, of calls with a known price

    # --- setting up --------------------------------------------------------------------------------------------------

    def _validate_and_setup_config(self, config: dict[str, Any]) -> dict[str, Any]:
        if "base_url" in config:
            config["api_base"] = config.pop("base_url")
        retries, budget = config.pop("num_retries", RETRIES), config.pop("max_budget", None)
        if not isinstance(retries, int) or isinstance(retries, bool) or retries < 0:
            raise ValueError("num_retries must be a whole number of at least 0.")
        self.retry = replace(RetryConfig.of_settings(), max_attempts=retries + 1)
        self.max_budget_usd = None if budget is None else Decimal(str(budget))
        if self.max_budget_usd is not None and self.max_budget_usd < 0:
            raise ValueError("max_budget must be at least 0.")
        self.is_stream = bool(config.pop("stream", False))
        self.agent_name = str(config.pop("agent_name", type(self).__name__))
        self._router_config = {
            name: config.pop(name) for name in ("fallbacks", "model_list", "routing_strategy") if name in config
        }
        options = {name: value for name, value in config.items() if name not in _OWN}
        if self.model_name.startswith("vertex_ai/"):
            spelled = {"VERTEX_PROJECT": "vertex_project", "VERTEX_LOCATION": "vertex_location"}
            options = {spelled.get(name, name): value for name, value in options.items()}
        return options

    def _setup_router_if_needed(self) -> Any:
        """Only where there is something to route: fallbacks, or several deployments of one name."""
        given = dict(self._router_config)
        fallbacks, listed = given.pop("fallbacks", None), given.pop("model_list", None)
        if listed is None and not fallbacks:
            return None
        if listed is None:
            own: dict[str, Any] = {"model": self.model_name}
            own |= {name: self._options[name] for name in ("api_key", "api_base") if name in self._options}
            others: list[dict[str, Any]] = [{"model": one} if isinstance(one, str) else one for one in fallbacks]
            made = deployments_of([own, *others])
        else:
            made = {"model_list": listed, "fallbacks": fallbacks or []}
        self.routed_name = str(made["model_list"][0]["model_name"])
        strategy = given.get("routing_strategy") or "simple-shuffle"
        return litellm_model.litellm_module().Router(
            model_list=made["model_list"], fallbacks=made["fallbacks"], routing_strategy=strategy, num_retries=0,
            cache_responses=False, allowed_fails=10_000,
        )  # fmt: skip

    def _get_generation_params(self) -> dict[str, Any]:
        """What a call is made with where nobody says otherwise."""
        return {**GENERATION, "drop_params": True, **self._options}

    # --- a turn ------------------------------------------------------------------------------------------------------

    def respond(self, ending_index: int | None = None) -> None:
        """Answer the last message: to the user, or with calls for the execution environment. Nothing after the system's word.

        Raises KeyError when the last message is not for the agent, LLMError.
        """
        messages = self.get_messages(ending_index)
        self.messages_validation(messages)
        messages = self.filter_messages(messages)
        if not messages or messages[-1].sender == RoleType.SYSTEM:
            return
        offered = (
            self.get_available_tools() if messages[-1].sender in (RoleType.USER, RoleType.EXECUTION_ENVIRONMENT) else []
        )
        answer = self._make_llm_call(
            to_openai(messages), [tool.spec for tool in offered], {tool.name for tool in offered}
        )
        self.add_messages(self._parse_response_to_messages(answer, {tool.name for tool in offered}))

    def _make_llm_call(
        self, messages: list[Message], tools: list[dict[str, Any]], available_tool_names: set[str] | None = None
    ) -> Answer:
        """One answer, from the cache where it is there. Raises LLMError."""
        request = Request(
            model=self.model_name,
            messages=messages,
            tools=tools,
            agent=self.agent_name,
            options=self._get_generation_params(),
        )
        found = None if self.cache is None else self.cache.find(request)
        if found is not None:
            return found
        if self.max_budget_usd is not None and self.tally.cost_usd >= self.max_budget_usd:
            raise BudgetExceededError(
                f"${self.tally.cost_usd:f} of ${self.max_budget_usd:f} is spent; the call was not made."
            )
        with telemetry.llm_span(request) as span:
            answer = self._asked(request)
            telemetry.answered(span, answer)
        self._log_cost(answer)
        if self.cache is not None:
            self.cache.keep(request, answer)
        return answer

    def _asked(self, request: Request) -> Answer:
        for attempt in range(1, self.retry.max_attempts + 1):
            try:
                return self._ask_once(request)
            except LLMError as error:
                if not error.is_retryable or attempt >= self.retry.max_attempts:
                    raise
                time.sleep(self.retry.wait_s(attempt, error))
        raise AssertionError

    def _ask_once(self, request: Request) -> Answer:
        if self.router is None and request.model.startswith("demo/"):
            return _now(model_for(request.model).ask(request))
        arguments = litellm_model.arguments_of(request)
        call = litellm_model.litellm_module().completion
        if self.router is not None:
            arguments = {**arguments, "model": self.routed_name}
            arguments.pop("api_key", None), arguments.pop("api_base", None)
            call = self.router.completion
        try:
            if not self.is_stream:
                return litellm_model.read_answer(call(**arguments))
            return litellm_model.read_stream(call(**arguments, stream=True, stream_options={"include_usage": True}))
        except Exception as error:
            raise self._convert_to_standard_exception(error) from error

    def _convert_to_standard_exception(self, error: BaseException) -> LLMError:
        return classify(error)

    def _log_cost(self, answer: Answer) -> None:
        self.tally.add(answer.usage, answer.cost_usd)
        if answer.cost_usd is not None:
            key = (answer.model or self.model_name, str(self._options.get("user", "")))
            self.costs[key] = self.costs.get(key, Decimal(0)) + answer.cost_usd
        counted(answer.usage, answer.cost_usd)

    def _parse_response_to_messages(self, answer: Answer, available_tool_names: set[str]) -> list[RoleMessage]:
        """Words for the user, or one message a call for the execution environment. Raises KeyError for a tool that was not offered."""
        if not answer.calls:
            return [RoleMessage(sender=self.role_type, recipient=RoleType.USER, content=answer.text)]
        made = []
        for call in answer.calls:
            shown = call["function"]["name"]
            if shown not in available_tool_names:
                raise KeyError(f'The model called "{shown}", which it was not offered.')
            name = self.context.names.get(shown, shown)
            made.append(
                RoleMessage(
                    sender=self.role_type, recipient=RoleType.EXECUTION_ENVIRONMENT, openai_tool_call_id=call["id"],
                    openai_function_name=shown, content=code_of(call["id"], name, _arguments(call)),
                )
            )  # fmt: skip
        return made


class LiteLLMAgentWithRouter(LiteLLMAgent):
    """Several deployments, the first before the others: items {model, api_key, ...} or LiteLLM's own. The call names the
    first one, "primary", and never the literal "router"."""

    def __init__(
        self, model_config: Sequence[dict[str, Any]], context: ExecutionContext | None = None, **router_config: Any
    ) -> None:
        made = deployments_of(model_config)
        first = str(made["model_list"][0]["litellm_params"]["model"])
        super().__init__(first, context, **{**made, **router_config})


def to_openai(messages: Sequence[RoleMessage]) -> list[Message]:
    """As a model is told it: calls that follow one another are one assistant message, and each has its answer behind it."""
    told: list[Message] = []
    for message in messages:
        if message.sender == RoleType.SYSTEM:
            told.append({"role": "system", "content": message.content})
        elif message.sender == RoleType.USER:
            told.append({"role": "user", "content": message.content})
        elif message.sender == RoleType.EXECUTION_ENVIRONMENT:
            told.append(
                {
                    "role": "tool",
                    "tool_call_id": message.openai_tool_call_id,
                    "content": message.tool_call_exception or message.content,
                }
            )
        elif message.recipient == RoleType.EXECUTION_ENVIRONMENT and message.openai_tool_call_id:
            _add_call(told, message)
        else:
            told.append({"role": "assistant", "content": message.content})
    return told


def _add_call(told: list[Message], message: RoleMessage) -> None:
    call = {
        "id": message.openai_tool_call_id, "type": "function",
        "function": {"name": message.openai_function_name, "arguments": json.dumps(_written(message.content))},
    }  # fmt: skip
    if told and told[-1]["role"] == "assistant" and "tool_calls" in told[-1]:
        told[-1]["tool_calls"].append(call)
    else:
        told.append({"role": "assistant", "content": None, "tool_calls": [call]})


def _written(code: str) -> Any:
    """The arguments within a snippet of ``code_of``."""
    _, _, rest = code.partition(" = ")
    try:
        return ast.literal_eval(rest.partition("\n")[0])
    except (ValueError, SyntaxError):
        return {}


def _arguments(call: dict[str, Any]) -> dict[str, Any]:
    try:
        found = json.loads(call["function"].get("arguments") or "{}")
    except json.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _now(work: Any) -> Answer:
    """An answer that needs no waiting for anything outside, from wherever we are called."""
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(asyncio.run(work))
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if isinstance(found[0], BaseException):
        raise found[0]
    answer: Answer = found[0]
    return answer
