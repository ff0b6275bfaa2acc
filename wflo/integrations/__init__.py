"""Frameworks and providers' clients, one file each; nothing is imported before it is asked for.

watching.py    what the files for providers' clients share
langchain.py   the callback handler; langchain_reading.py what LangChain tells it
langgraph.py   graphs executed by WfloWorkflow; langgraph_saver.py the checkpointer, on langgraph_threads.py and langgraph_values.py
litellm.py     LiteLLM's functions, and its callback
saas.py        SaaS LiteLLM's wrappers; saas_langchain.py its chat model
"""
