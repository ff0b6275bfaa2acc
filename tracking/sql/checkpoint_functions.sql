-- Save a state of a run: its parts, those that are new, then the checkpoint with the run's next version. An id that is there
-- already changes nothing; is_new tells, and run says whose it is.
CREATE FUNCTION checkpoint_save(
  p_team bigint, p_id uuid, p_run text, p_name text, p_agent text, p_step text, p_span_id text, p_source text, p_size int,
  p_lossy jsonb, p_manifest bytea, p_digests bytea[], p_bodies bytea[],
  OUT run text, OUT version int, OUT created_at timestamptz, OUT is_new boolean
) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended(p_team || ':' || p_run, 7));  -- a run's versions are given one by one
  SELECT c.run, c.version, c.created_at, false INTO run, version, created_at, is_new
    FROM tracking_checkpoint c WHERE c.team_id = p_team AND c.id = p_id;
  IF FOUND THEN
    RETURN;
  END IF;
  -- A part that is there is marked as used now, which keeps clearing away from it; in their order, so that nobody waits in a circle.
  INSERT INTO tracking_statepart AS s (team_id, digest, body, used_at)
    SELECT p_team, d, b, clock_timestamp() FROM unnest(p_digests, p_bodies) AS part(d, b) ORDER BY d
    ON CONFLICT (team_id, digest) DO UPDATE SET used_at = excluded.used_at;
  SELECT coalesce(max(c.version), 0) + 1 INTO version FROM tracking_checkpoint c WHERE c.team_id = p_team AND c.run = p_run;
  run := p_run;
  created_at := clock_timestamp();
  is_new := true;
  INSERT INTO tracking_checkpoint (team_id, id, run, version, name, agent, step, span_id, source, created_at, size_bytes, lossy_paths, manifest)
    VALUES (p_team, p_id, p_run, version, p_name, p_agent, p_step, p_span_id, p_source, created_at, p_size, p_lossy, p_manifest);
END $$;
