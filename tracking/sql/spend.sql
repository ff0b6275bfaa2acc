-- by_hour: dollars of each hour asked for
SELECT period, sum(cost_usd) FROM (
  SELECT period, cost_usd FROM tracking_usage
  WHERE team_id = %(team)s AND grain = 0 AND slice = %(slice)s AND period = ANY(%(hours)s)
  UNION ALL
  SELECT period, cost_usd FROM tracking_usage_delta
  WHERE team_id = %(team)s AND slice = %(slice)s AND period = ANY(%(hours)s)
) AS u GROUP BY period;

-- first_hour: since when a team has usage
SELECT least(
  (SELECT min(period) FROM tracking_usage WHERE team_id = %(team)s AND grain = 0 AND slice = %(slice)s),
  (SELECT min(period) FROM tracking_usage_delta WHERE team_id = %(team)s AND slice = %(slice)s));

-- by_agent: windows of hours; a window is told by its place among the hours asked for
SELECT agent, (array_position(%(hours)s, period) - 1) / %(size)s AS place, sum(cost_usd), sum(spans), sum(unpriced_calls) FROM (
  SELECT agent, period, cost_usd, spans, unpriced_calls FROM tracking_usage
  WHERE team_id = %(team)s AND grain = 0 AND slice = %(slice)s AND period = ANY(%(hours)s)
    AND (%(agent)s::text IS NULL OR agent = %(agent)s)
  UNION ALL
  SELECT agent, period, cost_usd, spans, unpriced_calls FROM tracking_usage_delta
  WHERE team_id = %(team)s AND slice = %(slice)s AND period = ANY(%(hours)s)
    AND (%(agent)s::text IS NULL OR agent = %(agent)s)
) AS u GROUP BY 1, 2;

-- by_day: whole UTC days
SELECT agent, day, sum(cost_usd), sum(spans), sum(unpriced_calls) FROM (
  SELECT agent, period AS day, cost_usd, spans, unpriced_calls FROM tracking_usage
  WHERE team_id = %(team)s AND grain = 1 AND slice = %(slice)s AND period >= %(start)s AND period < %(end)s
  UNION ALL
  SELECT agent, date_trunc('day', period, 'UTC'), cost_usd, spans, unpriced_calls FROM tracking_usage_delta
  WHERE team_id = %(team)s AND slice = %(slice)s AND period >= %(start)s AND period < %(end)s
) AS u GROUP BY 1, 2;

-- agent_runs: how the newest runs of a range went, by the agent that started them
SELECT entry_agent, count(*) AS runs,
  count(*) FILTER (WHERE status = 'completed') AS completed,
  count(*) FILTER (WHERE status = 'failed') AS failed,
  count(*) FILTER (WHERE status = 'running') AS running,
  count(*) FILTER (WHERE is_priced) AS priced,
  count(*) FILTER (WHERE is_priced AND is_partial) AS partial,
  percentile_disc(0.5) WITHIN GROUP (ORDER BY cost_usd) FILTER (WHERE is_priced) AS median_usd,
  percentile_disc(0.95) WITHIN GROUP (ORDER BY cost_usd) FILTER (WHERE is_priced) AS p95_usd,
  max(cost_usd) FILTER (WHERE is_priced) AS dearest_usd,
  sum(count(*)) OVER () AS read
FROM (
  SELECT entry_agent, status, cost_usd,
    status <> 'running' AND cost_usd IS NOT NULL AS is_priced, unpriced_calls > 0 AS is_partial
  FROM tracking_run
  WHERE team_id = %(team)s AND NOT is_hidden AND started_at >= %(start)s AND started_at < %(end)s
  ORDER BY started_at DESC, id DESC LIMIT %(limit)s
) AS r GROUP BY entry_agent;

-- door: what became of the spans that reached the team's door
SELECT agent, sum(spans) FROM (
  SELECT agent, spans FROM tracking_usage
  WHERE team_id = %(team)s AND grain = 0 AND slice = %(slice)s AND period >= %(start)s AND period < %(end)s
  UNION ALL
  SELECT agent, spans FROM tracking_usage_delta
  WHERE team_id = %(team)s AND slice = %(slice)s AND period >= %(start)s AND period < %(end)s
) AS u GROUP BY 1;

-- by_name_hour: dollars and tokens by hour, by the one column that a slice is grouped by
SELECT name, period, sum(cost_usd), sum(tokens)::bigint FROM (
  SELECT agent || model || user_id || key_id AS name, period, cost_usd, input_tokens + output_tokens + embedding_tokens AS tokens
  FROM tracking_usage
  WHERE team_id = ANY(%(teams)s) AND grain = 0 AND slice = %(slice)s AND period >= %(start)s AND period < %(end)s
    AND (%(names)s::text[] IS NULL OR agent || model || user_id || key_id = ANY(%(names)s))
  UNION ALL
  SELECT agent || model || user_id || key_id, period, cost_usd, input_tokens + output_tokens + embedding_tokens
  FROM tracking_usage_delta
  WHERE team_id = ANY(%(teams)s) AND slice = %(slice)s AND period >= %(start)s AND period < %(end)s
    AND (%(names)s::text[] IS NULL OR agent || model || user_id || key_id = ANY(%(names)s))
) AS u GROUP BY 1, 2;

-- agent_since: dollars of an agent's calls that began since a moment, of runs that were heard of since: those that run, and those of the last day
SELECT coalesce(sum(s.cost_usd), 0)
FROM tracking_run r
JOIN tracking_span s ON s.team_id = r.team_id AND s.day = r.day AND s.trace_id = r.trace_id
WHERE r.team_id = %(team)s AND r.last_seen_at >= %(since)s
  AND (r.status = 'running' OR NOT r.is_hidden AND r.started_at >= %(run_since)s)
  AND s.agent = %(agent)s AND s.started_at >= %(since)s AND s.counted AND s.cost_usd > 0;
