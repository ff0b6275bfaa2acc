-- fold: move the oldest deltas into hour and day rows, in one statement, so that a reader always finds each once.
WITH gone AS (
  DELETE FROM tracking_usage_delta WHERE (team_id, id) IN (
    SELECT team_id, id FROM tracking_usage_delta ORDER BY id LIMIT %(limit)s
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
