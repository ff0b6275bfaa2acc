-- The ledger's verbs. Each is one statement, so one transaction and one trip; all lock the rows of a call's budgets in
-- the same order, so none can wait for another in a circle. Time is the database's.

-- A shared lock a transaction: who makes a budget takes it alone, and so sees either all of a call or nothing of it.
CREATE FUNCTION ledger_join(p_team bigint) RETURNS void LANGUAGE sql AS $$
  SELECT pg_advisory_xact_lock_shared(1279608903, (p_team % 2147483647)::int)
$$;

CREATE FUNCTION ledger_window(p_window text, p_zone text, p_at timestamptz, OUT starts_at timestamptz, OUT ends_at timestamptz)
LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF p_window IN ('day', 'week', 'month') THEN
    starts_at := date_trunc(p_window, p_at AT TIME ZONE p_zone) AT TIME ZONE p_zone;
    ends_at := (date_trunc(p_window, p_at AT TIME ZONE p_zone) + ('1 ' || p_window)::interval) AT TIME ZONE p_zone;
  ELSE
    starts_at := '1970-01-01 00:00+00';
    ends_at := '9000-01-01 00:00+00';
  END IF;
END $$;

CREATE TYPE ledger_scope AS (
  team_id bigint, budget_id uuid, subject text, starts_at timestamptz, ends_at timestamptz, name text, mode text,
  limit_usd numeric, limit_tokens bigint
);

-- The budgets a call falls under, each with its subject and window, in the order in which all lock them.
-- p_call: key, run, agent, user, job (text or null), models (the name asked for and what it resolved to).
CREATE FUNCTION ledger_scopes(p_team bigint, p_call jsonb, p_at timestamptz) RETURNS SETOF ledger_scope
LANGUAGE sql STABLE AS $$
  SELECT DISTINCT ON (1, 2, 3, 4)
         coalesce(b.team_id, 0), b.id,
         CASE WHEN b."window" = 'run' AND b.scope_kind <> 'run' THEN concat_ws(' in run ', nullif(v.value, ''), p_call ->> 'run') ELSE v.value END,
         w.starts_at, w.ends_at, b.name, b.mode,
         b.limit_usd + CASE WHEN b.raised_until > now() THEN coalesce(b.raised_usd, 0) ELSE 0 END,
         b.limit_tokens + CASE WHEN b.raised_until > now() THEN coalesce(b.raised_tokens, 0) ELSE 0 END
  FROM tracking_team t
  JOIN tracking_budget b ON b.archived_at IS NULL AND (b.team_id = t.id OR b.team_id IS NULL AND b.organization_id = t.organization_id)
  CROSS JOIN LATERAL (
    SELECT CASE b.scope_kind
             WHEN 'organization' THEN ARRAY['']
             WHEN 'team' THEN ARRAY['']
             WHEN 'model' THEN (SELECT array_agg(m) FROM jsonb_array_elements_text(p_call -> 'models') WITH ORDINALITY AS x(m, place)
                                WHERE b.scope_id <> '' OR place = jsonb_array_length(p_call -> 'models'))
             ELSE ARRAY[p_call ->> b.scope_kind]
           END AS named
  ) AS n
  CROSS JOIN LATERAL unnest(n.named) AS v(value)
  CROSS JOIN LATERAL ledger_window(b."window", CASE WHEN b.team_id IS NULL THEN 'UTC' ELSE t.time_zone END, p_at) AS w
  WHERE t.id = p_team AND v.value IS NOT NULL
    AND (b.scope_kind IN ('organization', 'team') OR v.value <> '')
    AND (b.scope_id = '' OR b.scope_id = v.value OR b.scope_kind IN ('organization', 'team'))
    AND (b."window" <> 'run' OR coalesce(p_call ->> 'run', '') <> '')
  ORDER BY 1, 2, 3, 4
$$;

