-- save: one state; parts is two arrays of the same length.
SELECT run, version, created_at, is_new FROM checkpoint_save(%(team)s, %(id)s, %(run)s, %(name)s, %(agent)s, %(step)s, %(span_id)s,
  %(source)s, %(size)s, %(lossy)s::jsonb, %(manifest)s::bytea, %(digests)s::bytea[], %(bodies)s::bytea[]);

-- parts: of these names.
SELECT digest, body FROM tracking_statepart WHERE team_id = %(team)s AND digest = ANY(%(digests)s::bytea[]);

-- clear_checkpoints: older than their teams keep; so many at once.
DELETE FROM tracking_checkpoint WHERE (team_id, id) IN (
  SELECT c.team_id, c.id FROM tracking_team t
  CROSS JOIN LATERAL (SELECT c.team_id, c.id FROM tracking_checkpoint c
    WHERE c.team_id = t.id AND c.created_at < now() - make_interval(days => t.retention_days) LIMIT %(limit)s) c
  LIMIT %(limit)s);

-- clear_parts: that no kept checkpoint has. One that is saved again meanwhile is newer by then, and stays.
DELETE FROM tracking_statepart WHERE (team_id, digest) IN (
  SELECT s.team_id, s.digest FROM tracking_team t
  CROSS JOIN LATERAL (SELECT s.team_id, s.digest FROM tracking_statepart s
    WHERE s.team_id = t.id AND s.used_at < now() - make_interval(days => t.retention_days + 1) LIMIT %(limit)s) s
  LIMIT %(limit)s) AND used_at < now() - interval '1 day';
