-- models_seen: model names of a team, with the provider each came with.
SELECT DISTINCT model, provider FROM tracking_usage WHERE team_id = %(team)s AND slice = 10 AND grain = 1 AND model <> ''
UNION SELECT DISTINCT model, provider FROM tracking_usage_delta WHERE team_id = %(team)s AND slice = 10 AND model <> '';

-- count_runs: runs with a call of one of the models, not over before a moment.
SELECT count(*) FROM tracking_run
WHERE team_id = %(team)s AND model_names && %(models)s::varchar[] AND coalesce(ended_at, last_seen_at) >= %(since)s;

-- next_runs: the same runs, a bite at a time in the order of their traces.
SELECT trace_id FROM tracking_run
WHERE team_id = %(team)s AND model_names && %(models)s::varchar[] AND coalesce(ended_at, last_seen_at) >= %(since)s
  AND trace_id > %(after)s
ORDER BY trace_id LIMIT %(limit)s;

-- update_cost: what a run costs now.
UPDATE tracking_run SET cost_usd = %(cost)s, unpriced_calls = %(unpriced)s, estimated_calls = %(estimated)s
WHERE team_id = %(team)s AND id = %(id)s;
