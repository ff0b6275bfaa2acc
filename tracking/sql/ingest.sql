-- lock_runs: the runs a batch touches, locked in one order so that writers never wait in a circle.
SELECT r.team_id, r.trace_id, r.id, r.day, r.origin, r.status, r.external_id, r.title, r.title_rank, r.output,
       r.output_rank, r.session_id, r.user_id, r.environment, r.release, r.service, r.key_id::text, r.tags, r.metadata,
       r.linked_trace_ids, r.is_hidden, r.span_count
FROM (SELECT * FROM unnest(%(teams)s::bigint[], %(traces)s::uuid[]) AS w(team_id, trace_id) ORDER BY 1, 2) AS wanted
CROSS JOIN LATERAL (
  SELECT * FROM tracking_run WHERE team_id = wanted.team_id AND trace_id = wanted.trace_id FOR NO KEY UPDATE
) AS r;

-- accepted_today: spans of each team taken in since midnight UTC.
SELECT team_id, sum(spans)::bigint FROM (
  SELECT team_id, spans FROM tracking_usage
  WHERE team_id = ANY(%(teams)s) AND slice = 11 AND grain = 1 AND agent = 'accepted' AND period = date_trunc('day', now(), 'UTC')
  UNION ALL
  SELECT team_id, spans FROM tracking_usage_delta
  WHERE team_id = ANY(%(teams)s) AND slice = 11 AND agent = 'accepted' AND period >= date_trunc('day', now(), 'UTC')
) AS taken GROUP BY team_id;

-- taken_external_ids: of the ids that new runs bring, those another run of the team has.
-- Each by its key: a plan made while there were few runs would read all of a team's.
SELECT wanted.team_id, wanted.external_id, r.trace_id
FROM unnest(%(teams)s::bigint[], %(ids)s::text[]) AS wanted(team_id, external_id)
CROSS JOIN LATERAL (
  SELECT trace_id FROM tracking_run WHERE team_id = wanted.team_id AND external_id = wanted.external_id OFFSET 0
) AS r;

-- insert_runs: new runs, one JSON object a run; those that are new indeed. One that another writer is just beginning is
-- waited for.
INSERT INTO tracking_run (team_id, id, trace_id, day, external_id, origin, name, title, title_rank, output, output_rank, status, error, started_at, ended_at,
  last_seen_at, is_idle_closed, session_id, user_id, environment, release, service, key_id, tags, metadata, entry_agent,
  agents, model_names, span_count, llm_calls, tool_calls, errors, input_tokens, output_tokens, cached_tokens,
  cache_write_tokens, reasoning_tokens, embedding_tokens, cost_usd, unpriced_calls, estimated_calls, is_hidden,
  linked_trace_ids, loop_detected, budget_exceeded)
SELECT team_id, id, trace_id, day, external_id, origin, name, title, title_rank, output, output_rank, status, error, started_at, ended_at,
  last_seen_at, is_idle_closed, session_id, user_id, environment, release, service, key_id, tags, metadata, entry_agent,
  agents, model_names, span_count, llm_calls, tool_calls, errors, input_tokens, output_tokens, cached_tokens,
  cache_write_tokens, reasoning_tokens, embedding_tokens, cost_usd, unpriced_calls, estimated_calls, is_hidden,
  linked_trace_ids, false, false
FROM jsonb_populate_recordset(NULL::tracking_run, %(runs)s::jsonb)
ON CONFLICT (team_id, trace_id) DO NOTHING
RETURNING team_id, trace_id;

-- update_runs: new totals of runs that were there, one JSON object a run.
UPDATE tracking_run r SET
  external_id = n.external_id, name = n.name, title = n.title, title_rank = n.title_rank, output = n.output,
  output_rank = n.output_rank, status = n.status, error = n.error, started_at = n.started_at, ended_at = n.ended_at,
  last_seen_at = n.last_seen_at, is_idle_closed = false, session_id = n.session_id, user_id = n.user_id,
  environment = n.environment, release = n.release, service = n.service, key_id = n.key_id, tags = n.tags,
  metadata = n.metadata, entry_agent = n.entry_agent, agents = n.agents, model_names = n.model_names,
  span_count = n.span_count, llm_calls = n.llm_calls, tool_calls = n.tool_calls, errors = n.errors,
  input_tokens = n.input_tokens, output_tokens = n.output_tokens, cached_tokens = n.cached_tokens,
  cache_write_tokens = n.cache_write_tokens, reasoning_tokens = n.reasoning_tokens,
  embedding_tokens = n.embedding_tokens, cost_usd = n.cost_usd, unpriced_calls = n.unpriced_calls,
  estimated_calls = n.estimated_calls, is_hidden = n.is_hidden, linked_trace_ids = n.linked_trace_ids
FROM jsonb_populate_recordset(NULL::tracking_run, %(runs)s::jsonb) AS n
WHERE r.team_id = n.team_id AND r.id = n.id;

-- delete_spans: rows that a later report replaces; the new ones are copied in.
DELETE FROM tracking_span s
USING unnest(%(teams)s::bigint[], %(days)s::date[], %(traces)s::uuid[], %(spans)s::bigint[])
      AS gone(team_id, day, trace_id, span_id)
