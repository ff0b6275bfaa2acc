"""ROOM: what people and agents decide together.

approvals.py      a step waits for a yes: asked, decided once, expired by the store's clock
dead_letters.py   what was given up, tried again or thrown away
polls.py          agents vote; wflo.voting counts
shared_values.py  values that agents of a run share, with versions
clearing.py       what is over is forgotten
payloads.py       what is kept of what an agent sent along: redacted, and of a size
"""
