"""ROOM: what was used, kept as it arrives.

slices.py   which columns a row is grouped by
latency.py  durations as a histogram in one number
fold.py     deltas -> hour and day rows, in the background
stretches.py  a range as day rows and the hours at its edges
query.py    usage(...): one statement over rows and unfolded deltas
"""
