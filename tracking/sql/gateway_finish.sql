-- What calls cost {team, run, id, usd, tokens, is_estimated, detail} and what turns they were {version, state}, in one
-- transaction: what they touch is locked first, kind by kind and each kind in its order, as a call alone does it. (A single
-- call is gateway_finish's and gateway_remember's in one, with one writing of its run.) Gives of each, in the order of the
-- calls, what its run has cost by then, null where it has none; and whether its memory is the run's now: if others have
-- moved that on, or the call was settled before, with the one that is there.
DROP FUNCTION IF EXISTS gateway_finish_all(jsonb);

CREATE FUNCTION gateway_finish_all(p_calls jsonb) RETURNS TABLE (run_cost_usd numeric, is_kept boolean, version int, state jsonb)
LANGUAGE plpgsql AS $$
DECLARE
  c record;
  outcome text;
  is_new boolean;
BEGIN
  IF jsonb_array_length(p_calls) > 1 THEN
    -- lateral: one look into the primary key for each, whatever a plan made while the table was small would read
    PERFORM 1 FROM (SELECT DISTINCT j.team, j.run FROM jsonb_to_recordset(p_calls) AS j(team bigint, run text)
        WHERE j.run <> '' ORDER BY 1, 2) k
      CROSS JOIN LATERAL (SELECT 1 FROM tracking_runcontrol r WHERE r.team_id = k.team AND r.run = k.run FOR NO KEY UPDATE) l;
    PERFORM 1 FROM (SELECT j.team, j.id FROM jsonb_to_recordset(p_calls) AS j(team bigint, id uuid) ORDER BY 1, 2) k
      CROSS JOIN LATERAL (SELECT 1 FROM tracking_reservation r WHERE r.team_id = k.team AND r.id = k.id FOR UPDATE) l;
    PERFORM 1 FROM tracking_budget_period p WHERE (p.team_id, p.budget_id, p.subject, p.starts_at) IN (
        SELECT k.team_id, k.budget_id, k.subject, k.starts_at FROM jsonb_to_recordset(p_calls) AS j(team bigint, id uuid)
        CROSS JOIN LATERAL (
          SELECT r.teams, r.budgets, r.subjects, r.starts FROM tracking_reservation r WHERE r.team_id = j.team AND r.id = j.id OFFSET 0) r,
        unnest(r.teams, r.budgets, r.subjects, r.starts) AS k(team_id, budget_id, subject, starts_at))
      ORDER BY p.team_id, p.budget_id, p.subject, p.starts_at FOR UPDATE;
  END IF;
  FOR c IN SELECT * FROM jsonb_to_recordset(p_calls) AS j(team bigint, run text, id uuid, usd numeric, tokens bigint,
      is_estimated boolean, detail jsonb, version int, state jsonb) LOOP
    run_cost_usd := NULL; is_kept := NULL; version := NULL; state := NULL;
    IF c.run <> '' THEN
      SELECT r.version INTO version FROM tracking_runcontrol r WHERE r.team_id = c.team AND r.run = c.run FOR NO KEY UPDATE;
    END IF;
    outcome := (ledger_settle(c.team, c.id, c.usd, c.tokens, c.is_estimated, c.detail)).outcome;
    is_new := outcome IN ('settled', 'corrected', 'charged');
    is_kept := c.state IS NOT NULL AND outcome <> 'already' AND version = c.version;
    IF c.run <> '' AND (is_new OR is_kept) THEN
      UPDATE tracking_runcontrol r SET cost_usd = r.cost_usd + CASE WHEN is_new THEN coalesce(c.usd, 0) ELSE 0 END,
          tokens = r.tokens + CASE WHEN is_new THEN c.tokens ELSE 0 END,
          last_at = CASE WHEN r.last_at > now() - interval '1 second' THEN r.last_at ELSE now() END,  -- as gateway_admit
          loop_state = CASE WHEN is_kept THEN c.state ELSE r.loop_state END, version = r.version + is_kept::int
        WHERE r.team_id = c.team AND r.run = c.run
        RETURNING r.cost_usd, r.version INTO run_cost_usd, version;
    END IF;
    IF c.run <> '' AND (run_cost_usd IS NULL OR NOT is_kept AND c.state IS NOT NULL) THEN
      SELECT r.cost_usd, r.version, CASE WHEN c.state IS NOT NULL THEN r.loop_state END INTO run_cost_usd, version, state
        FROM tracking_runcontrol r WHERE r.team_id = c.team AND r.run = c.run;
      is_kept := NOT FOUND OR outcome = 'already';  -- the run was cleared away; or an earlier try was not heard of
      version := coalesce(version, 0);
    END IF;
    RETURN NEXT;
  END LOOP;
END $$;
