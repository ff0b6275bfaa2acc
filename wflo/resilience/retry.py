from wflo.retry import delay_ms, with_retry

__all__ = ["delay_ms", "with_retry"]
