"""ROOM: agents as data: what a team's agents are told, with which tools and how they work together; every version is kept.

definition.py  what an agent is, and everything that may be wrong with it
patterns.py    the ways to work together, as data: their options and the parts that members have
store.py       save, find, list, archive, restore
resolve.py     an agent with its members in it: the snapshot that a job keeps
"""
