"""LangChain's ChatOpenAI and OpenAIEmbeddings before a gateway."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel
from told import run


class Answer(BaseModel):
    """What is asked for."""

    name: str
    number: int


@tool
def weather(city: str) -> str:
    """Looks."""
    return f"fine in {city}"


@tool
def time(city: str) -> str:
    """Looks."""
    return f"noon in {city}"


class Place:
    def __init__(self, url: str, key: str) -> None:
        self.to: dict[str, Any] = {"base_url": f"{url}/v1", "api_key": key}

    def model(self, name: str = "echo", **more: Any) -> ChatOpenAI:
        return ChatOpenAI(model=name, **self.to, **more)


def do_plain(place: Place) -> Any:
    said = place.model().invoke("one two three")
    return {"text": said.content, "tokens": said.usage_metadata and said.usage_metadata["output_tokens"]}


def do_stream(place: Place) -> Any:
    chunks = list(place.model(stream_usage=True).stream("one two three"))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    return {"text": whole.content, "tokens": whole.usage_metadata and whole.usage_metadata["output_tokens"]}


def do_agent(place: Place) -> Any:
    model = place.model("openai/echo-tools").bind_tools([weather, time])
    messages: list[Any] = [HumanMessage("weather?")]
    called: list[str] = []
    for _ in range(5):
        said = model.invoke(messages)
        messages.append(said)
        if not said.tool_calls:
            return {"called": called, "said": said.content}
        for call in said.tool_calls:
            called.append(call["name"])
            result = {"weather": weather, "time": time}[call["name"]].invoke(call["args"])
            messages.append(ToolMessage(result, tool_call_id=call["id"]))
    return "no end"


def do_structured(place: Place) -> Any:
    return place.model("openai/echo-json").with_structured_output(Answer).invoke("answer").model_dump()


def do_responses(place: Place) -> Any:
    return place.model(use_responses_api=True).invoke("one two three").text


def do_embeddings(place: Place) -> Any:
    made = OpenAIEmbeddings(model="echo", check_embedding_ctx_length=False, **place.to)
    return made.embed_documents(["one two", "three"])


def do_broke(place: Place) -> Any:
    return place.model().invoke("one two three").content


if __name__ == "__main__":
    run(globals(), Place)
