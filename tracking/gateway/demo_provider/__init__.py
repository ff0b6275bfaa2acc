"""The built-in provider: scripted models, so that a person without any provider's key can press Run and watch.

The same request has the same answer. Nothing goes over the network.

carrier.py     takes a call as any deployment does
scripts.py     what each model says: agent, echo, loop, slow, error, json
schema.py      a value that fits a JSON schema: arguments of tools, structured answers
chat.py  completions.py  responses.py  messages.py  embeddings.py   the same in each dialect, whole and as a stream
"""

from tracking.gateway.demo_provider.carrier import CARRIER

__all__ = ["CARRIER"]
