-- v5_door: received = accepted + known + every kind of rejected, each team and hour.
WITH door AS (
  SELECT team_id, period, agent AS reason, spans FROM tracking_usage WHERE slice = 11 AND grain = 0
  UNION ALL SELECT team_id, period, agent, spans FROM tracking_usage_delta WHERE slice = 11
)
SELECT team_id, period, sum(spans) FILTER (WHERE reason = 'received'), sum(spans) FILTER (WHERE reason <> 'received')
FROM door WHERE %(team)s::bigint IS NULL OR team_id = %(team)s::bigint
GROUP BY 1, 2
HAVING coalesce(sum(spans) FILTER (WHERE reason = 'received'), 0)
    <> coalesce(sum(spans) FILTER (WHERE reason <> 'received'), 0) LIMIT 10;

-- v6_usage_is_its_spans: hour by hour, usage equals the sums of the spans stored. Spans live on the first day of their
-- run, so an hour is compared while the team keeps its day and the one before.
WITH kept AS (
  SELECT team_id, period, spans, llm_calls, input_tokens, output_tokens, embedding_tokens, cost_usd, unpriced_calls
  FROM tracking_usage WHERE slice = 0 AND grain = 0
  UNION ALL
  SELECT team_id, period, spans, llm_calls, input_tokens, output_tokens, embedding_tokens, cost_usd, unpriced_calls
  FROM tracking_usage_delta WHERE slice = 0
), usage AS (
  SELECT team_id, period, sum(spans) AS spans, sum(llm_calls) AS calls, sum(input_tokens) AS tin,
         sum(output_tokens) AS tout, sum(embedding_tokens) AS embedded, sum(cost_usd) AS cost, sum(unpriced_calls) AS unpriced
  FROM kept GROUP BY 1, 2
), real AS (
  SELECT team_id, date_trunc('hour', started_at, 'UTC') AS period, count(*) AS spans,
         count(*) FILTER (WHERE counted AND kind = 2) AS calls,
         coalesce(sum(input_tokens) FILTER (WHERE counted AND kind <> 6), 0) AS tin,
         coalesce(sum(output_tokens) FILTER (WHERE counted AND kind <> 6), 0) AS tout,
         coalesce(sum(coalesce(input_tokens, 0) + coalesce(output_tokens, 0)) FILTER (WHERE counted AND kind = 6), 0) AS embedded,
         coalesce(sum(cost_usd), 0) AS cost, count(*) FILTER (WHERE counted AND cost_status = 2) AS unpriced
  FROM tracking_span GROUP BY 1, 2
)
SELECT coalesce(u.team_id, r.team_id), coalesce(u.period, r.period), u.spans, r.spans, u.calls, r.calls, u.tin, r.tin,
       u.tout, r.tout, u.cost, r.cost, u.unpriced, r.unpriced
FROM usage u FULL JOIN real r ON r.team_id = u.team_id AND r.period = u.period
JOIN tracking_team t ON t.id = coalesce(u.team_id, r.team_id)
WHERE coalesce(u.period, r.period) >= date_trunc('day', now(), 'UTC') - make_interval(days => t.retention_days - 1)
  AND (%(team)s::bigint IS NULL OR coalesce(u.team_id, r.team_id) = %(team)s::bigint)
  AND (coalesce(u.spans, 0), coalesce(u.calls, 0), coalesce(u.tin, 0), coalesce(u.tout, 0), coalesce(u.embedded, 0),
       coalesce(u.cost, 0), coalesce(u.unpriced, 0))
   IS DISTINCT FROM (coalesce(r.spans, 0), coalesce(r.calls, 0), coalesce(r.tin, 0), coalesce(r.tout, 0),
       coalesce(r.embedded, 0), coalesce(r.cost, 0), coalesce(r.unpriced, 0)) LIMIT 10;

