-- Costs of calls nobody held money for, seen afterwards; or changes of such costs. All or nothing, in one order.
-- p_charges: [{"call": as ledger_scopes has it, "at", "usd", "tokens", "kind", "reason", "is_estimated", "reservation"}];
-- usd may be negative. A call that was held for names its reservation: only budgets made since, which its hold does not
-- know, are charged; nothing is looked up unless there is one. (Who makes a budget takes along the holds that are open and
-- the usage that is written, so what is left are calls that had ended and were not written yet.)
-- Returns how many entries were made: none for a call under no budget.
CREATE OR REPLACE FUNCTION ledger_charge(p_team bigint, p_charges jsonb, p_actor text) RETURNS int LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  numbers bigint[];  -- charge numbers[i], of usds[i] and amounts[i], falls on scopes[i]
  scopes ledger_scope[];
  usds numeric[];
  amounts bigint[];
  made int;
BEGIN
  PERFORM ledger_join(p_team);
  IF NOT EXISTS (
    SELECT 1 FROM tracking_team t JOIN tracking_budget b
      ON b.archived_at IS NULL AND (b.team_id = t.id OR b.team_id IS NULL AND b.organization_id = t.organization_id AND NOT t.is_demo)
    WHERE t.id = p_team) THEN
    RETURN 0;
  END IF;
  WITH charged AS MATERIALIZED (
    SELECT c.number, c.told, r.created_at AS held_at, r.budgets
    FROM jsonb_array_elements(p_charges) WITH ORDINALITY AS c(told, number)
    -- one after the other by their key: a plan made while the table was small would read all holds of the team for each batch
    LEFT JOIN LATERAL (
      SELECT h.created_at, h.budgets FROM tracking_reservation h
      WHERE h.team_id = p_team AND h.id = (c.told ->> 'reservation')::uuid OFFSET 0) r ON true
    WHERE c.told ->> 'reservation' IS NULL OR EXISTS (
      SELECT 1 FROM tracking_team t JOIN tracking_budget b
        ON b.archived_at IS NULL AND (b.team_id = t.id OR b.team_id IS NULL AND b.organization_id = t.organization_id AND NOT t.is_demo)
      WHERE t.id = p_team AND b.created_at > r.created_at AND NOT b.id = ANY (r.budgets))
  )
  SELECT coalesce(array_agg(c.number), '{}'), coalesce(array_agg(s), '{}'), array_agg(ledger_up((c.told ->> 'usd')::numeric)),
      array_agg((c.told ->> 'tokens')::bigint)
    INTO numbers, scopes, usds, amounts
    FROM charged c CROSS JOIN LATERAL ledger_scopes(p_team, c.told -> 'call', (c.told ->> 'at')::timestamptz) s
    WHERE c.told ->> 'reservation' IS NULL OR NOT s.budget_id = ANY (c.budgets)
      AND EXISTS (SELECT 1 FROM tracking_budget b WHERE b.id = s.budget_id AND b.created_at > c.held_at);
  IF numbers = '{}' THEN
    RETURN 0;
  END IF;
  PERFORM ledger_open(scopes);
  PERFORM 1 FROM tracking_budget_period p
    JOIN (SELECT DISTINCT s.team_id, s.budget_id, s.subject, s.starts_at FROM unnest(scopes) s) AS k USING (team_id, budget_id, subject, starts_at)
    ORDER BY p.team_id, p.budget_id, p.subject, p.starts_at FOR UPDATE OF p;
  UPDATE tracking_budget_period p SET spent_usd = p.spent_usd + k.usd, spent_tokens = p.spent_tokens + k.tokens, touched_at = now()
    FROM (
      SELECT s.team_id, s.budget_id, s.subject, s.starts_at, sum(s.usd) AS usd, sum(s.tokens) AS tokens
      FROM ROWS FROM (unnest(scopes), unnest(usds), unnest(amounts))
        AS s(team_id, budget_id, subject, starts_at, ends_at, name, mode, limit_usd, limit_tokens, usd, tokens)
      GROUP BY 1, 2, 3, 4) AS k
    WHERE (p.team_id, p.budget_id, p.subject, p.starts_at) = (k.team_id, k.budget_id, k.subject, k.starts_at);
  INSERT INTO tracking_ledger_entry (team_id, kind, reservation_id, usd, tokens, key_id, run, agent, model, end_user, is_estimated,
      teams, budgets, subjects, starts, actor, reason, detail)
    SELECT p_team, coalesce(c.told ->> 'kind', 'charge'), (c.told ->> 'reservation')::uuid, k.usd, k.tokens,
      coalesce(c.told -> 'call' ->> 'key', ''), coalesce(c.told -> 'call' ->> 'run', ''),
      coalesce(c.told -> 'call' ->> 'agent', ''), coalesce(c.told -> 'call' -> 'models' ->> -1, ''),
      coalesce(c.told -> 'call' ->> 'user', ''), coalesce((c.told ->> 'is_estimated')::boolean, false),
      k.teams, k.budgets, k.subjects, k.starts, p_actor, coalesce(c.told ->> 'reason', ''),
      jsonb_build_object('of', (c.told ->> 'at')::timestamptz)
    FROM jsonb_array_elements(p_charges) WITH ORDINALITY AS c(told, number)
    JOIN (
      SELECT s.number, min(s.usd) AS usd, min(s.tokens) AS tokens, array_agg(s.team_id) AS teams, array_agg(s.budget_id) AS budgets,
        array_agg(s.subject) AS subjects, array_agg(s.starts_at) AS starts
      FROM ROWS FROM (unnest(scopes), unnest(numbers), unnest(usds), unnest(amounts))
        AS s(team_id, budget_id, subject, starts_at, ends_at, name, mode, limit_usd, limit_tokens, number, usd, tokens)
      GROUP BY 1) AS k USING (number)
    ORDER BY c.number;
  GET DIAGNOSTICS made = ROW_COUNT;
  PERFORM ledger_tell(p_team, array_agg(k.team_id), array_agg(k.budget_id), array_agg(k.subject), array_agg(k.starts_at))
    FROM (SELECT DISTINCT s.team_id, s.budget_id, s.subject, s.starts_at FROM unnest(scopes) s) AS k;
  RETURN made;
END $$;
