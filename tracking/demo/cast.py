"""Who works in the demo team. Eight agents of a customer-operations desk, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Dialect(StrEnum):
    GENAI = "genai"
    OPENINFERENCE = "openinference"


@dataclass(frozen=True, slots=True)
class Model:
    """``speed`` is output tokens a second. A model's price is not here: Wflo prices what the spans say."""

    name: str
    provider: str
    speed: float
    reasons: bool = False


MINI = Model("gpt-4.1-mini", "openai", 110)
NANO = Model("gpt-4.1-nano", "openai", 160)
GPT = Model("gpt-4.1", "openai", 75)
THINKER = Model("o4-mini", "openai", 90, reasons=True)
SONNET = Model("claude-sonnet-4-5", "anthropic", 65)
HAIKU = Model("claude-haiku-4-5", "anthropic", 120)
FLASH = Model("gemini-2.5-flash", "gcp.gemini", 150, reasons=True)
OWN = Model("mistral-ops-ft", "self_hosted", 55)  # fine-tuned in the house: no list has its price
EMBEDDER = Model("text-embedding-3-small", "openai", 0)


@dataclass(frozen=True, slots=True)
class Tool:
    name: str
    seconds: float
    arguments: str  # JSON with {n}, a number of the task
    result: str
    fails: float = 0.0  # share of calls
    error: str = ""


@dataclass(frozen=True, slots=True)
class Role:
    """One agent: how its runs go. ``turns`` are model calls a run, least and most."""

    name: str
    model: Model
    system: str
    system_tokens: int
    turns: tuple[int, int]
    answer_tokens: tuple[int, int]
    tools: tuple[Tool, ...] = ()
    delegates: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    answer: str = ""
    weight: float = 0.0  # how many of a day's runs it starts
    service: str = "desk"
    dialect: Dialect = Dialect.GENAI
    embeds: bool = False
    second_model: Model | None = None  # for a run's last call
    at_night: bool = False  # started by a clock, for nobody
    fails: float = 0.01  # share of runs that end in a provider's refusal
    releases: tuple[str, ...] = field(default=("v1",))


ORDERS_GET = Tool(
    "orders.get",
    0.4,
    '{{"order": {n}}}',
    '{{"order": {n}, "status": "shipped", "total": "84.90", "carrier": "nordpost"}}',
)
REFUND = Tool(
    "refunds.create", 0.7, '{{"order": {n}, "amount": "84.90"}}', '{{"refund": "rf_{n}", "state": "pending"}}'
)
TRACK = Tool(
    "carrier.track",
    1.1,
    '{{"parcel": "NP{n}"}}',
    '{{"parcel": "NP{n}", "last_seen": "Malmö hub", "days_still": 6}}',
    0.03,
    "TimeoutError: carrier.track gave no answer within 5 s",
)
GET_INVOICE = Tool(
    "erp.get_invoice",
    0.5,
    '{{"invoice": "INV-{n}"}}',
    '{{"invoice": "INV-{n}", "net": "1240.00", "vat": "310.00", "po": "PO-77{n}"}}',
)
POST_INVOICE = Tool(
    "erp.post_invoice",
    0.9,
    '{{"invoice": "INV-{n}", "state": "checked"}}',
    '{{"ok": true}}',
    0.09,
    "503 Service Unavailable from erp: the ledger is closed for posting",
)
SEARCH = Tool(
    "search.web",
    1.3,
    '{{"query": "EU battery passport deadline {n}"}}',
    '{{"results": [{{"title": "Regulation (EU) 2023/1542", "url": "https://eur-lex.europa.eu"}}]}}',
)
FETCH = Tool(
    "fetch.page",
    1.8,
    '{{"url": "https://eur-lex.europa.eu/eli/reg/2023/1542"}}',
    '{{"text": "Article 77: from 18 February 2027 each battery shall have an electronic record."}}',
    0.02,
    "HTTP 429 from eur-lex.europa.eu",
)
TICKETS = Tool("tickets.comment", 0.3, '{{"ticket": {n}}}', '{{"ok": true}}')
WAREHOUSE = Tool("warehouse.sql", 2.2, '{{"sql": "select day, count(*) from returns group by 1"}}', '{{"rows": 31}}')

