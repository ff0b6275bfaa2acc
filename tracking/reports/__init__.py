"""ROOM: questions asked of the data. Every function takes the team first and answers with frozen values; none writes.

now        home.py team_day.py usual.py             what goes on, what today costs, what is usual
runs       runs.py run_filters.py run_facets.py search.py found.py   which runs, and what the filters would leave
one run    run.py spans.py span_tree.py span.py transcript.py        its tree, its bill, one span, what was said
two runs   compare.py run_steps.py step_words.py alignment.py text_difference.py    which steps stand for which, what differs
agents     agents.py agent_runs.py
money      costs.py change.py prices.py called_models.py
budgets    budgets.py budget_standing.py budget_outlook.py budget_entries.py what_if.py replay.py
alerts     alerts.py watched.py                                     what is open; what rules look at, and would have done
keeping    audit.py storage.py drops.py
steering   circuits.py                                              what is cut off, and what moved it
"""
