"""ROOM: agent jobs that workers do. PostgreSQL is the queue of record; Celery's messages only say that there is work.

submit.py     a job is asked for: once, within the team's caps
states.py     what happens to a job from outside: cancelled, retried, resumed, raised; and how it ends
claims.py     which job is next; leases, and jobs whose worker fell silent
stops.py      why a run of a job stops before its end
journal.py    every step that was paid for, kept as it is done; steps.py are its rows, places.py says which is which
model.py      the model as a job calls it: through the gateway's guarded call
kept_tools.py tools as a job calls them: kept, asked about, undone
build.py      a definition -> agents that run
runner.py     one run of a job, from its first step or from any
engine.py     a worker's loop: claims jobs and does them
forks.py      going on from a checkpoint: what it would reuse and cost, rolling back, forking, undoing
schedules.py  jobs that come again
live.py       words of an answer that is on its way; spans.py: what a job's run tells of itself

A run is done again from its beginning every time a worker takes it up: the steps it has are read instead of made, so it comes to
where it was without paying for anything twice, whatever its pattern.
"""
