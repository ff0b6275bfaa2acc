-- One trip before a call goes out: is the run alive and within its limits, and is there money. Either all of it happens or
-- nothing does. p_run is the run all hangs under, p_own_name the one that calls, which may be stopped by itself; p_version
-- the memory of turns that the caller judged by.
-- outcome: as ledger_reserve's; killed; steps, idle, minutes (a limit of the run)
-- version, loop_state: of its memory, if that is not the caller's; who then refuses the call takes it back.
CREATE OR REPLACE FUNCTION gateway_admit(
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
    IF p_version IS NOT NULL AND run.version <> p_version THEN
      answer.version := run.version;
      answer.loop_state := run.loop_state;
    END IF;
    answer.kill_reason := run.kill_reason;
    answer.outcome := CASE
      WHEN run.killed_at IS NOT NULL THEN 'killed'
      WHEN p_steps_max IS NOT NULL AND run.steps >= p_steps_max THEN 'steps'
      WHEN p_minutes_max IS NOT NULL AND run.started_at < now() - make_interval(mins => p_minutes_max) THEN 'minutes'
      WHEN p_idle_minutes_max IS NOT NULL AND run.steps > 0 AND run.last_at < now() - make_interval(mins => p_idle_minutes_max) THEN 'idle' END;
    IF p_own_name <> p_run AND run.killed_at IS NULL THEN
      SELECT c.kill_reason INTO own_reason FROM tracking_runcontrol c
        WHERE c.team_id = p_team AND c.run = p_own_name AND c.killed_at IS NOT NULL;
      IF FOUND THEN
        answer.outcome := 'killed';
        answer.kill_reason := own_reason;
      END IF;
    END IF;
    IF answer.outcome IS NOT NULL THEN
      RETURN answer;
    END IF;
  END IF;
  answer.held := ledger_reserve(p_team, p_id, p_call, p_base_usd, p_output_usd, p_base_tokens, p_output_times, p_wanted,
    p_floor, p_slice, p_lease_ms, p_detail);
  answer.outcome := (answer.held).outcome;
  IF p_run <> '' AND answer.outcome = 'held' THEN
    -- last_at to the second: a row whose indexed columns stay is written beside itself, and no index hears of it
    UPDATE tracking_runcontrol SET steps = steps + 1, ended_at = NULL,
        last_at = CASE WHEN last_at > now() - interval '1 second' THEN last_at ELSE now() END
      WHERE team_id = p_team AND tracking_runcontrol.run = p_run
      RETURNING steps INTO answer.steps;
  END IF;
  RETURN answer;
END $$;

-- A call that was held for and is not made: neither money nor a step of its run. Once, however often it is told.
CREATE OR REPLACE FUNCTION gateway_take_back(p_team bigint, p_run text, p_id uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM tracking_runcontrol WHERE team_id = p_team AND run = p_run FOR NO KEY UPDATE;
  IF (ledger_release(p_team, p_id)).outcome = 'released' THEN
    UPDATE tracking_runcontrol SET steps = steps - 1 WHERE team_id = p_team AND run = p_run;
  END IF;
END $$;
