"""Wflo: see, pay for and steer your AI agents.

The library. It holds the values and pure rules that the server and your agents share; it needs no Django.
"""

from wflo.spans import Kind, Rejected, Span, Status
from wflo.usage import Usage

__all__ = ["Kind", "Rejected", "Span", "Status", "Usage"]
__version__ = "0.1.0"
