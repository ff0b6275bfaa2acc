"""What a call costs, as far as it is known here."""

from wflo.price_list import cost_of, rates_for
from wflo.reading_usage import usage_of

__all__ = ["cost_of", "rates_for", "usage_of"]
