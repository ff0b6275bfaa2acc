"""Figures: a whole Wflo of its own, real requests, and what they took, beside the targets."""
