"""Agents whose calls go through a job of Wflo's ``/api``: one job a task, many calls in it, one bill for the customer.

    with SaaSLangChainWrapper("http://127.0.0.1:8000/api", key, "core") as wrapper:
        llm = wrapper.get_langchain_llm()
        llm.invoke("hello")

Names, arguments and behaviour are SaaS LiteLLM's. The server records every call; which agent made it is told by its purpose,
``writer_call_3``. All of these raise ServerError, whose message has the word "credit" when the team has none left.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, Self
from urllib.parse import quote

from wflo.client import Client
from wflo.errors import ServerError

if TYPE_CHECKING:
    from wflo.integrations.saas_langchain import SaaSChatOpenAI

log = logging.getLogger("wflo")

CALL_SECONDS = 600.0  # a model may take its time
Messages = list[dict[str, Any]]
Answer = dict[str, Any]


class AgentLLMWrapper(Protocol):
    """What an agent of any framework needs of a wrapper."""

    def create_job(self, metadata: Mapping[str, Any] | None = None) -> str: ...

    def make_llm_call(
        self,
        messages: Messages,
        temperature: float = 0.7,
        max_tokens: int | None = None,
        purpose: str | None = None,
    ) -> str: ...

    def complete_job(self, status: str = "completed", error: str | None = None) -> Answer: ...


class _Jobs:
    """The jobs of one team, as its key may drive them; one is under way at a time."""

    def __init__(self, api_url: str, virtual_key: str, team_id: str, model_group: str, job_type: str) -> None:
        self.api_url, self.virtual_key = api_url.rstrip("/"), virtual_key
        self.team_id, self.model_group, self.job_type = team_id, model_group, job_type
        self.headers = {"Authorization": f"Bearer {virtual_key}", "Content-Type": "application/json"}
        self.resolved_model: str | None = None
        self._client = Client(self.api_url, virtual_key, timeout_seconds=CALL_SECONDS)
        self._job_id: str | None = None
        self._counts: dict[str, int] = {}

    def ask(self, messages: Messages, *, purpose: str | None, **asked: Any) -> Answer:
        """One call within the job: the whole answer. Raises ValueError where no job was begun."""
        if self._job_id is None:
            raise ValueError("There is no job: start one before the first call.")
        body = {"model_group": self.model_group, "messages": messages, "purpose": purpose, **asked}
        return self._client.post(f"/jobs/{self._job_id}/llm-call", body)

    def _begin(self, metadata: Mapping[str, Any] | None) -> str:
        body = {"team_id": self.team_id, "job_type": self.job_type, "metadata": dict(metadata or {})}
        self._job_id, self._counts = str(self._client.post("/jobs/create", body)["job_id"]), {}
        return self._job_id

    def _resolve_model_group(self) -> str:
        """The group's first model. Raises ValueError where the team may not use the group."""
        path = f"/model-groups/{quote(self.model_group, safe='')}/resolve"
        found = self._client.get(path, team_id=self.team_id)
        if not found.get("team_has_access"):
            raise ValueError(f"Team '{self.team_id}' does not have access to model group '{self.model_group}'.")
        self.resolved_model = found.get("primary_model")
        return self.resolved_model or self.model_group

    def _end(self, status: str, error: str | None = None) -> Answer:
        """The job's summary. Raises ValueError where there is no job."""
        if self._job_id is None:
            raise ValueError("There is no job to complete.")
        body = {"status": status, "error_message": error}
        done = self._client.post(f"/jobs/{self._job_id}/complete", body)
        self._job_id = None
        return done

    def _fail(self, error: BaseException) -> None:
        """The job, because of an error that is on its way to whoever can do something about it."""
        try:
            self._end("failed", str(error) or type(error).__name__)
        except ServerError as fault:
            log.warning("the job %s could not be told to have failed: %s", self._job_id, fault)

    def _counted(self, who: str) -> int:
        self._counts[who] = self._counts.get(who, 0) + 1
        return self._counts[who]

    @contextmanager
    def _task(self, metadata: Mapping[str, Any] | None) -> Iterator[str]:
        """A job from its beginning to its end; failed, with the reason, when it is left by an exception."""
        job_id = self._begin(metadata)
        try:
            yield job_id
        except BaseException as error:
            if self._job_id == job_id:
                self._fail(error)
            raise
        if self._job_id == job_id:
            self._end("completed")


def _text(answer: Answer) -> str:
    return str(answer["response"].get("content") or "")


