from wflo.contention import detect_contention, statistics

__all__ = ["detect_contention", "statistics"]
