-- changed: runs of the last minutes whose calls may repeat themselves, some for each team, the newest first. What calls
-- through the gateway alone is judged there.
SELECT r.team_id, r.id, r.day, r.trace_id, coalesce(r.external_id, replace(r.trace_id::text, '-', '')), r.span_count, r.calls,
  r.name, coalesce(r.entry_agent, ''),
  r.linked_trace_ids <> '{}' OR EXISTS (
    SELECT 1 FROM tracking_run l WHERE l.team_id = r.team_id AND l.linked_trace_ids @> ARRAY[r.trace_id] AND NOT l.linked_trace_ids = '{}')
FROM tracking_team t CROSS JOIN LATERAL (
  (SELECT r.*, r.llm_calls + r.tool_calls AS calls
   FROM tracking_run r WHERE r.team_id = t.id AND NOT r.is_hidden AND r.status = 'running' AND r.last_seen_at > now() - interval '15 minutes'
   ORDER BY r.last_seen_at DESC LIMIT %(most)s)
  UNION ALL
  (SELECT r.*, r.llm_calls + r.tool_calls AS calls
   FROM tracking_run r WHERE r.team_id = t.id AND NOT r.is_hidden AND r.started_at > now() - interval '15 minutes'
     AND NOT (r.status = 'running' AND r.last_seen_at > now() - interval '15 minutes')
   ORDER BY r.started_at DESC, r.id DESC LIMIT %(most)s)
) r
WHERE (r.calls >= 3 OR r.linked_trace_ids <> '{}') AND r.origin <> 'gateway'
ORDER BY r.last_seen_at DESC;
