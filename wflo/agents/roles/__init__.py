"""Agents that take part in a talk by roles (ToolSandbox's): user, agent, execution environment, system.

context.py   what was said so far, to whom, and the tools there are
role.py      BaseRole: reads and writes the context
agent.py     LiteLLMAgent: one class for every provider
cache.py     answers kept, per agent
config.py    LiteLLMConfig: from the environment, with fallbacks
factory.py   create_litellm_agent, create_router_agent, the table by agent type; the old class names
"""
