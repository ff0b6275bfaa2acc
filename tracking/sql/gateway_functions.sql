-- What gateway_admit answers.
CREATE TYPE gateway_answer AS (
  outcome text, steps int, run_cost_usd numeric, version int, loop_state jsonb, kill_reason text, held ledger_answer
);

-- What a call cost, for its budgets and for its run: once each, however often it is told. The run is locked first, as
-- gateway_admit does. outcome: as ledger_settle's.
CREATE FUNCTION gateway_finish(p_team bigint, p_run text, p_id uuid, p_usd numeric, p_tokens bigint, p_is_estimated boolean, p_detail jsonb)
RETURNS ledger_answer LANGUAGE plpgsql AS $$
DECLARE
  answer ledger_answer;
BEGIN
  IF p_run <> '' THEN
    PERFORM 1 FROM tracking_runcontrol WHERE team_id = p_team AND run = p_run FOR NO KEY UPDATE;
  END IF;
  answer := ledger_settle(p_team, p_id, p_usd, p_tokens, p_is_estimated, p_detail);
  IF p_run <> '' AND answer.outcome IN ('settled', 'corrected', 'charged') THEN
    UPDATE tracking_runcontrol SET cost_usd = cost_usd + coalesce(p_usd, 0), tokens = tokens + p_tokens, last_at = now()
      WHERE team_id = p_team AND run = p_run;
  END IF;
  RETURN answer;
END $$;

-- Move a run's memory of turns on, unless it moved meanwhile: then it is told, and nothing changes. Waits for no disk: what
-- a crash takes is a turn that is not remembered.
CREATE FUNCTION gateway_remember(p_team bigint, p_run text, p_version int, p_state jsonb, OUT is_kept boolean, OUT version int, OUT state jsonb)
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  UPDATE tracking_runcontrol r SET loop_state = p_state, version = r.version + 1, last_at = now()
    WHERE r.team_id = p_team AND r.run = p_run AND r.version = p_version RETURNING r.version INTO version;
  is_kept := FOUND;
  IF NOT FOUND THEN
    SELECT r.version, r.loop_state INTO version, state FROM tracking_runcontrol r WHERE r.team_id = p_team AND r.run = p_run;
    is_kept := NOT FOUND;  -- the run was cleared away
    version := coalesce(version, 0);
  END IF;
END $$;
