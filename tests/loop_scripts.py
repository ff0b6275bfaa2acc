"""The traces of tests/data/loops that follow a rule; ``python -m tests.loop_scripts`` writes them anew.

What a person would say of a loop is said where it is built: ``here`` marks the call of a model at which it is one. The same
tool with the same arguments and answer is one at its third call, a stuck poll at its tenth, a failing request at its sixth.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from tests.loop_traces import FOLDER

ASSISTANT = "You are a helpful assistant with tools. Think step by step and use the tools you need."
NAMES = ("Ada", "Boole", "Curie", "Dirac", "Euler", "Fermi", "Gauss", "Hopper")
NAMES += ("Ising", "Joule", "Kepler", "Lovelace", "Maxwell", "Noether", "Ohm", "Pauli")
VOCABULARY = re.findall(
    r"\w+",
    "market revenue growth battery storage price supply demand policy grid solar wind turbine capacity cost report region "
    "quarter forecast carbon transport vehicle charging steel cement hydrogen export import subsidy auction contract "
    "pipeline permit offshore onshore investor margin inventory logistics port",
)
Script = dict[str, Any]


class Trace:
    """A script in the making."""

    def __init__(self, name: str, framework: str = "", *, talk: str = "own", **agents: str) -> None:
        self.name, self.framework, self.talk = name, framework, talk
        self.agents = agents or {"assistant": ASSISTANT}
        self.events: list[dict[str, Any]] = []
        self.asks = 0
        self.loop_at: int | None = None
        self.random = random.Random(name)

    @property
    def only(self) -> str:
        return next(iter(self.agents))

    def user(self, text: str, to: str | None = None) -> Trace:
        self.events.append({"user": text} | ({"to": to} if to else {}))
        return self

    def say(self, text: str, agent: str | None = None, **more: Any) -> Trace:
        self.asks += 1
        self.events.append({"ask": agent or self.only, "text": text, **more})
        return self

    def tool(
        self, name: str, arguments: Any, result: Any, agent: str | None = None, *, text: str | None = None, **more: Any
    ) -> Trace:
        return self.tools([(name, arguments, result)], agent, text=text, **more)

    def tools(self, runs: list[tuple[str, Any, Any]], agent: str | None = None, **more: Any) -> Trace:
        """One answer that calls these; its error flags in ``errors``."""
        self.asks += 1
        more = {key: value for key, value in more.items() if value is not None}
        self.events.append(
            {
                "ask": agent or self.only,
                "calls": [[name, arguments] for name, arguments, _ in runs],
                "results": [result for _, _, result in runs],
                **more,
            }
        )
        return self

    def new(self, agent: str | None = None) -> Trace:
        self.events.append({"new": agent or self.only})
        return self

    def together(self, asks: list[dict[str, Any]]) -> Trace:
        self.asks += len(asks)
        self.events.append({"together": asks})
        return self

    def sleep(self, seconds: float) -> Trace:
        self.events.append({"sleep": seconds})
        return self

    def here(self) -> Trace:
        self.loop_at = self.asks
        return self

    def uuid(self) -> str:
        return str(UUID(int=self.random.getrandbits(128), version=4))

    def words(self, count: int) -> str:
        return " ".join(self.random.choice(VOCABULARY) for _ in range(count))

    def written(self) -> Script:
        script: Script = {"name": self.name, "loop_at": self.loop_at, "framework": self.framework}
        if self.talk != "own":
            script["talk"] = self.talk
        return script | {"agents": self.agents, "events": self.events}


def repeat(trace: Trace, times: int, loop_at_pass: int, step: Callable[[int], object]) -> Trace:
    """``step`` again and again; a person sees the loop at the end of the pass of this number."""
    for number in range(1, times + 1):
        step(number)
        if number == loop_at_pass:
            trace.here()
    return trace


# --- loops ------------------------------------------------------------------------------------------------------------


def loops_same_call() -> Iterator[Trace]:
    for name, tool, arguments, result in (
        ("search", "search_web", {"query": "wind power 2026"}, "Wind power grew 9% in 2026, says the agency."),
        ("read-file", "read_file", {"path": "src/app.py"}, "import os\n\n\ndef main():\n    print('hello')\n"),
        ("sql", "run_sql", {"sql": "select count(*) from orders"}, '[{"count": 1042}]'),
        ("no-arguments", "get_profile", {}, {"name": "Ada", "plan": "pro"}),
    ):
        t = Trace(f"same-call-{name}", "langgraph").user("Find out what you need and answer.")
        yield repeat(t, 7, 3, lambda n, t=t, c=(tool, arguments, result): t.tool(*c))
    t = Trace("same-call-other-words", "langgraph").user("How many people live in Lyon?")
    thoughts = ("Let me look that up.", "I should check the figure.", "Let me verify once more.", "One more look.")
    yield repeat(t, 6, 3, lambda n: t.tool("search_web", {"query": "population Lyon"}, "522,250", text=thoughts[n % 4]))
    t = Trace("same-call-key-order", "langgraph").user("Book a table.")
    orders = ({"city": "Lyon", "people": 2}, {"people": 2, "city": "Lyon"}, {"people": 2, "city": "lyon "})
    yield repeat(t, 6, 3, lambda n: t.tool("find_tables", orders[n % 3], "Table 4 at 20:00"))
    t = Trace("same-call-nonce", "openai-agents").user("What does the invoice say?")
    yield repeat(
        t,
        6,
        3,
        lambda n: t.tool("get_invoice", {"id": 17, "request_id": t.uuid()}, {"total": 99, "request_id": t.uuid()}),
    )
    t = Trace("same-call-time-in-answer", "langgraph").user("Is the shop open?")
    yield repeat(
        t,
        6,
        3,
        lambda n: t.tool("get_hours", {"shop": 3}, {"open": "9-17", "timestamp": f"2026-03-01T10:00:{n:02d}Z"}),
    )
    t = Trace("same-call-fan-out", "openai-agents").user("Compare both towns.")
    yield repeat(
        t,
        6,
        3,
        lambda n: t.tools(
            [("get_weather", {"city": "Lyon"}, "18 C, rain"), ("get_weather", {"city": "Nice"}, "24 C, sun")][
                :: (-1) ** n
            ]
        ),
    )
    t = Trace("same-call-after-long-work", "langgraph").user("Write a report about storage.")
    for n in range(24):
        t.tool("search_web", {"query": t.words(3)}, f"Result {n}: {t.words(30)}")
    yield repeat(t, 6, 3, lambda n: t.tool("save_report", {"name": "storage"}, "saved"))
    t = Trace(
        "same-call-of-one-agent-among-others", "crewai", reader="You read.", writer="You write.", chief="You lead."
    )
    t.user("Prepare the newsletter.")
    for n in range(7):
        t.tool("fetch_page", {"url": f"https://example.org/{n}"}, t.words(40), agent="reader")
        t.tool("get_style_guide", {}, "Short sentences. No jargon.", agent="writer")
        if n == 2:
            t.here()
        t.say(f"Part {n}: {t.words(20)}", agent="chief").user(f"Next part: {t.words(4)}", to="chief")
    yield t


def loops_failing_call() -> Iterator[Trace]:
    for name, result in (
        ("not-found", "Error: file config.yaml not found"),
        ("traceback", "Traceback (most recent call last):\n  File \"x.py\", line 3\nKeyError: 'id'"),
        ("request-id", {"error": {"message": "Bad request", "request_id": None}}),
    ):
        t = Trace(f"failing-{name}", "langgraph").user("Read the configuration and tell me the port.")

        def step(n: int, t: Trace = t, result: Any = result) -> None:
            told = {"error": {"message": "Bad request", "request_id": t.uuid()}} if isinstance(result, dict) else result
            t.tool("read_config", {"path": "config.yaml"}, told, errors=[True])

        yield repeat(t, 8, 3, step)
    t = Trace("failing-numbers-in-the-error", "langgraph").user("Ping the server.")
    yield repeat(
        t,
        8,
        3,
        lambda n: t.tool("http_get", {"url": "https://api.example.org"}, f"Error: timed out after {30000 + 7 * n} ms"),
    )
    t = Trace("failing-guesses", "claude-code").user("Open the settings file.")
    paths = ["settings.py", "conf/settings.py", "src/settings.py", "app/settings.py", "settings/base.py", "config.py"]
    paths += ["cfg/settings.py", "project/settings.py", "lib/settings.py"]
    yield repeat(
        t,
        9,
        6,
        lambda n: t.tool("read_file", {"path": paths[n - 1]}, f"Error: {paths[n - 1]} does not exist", errors=[True]),
    )
    t = Trace("failing-invalid-arguments", "langgraph").user("Create the ticket.")
    yield repeat(
        t,
        8,
        3,
        lambda n: t.tool("create_ticket", {"title": "Broken"}, "Error: 1 validation error: priority Field required"),
    )
    t = Trace("failing-request-for-ever", "litellm").user("Summarise this page.")
    yield repeat(t, 16, 6, lambda n: t.say("", failed=True).sleep(0.2))


def loops_same_request() -> Iterator[Trace]:
    for name, texts in (
        ("exact", ["What is the state of the order?"]),
        ("case-and-space", ["What is the state of the order?", "  what is the state of the Order?"]),
        ("punctuation", ["Go on with the order, now.", "Go on with the order now", "Go on with the order; now!"]),
    ):
        t = Trace(f"same-request-{name}", "openai")

        def step(n: int, t: Trace = t, texts: list[str] = texts) -> None:
            t.new().user(texts[n % len(texts)]).say("I do not know the state of this order.")

        yield repeat(t, 7, 3, step)
    t = Trace("same-request-nonce", "openai")
    yield repeat(
        t,
        7,
        3,
        lambda n: t.new().user(f"List open tasks. Nonce: {t.uuid()}").say("There are no open tasks that I can see."),
    )
    t = Trace("same-request-time", "openai")
    yield repeat(
        t,
        7,
        3,
        lambda n: (
            t.new()
            .user(f"Current time: 2026-03-01T10:00:{n:02d}Z. Decide what to do next with the backlog.")
            .say("Look at the backlog and pick the next task.")
        ),
    )
    t = Trace("same-request-bare-id", "openai")
    yield repeat(
        t,
        9,
        4,
        lambda n: t.new().user(f"Continue with the plan {t.uuid()}").say("I need the plan to continue with it."),
    )
    t = Trace("same-request-parse-failure", "langchain")
    answers = ["{'a': 1}", "a=1", "{a: 1}", "Here it is: {'a': 1}", "{'a': 1,}", "'a': 1", "{ 'a' : 1 }", "a -> 1"]
    answers += ["The value of a is 1", "{'a' = 1}", "(a 1)", "a: one"]
    yield repeat(t, 12, 4, lambda n: t.new().user("Give a as JSON and nothing else.").say(answers[n - 1]))
    t = Trace("same-request-two-in-turn", "openai")
    questions = ("What should the planner do now?", "Is the plan good?")
    yield repeat(
        t,
        10,
        4,
        lambda n: t.new().user(questions[n % 2]).say(("Ask for a review of it.", "Plan it again first.")[n % 2]),
    )


def loops_cycle_of_calls() -> Iterator[Trace]:
    read = ("read_file", {"path": "main.py"}, "def main(): ...")
    test = ("run_tests", {}, "FAILED tests/test_main.py::test_main - 1 failed, 3 passed")
    list_ = ("list_files", {"path": "."}, "main.py tests")
    for name, cycle in (
        ("two", [read, test]),
        ("three", [read, test, list_]),
        (
            "two-searches",
            [("search", {"q": "cats"}, "Cats are animals."), ("search", {"q": "dogs"}, "Dogs are animals.")],
        ),
    ):
        t = Trace(f"cycle-of-{name}", "claude-code").user("Make the test pass.")

        def step(n: int, t: Trace = t, cycle: list[Any] = cycle) -> None:
            for call in cycle:
                t.tool(*call)

        yield repeat(t, 6, 3, step)
    t = Trace("cycle-of-two-with-times", "claude-code").user("Make the test pass.")

    def timed(n: int) -> None:
        t.tool(*read).tool("run_tests", {}, f"FAILED test_main - 1 failed, 3 passed in 0.{40 + n}s")

    yield repeat(t, 6, 3, timed)
    t = Trace("cycle-of-five", "claude-code").user("Make the test pass.")
    five = [read, test, list_, ("git_diff", {}, "no changes in main.py"), ("read_file", {"path": "a.py"}, "A = 1")]

    def step_five(n: int) -> None:
        for call in five:
            t.tool(*call)

    yield repeat(t, 5, 3, step_five)


def loops_between_agents() -> Iterator[Trace]:
    t = Trace("group-thanks", "autogen", talk="group", writer="You write.", critic="You criticise.")
    t.user("Write a slogan.", to="writer").say("Power for all.", "writer").say(
        "Good. Thank you, this is final.", "critic"
    )

    def thanks(n: int) -> None:
        t.say("You are welcome! Let me know if you need anything else.", "writer")
        t.say("Thank you! Have a nice day.", "critic")

    yield repeat(t, 6, 3, thanks)
    t = Trace("group-goodbyes-in-other-words", "autogen", talk="group", a="You are A.", b="You are B.")
    t.user("Say goodbye.", to="a")
    byes = ("Goodbye!", "Bye bye!", "See you soon!", "Take care!", "Farewell, friend!", "Until next time!", "So long!")
    yield repeat(t, 6, 3, lambda n: t.say(byes[n % 7], "a").say(byes[(3 * n + 1) % 7], "b"))
    t = Trace("hand-over-triage-billing", "openai-agents", talk="shared", triage="You route.", billing="You bill.")
    t.user("I want my money back for a phone that was stolen.")

    def over(n: int) -> None:
        t.tool("transfer_to_billing", {}, {"assistant": "billing"}, "triage")
        if n == 3:
            t.here()
        t.tool("transfer_to_triage", {}, {"assistant": "triage"}, "billing")

    yield repeat(t, 6, 0, over)
    three = {"planner": "You plan.", "coder": "You code.", "tester": "You test."}
    t = Trace("hand-over-of-three", "langgraph", talk="shared", **three)
    t.user("Build the importer.")

    def round_of_three(n: int) -> None:
        t.tool("transfer_to_coder", {}, "Successfully transferred to coder", "planner")
        if n == 3:
            t.here()
        t.tool("transfer_to_tester", {}, "Successfully transferred to tester", "coder")
        t.tool("transfer_to_planner", {}, "Successfully transferred to planner", "tester")

    yield repeat(t, 5, 0, round_of_three)
    crew = {"researcher": "You research.", "writer": "You write."}
    t = Trace("delegation-back-and-forth", "crewai", **crew)

    def delegate(n: int) -> None:
        t.new("researcher").user("Gather facts on batteries.", "researcher")
        t.say("I need the writer to say which facts are wanted.", "researcher")
        t.new("writer").user("The researcher asks: which facts are wanted?", "writer")
        t.say("The researcher should decide which facts matter.", "writer")

    yield repeat(t, 6, 3, delegate)
    t = Trace("supervisor-never-ends", "langgraph", supervisor="You pick who is next.", worker="You work.")
    t.user("Check the totals.", "supervisor")

    def supervise(n: int) -> None:
        t.say("worker", "supervisor").user("worker: The totals match.", "supervisor")
        t.new("worker").user("Check the totals.", "worker").say("The totals match.", "worker")

    yield repeat(t, 6, 3, supervise)


def loops_similar() -> Iterator[Trace]:
    t = Trace("similar-shuffled-question", "openai")
    asked = "please write a short summary of the quarterly battery storage report for the investor team with all main figures"
    answered = (
        "the report says that battery storage capacity grew in every region while the price of cells fell and the "
        "investor margin stayed flat over the whole quarter"
    )

    def shuffled(text: str) -> str:
        words = text.split()
        t.random.shuffle(words)
        return " ".join(words)

    yield repeat(t, 7, 3, lambda n: t.new().user(shuffled(asked)).say(shuffled(answered)))
    t = Trace("similar-in-one-talk", "autogen", talk="group", editor="You edit.", author="You write.")
    t.user("Polish the paragraph.", "author")
    paragraph = (
        "Storage is the missing piece of the grid. Prices fall each year, capacity doubles every two, and policy "
        "follows slowly. Investors wait for rules that hold."
    )
    notes = (
        "Please polish the paragraph once more, keep the facts, shorten the sentences and make the end stronger for "
        "readers who know little about the grid."
    )
    yield repeat(
        t,
        6,
        3,
        lambda n: t.say(
            paragraph if n % 2 else paragraph.replace("Prices fall each year, c", "C") + " Prices fall each year.",
            "author",
        ).say(notes if n % 2 else notes.replace("Please polish", "Polish, please,"), "editor"),
    )
    t = Trace("same-answer-whatever-is-said", "autogen", talk="group", guide="You guide.", guest="You ask.")
    t.user("Welcome the guest.", "guide")
    stuck = "I am here to help you with anything you need today, so tell me what I can do for you and I will begin."
    for n in range(1, 10):
        t.say(stuck, "guide")
        if n == 5:
            t.here()
        t.say(f"{t.words(9)}?", "guest")
    yield t
    t = Trace("empty-searches-in-known-words", "langgraph").user("Find the 2019 annual report of Contoso.")
    pool = [
        "contoso annual report 2019",
        "annual report contoso 2019",
        "2019 contoso report annual",
        "contoso 2019 report",
    ]
    pool += ["report contoso annual", "2019 annual contoso", "annual 2019 report contoso", "contoso report 2019 annual"]
    yield repeat(t, 8, 5, lambda n: t.tool("search_web", {"query": pool[n - 1]}, "No results found"))
    t = Trace("empty-searches-in-new-words", "langgraph").user("Find the annual report of Contoso.")
    yield repeat(t, 9, 6, lambda n: t.tool("search_web", {"query": f"contoso {t.words(2)} {n}"}, "No results found"))


def loops_in_words() -> Iterator[Trace]:
    """Agents that write their calls as text: every answer ends a turn."""
    t = Trace("react-in-text", "crewai").user("How old is the town hall of Lyon?")
    thought = 'Thought: I should search.\nAction: search\nAction Input: {"query": "town hall Lyon age"}'
    yield repeat(t, 7, 3, lambda n: t.say(thought).user("Observation: The town hall of Lyon was built from 1645 on."))
    t = Trace("react-in-text-failing", "crewai").user("Read notes.txt")
    action = "Thought: I must read it.\nAction: read\nAction Input: notes.txt"
    yield repeat(t, 7, 3, lambda n: t.say(action).user("Observation: Error: tool read does not exist, use read_file."))
    t = Trace("react-in-text-two-actions", "crewai").user("Compare both files.")
    steps = [(f"Action: read_file\nAction Input: {name}.txt", f"Observation: text of {name}") for name in "ab"]

    def both(n: int) -> None:
        for said, observed in steps:
            t.say(said).user(observed)

    yield repeat(t, 6, 3, both)


def loops_hard() -> Iterator[Trace]:
    """What a person sees and a rule that must not cry wolf hardly can."""
    t = Trace("hard-stuck-poll", "langgraph").user("Tell me when the build is done.")
    yield repeat(t, 26, 10, lambda n: t.tool("get_build_status", {"id": 7}, {"status": "queued"}))
    t = Trace("hard-stuck-poll-with-sleep", "langgraph").user("Tell me when the file is there.")
    yield repeat(t, 26, 10, lambda n: t.tool("sleep", {"seconds": 2}, "ok", tool_s=2).tool("list_inbox", {}, "[]"))
    t = Trace("hard-creates-the-same-again", "langgraph").user("Open one ticket for the broken lamp.")
    yield repeat(
        t, 7, 3, lambda n: t.tool("create_ticket", {"title": "Broken lamp"}, {"ticket": t.uuid(), "state": "new"})
    )
    t = Trace("hard-same-target-other-edits", "claude-code").user("Fix the import.")

    def edit(n: int) -> None:
        t.tool("edit_file", {"path": "a.py", "old": "import x", "new": f"import x{n}"}, "edited")
        t.tool("run_tests", {}, "FAILED: ImportError in a.py - 1 failed, 8 passed")

    yield repeat(t, 8, 5, edit)
    t = Trace("hard-open-and-close", "browser-use").user("Find the price.")

    def look(n: int) -> None:
        t.tool("open_page", {"url": "https://example.org/shop"}, f"Shop. Session {t.uuid()}. Click a product.")
        t.tool("go_back", {}, f"Start page. Session {t.uuid()}.")

    yield repeat(t, 7, 3, look)


# --- honest -----------------------------------------------------------------------------------------------------------


def honest_polling() -> Iterator[Trace]:
    t = Trace("poll-percent", "langgraph").user("Wait for the export.")
    for n in range(0, 101, 8):
        t.tool("get_export", {"id": 4}, {"done_percent": n})
    yield t.say("The export is done.")
    t = Trace("poll-log-grows", "claude-code").user("Watch the build.")
    for n in range(12):
        t.tool("read_log", {"build": 4}, "\n".join(f"step {k} ok" for k in range(n + 1)))
    yield t.say("The build is done.")
    for name, word, times in (("pending", "pending", 9), ("queued", "queued", 15), ("in-progress", "in_progress", 19)):
        t = Trace(f"poll-{name}-{times}", "langgraph").user("Tell me when the job is done.")
        for _ in range(times):
            t.tool("get_job", {"id": 9}, {"id": 9, "status": word})
        yield t.tool("get_job", {"id": 9}, {"id": 9, "status": "completed"}).say("The job is done.")
    t = Trace("poll-words", "openai-agents").user("Is my order shipped?")
    for n in range(7):
        t.tool("track_order", {"id": 3}, "Your order is not ready yet." if n < 6 else "Shipped this morning.")
    yield t.say("It was shipped this morning.")
    t = Trace("poll-with-sleep", "langgraph").user("Wait for the answer of the supplier.")
    for _ in range(8):
        t.tool("sleep", {"seconds": 30}, "slept", tool_s=30).tool("list_replies", {}, "[]")
    yield t.tool("list_replies", {}, '["We deliver on Monday."]').say("They deliver on Monday.")
    t = Trace("poll-timestamps-only", "langgraph").user("Wait for the pipeline.")
    for n in range(10):
        t.tool(
            "get_pipeline", {}, {"state": "running", "checked_at": f"2026-03-01T10:{n:02d}:00Z", "elapsed_s": 60 * n}
        )
    yield t.tool("get_pipeline", {}, {"state": "passed"}).say("It passed.")
    t = Trace("poll-every-two-minutes", "langgraph").user("Watch the deployment for an hour.")
    for _ in range(30):
        t.tool("get_deploy_status", {}, {"status": "rolling out"}).sleep(120)
    yield t.tool("get_deploy_status", {}, {"status": "done"}).say("Deployed.")
    t = Trace("poll-every-half-minute-for-twenty-minutes", "langgraph").user("Wait for the tests.")
    for _ in range(40):
        t.tool("sleep", {"seconds": 30}, "slept", tool_s=30).tool("get_checks", {"pr": 8}, {"state": "in_progress"})
    yield t.tool("get_checks", {"pr": 8}, {"state": "success"}).say("All green.")
    t = Trace("poll-in-text", "crewai").user("Wait for the report.")
    for _ in range(8):
        t.say("Action: check_report\nAction Input: {}").user("Observation: the report is still being generated")
    yield t.say("Action: check_report\nAction Input: {}").user("Observation: ready").say("The report is ready.")
    t = Trace("poll-two-jobs-at-once", "openai-agents").user("Wait for both renders.")
    for n in range(9):
        t.tools([("get_render", {"id": k}, "rendering" if n < 8 else "ready") for k in (1, 2)])
    yield t.say("Both are ready.")
    t = Trace("poll-price", "autogen").user("Tell me when it falls below 100.")
    for n in range(12):
        t.tool("get_price", {"symbol": "ABC"}, {"price": round(110 - n * 0.93, 2), "currency": "USD"})
    yield t.say("It is below 100.")
    t = Trace("poll-sandbox-server", "claude-code").user("Start the server and test it.")
    t.tool("bash", {"command": "npm start &"}, "[1] 4711")
    for n in range(4):
        t.tool("bash", {"command": "sleep 2; curl -s localhost:3000"}, "starting up, try again" if n < 3 else "Hello")
    yield t.say("The server answers.")


def honest_heartbeat() -> Iterator[Trace]:
    t = Trace("heartbeat-between-work", "langgraph").user("Clean all tables.")
    for n in range(14):
        t.tool("heartbeat", {}, "ok").tool("clean_table", {"table": f"t{n}"}, f"{t.random.randrange(99)} rows cleaned")
    yield t.say("All clean.")
    t = Trace("heartbeat-while-streaming", "langgraph").user("Play the stream to its end.")
    for _ in range(16):
        t.tool("stream_heartbeat", {"stream": 1}, {"alive": True})
    yield t.say("The stream ended.")
    t = Trace("heartbeat-beside-work", "langgraph").user("Clean all tables.")
    for n in range(12):
        t.tools([("heartbeat", {}, "ok"), ("clean_table", {"table": f"t{n}"}, f"{n + 3} rows cleaned")])
    yield t.say("All clean.")
    t = Trace("heartbeat-every-half-hour", "openclaw").user("You wake every half hour.")
    for _ in range(24):
        t.user("Heartbeat: is there anything to do?").say("HEARTBEAT_OK").sleep(1800)
    yield t.user("Heartbeat: is there anything to do?").say("Yes: a mail from Ada came.")
    t = Trace("clock", "langgraph").user("Say the time each second, five times.")
    for n in range(6):
        t.tool("now", {}, f"2026-03-01T10:00:{n:02d}Z")
    yield t.say("That was it.")


def honest_moves() -> Iterator[Trace]:
    """Tools that change something each time and say the same."""
    t = Trace("moves-scrolling", "browser-use").user("Read the page to its end.")
    for _ in range(9):
        t.tool("scroll_down", {"amount": 500}, "Scrolled down by 500 pixels")
    yield t.say("It ends with the imprint.")
    t = Trace("moves-keys", "browser-use").user("Choose the ninth entry.")
    for _ in range(8):
        t.tool("press_key", {"key": "ArrowDown"}, "ok")
    yield t.tool("press_key", {"key": "Enter"}, "ok").say("Chosen.")
    t = Trace("moves-dice", "langgraph").user("Roll a die twelve times.")
    for roll in (4, 4, 4, 1, 6, 6, 2, 2, 2, 2, 5, 3):
        t.tool("roll_die", {}, roll)
    yield t.say("Four came three times in a row.")
    t = Trace("moves-next", "langgraph").user("Go to slide ten.")
    for _ in range(9):
        t.tool("next_slide", {}, {"ok": True})
    yield t.say("This is slide ten.")


def honest_pages() -> Iterator[Trace]:
    t = Trace("pages-by-number", "langgraph").user("List all customers.")
    for n in range(1, 15):
        t.tool("list_customers", {"page": n}, {"customers": [f"{name} {n}" for name in NAMES[:5]], "page": n})
    yield t.say("There are 70 customers.")
    t = Trace("pages-by-offset-same-rows", "langgraph").user("Count the rows of the log.")
    for n in range(0, 900, 100):
        t.tool("read_rows", {"offset": n, "limit": 100}, ["GET /health 200"] * 5)
    yield t.say("900 rows.")
    t = Trace("pages-by-cursor", "openai-agents").user("Fetch everything.")
    for _ in range(10):
        t.tool("fetch", {"cursor": t.uuid()}, {"items": [t.words(4)], "next": t.uuid()})
    yield t.say("Fetched.")
    t = Trace("pages-of-a-file", "claude-code").user("Read the whole file.")
    for n in range(1, 1200, 100):
        t.tool("read_file", {"path": "big.txt", "offset": n}, f"{n}: {t.words(25)}")
    yield t.say("It is about power.")
    t = Trace("pages-end-empty", "langgraph").user("List all open orders.")
    for n in range(1, 6):
        t.tool("list_orders", {"page": n}, [f"order {n}{k}" for k in range(3)] if n < 4 else [])
    yield t.say("Nine orders are open.")


def honest_retries() -> Iterator[Trace]:
    for times in (2, 4, 6):
        t = Trace(f"retry-backs-off-{times}", "langgraph").user("Load the page.")
        for n in range(times):
            t.tool("http_get", {"url": "https://example.org"}, "Error: 503 Service Unavailable", errors=[True])
            t.sleep(2 ** (n + 1))
        yield t.tool("http_get", {"url": "https://example.org"}, "<h1>Hello</h1>").say("It says hello.")
    t = Trace("retry-once-then-other-way", "claude-code").user("Install it.")
    for _ in range(2):
        t.tool("bash", {"command": "pip install thing"}, "Error: no matching version", errors=[True])
    yield t.tool("bash", {"command": "pip install other-thing"}, "installed").say("Done.")
    t = Trace("retry-by-the-client", "openai").user("Say hello.")
    yield t.say("", failed=True).say("", failed=True, attempt=1).say("Hello.", attempt=2)
    t = Trace("retry-of-the-answered", "openai").user("Say hello.")
    # The first answer came, but the client had given up on it.
    yield t.together([{"ask": "assistant", "text": "Hello."}]).sleep(1).say("Hello.", attempt=1)
    t = Trace("retry-five-failures", "litellm").user("Say hello.")
    for n in range(5):
        t.say("", failed=True).sleep(2**n)
    yield t.say("Hello.")
    t = Trace("retry-rate-limit", "langgraph").user("Translate all.")
    for n in range(5):
        t.tool("translate", {"text": "cat"}, "Error: 429 rate limited, retry after a pause", errors=[True]).sleep(
            3 * 2**n
        )
    yield t.tool("translate", {"text": "cat"}, "chat").say("chat")
    t = Trace("retry-batch-with-dead-items", "langgraph").user("Check all links.")
    for n in range(18):
        dead = n % 5 < 3
        told = f"Error: 404 for https://example.org/{n}" if dead else f"200: {t.words(5)}"
        t.tool("check_link", {"url": f"https://example.org/{n}"}, told, errors=[dead])
    yield t.say("Some links are dead.")


def honest_talk() -> Iterator[Trace]:
    t = Trace("talk-of-forty-turns", "openai", assistant=ASSISTANT + " " + "Be brief and kind. " * 40)
    for _ in range(40):
        t.user(f"Tell me about {t.words(3)}.").say(f"Well, {t.words(25)}.")
    yield t
    t = Trace("talk-question-twice", "openai").user("What is the capital of France?").say("Paris.")
    t.user("And of Spain?").say("Madrid.")
    yield t.user("What is the capital of France?").say("Paris.").user("Thanks.").say("You are welcome.")
    t = Trace("talk-question-twice-in-a-row", "openai").user("What is the capital of France?").say("Paris.")
    yield t.user("What is the capital of France?").say("Paris.").user("And of Spain?").say("Madrid.")
    t = Trace("talk-continue", "openai").user("Write a long story.").say(t.words(60))
    for _ in range(12):
        t.user("continue").say(t.words(60))
    yield t
    t = Trace("talk-yes-no", "openai").user("Ask me twenty questions.")
    for n in range(15):
        t.say(f"Question {n + 1}: is it {t.words(2)}?").user(("yes", "no")[n % 3 == 0])
    yield t.say("It is a battery.")
    t = Trace("talk-same-tool-each-turn", "langgraph")
    for question in (
        "What plan am I on?",
        "Can I export?",
        "How many seats?",
        "May I invite guests?",
        "What does it cost?",
    ):
        t.user(question).tool("get_plan", {}, {"plan": "pro", "seats": 5}).say(f"On pro: {t.words(6)}.")
    yield t
    t = Trace("talk-tool-loop-of-forty", "langgraph").user("Research storage in depth.")
    t.tool("search_web", {"query": "storage"}, t.words(300))
    for n in range(40):
        t.tool("search_web", {"query": f"{t.words(2)} {n}"}, t.words(12))
    yield t.say(t.words(80))
    t = Trace("talk-unchanged-question-five-calls", "langgraph").user("How is the weather in five towns?")
    for town, weather in zip(NAMES[:5], ("rain", "sun", "fog", "snow", "wind"), strict=True):
        t.tool("get_weather", {"town": town}, weather)
    yield t.say("It varies.")
    t = Trace("talk-two-steps", "requests").user("What is 2+2?").say("4").user("And times three?").say("12")
    yield t
    t = Trace("talk-refusals", "openai", assistant="You answer questions on billing only.")
    for _ in range(5):
        t.user(f"Tell me about {t.words(4)}.")
        t.say("I can help with questions on billing only; please ask our support about everything else that you need.")
    yield t
    t = Trace("talk-small-talk", "openai")
    for said in ("hi", "how are you", "ok", "ok", "tell me a joke", "another", "another", "ok"):
        t.user(said).say(f"{t.words(6)}.")
    yield t


def honest_batch() -> Iterator[Trace]:
    template = (
        "You label customer reviews. Read the review below and answer with one word, positive, negative or neutral, and "
        "nothing else. Do not explain. Ignore spelling mistakes, ignore prices, look only at how the customer feels about "
        "the product as a whole and not about its delivery. Review {n} by {who}: {text}"
    )
    t = Trace("batch-labels", "openai")
    for n in range(30):
        label = ("positive", "positive", "positive", "negative")[n % 4]
        t.new().user(template.format(n=n, who=t.random.choice(NAMES), text=t.words(6))).say(label)
    yield t
    t = Trace("batch-same-label", "openai")
    for n in range(20):
        t.new().user(template.format(n=n, who=NAMES[n % 16], text="good")).say("positive")
    yield t
    t = Trace("batch-by-number", "openai")
    for n in range(4711, 4731):
        t.new().user(f"Write one line for the delivery note of order {n}.").say(f"Order {n}: packed and ready.")
    yield t
    t = Trace("batch-by-uuid-with-tools", "langgraph")
    for n in range(12):
        order = t.uuid()
        t.new().user(f"Process order {order}").tool("get_order", {"id": order}, {"id": order, "total": 10 + n})
        t.tool("ship", {"id": order}, "shipped").say("Done.")
    yield t
    t = Trace("batch-by-uuid-in-one-turn", "langgraph").user("Ship all open orders.")
    for _ in range(15):
        t.tool("ship", {"order_id": t.uuid()}, "shipped")
    yield t.say("All shipped.")
    t = Trace("batch-mails", "langgraph").user("Invite all customers.")
    for n, name in enumerate(NAMES * 2):
        t.tool("send_mail", {"to": f"{name.lower()}{n}@example.org", "text": "You are invited."}, "sent")
    yield t.say("All invited.")
    t = Trace("batch-screening-finds-nothing", "langgraph").user("Screen all suppliers against the list.")
    for n in range(25):
        t.tool("search_sanctions", {"supplier": n}, [])
    yield t.say("No supplier is on the list.")
    t = Trace("batch-names-screening", "langgraph").user("Screen all people against the list.")
    for name in NAMES:
        t.tool("search_sanctions", {"query": f"{name} {name}son of {name}town"}, "No matches found")
    yield t.say("Nobody is on the list.")
    t = Trace("batch-pairs", "openai")
    pairs = [(a, b) for k, a in enumerate(NAMES[:7]) for b in NAMES[k + 1 : 7]]
    for a, b in pairs:
        t.new().user(f"{template[:200]} Compare the two candidates and say who is better suited: {a} or {b}?")
        t.say(f"{t.random.choice((a, b))}, as {t.words(18)}.")
    yield t
    t = Trace("batch-pages-compliance", "openai")
    for n in range(15):
        t.new().user(f"Check page {n} for private data. Text: {t.words(40)}")
        t.say("No private data was found on this page, so nothing has to be removed or reported to anybody.")
    yield t
    t = Trace("batch-in-one-talk", "openai")
    for name in NAMES:
        t.user(f"Draft a greeting for {name}, who is with us for {t.random.randrange(2, 30)} years, in a warm tone.")
        t.say(f"Dear {name}, thank you for all these years with us; {t.words(14)}.")
    yield t
    t = Trace("batch-map-reduce", "langgraph", mapper="You summarise.", reducer="You join.")
    for n in range(12):
        t.new("mapper").user(f"Summarise part {n}: {t.words(50)}", "mapper").say(t.words(20), "mapper")
    yield t.user(t.words(90), "reducer").say(t.words(40), "reducer")
    t = Trace("batch-queue-worker", "langgraph").user("Work until the queue is empty.")
    for n in range(9):
        t.tool("pop", {}, {"job": t.uuid(), "kind": "resize"}).tool("resize", {"n": n}, "ok")
    yield t.tool("pop", {}, {"job": None}).say("Empty.")
    t = Trace("batch-workers-started", "openai-agents").user("Start five workers.")
    for _ in range(5):
        t.tool("start_worker", {"size": "small"}, {"worker": t.uuid()})
    yield t.say("Five workers run.")
    t = Trace("batch-many-conflicts-checked", "langgraph").user("Which meetings overlap?")
    for a, b in pairs:
        t.tool("overlaps", {"a": a, "b": b}, {"overlaps": False})
    yield t.say("None overlap.")


def honest_samples() -> Iterator[Trace]:
    t = Trace("samples-of-five", "openai").user("Name a colour.")
    yield t.together([{"ask": "assistant", "text": colour} for colour in ("red", "blue", "red", "green", "red")])
    t = Trace("samples-of-twenty", "openai").user("What is 17 times 23? Answer with the number.")
    yield t.together([{"ask": "assistant", "text": "391", "s": 1 + k / 10} for k in range(20)])
    t = Trace("samples-by-a-pool-of-four", "openai").user("What is 17 times 23? Answer with the number.")
    free, pool = [0.0] * 4, []
    for _ in range(24):
        slot = free.index(min(free))
        takes = 1 + t.random.random()
        pool.append({"ask": "assistant", "text": "391", "after": round(free[slot], 3), "s": round(takes, 3)})
        free[slot] += takes + 0.01
    yield t.together(pool)
    t = Trace("samples-in-one-call", "openai").user("Name a colour.")
    yield t.say("red", n=5).say("blue", n=5).say("green", n=5)
    t = Trace("samples-by-temperature", "openai")
    for k in range(6):
        t.new().user("Write a slogan for a bakery.").say(t.words(5), temperature=k / 5)
    yield t
    t = Trace("samples-by-model", "litellm")
    for model in ("gpt-4.1", "gpt-4.1-mini", "claude-sonnet-4-5", "gemini-2.5-pro"):
        t.new().user("Write a slogan for a bakery.").say("Fresh every day.", model=model)
    yield t
    crew = {name.lower(): f"You are {name}." for name in NAMES[:5]}
    t = Trace("samples-same-words-to-five-agents", "crewai", **crew).user("Vote: yes or no?")
    for agent in crew:
        t.say("yes", agent)
    yield t
    t = Trace("samples-same-tool-by-five-agents", "crewai", **crew).user("Look at the plan and comment.")
    for agent in crew:
        t.tool("get_plan", {}, "Build two more plants.", agent).say(t.words(12), agent)
    yield t


def honest_teams() -> Iterator[Trace]:
    t = Trace("team-supervisor", "langgraph", supervisor="You pick who is next.", worker="You work.")
    t.user("Check all ledgers.", "supervisor")
    for n in range(12):
        t.say("worker", "supervisor").user(f"worker: ledger {n} holds {t.words(4)}.", "supervisor")
        t.new("worker").user(f"Check ledger {n}.", "worker").say(f"It holds {t.words(4)}.", "worker")
    yield t.say("FINISH", "supervisor")
    t = Trace("team-supervisor-same-findings", "langgraph", supervisor="You pick who is next.", worker="You work.")
    t.user("Check all ledgers.", "supervisor")
    for n in range(10):
        t.say("worker", "supervisor").user(f"worker: ledger {n} is fine.", "supervisor")
        t.new("worker").user(f"Check ledger {n}.", "worker").say("It is fine.", "worker")
    yield t.say("FINISH", "supervisor")
    t = Trace("team-group-chat", "autogen", talk="group", writer="You write.", critic="You criticise.")
    t.user("Write a slogan.", "writer")
    for _ in range(8):
        t.say(f"Draft: {t.words(12)}", "writer").say(f"Better, but {t.words(8)}.", "critic")
    yield t
    t = Trace("team-debate", "autogen", talk="group", pro="You are for it.", con="You are against it.")
    t.user("Debate solar subsidies.", "pro")
    for _ in range(8):
        t.say(t.words(30), "pro").say(t.words(30), "con")
    yield t
    t = Trace("team-hand-overs", "openai-agents", talk="shared", triage="You route.", billing="You bill.")
    for n in range(6):
        t.user(f"Question {n}: {t.words(5)}?")
        t.tool("transfer_to_billing", {}, {"assistant": "billing"}, "triage").say(t.words(9), "billing")
        t.user(f"And {t.words(4)}?").tool("transfer_to_triage", {}, {"assistant": "triage"}, "billing")
        t.say(t.words(7), "triage")
    yield t
    t = Trace("team-reflection", "langgraph", author="You write.", critic="You criticise.")
    draft = t.words(50).split()
    for n in range(6):
        t.new("author").user("Improve the draft: " + " ".join(draft), "author")
        draft[8 * n : 8 * n + 5] = t.words(5).split() + [f"detail{n}"]
        t.say(" ".join(draft), "author")
        t.new("critic").user("Criticise: " + " ".join(draft), "critic").say(t.words(15), "critic")
    yield t
    t = Trace("team-evaluator", "langgraph", judge="You give a mark from 1 to 5 and nothing else.")
    for _ in range(20):
        t.new().user(f"Question: {t.words(8)} Answer: {t.words(30)}").say(str(t.random.choice((4, 4, 4, 5))))
    yield t


def honest_code() -> Iterator[Trace]:
    t = Trace("code-edit-and-test", "claude-code").user("Make all tests pass.")
    for n in range(9):
        t.tool("edit_file", {"path": "a.py", "old": f"v{n}", "new": f"v{n + 1}"}, "edited")
        t.tool("run_tests", {}, f"{9 - n} failed, {n} passed in 1.{n}2s")
    yield t.say("All pass.")
    t = Trace("code-same-failure-two-edits", "claude-code").user("Make the test pass.")
    for n in range(3):
        t.tool("edit_file", {"path": "a.py", "old": f"v{n}", "new": f"v{n + 1}"}, "edited")
        t.tool("run_tests", {}, "FAILED test_a - 1 failed, 9 passed" if n < 2 else "10 passed")
    yield t.say("It passes.")
    t = Trace("code-same-failure-five-edits", "claude-code").user("Make the test pass.")
    for n in range(6):
        t.tool("edit_file", {"path": f"m{n}.py", "old": f"v{n}", "new": f"v{n + 1}"}, "edited")
        t.tool("run_tests", {}, "FAILED test_a - 1 failed, 9 passed" if n < 5 else "10 passed")
    yield t.say("It passes.")
    t = Trace("code-git-status-between", "claude-code").user("Commit each file apart.")
    for n in range(8):
        t.tool("bash", {"command": "git log --oneline | head -1"}, "a1b2c3d before")
        t.tool("bash", {"command": f"git add f{n}.py && git stash"}, f"stashed f{n}.py")
    yield t.say("Done.")
    t = Trace("code-reads-again-after-edit", "claude-code").user("Rename the class.")
    for n in range(4):
        t.tool("read_file", {"path": "a.py"}, f"class A{n}: ...").tool(
            "edit_file", {"path": "a.py", "old": f"A{n}", "new": f"A{n + 1}"}, "edited"
        )
    yield t.say("Renamed.")
    t = Trace("code-reads-twice", "claude-code").user("What does it do?")
    for _ in range(2):
        t.tool("read_file", {"path": "a.py"}, "class A: ...").tool("list_files", {}, "a.py b.py")
    yield t.tool("read_file", {"path": "b.py"}, "class B: ...").say("It defines A and B.")
    t = Trace("code-same-command-new-output", "claude-code").user("Count the errors until none is left.")
    for n in range(6, -1, -1):
        t.tool("bash", {"command": "ruff check ."}, f"Found {n} errors." if n else "All checks passed!")
    yield t.say("None is left.")


def honest_hard() -> Iterator[Trace]:
    """What looks like a loop to a rule that must stop one at its first repeat."""
    t = Trace("batch-with-a-double-item", "openai")
    for text in ("great", "bad", "great", "fine", "awful", "good"):
        t.new().user(f"One word, positive or negative: {text}").say(
            "negative" if text in ("bad", "awful") else "positive"
        )
    yield t


BY_RULE: dict[str, Callable[[], Iterator[Trace]]] = {
    name: function
    for name, function in sorted(globals().items())
    if name.startswith(("loops_", "honest_")) and callable(function)
}


def written(family: str) -> str:
    traces = [trace.written() for trace in BY_RULE[family]()]
    lines = ",\n".join(json.dumps(trace, ensure_ascii=False) for trace in traces)
    return f'{{"family": "{family.replace("_", " ")}", "by": "rule", "traces": [\n{lines}\n]}}\n'


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for family in BY_RULE:
        (FOLDER / f"{family.replace('_', '-')}.json").write_text(written(family))
