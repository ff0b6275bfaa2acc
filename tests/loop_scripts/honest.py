"""Runs that look like a loop and are none, by rule; a family a function."""

from __future__ import annotations

from collections.abc import Iterator

from tests.loop_scripts.trace import ASSISTANT, NAMES, Trace

REVIEW = (
    "You label customer reviews. Read the review below and answer with one word, positive, negative or neutral, and "
    "nothing else. Do not explain. Ignore spelling mistakes, ignore prices, look only at how the customer feels about "
    "the product as a whole and not about its delivery. Review {n} by {who}: {text}"
)
PAIRS = [(a, b) for k, a in enumerate(NAMES[:7]) for b in NAMES[k + 1 : 7]]


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
    t = Trace("batch-labels", "openai")
    for n in range(30):
        label = ("positive", "positive", "positive", "negative")[n % 4]
        t.new().user(REVIEW.format(n=n, who=t.random.choice(NAMES), text=t.words(6))).say(label)
    yield t
    t = Trace("batch-same-label", "openai")
    for n in range(20):
        t.new().user(REVIEW.format(n=n, who=NAMES[n % 16], text="good")).say("positive")
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
    yield from _batches_of_other_kinds()


def _batches_of_other_kinds() -> Iterator[Trace]:
    t = Trace("batch-pairs", "openai")
    for a, b in PAIRS:
        t.new().user(f"{REVIEW[:200]} Compare the two candidates and say who is better suited: {a} or {b}?")
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
    for a, b in PAIRS:
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
