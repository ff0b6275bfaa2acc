"""Three weeks of the demo team's runs, as steps. The same seed and the same "now" tell the same story.

What happens in it: weekdays are busier than weekends; invoices fail when the ledger is closed; a provider refuses and
the call is tried again; refund-resolver's prompt is cached from its release v31 on; web-researcher loops three times,
once right now; policy-checker's model has no price.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from tracking.demo.cast import BY_NAME, CAST, EMBEDDER, HOURS, PEOPLE, WEEKDAYS, Model, Role, Tool

DAYS = 21
RUNS = 3_000
NEW_RELEASE_DAYS = 4
LOOP_TURNS = 40
RESULT_TOKENS = 1_400  # what a tool's answer adds to the next call; the text sent along is its beginning
RETRY_SHARE = 0.02
LIVE = (
    ("web-researcher", 4.0),
    ("refund-resolver", 0.15),
    ("invoice-auditor", 0.3),
    ("kb-writer", 0.1),
)  # starters of runs that are under way, and how many minutes ago they began


@dataclass(slots=True)
class Step:
    """One span to be. Times are seconds since 1970; tokens as a provider would bill them, inclusive."""

    id: str
    parent: str | None
    kind: str  # agent, llm, tool, embedding
    agent: str
    name: str
    start: float
    end: float
    error: str | None = None
    model: Model | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    messages: list[tuple[str, str]] = field(default_factory=list)  # (role, text) as sent to the model
    answer: str = ""
    arguments: str = ""
    result: str = ""
    refused: bool = False  # the provider billed nothing


@dataclass(slots=True)
class DemoRun:
    trace_id: str
    role: Role
    start: float
    session: str
    user: str | None
    environment: str
    release: str
    steps: list[Step] = field(default_factory=list)

    @property
    def end(self) -> float:
        return max(step.end for step in self.steps)


def runs(*, seed: int, now: datetime, count: int = RUNS, days: int = DAYS) -> list[DemoRun]:
    """About ``count`` runs of the last ``days`` days, oldest first; steps that would end after ``now`` are left out,
    so that the latest runs are still under way."""
    rng = random.Random(seed)
    end = now.timestamp()
    told = [_Teller(rng, role, start, end).tell() for role, start in _starts(rng, now, count, days)]
    told += [
        _Teller(rng, BY_NAME[name], end - minutes * 60, end, loops=not i).tell()
        for i, (name, minutes) in enumerate(LIVE)
    ]
    told += [
        _Teller(rng, BY_NAME["web-researcher"], end - back * 86_400 - 30_000, end, loops=True).tell() for back in (2, 9)
    ]
    for run in told:
        run.steps = [step for step in run.steps if step.end <= end]
    return sorted((run for run in told if run.steps), key=lambda run: (run.start, run.trace_id))


def _starts(rng: random.Random, now: datetime, count: int, days: int) -> Iterator[tuple[Role, float]]:
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    dates = [midnight - timedelta(days=back) for back in range(days, -1, -1)]
    busy = sum(WEEKDAYS[date.weekday()] for date in dates)
    starters = [role for role in CAST if role.weight and not role.at_night]
    weights = [role.weight for role in starters]
    for date in dates:
        share = WEEKDAYS[date.weekday()] / busy
        for role in rng.choices(starters, weights, k=round(count * share * rng.uniform(0.9, 1.1))):
            hour = rng.choices(range(24), HOURS)[0]
            start = (date + timedelta(hours=hour, seconds=rng.uniform(0, 3600))).timestamp()
            if start < now.timestamp() - 60:
                yield role, start
        at_two = (date + timedelta(hours=2, minutes=5)).timestamp()
        if at_two < now.timestamp() - 60:
            yield BY_NAME["nightly-digest"], at_two


class _Teller:
    """Tells one run from its start, keeping the clock."""

    def __init__(self, rng: random.Random, role: Role, start: float, now: float, *, loops: bool = False) -> None:
        self.rng = rng
        self.clock = start
        self.loops = loops
        self.number = rng.randrange(10_000, 99_999)
        is_new = start > now - NEW_RELEASE_DAYS * 86_400
        user = None if role.at_night else rng.choice(PEOPLE)
        session = f"{role.service}-{user or 'clock'}-{datetime.fromtimestamp(start, UTC):%m%d}"
        environment = "staging" if rng.random() < 0.1 else "production"
        release = role.releases[-1] if is_new else role.releases[0]
        self.run = DemoRun(self._id(128), role, start, session, user, environment, release)
        self.is_cached = len(role.releases) > 1 and is_new

    def tell(self) -> DemoRun:
        task = self.rng.choice(self.run.role.tasks)
        self._agent(self.run.role, None, self._filled(task), depth=0)
        return self.run

    # --- an agent at work ---------------------------------------------------------------------------------------------

    def _agent(self, role: Role, parent: str | None, task: str, *, depth: int) -> str:
        """Tells one agent's turn of work; returns its answer."""
        root = Step(
            self._id(64), parent, "agent", role.name, role.name, self.clock, self.clock, messages=[("user", task)]
        )
        self.run.steps.append(root)
        self.clock += self.rng.uniform(0.005, 0.05)
        talk = [("system", role.system), ("user", task)]
        if role.embeds:
            self._embedding(role, root.id, task)
        turns = LOOP_TURNS if self.loops and not depth else self.rng.randint(*role.turns)
        refused_at = self.rng.randrange(turns) if self.rng.random() < role.fails else -1
        for turn in range(turns):
            model = role.second_model if role.second_model and turn == turns - 1 else role.model
            is_last = turn == turns - 1
            if turn == refused_at:
                root.error = self._call(role, root.id, model, talk, "", turn, refused=True).error
                break
            answer = self._filled(role.answer) if is_last else self._plan(role, turn)
            self._call(role, root.id, model, talk, answer, turn)
            talk.append(("assistant", answer))
            if not is_last:
                failed = self._acts(role, root, talk, turn, depth)
                if failed:
                    root.error = failed
                    break
        root.end = self.clock
        root.answer = talk[-1][1] if root.error is None else ""
        return root.answer

    def _acts(self, role: Role, root: Step, talk: list[tuple[str, str]], turn: int, depth: int) -> str | None:
        """One tool or one other agent; returns the error that ends the run, if any."""
        if role.delegates and not depth and turn < len(role.delegates):
            other = BY_NAME[role.delegates[turn]]
            talk.append(("tool", self._agent(other, root.id, self._filled(self.rng.choice(other.tasks)), depth=1)))
            return None
        if not role.tools:
            return None
        tool = role.tools[turn % len(role.tools)]
        step = self._tool(role, root.id, tool, same_again=self.loops)
        talk.append(("tool", step.result or step.error or ""))
        if step.error and self.rng.random() < 0.6:
            return step.error
        return None

    def _plan(self, role: Role, turn: int) -> str:
        if self.loops:
            return "I need the text of the regulation. I will search and fetch the page."
        wanted = (
            role.delegates[turn]
            if turn < len(role.delegates)
            else role.tools[turn % len(role.tools)].name
            if role.tools
            else "myself"
        )
        return f"Next I ask {wanted} about {self.number}."

    # --- single steps ---------------------------------------------------------------------------------------------------

    def _call(
        self,
        role: Role,
        parent: str,
        model: Model,
        talk: list[tuple[str, str]],
        answer: str,
        turn: int,
        *,
        refused: bool = False,
    ) -> Step:
        if not refused and self.rng.random() < RETRY_SHARE:
            self._add_call(role, parent, model, talk, refused=True)
            self.clock += self.rng.uniform(0.5, 2.0)
        step = self._add_call(role, parent, model, talk, refused=refused)
        if refused:
            return step
        step.answer = answer
        history = sum(len(text) for _, text in talk[1:]) // 3 + RESULT_TOKENS * turn
        step.input_tokens = role.system_tokens + history + self.rng.randrange(40, 160)
        step.output_tokens = self.rng.randint(*role.answer_tokens)
        if model.reasons:
            step.reasoning_tokens = self.rng.randrange(200, 900)
            step.output_tokens += step.reasoning_tokens
        if turn or self.is_cached:
            share = 0.82 if self.is_cached else 0.34
            step.cached_tokens = math.floor(step.input_tokens * share) if self.rng.random() < 0.9 else 0
        step.end = step.start + self.rng.uniform(0.3, 0.9) + step.output_tokens / model.speed
        self.clock = step.end + self.rng.uniform(0.005, 0.03)
        return step

    def _add_call(self, role: Role, parent: str, model: Model, talk: list[tuple[str, str]], *, refused: bool) -> Step:
        error = f"RateLimitError: 429 from {model.provider}, tokens per minute used up" if refused else None
        end = self.clock + self.rng.uniform(0.1, 0.4)
        step = Step(
            self._id(64),
            parent,
            "llm",
            role.name,
            f"chat {model.name}",
            self.clock,
            end,
            error,
            model,
            messages=list(talk),
            refused=refused,
        )
        self.run.steps.append(step)
        self.clock = end
        return step

    def _tool(self, role: Role, parent: str, tool: Tool, *, same_again: bool) -> Step:
        failed = not same_again and self.rng.random() < tool.fails
        end = self.clock + tool.seconds * self.rng.lognormvariate(0, 0.4)
        step = Step(self._id(64), parent, "tool", role.name, tool.name, self.clock, end, tool.error if failed else None)
        step.arguments = self._filled(tool.arguments)
        step.result = "" if failed else self._filled(tool.result)
        self.run.steps.append(step)
        self.clock = end + 0.01
        return step

    def _embedding(self, role: Role, parent: str, text: str) -> None:
        end = self.clock + self.rng.uniform(0.08, 0.2)
        step = Step(
            self._id(64), parent, "embedding", role.name, f"embeddings {EMBEDDER.name}", self.clock, end, model=EMBEDDER
        )
        step.input_tokens = len(text) // 4 + self.rng.randrange(30, 90)
        step.messages = [("user", text)]
        self.run.steps.append(step)
        self.clock = end

    def _filled(self, text: str) -> str:
        return text.format(n=self.number, m=self.number + 49)

    def _id(self, bits: int) -> str:
        return f"{self.rng.getrandbits(bits) | 1:0{bits // 4}x}"
