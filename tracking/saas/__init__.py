"""ROOM: the doors of SaaS LiteLLM under /api, so that its clients run unchanged.

answers.py           errors in FastAPI's form
auth.py              a team's key; an operator's key in either header
moments.py           "2026-11" and "2026-11-26"
jobs_api.py          jobs: made, looked at, ended; calls_door.py: the model called within one
groups_api.py        what a team may name, what it resolves to; models, aliases and access groups
teams_api.py, organizations_api.py, credits_api.py, people_api.py, monitoring_api.py    what administrators do

No fact is kept twice: teams, keys, groups, credentials and people are those of the rest of Wflo.
"""
