"""ROOM: work with a beginning, an end and a bill, driven by the program that asked for it.

lifecycle.py  create, find, complete; the table of allowed moves; metadata and its limit
calls.py      a model called within a job: through the gateway's guarded call, whole or streamed
costs.py      what a job came to; of many jobs, what a page or a month came to

A job's calls are spans of the run that has the job's id for its name, so budgets, loops and the kill switch bind them.
What a customer pays for a call is kept beside it (JobCall): prices and markup are those of its day.
"""