CAST: tuple[Role, ...] = (
    Role("triage", NANO, "Sort the ticket into refund, delivery, invoice or other. Answer with one word and a reason.", 3600, (1, 2), (20, 60), (TICKETS,), (),
         ("Where is my parcel NP{n}", "I was charged twice for order {n}", "Invoice INV-{n} has the wrong address", "Change the delivery address of order {n}"),
         "delivery: the customer asks for a parcel's place.", 46.0, "inbox"),
    Role("refund-resolver", SONNET, "You resolve refunds within the shop's policy. Look at the order, ask policy-checker, then act.", 11800, (3, 5), (90, 260), (ORDERS_GET, REFUND),
         ("policy-checker", "carrier-desk"), ("Refund for order {n}, parcel never arrived", "Order {n} came damaged, customer wants the money back", "Second refund asked for order {n}"),
         "The refund of 84.90 for order {n} is under way; the customer was told.", 17.0, "desk", releases=("v30", "v31")),
    Role("policy-checker", OWN, "Say whether the refund is within policy. Quote the paragraph.", 7400, (1, 2), (60, 140), answer="Within policy: paragraph 4.2, parcel lost in transit.", weight=2.0,
         tasks=("Is a refund after {n} days within policy",)),
    Role("carrier-desk", MINI, "You find parcels. Use the carrier's tracking and say where the parcel is.", 4300, (2, 3), (50, 120), (TRACK,), (),
         ("Find parcel NP{n}",), "NP{n} has lain in the Malmö hub for six days: treat it as lost.", 4.0),
    Role("invoice-auditor", GPT, "Check invoices against purchase orders. Post what is right, flag what is not.", 13600, (4, 9), (70, 210), (GET_INVOICE, POST_INVOICE), (),
         ("Audit invoice INV-{n}", "Audit invoices INV-{n} to INV-{m}"), "INV-{n} agrees with its purchase order and was posted.", 13.0, "finance", second_model=THINKER, fails=0.03),
    Role("web-researcher", SONNET, "Research the question on the web. Give three independent sources.", 9200, (5, 10), (160, 420), (SEARCH, FETCH), (),
         ("Find three independent sources on EU battery passport deadlines, request {n}", "Compare carrier service levels for the Nordics, lane {n}", "What changed in the returns law this quarter, question {n}"),
         "Three sources agree: the electronic record is due from 18 February 2027.", 6.0, "research", Dialect.OPENINFERENCE),
    Role("kb-writer", HAIKU, "Write or mend one article of the knowledge base. Keep the house style.", 8800, (2, 4), (420, 900), (TICKETS,), (),
         ("Rewrite the returns article for the new policy, draft {n}", "Write an article on parcels held by customs, ticket {n}"), "The article is ready for review; two paragraphs were merged.", 5.0, "research", Dialect.OPENINFERENCE, embeds=True),
    Role("nightly-digest", FLASH, "Write the morning digest of yesterday's returns for the desk.", 21000, (2, 3), (500, 900), (WAREHOUSE,), (),
         ("Morning digest number {n}",), "31 returns, 6 of them for one article: the zip of the winter parka.", 1.0, "clock", at_night=True),
)  # fmt: skip
BY_NAME: dict[str, Role] = {role.name: role for role in CAST}

PEOPLE = ("mira", "jonas", "aisha", "tomek", "lena", "noor", "customer-4471", "customer-2093", "customer-8812")
# Runs started in each hour of a working day (UTC), and how busy each weekday is, Monday first.
HOURS = (2, 1, 1, 1, 1, 2, 5, 11, 18, 24, 26, 24, 20, 24, 25, 23, 19, 14, 9, 7, 5, 4, 3, 2)
WEEKDAYS = (1.1, 1.0, 1.05, 1.0, 0.9, 0.3, 0.22)
