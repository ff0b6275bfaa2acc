-- open_once: an alert of this key: a new one, one more of the same, or one that was resolved and is open again.
INSERT INTO tracking_alert AS a
  (id, team_id, kind, severity, dedupe_key, run, agent, payload, opened_at, last_at, times)
VALUES (gen_random_uuid(), %(team)s, %(kind)s, %(severity)s, %(key)s, %(run)s, %(agent)s, %(payload)s, %(now)s, %(now)s, 1)
ON CONFLICT (team_id, dedupe_key) DO UPDATE SET
  last_at = greatest(a.last_at, excluded.last_at),
  payload = excluded.payload,
  severity = excluded.severity,
  run = excluded.run,
  agent = excluded.agent,
  times = CASE WHEN a.resolved_at IS NULL THEN a.times + %(more)s ELSE 1 END,
  opened_at = CASE WHEN a.resolved_at IS NULL THEN a.opened_at ELSE excluded.opened_at END,
  delivered_at = CASE WHEN a.resolved_at IS NULL THEN a.delivered_at END,
  acknowledged_at = CASE WHEN a.resolved_at IS NULL THEN a.acknowledged_at END,
  acknowledged_by_id = CASE WHEN a.resolved_at IS NULL THEN a.acknowledged_by_id END,
  resolved_at = NULL
RETURNING id, times = 1 AND opened_at = last_at;

-- claim: deliveries that are due, a few a destination so that a dead one holds up nobody. Whoever dies with them leaves
-- them to the next when the lease is over. To people one message tells all that gathered.
WITH due AS (
  SELECT y.id FROM (
    SELECT d.id, d.next_at, t.kind = 'webhook' AS is_webhook,
      row_number() OVER (PARTITION BY d.destination_id ORDER BY d.created_at, d.id) AS place
    FROM tracking_delivery d JOIN tracking_destination t ON t.id = d.destination_id
    WHERE d.state = 'waiting' AND d.next_at <= %(now)s
      AND (t.kind = 'webhook' OR t.quiet_until IS NULL OR t.quiet_until <= %(now)s)
  ) y
  WHERE y.place <= CASE WHEN y.is_webhook THEN %(each)s ELSE %(gathered)s END
  ORDER BY y.next_at LIMIT %(limit)s
), taken AS (
  SELECT id FROM tracking_delivery
  WHERE id IN (SELECT id FROM due) AND state = 'waiting' AND next_at <= %(now)s
  FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE tracking_delivery d SET attempts = d.attempts + 1, next_at = %(until)s
FROM taken WHERE d.id = taken.id
RETURNING d.id, d.destination_id, d.event, d.payload, d.attempts, d.created_at;

-- teams_to_watch: those with usage lately, or with an alert of the clock's that may be over
SELECT t.id FROM tracking_team t WHERE
  EXISTS (SELECT 1 FROM tracking_usage u
    WHERE u.team_id = t.id AND u.grain = 0 AND u.slice = %(slice)s AND u.period >= %(since)s)
  OR EXISTS (SELECT 1 FROM tracking_usage_delta d
    WHERE d.team_id = t.id AND d.slice = %(slice)s AND d.period >= %(since)s)
  OR EXISTS (SELECT 1 FROM tracking_alert a
    WHERE a.team_id = t.id AND a.resolved_at IS NULL AND a.kind = ANY(%(kinds)s) AND a.dedupe_key LIKE 'rule:%%')
ORDER BY t.id;
