"""The built-in provider: scripted models, so that a person without any provider's key can press Run and watch.

The same request has the same answer. Nothing goes over the network.

carrier.py     takes a call as any deployment does
wflo/demo      what each model says, in the chat dialect
completions.py  responses.py  messages.py  embeddings.py   the same in the other dialects, whole and as a stream
"""

from tracking.gateway.demo_provider.carrier import CARRIER

__all__ = ["CARRIER"]
