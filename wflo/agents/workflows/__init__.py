"""Sixteen ways for agents to work together, one a file.

workflow.py   what they share: turns, hooks, parallel parts, results
reading.py    scores, votes and verdicts, out of what models say
"""