class SaaSLangChainWrapper(_Jobs):
    """LangChain: ``get_langchain_llm`` gives a chat model whose calls are the job's."""

    def __init__(
        self,
        api_url: str,
        virtual_key: str,
        team_id: str,
        model_group: str = "ChatFast",
        job_type: str = "langchain_agent",
    ) -> None:
        super().__init__(api_url, virtual_key, team_id, model_group, job_type)

    @property
    def job_id(self) -> str | None:
        return self._job_id

    def start_job(self, metadata: Mapping[str, Any] | None = None) -> str:
        """Begin a job and find the group's model. Raises ValueError where the team may not use the group."""
        job_id = self._begin(metadata)
        try:
            self._resolve_model_group()
        except BaseException as error:
            self._fail(error)
            raise
        return job_id

    def get_langchain_llm(self, temperature: float = 0.7, **options: Any) -> SaaSChatOpenAI:
        """``options``: those of ``ChatOpenAI``. A job is begun where there is none. Needs langchain-openai."""
        from wflo.integrations.saas_langchain import SaaSChatOpenAI

        if self._job_id is None:
            self.start_job()
        return SaaSChatOpenAI(wrapper=self, temperature=temperature, **options)

    def make_call(
        self,
        messages: Messages,
        temperature: float = 0.7,
        max_tokens: int | None = None,
        purpose: str | None = None,
    ) -> str:
        return _text(self.ask(messages, temperature=temperature, max_tokens=max_tokens, purpose=purpose))

    def complete_job(self, status: str = "completed", error_message: str | None = None) -> Answer:
        return self._end(status, error_message)

    def __enter__(self) -> Self:
        if self._job_id is None:
            self.start_job()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if self._job_id is not None:
            if error is None:
                self._end("completed")
            else:
                self._fail(error)


class SaaSAutoGenWrapper(_Jobs):
    """AutoGen: a conversation is a job, each agent's message a call of it."""

    def __init__(self, api_url: str, virtual_key: str, team_id: str, model_group: str = "ChatFast") -> None:
        super().__init__(api_url, virtual_key, team_id, model_group, "autogen_conversation")
        self.call_count = 0

    @property
    def job_id(self) -> str | None:
        return self._job_id

    def start_conversation_job(self, metadata: Mapping[str, Any] | None = None) -> str:
        self.call_count = 0
        return self._begin(metadata)

    def get_llm_config(self, temperature: float = 0.7) -> dict[str, Any]:
        """For ``llm_config`` of an agent. Raises ValueError where the team may not use the group."""
        return {
            "model": self._resolve_model_group(),
            "api_type": "saas_litellm",
            "api_base": self.api_url,
            "api_key": self.virtual_key,
            "temperature": temperature,
            "_saas_job_id": self._job_id,
            "_saas_wrapper": self,
        }

    def make_agent_call(self, messages: Messages, agent_name: str, temperature: float = 0.7) -> str:
        self.call_count += 1
        purpose = f"{agent_name}_message_{self.call_count}"
        return _text(self.ask(messages, temperature=temperature, max_tokens=None, purpose=purpose))

    def complete_conversation(self, status: str = "completed", error_message: str | None = None) -> Answer:
        return self._end(status, error_message)


class SaaSCrewAIWrapper(_Jobs):
    """CrewAI: a crew's task is a job, each call of a role is counted."""

    def __init__(self, api_url: str, virtual_key: str, team_id: str, model_group: str = "ChatAdvanced") -> None:
        super().__init__(api_url, virtual_key, team_id, model_group, "crewai_task")

    @property
    def current_job_id(self) -> str | None:
        return self._job_id

    @property
    def agent_call_counts(self) -> dict[str, int]:
        """Of the task under way; of one that is complete they are its summary's ``calls_by_agent``."""
        return dict(self._counts)

    def start_crew_task(self, task_name: str, metadata: Mapping[str, Any] | None = None) -> str:
        return self._begin({"task_name": task_name, **(metadata or {})})

    def get_llm_config_for_agent(self, agent_role: str, temperature: float = 0.7) -> dict[str, Any]:
        return {
            "model_group": self.model_group,
            "temperature": temperature,
            "api_url": self.api_url,
            "job_id": self._job_id,
            "agent_role": agent_role,
            "wrapper": self,
        }

    def make_agent_call(
        self, agent_role: str, messages: Messages, temperature: float = 0.7, max_tokens: int | None = None
    ) -> str:
        purpose = f"{agent_role}_call_{self._counted(agent_role)}"
        return _text(self.ask(messages, temperature=temperature, max_tokens=max_tokens, purpose=purpose))

    def complete_task(self, status: str = "completed", error_message: str | None = None) -> Answer:
        done = self._end(status, error_message)
        self._counts = {}
        return done


class SaaSAgentBase(_Jobs):
    """For agents of one's own."""

    def __init__(
        self, api_url: str, virtual_key: str, team_id: str, model_group: str, job_type: str = "agent_task"
    ) -> None:
        super().__init__(api_url, virtual_key, team_id, model_group, job_type)

    @property
    def job_id(self) -> str | None:
        return self._job_id

    def create_job(self, metadata: Mapping[str, Any] | None = None) -> str:
        return self._begin(metadata)

    def make_llm_call(
        self,
        messages: Messages,
        temperature: float = 0.7,
        max_tokens: int | None = None,
        purpose: str | None = None,
    ) -> str:
        """The answer's text. A job is begun where there is none; without a purpose it is ``call_1``, ``call_2``, ..."""
        if self._job_id is None:
            self._begin(None)
        number = self._counted("call")
        asked = {"temperature": temperature, "max_tokens": max_tokens}
        return _text(self.ask(messages, purpose=purpose or f"call_{number}", **asked))

    def complete_job(self, status: str = "completed", error: str | None = None) -> Answer:
        return self._end(status, error)

    @contextmanager
    def task_context(self, metadata: Mapping[str, Any] | None = None) -> Iterator[str]:
        """A job around a task: its id. Failed, with the error's text, when the task raises; the error goes on."""
        with self._task(metadata) as job_id:
            yield job_id
