"""A storm: many clients spend little money through a whole Wflo while its processes and stores are killed, by seed.

``make chaos`` or ``python -m tests.chaos --seed 7 --seconds 60``. Afterwards everything is judged against the bill that the
scripted provider kept: see judge.py.

storm.py  the clients    faults.py  what is killed, and when    judge.py  what must be true at rest
"""
