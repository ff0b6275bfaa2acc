-- old_runs: some of a team's runs before a day; those being written just now are left for the next time.
SELECT id FROM tracking_run WHERE team_id = %(team)s AND day < %(first_day)s
ORDER BY day LIMIT %(limit)s FOR UPDATE SKIP LOCKED;

-- forget_runs: runs of a team, with their spans and payloads.
WITH gone AS (
  DELETE FROM tracking_run WHERE team_id = %(team)s AND id = ANY(%(ids)s) RETURNING team_id, day, trace_id
), spans AS (
  DELETE FROM tracking_span s USING gone g
  WHERE s.team_id = g.team_id AND s.day = g.day AND s.trace_id = g.trace_id
), payloads AS (
  DELETE FROM tracking_payload p USING gone g
  WHERE p.team_id = g.team_id AND p.day = g.day AND p.trace_id = g.trace_id
)
SELECT 1 FROM gone;
