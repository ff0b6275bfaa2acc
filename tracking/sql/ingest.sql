-- lock_runs: the runs a batch touches, locked in one order so that writers never wait in a circle.
SELECT r.team_id, r.trace_id, r.id, r.day, r.origin, r.status, r.external_id, r.title, r.title_rank, r.output,
       r.output_rank, r.session_id, r.user_id, r.environment, r.release, r.service, r.key_id::text, r.tags, r.metadata,
       r.linked_trace_ids, r.is_hidden
FROM tracking_run r
JOIN unnest(%(teams)s::bigint[], %(traces)s::uuid[]) AS wanted(team_id, trace_id) USING (team_id, trace_id)
ORDER BY r.team_id, r.trace_id
FOR NO KEY UPDATE OF r;

-- accepted_today: spans of each team taken in since midnight UTC.
SELECT team_id, sum(spans)::bigint FROM (
  SELECT team_id, spans FROM tracking_usage
  WHERE team_id = ANY(%(teams)s) AND slice = 11 AND grain = 1 AND agent = 'accepted' AND period = date_trunc('day', now(), 'UTC')
  UNION ALL
  SELECT team_id, spans FROM tracking_usage_delta
  WHERE team_id = ANY(%(teams)s) AND slice = 11 AND agent = 'accepted' AND period >= date_trunc('day', now(), 'UTC')
) AS taken GROUP BY team_id;

-- taken_external_ids: of the ids that new runs bring, those another run of the team has.
SELECT r.team_id, r.external_id, r.trace_id
FROM tracking_run r
JOIN unnest(%(teams)s::bigint[], %(ids)s::text[]) AS wanted(team_id, external_id) USING (team_id, external_id);

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
