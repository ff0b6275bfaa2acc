-- changed: runs of the last minutes whose calls may repeat themselves, some for each team, the newest first. What calls
-- through the gateway alone is judged there.
SELECT r.team_id, r.id, r.day, r.trace_id, coalesce(r.external_id, replace(r.trace_id::text, '-', '')), r.span_count, r.calls
FROM tracking_team t CROSS JOIN LATERAL (
  (SELECT r.team_id, r.id, r.day, r.trace_id, r.external_id, r.span_count, r.llm_calls + r.tool_calls AS calls, r.origin, r.last_seen_at
   FROM tracking_run r WHERE r.team_id = t.id AND NOT r.is_hidden AND r.status = 'running' AND r.last_seen_at > now() - interval '15 minutes'
   ORDER BY r.last_seen_at DESC LIMIT %(most)s)
  UNION
  (SELECT r.team_id, r.id, r.day, r.trace_id, r.external_id, r.span_count, r.llm_calls + r.tool_calls AS calls, r.origin, r.last_seen_at
   FROM tracking_run r WHERE r.team_id = t.id AND NOT r.is_hidden AND r.started_at > now() - interval '15 minutes'
   ORDER BY r.started_at DESC, r.id DESC LIMIT %(most)s)
) r
WHERE r.calls >= 3 AND r.origin <> 'gateway'
ORDER BY r.last_seen_at DESC;
