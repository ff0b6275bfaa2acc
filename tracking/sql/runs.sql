-- close_idle: runs that went quiet end as their last finished span ended.
WITH quiet AS (
  SELECT team_id, id, day, trace_id FROM tracking_run
  WHERE status = 'running' AND last_seen_at < %(before)s
  ORDER BY team_id, trace_id LIMIT %(limit)s
  FOR NO KEY UPDATE SKIP LOCKED
), last AS (
  SELECT DISTINCT ON (q.team_id, q.id) q.team_id, q.id, s.status, s.error,
         max(coalesce(s.ended_at, s.started_at)) OVER (PARTITION BY q.team_id, q.id) AS ended_at
  FROM quiet q
  LEFT JOIN tracking_span s ON s.team_id = q.team_id AND s.day = q.day AND s.trace_id = q.trace_id
  ORDER BY q.team_id, q.id, s.ended_at DESC NULLS LAST, s.span_id
)
UPDATE tracking_run r
SET status = CASE WHEN last.status = 2 THEN 'failed' ELSE 'completed' END,
    error = coalesce(r.error, CASE WHEN last.status = 2 THEN last.error END),
    ended_at = coalesce(last.ended_at, r.last_seen_at), is_idle_closed = true
FROM last WHERE r.team_id = last.team_id AND r.id = last.id;
