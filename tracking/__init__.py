"""The core: rows, money, and doors for machines. It remembers what ``wflo`` decides.

Lower lines know nothing of higher ones (``[tool.importlinter]`` in pyproject.toml).

*_api.py       /api/v1 for programs; reading_json.py, reading_schemas.py, budget_json.py, budget_schemas.py beside them
tasks.py       what the clock calls; admin.py, management/: what operators do
demo/          a plausible team, sent through the front door
saas/          SaaS LiteLLM's doors under /api: jobs, credits, teams, groups
jobs/          work with a beginning, an end and a bill; credits.py: what a customer has paid for
reports/       questions asked of the data; every function takes the team first
gateway/       model calls go out: held for, called, settled, recorded; demo models
catalog.py     groups, deployments, credentials, aliases
checkpoints/   states of runs: saved, compared, gone back to
steering/      what people and agents decide: approvals, dead letters, votes, shared values
ingest/        traces come in: bytes -> spans -> what they mean -> one transaction
alerts/        what a person should see, and how it reaches them; alert_watch.py looks at the rules,
               loop_watch.py for loops in what spans tell, speed_watch.py at how fast agents spend
egress.py      calls to addresses that teams give; egress_guard.py judges them, apprise_child.py runs under it
sealed.py      secrets that must be read again
ledger/        budgets, money held for calls under way, money moved
pricing.py     what a call cost, or unknown; price_book.py, price_input.py below it, wflo/price_map.py under them
agent_breaker.py  agents are cut off and come back; circuits.py: the breakers that all processes share
keys.py        API keys -> Caller; teams.py: who sits where with which role; people.py: accounts, made and signed in
retention.py   partitions made ahead, old ones dropped; runs.py closes those that went quiet; invariants.py checks
usage/         sums kept as spans arrive; folding, latency histograms
audit.py       who changed what
codes.py       kinds, statuses and ids as columns hold them; ids.py makes ids; moments.py, redaction.py, sql/
models/        every table, one file a concept
errors.py      what can go wrong, with a code and a status; store_errors.py: what the store
               failed with; problems.py: how programs are told
"""
