"""The core: rows, money, and doors for machines. It remembers what ``wflo`` decides.

models/     every table, one file a concept
ingest/     traces come in: ``accept(caller, spans)`` -> Receipt
pricing.py  dated prices -> what a span cost, or unknown
usage/      sums kept as spans arrive; folding, latency histograms
reports/    questions asked of the data; every function takes the team first
keys.py     API keys -> Caller
audit.py    who changed what
retention.py  partitions made ahead, old ones dropped
api.py      the management and reading API under /api/v1
tasks.py    what the clock calls
"""
