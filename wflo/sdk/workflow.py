from wflo.workflow import WfloAgent, WfloWorkflow, WrappedWorkflow, with_wflo

__all__ = ["WfloAgent", "WfloWorkflow", "WrappedWorkflow", "with_wflo"]
