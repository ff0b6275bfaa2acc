"""How each framework writes what it did, one file a dialect. ``tracking.ingest.normalise`` chooses among them.

The tables behind these files were taken from recorded payloads of some fifty emitters, not from their documentation.
"""
