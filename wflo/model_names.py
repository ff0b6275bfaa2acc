"""Model names: whose model is this, and under which names may a price list know it.

``normalise`` is what a call is routed by. ``price_keys`` is what a price is looked up by; it never names another model:
an ending goes only if it is a date, "latest" or a Bedrock version, so "gpt-4.1-mini-fail429" is not "gpt-4.1-mini".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

NAME_LENGTH_MAX = 300
NAMES_REMEMBERED = 8192

# Families whose bare names say who made them, in LiteLLM's prefixes.
_MAKERS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"claude"), "anthropic"),
    (re.compile(r"gemini"), "gemini"),
    (re.compile(r"gpt|chatgpt|o[134](?![a-z0-9])"), "openai"),
    (re.compile(r"grok"), "xai"),
    (re.compile(r"mistral|codestral"), "mistral"),
    (re.compile(r"command"), "cohere"),
)

# What emitters call a provider -> the prefixes price lists use for it, best first. OpenTelemetry's names
# (gen_ai.provider.name, old gen_ai.system), OpenInference's, LangChain's ls_provider, the Vercel AI SDK's, pydantic-ai's.
_SPELLINGS: dict[tuple[str, ...], str] = {
    ("openai",): "openai open-ai text-completion-openai azure-openai-compatible",
    (
        "azure",
        "azure_ai",
    ): "azure azure-openai azure_openai az.ai.openai azure.ai.openai azure-openai-responses azure_text",
    ("azure_ai", "azure"): "azure_ai az.ai.inference azure.ai.inference azure-ai azure_ai_inference",
    ("anthropic",): "anthropic claude",
    ("bedrock",): "bedrock aws aws.bedrock aws_bedrock amazon amazon-bedrock amazon_bedrock bedrock_converse",
    ("gemini", "vertex_ai"): "gemini google google-gla google_genai google-genai google_generative_ai "
    "google.generative-ai google-generative-ai gcp.gemini gcp.gen_ai google_gemini gen_ai",
    ("vertex_ai", "gemini"): "vertex_ai vertexai vertex google-vertex google_vertexai google.vertex gcp.vertex_ai "
    "gcp.vertex.agent vertex_ai_beta",
    ("mistral",): "mistral mistralai mistral_ai mistral-ai",
    ("cohere",): "cohere cohere_chat",
    ("deepseek",): "deepseek deep_seek",
    ("xai",): "xai x_ai x-ai grok",
    ("perplexity",): "perplexity",
    ("openrouter",): "openrouter open_router",
    ("vercel_ai_gateway",): "vercel_ai_gateway gateway vercel",
    ("groq",): "groq",
    ("together_ai",): "together_ai together togetherai together-ai",
    ("fireworks_ai",): "fireworks_ai fireworks fireworks-ai",
    ("deepinfra",): "deepinfra",
    ("watsonx",): "watsonx ibm.watsonx.ai ibm watsonx.ai",
    ("huggingface",): "huggingface hugging_face hf",
    ("nvidia_nim",): "nvidia_nim nvidia",
    ("ollama",): "ollama ollama_chat",
    ("demo",): "demo",
}
_PREFIXES: dict[str, tuple[str, ...]] = {name: to for to, names in _SPELLINGS.items() for name in names.split()}

# They set prices of their own for other makers' models, or run them on the caller's machines: a maker's list says
# nothing about them.
_OWN_LIST_NAMES = (
    "ai21 aihubmix aiml anyscale baseten cerebras cloudflare crusoe dashscope databricks deepinfra demo featherless_ai "
    "fireworks_ai friendliai github_copilot gmi gradient_ai groq heroku hosted_vllm huggingface hyperbolic inferenceapis "
    "lambda_ai lemonade llamafile llamagate lm_studio lmstudio nebius novita nscale nvidia_nim oci ollama ovhcloud publicai "
    "qwen_ai_platform qwencloud replicate sagemaker sail sambanova scaleway snowflake tencent tensormesh together_ai vllm "
    "volcengine wandb watsonx xinference"
)
_OWN_LISTS = frozenset(_OWN_LIST_NAMES.split())
_OPENAI_MADE = re.compile(r"gpt|chatgpt|o[134](?![a-z0-9])|text-embedding|codex|computer-use|whisper|tts|dall-e|ft:")

_DATE = re.compile(
    r"(?:-20\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])|[-@]20\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]))$"
)
_NEWEST = re.compile(r"[-@](?:latest|default)$")
_BEDROCK_VERSION = re.compile(r"-v\d+(?::\d+)?$")
_BEDROCK_REGION = re.compile(r"^(?:us|eu|apac|ap|jp|au|ca|sa|me|il|us-gov|global)\.(?=[a-z0-9-]+\.)")
_FINE_TUNE = re.compile(r"^(ft:[^:]+):.*$")
_VERTEX_PATH = re.compile(r"^(?:projects/.*/)?publishers/[^/]+/models/")
_DOTTED_VERSION = re.compile(r"(?<=\d)\.(?=\d)")


@lru_cache(maxsize=NAMES_REMEMBERED)
def provider_prefix(provider: str | None) -> str | None:
    """The one word for a provider, however an emitter spells it: "aws.bedrock" -> "bedrock", "openai.chat" -> "openai".

    A provider nobody listed keeps its own name.
    """
    if not provider:
        return None
    return _prefixes(provider)[0]


def _prefixes(provider: str) -> tuple[str, ...]:
    name = provider.strip().lower().replace(" ", "_")
    while name not in _PREFIXES and "." in name:
        name = name.rpartition(".")[0]  # the Vercel AI SDK adds the kind of call: "openai.responses"
    if name in _PREFIXES:
        return _PREFIXES[name]
    return (provider.strip().lower().replace(" ", "_"),)


def maker(model: str) -> str | None:
    """Who makes the model of this bare name, as far as the name tells."""
    return next((prefix for family, prefix in _MAKERS if family.match(model)), None)


@lru_cache(maxsize=NAMES_REMEMBERED)
def normalise(model: str, *, is_vertex_only: bool = False) -> str:
    """ "provider/model" for a name as people write it: "openai:gpt-4o", "claude-3-opus", "gemini-pro".

    ``is_vertex_only``: Gemini is reached through Vertex AI, as no Gemini key is set. Other names stay as they are.
    """
    name = model.strip()
    head, colon, tail = name.partition(":")
    if colon and tail and "/" not in head and head.lower() in _PREFIXES:
        return f"{_PREFIXES[head.lower()][0]}/{tail}"
    if "/" in name:
        return name
    prefix = maker(name.lower())
    if prefix == "gemini" and is_vertex_only:
        prefix = "vertex_ai"
    return f"{prefix}/{name}" if prefix else name


@lru_cache(maxsize=NAMES_REMEMBERED)
def price_keys(model: str, provider: str | None = None, *, is_published: bool = True) -> tuple[str, ...]:
    """The lower-case names a price of this model may be found under, the most exact first.

    The name as given comes before the name without its date; within each, the provider's own entry before the maker's.
    ``is_published``: for a published list, where a bare name is the maker's price and so no reseller's. A price that
    a person set under the bare name counts whoever serves the model.
    """
    name = _cleaned(model)
    if not name or len(name) > NAME_LENGTH_MAX:
        return ()
    named, bare = _split(name)
    prefixes = [*dict.fromkeys((*named, *(_prefixes(provider) if provider else ())))]
    served_by = _prefixes(provider)[0] if provider else None
    is_resold = served_by in _OWN_LISTS or (bool(named) and named[0] in _OWN_LISTS)
    keys: dict[str, None] = {}
    for stem in _stems(bare):
        if served_by and named and served_by not in named:
            keys[f"{served_by}/{name[: -len(bare)]}{stem}"] = None  # groq/openai/gpt-oss-120b
            if served_by in _OWN_LISTS and is_published:
                continue
        for prefix in prefixes:
            keys[f"{prefix}/{stem}"] = None
        if not is_published or not (is_resold or _is_foreign(prefixes, stem)):
            keys[stem] = None
            if (made_by := maker(stem)) is not None:
                keys[f"{made_by}/{stem}"] = None
    if name not in keys and not is_published:
        keys[name] = None
    return tuple(keys)


def _cleaned(model: str) -> str:
    name = model.strip().lower()
    if name.startswith("arn:aws"):
        name = name.rpartition("/")[2]
    name = _VERTEX_PATH.sub("", name.removeprefix("models/"))
    return _FINE_TUNE.sub(r"\1", name)


def _split(name: str) -> tuple[tuple[str, ...], str]:
    """(the prefixes a name itself carries, the name without): "azure/gpt-4o", "openai:gpt-4o", "gpt-4o"."""
    if name.startswith("accounts/fireworks/"):
        return ("fireworks_ai",), name
    for separator in "/:":
        head, found, tail = name.partition(separator)
        if found and tail and (head in _PREFIXES or (separator == "/" and head in _OWN_LISTS)):
            return _PREFIXES.get(head, (head,)), tail
    return (), name


def _is_foreign(prefixes: list[str], stem: str) -> bool:
    """Azure sells OpenAI's models at OpenAI's price; what others made it sells at its own."""
    return bool(prefixes) and prefixes[0] in ("azure", "azure_ai") and _OPENAI_MADE.match(stem) is None


def _stems(bare: str) -> Iterator[str]:
    """The name, then the same model's name without what only stamps it."""
    seen: dict[str, None] = {bare: None}
    regionless = _BEDROCK_REGION.sub("", bare)
    seen[regionless] = None
    for name in (bare, regionless):
        stem = _BEDROCK_VERSION.sub("", name) if "." in name else name
        seen[stem] = None
        seen[_DATE.sub(lambda stamp: "-" + stamp.group()[1:], stem)] = None
        undated = _NEWEST.sub("", _DATE.sub("", stem))
        seen[undated] = None
        claude = undated.removeprefix("anthropic.")
        if claude.startswith("claude-"):
            seen[_DATE.sub("", _DOTTED_VERSION.sub("-", claude))] = None
    return iter(seen)