WHERE s.team_id = gone.team_id AND s.day = gone.day AND s.trace_id = gone.trace_id AND s.span_id = gone.span_id;

-- add_agents: agents never seen before get the next colour of seven; those that were, an earlier first day.
INSERT INTO tracking_agent AS a (team_id, name, colour, first_seen_at)
SELECT n.team_id, n.name,
       2 + ((SELECT count(*) FROM tracking_agent t WHERE t.team_id = n.team_id)
            + row_number() OVER (PARTITION BY n.team_id ORDER BY n.seen, n.name) - 1) %% 7,
       n.seen
FROM unnest(%(teams)s::bigint[], %(names)s::text[], %(seen)s::timestamptz[]) AS n(team_id, name, seen)
ORDER BY n.team_id, n.name
ON CONFLICT (team_id, name) DO UPDATE SET first_seen_at = excluded.first_seen_at
WHERE a.first_seen_at > excluded.first_seen_at;

-- plan_for_long_runs: until the transaction ends. The planner takes a run's groups for as many as its rows and would
-- sort texts by their language's rules; it hashes a list of ids only when it plans with them in hand; and a reader's
-- processors are not the writer's to take.
SELECT set_config('enable_sort', 'off', true), set_config('plan_cache_mode', 'force_custom_plan', true),
       set_config('max_parallel_workers_per_gather', '0', true);

-- above: of a long run's spans, those above the given ones, and the given ones; as many as asked for at most. The
-- lateral keeps it to one look into the primary key for each, whatever the planner believes of a partition it never
-- analysed.
WITH RECURSIVE up(span_id) AS (
  SELECT unnest(%(spans)s::bigint[])
  UNION
  SELECT s.parent_id FROM up CROSS JOIN LATERAL (
    SELECT parent_id FROM tracking_span
    WHERE team_id = %(team)s AND day = %(day)s AND trace_id = %(trace)s AND span_id = up.span_id LIMIT 1
  ) s
  WHERE s.parent_id IS NOT NULL
)
SELECT span_id FROM up LIMIT %(limit)s;

-- beside: model calls under the same parents in the same times.
SELECT s.span_id FROM tracking_span s
JOIN unnest(%(parents)s::bigint[], %(lows)s::timestamptz[], %(highs)s::timestamptz[]) AS w(parent, low, high)
  ON coalesce(s.parent_id, 0) = w.parent AND s.started_at <= w.high AND greatest(s.started_at, s.ended_at) >= w.low
WHERE s.team_id = %(team)s AND s.day = %(day)s AND s.trace_id = %(trace)s AND s.kind = ANY(%(kinds)s::smallint[])
LIMIT %(limit)s;

-- is_told_otherwise: whether a run has model calls in another convention.
SELECT EXISTS (
  SELECT 1 FROM tracking_span
  WHERE team_id = %(team)s AND day = %(day)s AND trace_id = %(trace)s AND kind = ANY(%(kinds)s::smallint[])
    AND convention <> %(convention)s
);

-- rest_of_run: what the spans of a run add that are not loaded, those in one place of the usage tables together.
SELECT (extract(epoch FROM min(started_at)) * 1000000)::bigint AS started_us, agent, model, provider, tool_name, kind,
       counted, is_aggregate,
       count(*) AS spans, count(*) FILTER (WHERE status = 2) AS errors,
       coalesce(sum(input_tokens), 0)::bigint AS input_tokens, coalesce(sum(output_tokens), 0)::bigint AS output_tokens,
       coalesce(sum(cached_tokens), 0)::bigint AS cached_tokens,
       coalesce(sum(cache_write_tokens), 0)::bigint AS cache_write_tokens,
       coalesce(sum(reasoning_tokens), 0)::bigint AS reasoning_tokens,
       (coalesce(sum(cost_usd), 0) * 10000000000)::bigint AS cost_units, count(cost_usd) AS priced_calls,
       count(*) FILTER (WHERE cost_status = 2) AS unpriced_calls,
       count(*) FILTER (WHERE cost_status = 3) AS estimated_calls,
       bool_or(input_tokens IS NOT NULL OR output_tokens IS NOT NULL) AS has_known,
       bool_or((input_tokens IS NOT NULL OR output_tokens IS NOT NULL) AND NOT is_declaration
               AND convention <> %(accounting)s) AS has_sums,
       min(started_at) AS first, min(started_at) FILTER (WHERE parent_id IS NULL) AS first_root,
       min(started_at) FILTER (WHERE ended_at IS NULL) AS first_open,
       min(started_at) FILTER (WHERE NOT is_declaration) AS first_real,
       min(started_at) FILTER (WHERE error <> '') AS first_broken, max(ended_at) AS last_end
FROM tracking_span
WHERE team_id = %(team)s AND day = %(day)s AND trace_id = %(trace)s AND NOT span_id = ANY(%(loaded)s::bigint[])
GROUP BY agent, model, provider, tool_name, kind, counted, is_aggregate,
         date_bin('1 hour', started_at, '2000-01-01 00:00:00+00');
