"""Runs that go round in circles, by rule; a family a function."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.loop_scripts.trace import Trace, repeat


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
