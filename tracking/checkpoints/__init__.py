"""ROOM: states of runs, saved after a step, to look at and to go back to.

packing.py     a state into parts that are stored once each, and back: pure
difference.py  what two states differ in: pure
new.py         a state on its way to be saved: pure
store.py       save, list, read; a run's versions rise by one
rollbacks.py   a run that another process drives is asked to go on from a checkpoint
"""
