from wflo.checkpoints import checkpoint

__all__ = ["checkpoint"]
