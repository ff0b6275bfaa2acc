"""ROOM: traces come in. Face: ``writer.submit(batch)`` from the hot doors, ``writer.accept(batch)`` from any thread.

bytes     body.py inflate.py prescan.py   read, inflate and look over a request under its limits
spans     otlp.py otlp_json.py native.py logs.py   decode to wflo.Span
meaning   normalise.py clean.py clocks.py dialects/  what each emitter meant; what had to be repaired
a run     counting.py story.py shares.py run_state.py   what follows from all spans of a run: pure
rows      span_row.py chunks.py copying.py   how it is stored
store     write.py writer.py              one transaction for many requests
"""
