from wflo.decorators import track_llm_call

__all__ = ["track_llm_call"]
