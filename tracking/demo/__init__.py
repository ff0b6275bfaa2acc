"""ROOM: a plausible team to look at, sent through the same front door as anybody's agents.

cast.py    eight agents: their models, tools, tasks and habits, as data
story.py   three weeks of their runs as steps, the same for the same seed
wire.py    steps -> OTLP/JSON in the words of two dialects
recorded.py what real frameworks sent (examples/otlp), moved to yesterday
sender.py  requests to /v1/traces, one of them twice, as a retrying exporter does
jobs.py    agents that work for it, and what they are asked
team.py    the team "Demo": made with a key of its own, removed without a trace
"""
