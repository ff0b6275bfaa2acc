"""What may be spent: budgets, money held for calls under way, money moved.

calls.py     whose call it is, what to hold for it, and what the ledger answered
verbs.py     reserve, dispatch, extend, renew, settle, release, expire, charge: one statement each
perform.py   a verb done through Django's connection, or awaited through a pool
budgets.py   making, changing and archiving budgets; raises and adjustments
terms.py     a budget's terms as people write them; budget_said.py: what the log says of them
opening.py   what was used before there was a budget
sweep.py     holds of calls that fell silent are closed; closed ones are cleared away
seal.py      the chain of hashes over the entries
reconcile.py does what is spent and held agree with the entries and the holds?

The arithmetic is PostgreSQL's (tracking/sql/ledger_functions.sql): a verb locks the rows of all budgets of a call in one
order and decides in the same transaction, so a hundred processes cannot overspend and no two wait in a circle.
"""