-- v6_slices_agree: every slice of a kind of question sums to the same as the whole.
WITH kept AS (
  SELECT team_id, slice, period, spans, llm_calls, input_tokens, cost_usd FROM tracking_usage WHERE grain = 0 AND slice <> 11
  UNION ALL SELECT team_id, slice, period, spans, llm_calls, input_tokens, cost_usd FROM tracking_usage_delta WHERE slice <> 11
), sums AS (
  SELECT team_id, slice, sum(spans) AS spans, sum(llm_calls) AS calls, sum(input_tokens) AS tin, sum(cost_usd) AS cost
  FROM kept WHERE %(team)s::bigint IS NULL OR team_id = %(team)s::bigint GROUP BY 1, 2
)
SELECT s.team_id, s.slice, s.spans, t.spans, s.cost, t.cost
FROM sums s JOIN sums t ON t.team_id = s.team_id AND t.slice = 0
WHERE (s.spans, s.calls, s.tin, s.cost) IS DISTINCT FROM (t.spans, t.calls, t.tin, t.cost) LIMIT 10;

-- v6_days_are_hours: day rows are the sums of their hour rows.
SELECT team_id, slice, date_trunc('day', period, 'UTC'), sum(spans) FILTER (WHERE grain = 0), sum(spans) FILTER (WHERE grain = 1)
FROM tracking_usage WHERE %(team)s::bigint IS NULL OR team_id = %(team)s::bigint
GROUP BY 1, 2, 3
HAVING (sum(spans) FILTER (WHERE grain = 0), sum(cost_usd) FILTER (WHERE grain = 0), sum(latency) FILTER (WHERE grain = 0))
  IS DISTINCT FROM (sum(spans) FILTER (WHERE grain = 1), sum(cost_usd) FILTER (WHERE grain = 1), sum(latency) FILTER (WHERE grain = 1))
LIMIT 10;

-- v6_runs_are_their_spans: a run's totals are the sums of its spans.
SELECT r.team_id, r.id, r.span_count, s.spans, r.llm_calls, s.calls, r.input_tokens, s.tin, r.cost_usd, s.cost
FROM tracking_run r
LEFT JOIN LATERAL (
  SELECT count(*) AS spans, count(*) FILTER (WHERE counted AND kind = 2) AS calls,
         coalesce(sum(input_tokens) FILTER (WHERE counted AND kind <> 6), 0) AS tin,
         coalesce(sum(output_tokens) FILTER (WHERE counted AND kind <> 6), 0) AS tout, sum(cost_usd) AS cost
  FROM tracking_span s WHERE s.team_id = r.team_id AND s.day = r.day AND s.trace_id = r.trace_id
) s ON true
WHERE (%(team)s::bigint IS NULL OR r.team_id = %(team)s::bigint)
  AND ((r.span_count, r.llm_calls, r.input_tokens, r.output_tokens) IS DISTINCT FROM (s.spans, s.calls, s.tin, s.tout)
       OR coalesce(r.cost_usd, 0) <> coalesce(s.cost, 0)) LIMIT 10;

-- v10_spans_have_their_run: every span and payload belongs to a run of its own team and day.
SELECT s.team_id, s.day, s.trace_id FROM tracking_span s
LEFT JOIN tracking_run r ON r.team_id = s.team_id AND r.trace_id = s.trace_id AND r.day = s.day
WHERE r.id IS NULL AND (%(team)s::bigint IS NULL OR s.team_id = %(team)s::bigint)
UNION ALL
SELECT p.team_id, p.day, p.trace_id FROM tracking_payload p
LEFT JOIN tracking_run r ON r.team_id = p.team_id AND r.trace_id = p.trace_id AND r.day = p.day
WHERE r.id IS NULL AND (%(team)s::bigint IS NULL OR p.team_id = %(team)s::bigint) LIMIT 10;

-- v12_no_nonsense: no NaN, no negative figure, no span that counts twice over.
SELECT team_id, trace_id, span_id, cost_usd FROM tracking_span
WHERE (%(team)s::bigint IS NULL OR team_id = %(team)s::bigint)
  AND (cost_usd < 0 OR cost_usd = 'NaN' OR input_tokens < 0 OR output_tokens < 0 OR ended_at < started_at
       OR (NOT counted AND cost_usd IS NOT NULL) OR (cost_status = 2 AND cost_usd IS NOT NULL))
LIMIT 10;
