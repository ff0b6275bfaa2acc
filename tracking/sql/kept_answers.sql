-- claim: the key is ours, or somebody's: nobody's row is written by two, and one whose time is over is as none.
WITH mine AS (
  INSERT INTO tracking_keptanswer AS k (team_id, key, request_hash, status, headers, body, started_at, expires_at)
  VALUES (%(team)s, %(key)s, %(hash)s, NULL, '[]', NULL, clock_timestamp(), clock_timestamp() + make_interval(secs => %(lease)s))
  ON CONFLICT (team_id, key) DO UPDATE SET request_hash = excluded.request_hash, status = NULL, headers = '[]', body = NULL,
    started_at = excluded.started_at, expires_at = excluded.expires_at
    WHERE k.expires_at <= clock_timestamp()
  RETURNING started_at
)
SELECT true, started_at, NULL::bytea, NULL::smallint, NULL::jsonb, NULL::bytea FROM mine
UNION ALL
SELECT false, started_at, request_hash, status, headers, body FROM tracking_keptanswer
WHERE team_id = %(team)s AND key = %(key)s AND NOT EXISTS (SELECT 1 FROM mine);

-- keep: what the call was answered with.
UPDATE tracking_keptanswer SET status = 200, headers = %(headers)s::jsonb, body = %(body)s,
  expires_at = now() + make_interval(hours => %(hours)s)
WHERE team_id = %(team)s AND key = %(key)s AND started_at = %(started_at)s AND status IS NULL RETURNING 1;

-- free: there is no answer.
DELETE FROM tracking_keptanswer
WHERE team_id = %(team)s AND key = %(key)s AND started_at = %(started_at)s AND status IS NULL RETURNING 1;

-- renew: the call goes on.
UPDATE tracking_keptanswer SET expires_at = now() + make_interval(secs => %(lease)s)
WHERE team_id = %(team)s AND key = %(key)s AND started_at = %(started_at)s AND status IS NULL RETURNING 1;

-- clear: some whose time is over.
DELETE FROM tracking_keptanswer WHERE (team_id, key) IN (
  SELECT team_id, key FROM tracking_keptanswer WHERE expires_at <= now() LIMIT %(limit)s FOR UPDATE SKIP LOCKED
);
