-- not_whole: every circuit that is anything but closed and without failures; all others are as if they had no row.
SELECT team_id, name, state, failures, successes, calls, errors, tokens, window_at, opened_at, retry_at, probe, probe_until,
       last_error, hits, why, is_held, approval, version, clock_timestamp()
FROM tracking_circuit WHERE state <> 'closed' OR failures > 0;

-- load: one circuit, none when it was never told of a failure; and what time it is.
SELECT c.team_id, c.name, c.state, c.failures, c.successes, c.calls, c.errors, c.tokens, c.window_at, c.opened_at, c.retry_at,
       c.probe, c.probe_until, c.last_error, c.hits, c.why, c.is_held, c.approval, c.version, clock_timestamp()
FROM (SELECT 1) one LEFT JOIN tracking_circuit c ON c.team_id = %(team)s AND c.name = %(name)s;

-- save: unless somebody else wrote meanwhile.
INSERT INTO tracking_circuit AS c (team_id, name, state, failures, successes, calls, errors, tokens, window_at, opened_at,
  retry_at, probe, probe_until, last_error, hits, why, is_held, approval, changed_at, version)
VALUES (%(team)s, %(name)s, %(state)s, %(failures)s, %(successes)s, %(calls)s, %(errors)s, %(tokens)s, %(window_at)s,
  %(opened_at)s, %(retry_at)s, %(probe)s, %(probe_until)s, %(last_error)s, %(hits)s, %(why)s, %(is_held)s, %(approval)s,
  clock_timestamp(), %(version)s + 1)
ON CONFLICT (team_id, name) DO UPDATE SET state = excluded.state, failures = excluded.failures,
  successes = excluded.successes, calls = excluded.calls, errors = excluded.errors, tokens = excluded.tokens,
  window_at = excluded.window_at, opened_at = excluded.opened_at, retry_at = excluded.retry_at, probe = excluded.probe,
  probe_until = excluded.probe_until, last_error = excluded.last_error, hits = excluded.hits, why = excluded.why,
  is_held = excluded.is_held, approval = excluded.approval, version = excluded.version,
  changed_at = CASE WHEN c.state = excluded.state THEN c.changed_at ELSE excluded.changed_at END
  WHERE c.version = %(version)s
RETURNING version;

-- over: the alerts of a circuit that is closed again.
UPDATE tracking_alert SET resolved_at = now()
WHERE dedupe_key = %(key)s AND (%(team)s = 0 OR team_id = %(team)s) AND resolved_at IS NULL RETURNING 1;
