"""Models that need no provider: scripted, deterministic, with usage and prices of their own. Pure.

scripts.py   what each says: agent, echo, loop, slow, error, json
schema.py    a value that fits a JSON schema: arguments of tools, structured answers
reading.py   what requests of all dialects have in common
chat.py      a request and its answer in OpenAI's chat dialect, whole and in chunks
rates.py     what they cost
"""