-- The rows of these periods, made where missing, locked in their order.
CREATE FUNCTION ledger_lock(p_scopes ledger_scope[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM tracking_budget_period p
    JOIN unnest(p_scopes) s ON (p.team_id, p.budget_id, p.subject, p.starts_at) = (s.team_id, s.budget_id, s.subject, s.starts_at)
    ORDER BY p.team_id, p.budget_id, p.subject, p.starts_at FOR UPDATE OF p;
  IF (SELECT count(*) FROM unnest(p_scopes) s WHERE NOT EXISTS (
        SELECT 1 FROM tracking_budget_period p
        WHERE (p.team_id, p.budget_id, p.subject, p.starts_at) = (s.team_id, s.budget_id, s.subject, s.starts_at))) > 0 THEN
    INSERT INTO tracking_budget_period (team_id, budget_id, subject, starts_at, ends_at)
      SELECT s.team_id, s.budget_id, s.subject, s.starts_at, s.ends_at FROM unnest(p_scopes) s ORDER BY 1, 2, 3, 4
      ON CONFLICT DO NOTHING;
    PERFORM 1 FROM tracking_budget_period p
      JOIN unnest(p_scopes) s ON (p.team_id, p.budget_id, p.subject, p.starts_at) = (s.team_id, s.budget_id, s.subject, s.starts_at)
      ORDER BY p.team_id, p.budget_id, p.subject, p.starts_at FOR UPDATE OF p;
  END IF;
END $$;

-- What a verb tells its caller. The budget_ columns are of the budget that decided: the one that refused, or the one
-- with the least left.
CREATE TYPE ledger_answer AS (
  outcome text, output_tokens bigint, held_usd numeric, held_tokens bigint,
  budget_id uuid, budget_name text, budget_subject text, budget_mode text, limit_usd numeric, limit_tokens bigint,
  spent_usd numeric, budget_held_usd numeric, spent_tokens bigint, budget_held_tokens bigint,
  starts_at timestamptz, ends_at timestamptz, may_wait boolean, free_at timestamptz
);

-- Hold a call's worst case on all its budgets, or on none.
--   p_base_usd, p_base_tokens: what is paid whatever the answer; p_output_usd, p_output_times: of each output token more
--   p_wanted, p_floor: output tokens asked for, and the fewest worth calling for
--   p_slice: output tokens to hold at first where every hard budget is elastic and the answer streams; 0 holds all
-- outcome: held; exists (this id holds already); closed (this id is finished); refused; unpriced
CREATE FUNCTION ledger_reserve(
  p_team bigint, p_id uuid, p_call jsonb, p_base_usd numeric, p_output_usd numeric, p_base_tokens bigint,
  p_output_times int, p_wanted bigint, p_floor bigint, p_slice bigint, p_lease_ms int, p_detail jsonb
) RETURNS ledger_answer LANGUAGE plpgsql AS $$
DECLARE
  answer ledger_answer;
  old tracking_reservation;
  scopes ledger_scope[];
  tight record;
  granted bigint := p_wanted;
  first bigint;
  is_hard boolean;
BEGIN
  SELECT * INTO old FROM tracking_reservation WHERE team_id = p_team AND id = p_id;
  IF FOUND THEN
    answer.outcome := CASE WHEN old.state = 0 THEN 'exists' ELSE 'closed' END;
    answer.output_tokens := old.output_tokens;
    answer.held_usd := old.held_usd;
    answer.held_tokens := old.held_tokens;
    RETURN answer;
  END IF;
  PERFORM ledger_join(p_team);
  SELECT coalesce(array_agg(s ORDER BY s.team_id, s.budget_id, s.subject, s.starts_at), '{}') INTO scopes
    FROM ledger_scopes(p_team, p_call, now()) s;
  PERFORM ledger_lock(scopes);
  is_hard := EXISTS (SELECT 1 FROM unnest(scopes) s WHERE s.mode <> 'soft');

  -- the budget that can pay for the fewest output tokens
  SELECT s.*, p.spent_usd, p.held_usd, p.spent_tokens, p.held_tokens, a.tokens AS affordable, a.without_holds
    INTO tight
    FROM unnest(scopes) s
    JOIN tracking_budget_period p ON (p.team_id, p.budget_id, p.subject, p.starts_at) = (s.team_id, s.budget_id, s.subject, s.starts_at)
    CROSS JOIN LATERAL (SELECT
      least(ledger_affordable(s.limit_usd - p.spent_usd - p.held_usd, p_base_usd, p_output_usd),
            ledger_affordable(s.limit_tokens - p.spent_tokens - p.held_tokens, p_base_tokens, p_output_times)) AS tokens,
      least(ledger_affordable(s.limit_usd - p.spent_usd, p_base_usd, p_output_usd),
            ledger_affordable(s.limit_tokens - p.spent_tokens, p_base_tokens, p_output_times)) AS without_holds) AS a
    WHERE s.mode <> 'soft'
    ORDER BY a.tokens, s.team_id, s.budget_id LIMIT 1;
  IF FOUND THEN
    answer.budget_id := tight.budget_id; answer.budget_name := tight.name; answer.budget_subject := tight.subject;
    answer.budget_mode := tight.mode; answer.limit_usd := tight.limit_usd; answer.limit_tokens := tight.limit_tokens;
    answer.spent_usd := tight.spent_usd; answer.budget_held_usd := tight.held_usd;
    answer.spent_tokens := tight.spent_tokens; answer.budget_held_tokens := tight.held_tokens;
    answer.starts_at := tight.starts_at; answer.ends_at := tight.ends_at;
    granted := least(granted, tight.affordable);
  END IF;
  IF p_base_usd IS NULL AND EXISTS (SELECT 1 FROM unnest(scopes) s WHERE s.mode <> 'soft' AND s.limit_usd IS NOT NULL) THEN
    SELECT s.budget_id, s.name, s.mode, s.limit_usd INTO answer.budget_id, answer.budget_name, answer.budget_mode, answer.limit_usd
      FROM unnest(scopes) s WHERE s.mode <> 'soft' AND s.limit_usd IS NOT NULL LIMIT 1;
    answer.outcome := 'unpriced';
    RETURN answer;
  END IF;
  IF granted < least(p_floor, p_wanted) THEN
    answer.outcome := 'refused';
    answer.output_tokens := greatest(granted, 0);
    answer.may_wait := tight.without_holds >= least(p_floor, p_wanted);
    answer.free_at := (SELECT min(r.lease_until) FROM tracking_reservation r WHERE r.state = 0 AND tight.budget_id = ANY (r.budgets));
    RETURN answer;
  END IF;

  first := granted;
  IF p_slice > 0 AND is_hard AND NOT EXISTS (SELECT 1 FROM unnest(scopes) s WHERE s.mode = 'strict') THEN
    granted := p_wanted;  -- the hold grows as the answer does
    first := least(first, p_slice);
  END IF;
  answer.outcome := 'held';
  answer.output_tokens := granted;
  answer.held_usd := coalesce(ceil((p_base_usd + p_output_usd * first) * 10000000000) / 10000000000, 0);
  answer.held_tokens := p_base_tokens + first * p_output_times;
  UPDATE tracking_budget_period p
    SET held_usd = p.held_usd + answer.held_usd, held_tokens = p.held_tokens + answer.held_tokens, touched_at = now()
    FROM unnest(scopes) s
    WHERE (p.team_id, p.budget_id, p.subject, p.starts_at) = (s.team_id, s.budget_id, s.subject, s.starts_at);
  INSERT INTO tracking_reservation (team_id, id, key_id, run, agent, model, end_user, held_usd, held_tokens, output_tokens,
      teams, budgets, subjects, starts, detail, lease_until)
    SELECT p_team, p_id, coalesce(p_call ->> 'key', ''), coalesce(p_call ->> 'run', ''), coalesce(p_call ->> 'agent', ''),
      coalesce(p_call -> 'models' ->> -1, ''), coalesce(p_call ->> 'user', ''), answer.held_usd, answer.held_tokens, granted,
      coalesce(array_agg(s.team_id), '{}'), coalesce(array_agg(s.budget_id), '{}'), coalesce(array_agg(s.subject), '{}'),
      coalesce(array_agg(s.starts_at), '{}'), p_detail, now() + make_interval(secs => p_lease_ms / 1000.0)
    FROM unnest(scopes) s;
  RETURN answer;
END $$;

-- Output tokens that ``p_free`` pays for after ``p_base``: without a limit, or at no price, any number.
CREATE FUNCTION ledger_affordable(p_free numeric, p_base numeric, p_each numeric) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE
    WHEN p_free IS NULL OR p_base IS NULL THEN 9223372036854775807
    WHEN p_base = 0 AND coalesce(p_each, 0) = 0 THEN 9223372036854775807  -- free of charge, even when nothing is left
    WHEN p_free < p_base THEN -1
    WHEN p_each IS NULL OR p_each = 0 THEN 9223372036854775807
    ELSE least(floor((p_free - p_base) / p_each), 9223372036854775807)::bigint END
$$;

-- Let a hold grow while an answer streams. outcome: held, refused, gone (no such hold).
CREATE FUNCTION ledger_extend(p_team bigint, p_id uuid, p_usd numeric, p_tokens bigint, p_lease_ms int) RETURNS ledger_answer
LANGUAGE plpgsql AS $$
DECLARE
  answer ledger_answer;
  hold tracking_reservation;
  tight record;
BEGIN
  SELECT * INTO hold FROM tracking_reservation WHERE team_id = p_team AND id = p_id AND state = 0 FOR UPDATE;
  IF NOT FOUND THEN
    answer.outcome := 'gone';
    RETURN answer;
  END IF;
  PERFORM ledger_lock_held(hold);
  SELECT b.id, b.name, p.subject, b.mode, b.limit_usd, b.limit_tokens, p.spent_usd, p.held_usd, p.spent_tokens, p.held_tokens,
         p.starts_at, p.ends_at
    INTO tight
    FROM unnest(hold.teams, hold.budgets, hold.subjects, hold.starts) AS k(team_id, budget_id, subject, starts_at)
    JOIN tracking_budget_period p USING (team_id, budget_id, subject, starts_at)
    JOIN tracking_budget b ON b.id = p.budget_id
    WHERE b.mode <> 'soft' AND b.archived_at IS NULL AND (
      p.spent_usd + p.held_usd + p_usd > b.limit_usd + CASE WHEN b.raised_until > now() THEN coalesce(b.raised_usd, 0) ELSE 0 END
      OR p.spent_tokens + p.held_tokens + p_tokens > b.limit_tokens + CASE WHEN b.raised_until > now() THEN coalesce(b.raised_tokens, 0) ELSE 0 END)
    LIMIT 1;
  IF FOUND THEN
    answer.outcome := 'refused';
    answer.budget_id := tight.id; answer.budget_name := tight.name; answer.budget_subject := tight.subject;
    answer.budget_mode := tight.mode; answer.limit_usd := tight.limit_usd; answer.limit_tokens := tight.limit_tokens;
    answer.spent_usd := tight.spent_usd; answer.budget_held_usd := tight.held_usd;
    answer.spent_tokens := tight.spent_tokens; answer.budget_held_tokens := tight.held_tokens;
    answer.starts_at := tight.starts_at; answer.ends_at := tight.ends_at;
    RETURN answer;
  END IF;
  PERFORM ledger_move(hold, p_usd, p_tokens, 0, 0);
  UPDATE tracking_reservation SET held_usd = held_usd + p_usd, held_tokens = held_tokens + p_tokens,
      lease_until = now() + make_interval(secs => p_lease_ms / 1000.0)
    WHERE team_id = p_team AND id = p_id
    RETURNING held_usd, held_tokens INTO answer.held_usd, answer.held_tokens;
  answer.outcome := 'held';
  RETURN answer;
END $$;

CREATE FUNCTION ledger_lock_held(p_hold tracking_reservation) RETURNS void LANGUAGE sql AS $$
  SELECT count(*) FROM (
    SELECT 1 FROM tracking_budget_period p
    JOIN unnest(p_hold.teams, p_hold.budgets, p_hold.subjects, p_hold.starts) AS k(team_id, budget_id, subject, starts_at)
      USING (team_id, budget_id, subject, starts_at)
    ORDER BY p.team_id, p.budget_id, p.subject, p.starts_at FOR UPDATE OF p) AS locked
$$;

-- Add to what a hold's budgets have held and spent. Their rows are locked.
CREATE FUNCTION ledger_move(p_hold tracking_reservation, p_held_usd numeric, p_held_tokens bigint, p_spent_usd numeric, p_spent_tokens bigint)
RETURNS void LANGUAGE sql AS $$
  UPDATE tracking_budget_period p
    SET held_usd = p.held_usd + p_held_usd, held_tokens = p.held_tokens + p_held_tokens,
        spent_usd = p.spent_usd + p_spent_usd, spent_tokens = p.spent_tokens + p_spent_tokens, touched_at = now()
    FROM unnest(p_hold.teams, p_hold.budgets, p_hold.subjects, p_hold.starts) AS k(team_id, budget_id, subject, starts_at)
    WHERE (p.team_id, p.budget_id, p.subject, p.starts_at) = (k.team_id, k.budget_id, k.subject, k.starts_at)
$$;

-- Append one entry for a hold.
CREATE FUNCTION ledger_enter(p_hold tracking_reservation, p_kind text, p_usd numeric, p_tokens bigint, p_is_estimated boolean, p_reason text, p_detail jsonb)
RETURNS void LANGUAGE sql AS $$
  INSERT INTO tracking_ledger_entry (team_id, kind, reservation_id, usd, tokens, key_id, run, agent, model, end_user,
      is_estimated, teams, budgets, subjects, starts, reason, detail)
    VALUES (p_hold.team_id, p_kind, p_hold.id, p_usd, p_tokens, p_hold.key_id, p_hold.run, p_hold.agent, p_hold.model,
      p_hold.end_user, p_is_estimated, p_hold.teams, p_hold.budgets, p_hold.subjects, p_hold.starts, p_reason,
      p_hold.detail || p_detail)
$$;

-- What the call cost. Once: the hold is freed and the cost is spent. After the hold expired: the estimate is corrected.
-- After a release: the cost is charged all the same, for it was real.
-- outcome: settled, corrected, charged, already (nothing changed), gone (no such hold)
CREATE FUNCTION ledger_settle(p_team bigint, p_id uuid, p_usd numeric, p_tokens bigint, p_is_estimated boolean, p_detail jsonb)
RETURNS ledger_answer LANGUAGE plpgsql AS $$
DECLARE
  answer ledger_answer;
  hold tracking_reservation;
  usd numeric := coalesce(p_usd, 0);
BEGIN
  SELECT * INTO hold FROM tracking_reservation WHERE team_id = p_team AND id = p_id FOR UPDATE;
  IF NOT FOUND THEN
    answer.outcome := 'gone';
    RETURN answer;
  END IF;
  answer.held_usd := hold.held_usd;
  answer.held_tokens := hold.held_tokens;
  answer.output_tokens := hold.output_tokens;
  IF hold.state = 1 OR (hold.state IN (2, 3) AND hold.actual_usd IS NOT NULL AND NOT hold.is_estimated) THEN
    answer.outcome := 'already';
    RETURN answer;
  END IF;
  PERFORM ledger_lock_held(hold);
  IF hold.state = 0 THEN
    answer.outcome := 'settled';
    PERFORM ledger_move(hold, -hold.held_usd, -hold.held_tokens, usd, p_tokens);
    PERFORM ledger_enter(hold, 'debit', usd, p_tokens, p_is_estimated, '', p_detail);
  ELSIF hold.state = 3 THEN
    answer.outcome := 'corrected';
    PERFORM ledger_move(hold, 0, 0, usd - hold.actual_usd, p_tokens - hold.actual_tokens);
    PERFORM ledger_enter(hold, 'correction', usd - hold.actual_usd, p_tokens - hold.actual_tokens, p_is_estimated,
      'the usage came after the hold had expired', p_detail);
  ELSE
    answer.outcome := 'charged';
    PERFORM ledger_move(hold, 0, 0, usd, p_tokens);
    PERFORM ledger_enter(hold, 'charge', usd, p_tokens, p_is_estimated, 'the usage came after the hold was released', p_detail);
  END IF;
  UPDATE tracking_reservation SET state = CASE WHEN state = 0 THEN 1 ELSE state END, actual_usd = usd, actual_tokens = p_tokens,
      is_estimated = p_is_estimated AND hold.state = 0, closed_at = coalesce(closed_at, now())
    WHERE team_id = p_team AND id = p_id;
  PERFORM ledger_tell(p_team, hold.teams, hold.budgets, hold.subjects, hold.starts);
  RETURN answer;
END $$;

-- The call was not made, or cost nothing. outcome: released, already, gone.
CREATE FUNCTION ledger_release(p_team bigint, p_id uuid) RETURNS ledger_answer LANGUAGE plpgsql AS $$
DECLARE
  answer ledger_answer;
  hold tracking_reservation;
BEGIN
  SELECT * INTO hold FROM tracking_reservation WHERE team_id = p_team AND id = p_id FOR UPDATE;
  answer.outcome := CASE WHEN NOT FOUND THEN 'gone' WHEN hold.state <> 0 THEN 'already' ELSE 'released' END;
  IF answer.outcome <> 'released' THEN
    RETURN answer;
  END IF;
  PERFORM ledger_lock_held(hold);
  PERFORM ledger_move(hold, -hold.held_usd, -hold.held_tokens, 0, 0);
  UPDATE tracking_reservation SET state = 2, closed_at = now() WHERE team_id = p_team AND id = p_id;
  answer.held_usd := hold.held_usd;
  RETURN answer;
END $$;

-- Close one hold whose lease ran out: never sent, it is released; sent, all of it is spent, as an estimate.
-- Returns its team and id, or nothing when no lease has run out.
CREATE FUNCTION ledger_expire(OUT team_id bigint, OUT id uuid, OUT outcome text) RETURNS SETOF record LANGUAGE plpgsql AS $$
DECLARE
  hold tracking_reservation;
BEGIN
  SELECT r.* INTO hold FROM tracking_reservation r WHERE r.state = 0 AND r.lease_until < now()
    ORDER BY r.lease_until LIMIT 1 FOR UPDATE SKIP LOCKED;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  team_id := hold.team_id;
  id := hold.id;
  PERFORM ledger_lock_held(hold);
  IF hold.dispatched_at IS NULL THEN
    outcome := 'released';
    PERFORM ledger_move(hold, -hold.held_usd, -hold.held_tokens, 0, 0);
    UPDATE tracking_reservation r SET state = 2, closed_at = now() WHERE r.team_id = hold.team_id AND r.id = hold.id;
  ELSE
    outcome := 'expired';
    PERFORM ledger_move(hold, -hold.held_usd, -hold.held_tokens, hold.held_usd, hold.held_tokens);
    PERFORM ledger_enter(hold, 'debit', hold.held_usd, hold.held_tokens, true,
      'nobody said what the call cost before its lease ran out', '{}');
    UPDATE tracking_reservation r SET state = 3, actual_usd = hold.held_usd, actual_tokens = hold.held_tokens,
        is_estimated = true, closed_at = now()
      WHERE r.team_id = hold.team_id AND r.id = hold.id;
    PERFORM ledger_tell(hold.team_id, hold.teams, hold.budgets, hold.subjects, hold.starts);
  END IF;
  RETURN NEXT;
END $$;

-- The budgets that one charge of ledger_charge falls on. For a call that was held for, nothing is looked up unless there
-- is a budget younger than its hold: who makes one takes along the holds that are open and the usage that is written,
-- so what is left are calls that had ended and were not written yet.
CREATE FUNCTION ledger_charged(p_team bigint, p_charge jsonb) RETURNS SETOF ledger_scope LANGUAGE plpgsql STABLE AS $$
DECLARE
  hold tracking_reservation;
BEGIN
  IF p_charge ->> 'reservation' IS NULL THEN
    RETURN QUERY SELECT * FROM ledger_scopes(p_team, p_charge -> 'call', (p_charge ->> 'at')::timestamptz);
    RETURN;
  END IF;
  SELECT * INTO hold FROM tracking_reservation WHERE team_id = p_team AND id = (p_charge ->> 'reservation')::uuid;
  IF NOT FOUND OR NOT EXISTS (
    SELECT 1 FROM tracking_team t JOIN tracking_budget b
      ON b.archived_at IS NULL AND (b.team_id = t.id OR b.team_id IS NULL AND b.organization_id = t.organization_id)
    WHERE t.id = p_team AND b.created_at > hold.created_at AND NOT b.id = ANY (hold.budgets)) THEN
    RETURN;
  END IF;
  RETURN QUERY SELECT s.* FROM ledger_scopes(p_team, p_charge -> 'call', (p_charge ->> 'at')::timestamptz) s
    JOIN tracking_budget b ON b.id = s.budget_id
    WHERE b.created_at > hold.created_at AND NOT s.budget_id = ANY (hold.budgets);
END $$;

-- Costs of calls nobody held money for, seen afterwards; or changes of such costs. All or nothing, in one order.
-- p_charges: [{"call": as ledger_scopes has it, "at", "usd", "tokens", "kind", "reason", "is_estimated", "reservation"}];
-- usd may be negative. A call that was held for names its reservation: only budgets made since, which its hold does not
-- know, are charged. Returns how many entries were made: none for a call under no budget.
CREATE FUNCTION ledger_charge(p_team bigint, p_charges jsonb, p_actor text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  charge record;
  made int := 0;
  scopes ledger_scope[];
BEGIN
  PERFORM ledger_join(p_team);
  IF NOT EXISTS (
    SELECT 1 FROM tracking_team t JOIN tracking_budget b
      ON b.archived_at IS NULL AND (b.team_id = t.id OR b.team_id IS NULL AND b.organization_id = t.organization_id)
    WHERE t.id = p_team) THEN
    RETURN 0;
  END IF;
  SELECT coalesce(array_agg(DISTINCT s), '{}') INTO scopes
    FROM jsonb_array_elements(p_charges) c
    CROSS JOIN LATERAL ledger_charged(p_team, c) s;
  PERFORM ledger_lock(scopes);
  FOR charge IN SELECT c AS told, c -> 'call' AS call, (c ->> 'at')::timestamptz AS at, (c ->> 'usd')::numeric AS usd,
      (c ->> 'tokens')::bigint AS tokens, coalesce(c ->> 'kind', 'charge') AS kind, coalesce(c ->> 'reason', '') AS reason,
      coalesce((c ->> 'is_estimated')::boolean, false) AS is_estimated
    FROM jsonb_array_elements(p_charges) c
  LOOP
    SELECT coalesce(array_agg(s ORDER BY s.team_id, s.budget_id, s.subject, s.starts_at), '{}') INTO scopes
      FROM ledger_charged(p_team, charge.told) s;
    CONTINUE WHEN scopes = '{}';
    UPDATE tracking_budget_period p SET spent_usd = p.spent_usd + charge.usd, spent_tokens = p.spent_tokens + charge.tokens, touched_at = now()
      FROM unnest(scopes) s
      WHERE (p.team_id, p.budget_id, p.subject, p.starts_at) = (s.team_id, s.budget_id, s.subject, s.starts_at);
    INSERT INTO tracking_ledger_entry (team_id, kind, usd, tokens, key_id, run, agent, model, end_user, is_estimated,
        teams, budgets, subjects, starts, actor, reason, detail)
      SELECT p_team, charge.kind, charge.usd, charge.tokens, coalesce(charge.call ->> 'key', ''), coalesce(charge.call ->> 'run', ''),
        coalesce(charge.call ->> 'agent', ''), coalesce(charge.call -> 'models' ->> -1, ''), coalesce(charge.call ->> 'user', ''),
        charge.is_estimated, array_agg(s.team_id), array_agg(s.budget_id), array_agg(s.subject), array_agg(s.starts_at),
        p_actor, charge.reason, jsonb_build_object('of', charge.at)
      FROM unnest(scopes) s;
    PERFORM ledger_tell(p_team, array_agg(s.team_id), array_agg(s.budget_id), array_agg(s.subject), array_agg(s.starts_at))
      FROM unnest(scopes) s;
    made := made + 1;
  END LOOP;
  RETURN made;
END $$;

-- What tells the alert of one threshold in one period from all others; a subject may be longer than a key.
CREATE FUNCTION ledger_alert_key(p_budget uuid, p_subject text, p_starts timestamptz, p_percent int) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT concat_ws(':', 'budget', p_budget, CASE WHEN length(p_subject) > 200 THEN md5(p_subject) ELSE p_subject END,
    extract(epoch FROM p_starts), p_percent)
$$;

-- Open an alert for each threshold that these periods' spending has just passed, once a period and threshold.
CREATE FUNCTION ledger_tell(p_team bigint, p_teams bigint[], p_budgets uuid[], p_subjects text[], p_starts timestamptz[])
RETURNS void LANGUAGE sql AS $$
  WITH at AS (
    SELECT p.team_id, p.budget_id, p.subject, p.starts_at, p.ends_at, p.spent_usd, p.spent_tokens, b.name, b.limit_usd, b.limit_tokens, b.mode,
      (SELECT max(a) FROM unnest(b.alert_at) a
        WHERE a <= greatest(100 * p.spent_usd / nullif(b.limit_usd, 0), 100.0 * p.spent_tokens / nullif(b.limit_tokens, 0))) AS percent
    FROM unnest(p_teams, p_budgets, p_subjects, p_starts) AS k(team_id, budget_id, subject, starts_at)
    JOIN tracking_budget_period p USING (team_id, budget_id, subject, starts_at)
    JOIN tracking_budget b ON b.id = p.budget_id
  ), passed AS (
    UPDATE tracking_budget_period p SET told_percent = at.percent FROM at
      WHERE (p.team_id, p.budget_id, p.subject, p.starts_at) = (at.team_id, at.budget_id, at.subject, at.starts_at)
        AND at.percent > p.told_percent
      RETURNING at.*
  )
  INSERT INTO tracking_alert (id, team_id, kind, severity, dedupe_key, run, agent, payload, opened_at, last_at, times)
    SELECT gen_random_uuid(), p_team, 'budget', CASE WHEN percent >= 100 THEN 'critical' WHEN percent >= 90 THEN 'high' ELSE 'low' END,
      ledger_alert_key(budget_id, subject, starts_at, percent), '', '',
      jsonb_build_object('budget_id', budget_id, 'budget', name, 'subject', subject, 'percent', percent, 'mode', mode,
        'spent_usd', spent_usd::text, 'limit_usd', limit_usd::text, 'spent_tokens', spent_tokens, 'limit_tokens', limit_tokens,
        'ends_at', nullif(ends_at, '9000-01-01 00:00+00')),
      now(), now(), 1
    FROM passed ON CONFLICT (team_id, dedupe_key) DO NOTHING
$$;
