-- One trip before a call goes out: is the run alive and within its limits, is its memory of turns the one the caller
-- judged by, and is there money. Either all of it happens or nothing does. p_run is the run all hangs under, p_own_name
-- the one that calls, which may be stopped by itself.
-- outcome: as ledger_reserve's; killed; steps, idle, minutes (a limit of the run); moved (its memory changed meanwhile)
CREATE TYPE gateway_answer AS (
  outcome text, steps int, run_cost_usd numeric, version int, loop_state jsonb, kill_reason text, held ledger_answer
);

CREATE FUNCTION gateway_admit(
  p_team bigint, p_run text, p_own_name text, p_version int, p_steps_max int, p_idle_minutes_max int, p_minutes_max int,
  p_id uuid, p_call jsonb, p_base_usd numeric, p_output_usd numeric, p_base_tokens bigint, p_output_times int,
  p_wanted bigint, p_floor bigint, p_slice bigint, p_lease_ms int, p_detail jsonb
) RETURNS gateway_answer LANGUAGE plpgsql AS $$
DECLARE
  answer gateway_answer;
  run tracking_runcontrol;
  own_reason text;
BEGIN
  IF p_run <> '' THEN
    SELECT * INTO run FROM tracking_runcontrol WHERE team_id = p_team AND tracking_runcontrol.run = p_run FOR UPDATE;
    IF NOT FOUND THEN
      INSERT INTO tracking_runcontrol (team_id, run, steps, cost_usd, tokens, started_at, last_at, kill_reason, killed_by, version)
        VALUES (p_team, p_run, 0, 0, 0, now(), now(), '', '', 0) ON CONFLICT DO NOTHING;
      SELECT * INTO run FROM tracking_runcontrol WHERE team_id = p_team AND tracking_runcontrol.run = p_run FOR UPDATE;
    END IF;
    answer.steps := run.steps;
    answer.run_cost_usd := run.cost_usd;
    answer.version := run.version;
    answer.kill_reason := run.kill_reason;
    answer.outcome := CASE
      WHEN run.killed_at IS NOT NULL THEN 'killed'
      WHEN p_steps_max IS NOT NULL AND run.steps >= p_steps_max THEN 'steps'
      WHEN p_minutes_max IS NOT NULL AND run.started_at < now() - make_interval(mins => p_minutes_max) THEN 'minutes'
      WHEN p_idle_minutes_max IS NOT NULL AND run.steps > 0 AND run.last_at < now() - make_interval(mins => p_idle_minutes_max) THEN 'idle'
      WHEN p_version IS NOT NULL AND run.version <> p_version THEN 'moved' END;
    IF p_own_name <> p_run AND run.killed_at IS NULL THEN
      SELECT c.kill_reason INTO own_reason FROM tracking_runcontrol c
        WHERE c.team_id = p_team AND c.run = p_own_name AND c.killed_at IS NOT NULL;
      IF FOUND THEN
        answer.outcome := 'killed';
        answer.kill_reason := own_reason;
      END IF;
    END IF;
    IF answer.outcome IS NOT NULL THEN
      answer.loop_state := run.loop_state;
      RETURN answer;
    END IF;
  END IF;
  answer.held := ledger_reserve(p_team, p_id, p_call, p_base_usd, p_output_usd, p_base_tokens, p_output_times, p_wanted,
    p_floor, p_slice, p_lease_ms, p_detail);
  answer.outcome := (answer.held).outcome;
  IF p_run <> '' AND answer.outcome = 'held' THEN
    UPDATE tracking_runcontrol SET steps = steps + 1, last_at = now(), ended_at = NULL
      WHERE team_id = p_team AND tracking_runcontrol.run = p_run
      RETURNING steps INTO answer.steps;
  END IF;
  RETURN answer;
END $$;

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

-- The same of several calls {team, run, id, usd, tokens, is_estimated, detail}, in one transaction: what they touch is
-- locked first, kind by kind and each kind in its order, as a call alone does it.
CREATE FUNCTION gateway_finish_all(p_calls jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  c record;
BEGIN
  IF jsonb_array_length(p_calls) > 1 THEN
    PERFORM 1 FROM (SELECT DISTINCT j.team, j.run FROM jsonb_to_recordset(p_calls) AS j(team bigint, run text) WHERE j.run <> '') k
      JOIN tracking_runcontrol r ON r.team_id = k.team AND r.run = k.run
      ORDER BY r.team_id, r.run FOR NO KEY UPDATE OF r;
    PERFORM 1 FROM jsonb_to_recordset(p_calls) AS j(team bigint, id uuid)
      JOIN tracking_reservation r ON r.team_id = j.team AND r.id = j.id
      ORDER BY r.team_id, r.id FOR UPDATE OF r;
    PERFORM 1 FROM tracking_budget_period p WHERE (p.team_id, p.budget_id, p.subject, p.starts_at) IN (
        SELECT k.team_id, k.budget_id, k.subject, k.starts_at FROM jsonb_to_recordset(p_calls) AS j(team bigint, id uuid)
        JOIN tracking_reservation r ON r.team_id = j.team AND r.id = j.id,
        unnest(r.teams, r.budgets, r.subjects, r.starts) AS k(team_id, budget_id, subject, starts_at))
      ORDER BY p.team_id, p.budget_id, p.subject, p.starts_at FOR UPDATE;
  END IF;
  FOR c IN SELECT * FROM jsonb_to_recordset(p_calls)
      AS j(team bigint, run text, id uuid, usd numeric, tokens bigint, is_estimated boolean, detail jsonb) LOOP
    PERFORM gateway_finish(c.team, c.run, c.id, c.usd, c.tokens, c.is_estimated, c.detail);
  END LOOP;
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
