-- fold: move the oldest deltas into hour and day rows, in one statement, so that a reader always finds each once. The
-- table joins nothing: just emptied, it looks to the planner as if it had no rows, and a nested loop over it takes minutes.
WITH gone AS (
  DELETE FROM tracking_usage_delta WHERE id <= (
    SELECT max(id) FROM (SELECT id FROM tracking_usage_delta ORDER BY id LIMIT %(limit)s) AS oldest
  ) RETURNING *
), sums AS (
  SELECT team_id, grain, slice, CASE grain WHEN 0 THEN period ELSE date_trunc('day', period, 'UTC') END AS period,
         agent, model, provider, tool, kind, user_id, key_id, environment,
         sum(runs) AS runs, sum(spans) AS spans, sum(llm_calls) AS llm_calls, sum(tool_calls) AS tool_calls,
         sum(errors) AS errors, sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens,
         sum(cached_tokens) AS cached_tokens, sum(cache_write_tokens) AS cache_write_tokens,
         sum(reasoning_tokens) AS reasoning_tokens, sum(embedding_tokens) AS embedding_tokens,
         sum(cost_usd) AS cost_usd, sum(unpriced_calls) AS unpriced_calls,
         sum(estimated_calls) AS estimated_calls, sum(latency) AS latency
  FROM gone CROSS JOIN (VALUES (0::smallint), (1::smallint)) AS grains(grain)
  GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12
), folded AS (
  INSERT INTO tracking_usage AS u (team_id, grain, slice, period, agent, model, provider, tool, kind, user_id, key_id,
    environment, runs, spans, llm_calls, tool_calls, errors, input_tokens, output_tokens, cached_tokens,
    cache_write_tokens, reasoning_tokens, embedding_tokens, cost_usd, unpriced_calls, estimated_calls, latency)
  SELECT * FROM sums ORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12
  ON CONFLICT (team_id, grain, slice, period, agent, model, provider, tool, kind, user_id, key_id, environment)
  DO UPDATE SET
    runs = u.runs + excluded.runs, spans = u.spans + excluded.spans, llm_calls = u.llm_calls + excluded.llm_calls,
    tool_calls = u.tool_calls + excluded.tool_calls, errors = u.errors + excluded.errors,
    input_tokens = u.input_tokens + excluded.input_tokens, output_tokens = u.output_tokens + excluded.output_tokens,
    cached_tokens = u.cached_tokens + excluded.cached_tokens,
    cache_write_tokens = u.cache_write_tokens + excluded.cache_write_tokens,
    reasoning_tokens = u.reasoning_tokens + excluded.reasoning_tokens,
    embedding_tokens = u.embedding_tokens + excluded.embedding_tokens,
    cost_usd = u.cost_usd + excluded.cost_usd, unpriced_calls = u.unpriced_calls + excluded.unpriced_calls,
    estimated_calls = u.estimated_calls + excluded.estimated_calls, latency = u.latency + excluded.latency
)
SELECT count(*) FROM gone;

-- spans_as_usage: every span of runs that overlap the range as a usage row of its own (the rules of ingest/shares.py).
SELECT s.team_id, date_trunc('hour', s.started_at, 'UTC') AS period, coalesce(s.agent, '') AS agent,
       CASE WHEN s.counted AND (s.kind IN (2, 6, 8) OR s.is_aggregate) THEN coalesce(s.model, '') ELSE '' END AS model,
       CASE WHEN s.counted AND s.kind IN (2, 6, 8) THEN coalesce(s.provider, '') ELSE '' END AS provider,
       CASE WHEN s.counted AND s.kind = 3 THEN coalesce(s.tool_name, '') ELSE '' END AS tool,
       s.kind, coalesce(r.user_id, '') AS user_id, coalesce(r.key_id::text, '') AS key_id,
       coalesce(r.environment, '') AS environment,
       0 AS runs, 1 AS spans, (s.counted AND s.kind = 2)::int AS llm_calls, (s.counted AND s.kind = 3)::int AS tool_calls,
       (s.status = 2)::int AS errors,
       CASE WHEN s.counted AND s.kind <> 6 THEN s.input_tokens END AS input_tokens,
       CASE WHEN s.counted AND s.kind <> 6 THEN s.output_tokens END AS output_tokens,
       CASE WHEN s.counted AND s.kind <> 6 THEN s.cached_tokens END AS cached_tokens,
       CASE WHEN s.counted AND s.kind <> 6 THEN s.cache_write_tokens END AS cache_write_tokens,
       CASE WHEN s.counted AND s.kind <> 6 THEN s.reasoning_tokens END AS reasoning_tokens,
       CASE WHEN s.counted AND s.kind = 6 THEN coalesce(s.input_tokens, 0) + coalesce(s.output_tokens, 0) END AS embedding_tokens,
       s.cost_usd, (s.counted AND s.cost_status = 2)::int AS unpriced_calls,
       (s.counted AND s.cost_status = 3)::int AS estimated_calls,
       CASE WHEN s.ended_at IS NOT NULL THEN ('1' || repeat('000000000000', least(39, greatest(0, floor(
         2 * log(2, greatest(1, extract(epoch FROM s.ended_at - s.started_at) * 1000))))::int)))::numeric END AS latency
FROM tracking_run r
JOIN tracking_span s ON s.team_id = r.team_id AND s.day = r.day AND s.trace_id = r.trace_id
WHERE r.team_id = ANY(%(teams)s) AND r.started_at < %(end)s AND coalesce(r.ended_at, r.last_seen_at) >= %(start)s
  AND s.started_at >= %(start)s AND s.started_at < %(end)s;
