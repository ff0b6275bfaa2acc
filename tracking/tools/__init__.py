"""ROOM: what agents may do besides talking: tools, each with what it does to the world and, where it can, a way to undo it.

registry.py      which tools a team may choose, and those of one run, ready to be called; offer.py: what such a tool is
built_in.py      those every team has: calculator.py, clock.py, http_get.py, memory.py, and handing a task on
python_tools.py  functions that an operator installed: WFLO_TOOLS, or the entry points "wflo.tools"
mcp_servers.py   servers of tools that a team added: rows, their headers sealed, what they listed last
mcp.py           how a server is talked to: the Model Context Protocol over streamable HTTP

Functions here are sync and are called in threads, or async; whoever calls them has an event loop.
"""

from tracking.tools.registry import Choice, Offered, ToolContext, catalogue, offered

__all__ = ["Choice", "Offered", "ToolContext", "catalogue", "offered"]
