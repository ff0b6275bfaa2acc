from wflo.looping import detect_infinite_loop

__all__ = ["detect_infinite_loop"]
