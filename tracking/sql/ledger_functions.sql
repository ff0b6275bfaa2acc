-- The ledger's verbs. Each is one statement, so one transaction and one trip; all lock the rows of a call's budgets in
-- the same order, so none can wait for another in a circle: first the run (the gateway's), then the reservation, then
-- periods that are missing are made in order, then all are locked in order. Time is the database's.

-- A shared lock a transaction: who makes a budget takes it alone, and so sees either all of a call or nothing of it.
CREATE FUNCTION ledger_join(p_team bigint) RETURNS void LANGUAGE sql AS $$
  SELECT pg_advisory_xact_lock_shared(1279608903, (p_team % 2147483647)::int)
$$;

-- How this transaction is committed: "off" waits for no disk; null leaves it as it is. (tracking/ledger/verbs.py: Commit)
CREATE FUNCTION ledger_commit(p_mode text) RETURNS text LANGUAGE sql AS $$
  SELECT set_config('synchronous_commit', coalesce(p_mode, current_setting('synchronous_commit')), true)
$$;

-- When a day begins in a zone: where clocks go back over midnight there are two such moments, and it is the first.
CREATE FUNCTION ledger_midnight(p_local timestamp, p_zone text) RETURNS timestamptz LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN (p_local AT TIME ZONE p_zone - interval '1 hour') AT TIME ZONE p_zone = p_local
    THEN p_local AT TIME ZONE p_zone - interval '1 hour' ELSE p_local AT TIME ZONE p_zone END
$$;

-- Those of the teams that are under a budget. Two statements, so that the second sees what the lock waited for.
CREATE FUNCTION ledger_budgeted(p_teams bigint[]) RETURNS TABLE (team_id bigint) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM ledger_join(t.id) FROM unnest(p_teams) AS t(id);
  RETURN QUERY SELECT t.id FROM tracking_team t WHERE t.id = ANY (p_teams) AND EXISTS (
    SELECT 1 FROM tracking_budget b
    WHERE b.archived_at IS NULL AND (b.team_id = t.id OR b.team_id IS NULL AND b.organization_id = t.organization_id AND NOT t.is_demo));
END $$;

CREATE FUNCTION ledger_window(p_window text, p_zone text, p_at timestamptz) RETURNS TABLE (starts_at timestamptz, ends_at timestamptz)
LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN l.begins IS NULL THEN '1970-01-01 00:00+00' ELSE ledger_midnight(l.begins, p_zone) END,
         CASE WHEN l.begins IS NULL THEN '9000-01-01 00:00+00' ELSE ledger_midnight(l.begins + l.lasts, p_zone) END
  FROM (SELECT CASE WHEN p_window IN ('day', 'week', 'month') THEN date_trunc(p_window, p_at AT TIME ZONE p_zone) END AS begins,
               CASE p_window WHEN 'day' THEN interval '1 day' WHEN 'week' THEN interval '7 days' ELSE interval '1 month' END AS lasts) AS l
$$;

CREATE TYPE ledger_scope AS (
  team_id bigint, budget_id uuid, subject text, starts_at timestamptz, ends_at timestamptz, name text, mode text,
  limit_usd numeric, limit_tokens bigint
);

-- Make the rows of these periods, in their order.
CREATE FUNCTION ledger_open(p_scopes ledger_scope[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO tracking_budget_period (team_id, budget_id, subject, starts_at, ends_at)
    SELECT DISTINCT s.team_id, s.budget_id, s.subject, s.starts_at, s.ends_at FROM unnest(p_scopes) s ORDER BY 1, 2, 3, 4
    ON CONFLICT DO NOTHING;
END $$;

-- What a verb tells its caller. The budget_ columns are of the budget that decided: the one that refused, or the one
-- with the least left.
CREATE TYPE ledger_answer AS (
  outcome text, output_tokens bigint, held_usd numeric, held_tokens bigint,
  budget_id uuid, budget_name text, budget_subject text, budget_mode text, limit_usd numeric, limit_tokens bigint,
  spent_usd numeric, budget_held_usd numeric, spent_tokens bigint, budget_held_tokens bigint,
  starts_at timestamptz, ends_at timestamptz, may_wait boolean, free_at timestamptz
);

-- Money to the last digit that is kept, upwards: what is held or spent is never less than it costs.
CREATE FUNCTION ledger_up(p_usd numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$
  SELECT round(ceil(p_usd * 10000000000) / 10000000000, 10)
$$;

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

-- Hold a call's worst case on all its budgets, or on none.
--   p_base_usd, p_base_tokens: what is paid whatever the answer; p_output_usd, p_output_times: of each output token more
--   p_wanted, p_floor: output tokens asked for, and the fewest worth calling for
--   p_slice: output tokens to hold at first where every hard budget is elastic and the answer streams; 0 holds all
-- outcome: held; exists (this id holds already); closed (this id is finished); refused; unpriced
CREATE FUNCTION ledger_reserve(
  p_team bigint, p_id uuid, p_call jsonb, p_base_usd numeric, p_output_usd numeric, p_base_tokens bigint,
  p_output_times int, p_wanted bigint, p_floor bigint, p_slice bigint, p_lease_ms int, p_detail jsonb
) RETURNS ledger_answer LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  answer ledger_answer;
  old record;
  scopes ledger_scope[];
  hold tracking_reservation;  -- the periods it is on
  tight record;
  base_usd numeric := CASE WHEN p_output_usd IS NULL AND p_wanted > 0 THEN NULL ELSE p_base_usd END;
  output_usd numeric := coalesce(p_output_usd, 0);
  granted bigint := p_wanted;
  first bigint;
  is_missing boolean;
  is_elastic boolean;
  is_cleared boolean;
BEGIN
  IF (coalesce(p_base_usd, 0) >= 0 AND coalesce(p_base_usd, 0) < 'Infinity' AND output_usd >= 0 AND output_usd < 'Infinity'
      AND p_base_tokens BETWEEN 0 AND 1000000000000 AND p_output_times BETWEEN 0 AND 1000000 AND p_wanted BETWEEN 0 AND 1000000000000
      AND p_wanted * p_output_times <= 1000000000000 AND p_floor >= 0 AND p_slice >= 0 AND p_lease_ms > 0) IS NOT TRUE THEN
    RAISE EXCEPTION 'what a call can cost is no negative or boundless number' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  SELECT r.state, r.output_tokens, r.held_usd, r.held_tokens INTO old
    FROM tracking_reservation r WHERE r.team_id = p_team AND r.id = p_id;
  IF FOUND THEN
    answer.outcome := CASE WHEN old.state = 0 THEN 'exists' ELSE 'closed' END;
    answer.output_tokens := old.output_tokens;
    answer.held_usd := old.held_usd;
    answer.held_tokens := old.held_tokens;
    RETURN answer;
  END IF;
  PERFORM pg_advisory_xact_lock_shared(1279608903, (p_team % 2147483647)::int);  -- as ledger_join
  SELECT coalesce(array_agg(s), '{}'), coalesce(array_agg(s.team_id), '{}'), coalesce(array_agg(s.budget_id), '{}'),
         coalesce(array_agg(s.subject), '{}'), coalesce(array_agg(s.starts_at), '{}'),
         bool_or(p.budget_id IS NULL), bool_and(s.mode <> 'strict') AND bool_or(s.mode = 'elastic'),
         EXISTS (SELECT 1 FROM tracking_ledger_entry e WHERE e.team_id = p_team AND e.reservation_id = p_id AND e.kind = 'debit')
    INTO scopes, hold.teams, hold.budgets, hold.subjects, hold.starts, is_missing, is_elastic, is_cleared
    FROM ledger_scopes(p_team, p_call, now()) s
    LEFT JOIN tracking_budget_period p ON (p.team_id, p.budget_id, p.subject, p.starts_at) = (s.team_id, s.budget_id, s.subject, s.starts_at);
  IF is_cleared THEN  -- long settled, and its hold cleared away
    answer.outcome := 'closed';
    RETURN answer;
  END IF;
  IF is_missing THEN
    PERFORM ledger_open(scopes);
  END IF;

  -- all are locked; first comes the hard budget that can pay for the fewest output tokens, one that could not even if
  -- nothing were held before others
  SELECT l.*, l.mode <> 'soft' AS is_hard INTO tight FROM (
    SELECT s.*, p.spent_usd, p.held_usd, p.spent_tokens, p.held_tokens,
      least(ledger_affordable(s.limit_usd - p.spent_usd - p.held_usd, base_usd, output_usd),
            ledger_affordable(s.limit_tokens - p.spent_tokens - p.held_tokens, p_base_tokens, p_output_times)) AS affordable,
      least(p_floor, p_wanted) <= least(
            ledger_affordable(s.limit_usd - p.spent_usd, base_usd, output_usd),
            ledger_affordable(s.limit_tokens - p.spent_tokens, p_base_tokens, p_output_times)) AS is_for_holds
    FROM unnest(scopes) s
    JOIN tracking_budget_period p ON (p.team_id, p.budget_id, p.subject, p.starts_at) = (s.team_id, s.budget_id, s.subject, s.starts_at)
    ORDER BY p.team_id, p.budget_id, p.subject, p.starts_at FOR UPDATE OF p) AS l
    ORDER BY l.mode = 'soft', base_usd IS NOT NULL OR l.limit_usd IS NULL, l.is_for_holds, l.affordable, l.team_id, l.budget_id
    LIMIT 1;
  IF tight.is_hard THEN
    answer.budget_id := tight.budget_id; answer.budget_name := tight.name; answer.budget_subject := tight.subject;
    answer.budget_mode := tight.mode; answer.limit_usd := tight.limit_usd; answer.limit_tokens := tight.limit_tokens;
    answer.spent_usd := tight.spent_usd; answer.budget_held_usd := tight.held_usd;
    answer.spent_tokens := tight.spent_tokens; answer.budget_held_tokens := tight.held_tokens;
    answer.starts_at := tight.starts_at; answer.ends_at := tight.ends_at;
    granted := least(granted, tight.affordable);
    IF base_usd IS NULL AND tight.limit_usd IS NOT NULL THEN
      answer.outcome := 'unpriced';
      RETURN answer;
    END IF;
    IF granted < least(p_floor, p_wanted) THEN
      answer.outcome := 'refused';
      answer.output_tokens := greatest(granted, 0);
      answer.may_wait := tight.is_for_holds;
      IF answer.may_wait THEN
        answer.free_at := (SELECT min(r.lease_until) FROM tracking_reservation r
          WHERE r.state = 0 AND (tight.team_id = 0 OR r.team_id = tight.team_id) AND EXISTS (
            SELECT 1 FROM unnest(r.budgets, r.subjects) AS k(budget_id, subject)
            WHERE k.budget_id = tight.budget_id AND k.subject = tight.subject));
      END IF;
      RETURN answer;
    END IF;
  END IF;

  first := granted;
  IF p_slice > 0 AND is_elastic THEN
    granted := p_wanted;  -- the hold grows as the answer does
    first := least(first, p_slice);
  END IF;
  answer.outcome := 'held';
  answer.output_tokens := granted;
  answer.held_usd := coalesce(ledger_up(base_usd + output_usd * first), 0);
  answer.held_tokens := p_base_tokens + first * p_output_times;
  INSERT INTO tracking_reservation (team_id, id, key_id, run, agent, model, end_user, held_usd, held_tokens, output_tokens,
      teams, budgets, subjects, starts, call, detail, lease_until)
    VALUES (p_team, p_id, coalesce(p_call ->> 'key', ''), coalesce(p_call ->> 'run', ''), coalesce(p_call ->> 'agent', ''),
      coalesce(p_call -> 'models' ->> -1, ''), coalesce(p_call ->> 'user', ''), answer.held_usd, answer.held_tokens, granted,
      hold.teams, hold.budgets, hold.subjects, hold.starts, p_call, p_detail, now() + make_interval(secs => p_lease_ms / 1000.0));
  UPDATE tracking_budget_period p
    SET held_usd = p.held_usd + answer.held_usd, held_tokens = p.held_tokens + answer.held_tokens, touched_at = now()
    FROM unnest(hold.teams, hold.budgets, hold.subjects, hold.starts) AS k(team_id, budget_id, subject, starts_at)
    WHERE (p.team_id, p.budget_id, p.subject, p.starts_at) = (k.team_id, k.budget_id, k.subject, k.starts_at);
  RETURN answer;
END $$;

-- Let a hold grow while an answer streams. outcome: held, refused, gone (no such hold).
CREATE FUNCTION ledger_extend(p_team bigint, p_id uuid, p_usd numeric, p_tokens bigint, p_lease_ms int) RETURNS ledger_answer
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  answer ledger_answer;
  hold tracking_reservation;
  tight record;
  usd numeric := ledger_up(coalesce(p_usd, 0));
BEGIN
  IF (usd >= 0 AND usd < 'Infinity' AND p_tokens BETWEEN 0 AND 1000000000000 AND p_lease_ms > 0) IS NOT TRUE THEN
    RAISE EXCEPTION 'a hold grows by no negative or boundless number' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  SELECT * INTO hold FROM tracking_reservation WHERE team_id = p_team AND id = p_id AND state = 0 FOR UPDATE;
  IF NOT FOUND THEN
    answer.outcome := 'gone';
    RETURN answer;
  END IF;
  SELECT l.* INTO tight FROM (
    SELECT b.id, b.name, b.mode, p.subject, p.spent_usd, p.held_usd, p.spent_tokens, p.held_tokens, p.starts_at, p.ends_at,
      b.limit_usd + CASE WHEN b.raised_until > now() THEN coalesce(b.raised_usd, 0) ELSE 0 END AS limit_usd,
      b.limit_tokens + CASE WHEN b.raised_until > now() THEN coalesce(b.raised_tokens, 0) ELSE 0 END AS limit_tokens,
      coalesce(b.mode <> 'soft' AND b.archived_at IS NULL, false) AS is_hard
    FROM unnest(hold.teams, hold.budgets, hold.subjects, hold.starts) AS k(team_id, budget_id, subject, starts_at)
    JOIN tracking_budget_period p USING (team_id, budget_id, subject, starts_at)
    LEFT JOIN tracking_budget b ON b.id = p.budget_id
    ORDER BY p.team_id, p.budget_id, p.subject, p.starts_at FOR UPDATE OF p) AS l
    ORDER BY l.is_hard AND (usd > 0 AND l.spent_usd + l.held_usd + usd > l.limit_usd
      OR p_tokens > 0 AND l.spent_tokens + l.held_tokens + p_tokens > l.limit_tokens) IS TRUE DESC
    LIMIT 1;
  IF tight.is_hard AND (usd > 0 AND tight.spent_usd + tight.held_usd + usd > tight.limit_usd
      OR p_tokens > 0 AND tight.spent_tokens + tight.held_tokens + p_tokens > tight.limit_tokens) THEN
    answer.outcome := 'refused';
    answer.budget_id := tight.id; answer.budget_name := tight.name; answer.budget_subject := tight.subject;
    answer.budget_mode := tight.mode; answer.limit_usd := tight.limit_usd; answer.limit_tokens := tight.limit_tokens;
    answer.spent_usd := tight.spent_usd; answer.budget_held_usd := tight.held_usd;
    answer.spent_tokens := tight.spent_tokens; answer.budget_held_tokens := tight.held_tokens;
    answer.starts_at := tight.starts_at; answer.ends_at := tight.ends_at;
    RETURN answer;
  END IF;
  PERFORM ledger_move(hold, usd, p_tokens, 0, 0);
  UPDATE tracking_reservation r SET held_usd = r.held_usd + usd, held_tokens = r.held_tokens + p_tokens,
      lease_until = greatest(r.lease_until, now() + make_interval(secs => p_lease_ms / 1000.0))
    WHERE r.team_id = p_team AND r.id = p_id
    RETURNING r.held_usd, r.held_tokens INTO answer.held_usd, answer.held_tokens;
  answer.outcome := 'held';
  RETURN answer;
END $$;

-- Add to what a hold's budgets have held and spent; their rows are locked in their order until the transaction ends, so this
-- comes last. Has one of them passed a threshold that nobody was told of?
CREATE FUNCTION ledger_move(p_hold tracking_reservation, p_held_usd numeric, p_held_tokens bigint, p_spent_usd numeric, p_spent_tokens bigint)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  is_passed boolean;
  is_to_tell boolean := false;
BEGIN
  IF cardinality(p_hold.budgets) > 1 THEN
    PERFORM 1 FROM unnest(p_hold.teams, p_hold.budgets, p_hold.subjects, p_hold.starts) AS k(team_id, budget_id, subject, starts_at)
      JOIN tracking_budget_period p USING (team_id, budget_id, subject, starts_at)
      ORDER BY p.team_id, p.budget_id, p.subject, p.starts_at FOR UPDATE OF p;
  END IF;
  FOR is_passed IN
    UPDATE tracking_budget_period p
      SET held_usd = p.held_usd + p_held_usd, held_tokens = p.held_tokens + p_held_tokens,
          spent_usd = p.spent_usd + p_spent_usd, spent_tokens = p.spent_tokens + p_spent_tokens, touched_at = now()
      FROM unnest(p_hold.teams, p_hold.budgets, p_hold.subjects, p_hold.starts) AS k(team_id, budget_id, subject, starts_at)
      LEFT JOIN tracking_budget b ON b.id = k.budget_id
      WHERE (p.team_id, p.budget_id, p.subject, p.starts_at) = (k.team_id, k.budget_id, k.subject, k.starts_at)
      RETURNING EXISTS (SELECT 1 FROM unnest(b.alert_at) a WHERE a > p.told_percent
        AND (100 * p.spent_usd >= a * nullif(b.limit_usd, 0) OR 100.0 * p.spent_tokens >= a::numeric * nullif(b.limit_tokens, 0)))
  LOOP
    is_to_tell := is_to_tell OR is_passed;
  END LOOP;
  RETURN is_to_tell;
END $$;

-- Append one entry for a hold.
CREATE FUNCTION ledger_enter(p_hold tracking_reservation, p_kind text, p_usd numeric, p_tokens bigint, p_is_estimated boolean, p_reason text, p_detail jsonb)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO tracking_ledger_entry (team_id, kind, reservation_id, usd, tokens, key_id, run, agent, model, end_user,
      is_estimated, teams, budgets, subjects, starts, reason, detail)
    VALUES (p_hold.team_id, p_kind, p_hold.id, p_usd, p_tokens, p_hold.key_id, p_hold.run, p_hold.agent, p_hold.model,
      p_hold.end_user, p_is_estimated, p_hold.teams, p_hold.budgets, p_hold.subjects, p_hold.starts, p_reason,
      p_hold.detail || p_detail);
END $$;

-- What the call cost. Once: the hold is freed and the cost is spent. After the hold expired: the estimate is corrected.
-- After a release: the cost is charged all the same, for it was real. More than was held is spent all the same, and told.
-- outcome: settled, corrected, charged, already (nothing changed), gone (no such hold)
CREATE FUNCTION ledger_settle(p_team bigint, p_id uuid, p_usd numeric, p_tokens bigint, p_is_estimated boolean, p_detail jsonb)
RETURNS ledger_answer LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  answer ledger_answer;
  hold tracking_reservation;
  usd numeric := ledger_up(coalesce(p_usd, 0));
  more_usd numeric;
  more_tokens bigint;
  is_to_tell boolean;
BEGIN
  IF (usd >= 0 AND usd < 'Infinity' AND p_tokens BETWEEN 0 AND 1000000000000) IS NOT TRUE THEN
    RAISE EXCEPTION 'what a call cost is no negative or boundless number' USING ERRCODE = 'invalid_parameter_value';
  END IF;
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
  more_usd := usd - CASE hold.state WHEN 3 THEN hold.actual_usd ELSE 0 END;
  more_tokens := p_tokens - CASE hold.state WHEN 3 THEN hold.actual_tokens ELSE 0 END;
  IF hold.state = 0 THEN
    answer.outcome := 'settled';
    PERFORM ledger_enter(hold, 'debit', usd, p_tokens, p_is_estimated, '', p_detail);
  ELSIF hold.state = 3 THEN
    answer.outcome := 'corrected';
    PERFORM ledger_enter(hold, 'correction', more_usd, more_tokens, p_is_estimated, 'the usage came after the hold had expired', p_detail);
  ELSE
    answer.outcome := 'charged';
    PERFORM ledger_enter(hold, 'charge', usd, p_tokens, p_is_estimated, 'the usage came after the hold was released', p_detail);
  END IF;
  UPDATE tracking_reservation SET state = CASE WHEN state = 0 THEN 1 ELSE state END, actual_usd = usd, actual_tokens = p_tokens,
      is_estimated = p_is_estimated AND hold.state = 0, closed_at = coalesce(closed_at, now())
    WHERE team_id = p_team AND id = p_id;
  is_to_tell := ledger_move(hold, CASE hold.state WHEN 0 THEN -hold.held_usd ELSE 0 END, CASE hold.state WHEN 0 THEN -hold.held_tokens ELSE 0 END,
    more_usd, more_tokens);
  IF is_to_tell THEN
    PERFORM ledger_tell(p_team, hold.teams, hold.budgets, hold.subjects, hold.starts);
  END IF;
  IF usd > hold.held_usd OR p_tokens > hold.held_tokens THEN
    PERFORM ledger_tell_over(hold, usd, p_tokens);
  END IF;
  RETURN answer;
END $$;

-- The call was not made, or cost nothing. outcome: released, already, gone.
CREATE FUNCTION ledger_release(p_team bigint, p_id uuid) RETURNS ledger_answer LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  answer ledger_answer;
  hold tracking_reservation;
BEGIN
  SELECT * INTO hold FROM tracking_reservation WHERE team_id = p_team AND id = p_id FOR UPDATE;
  answer.outcome := CASE WHEN NOT FOUND THEN 'gone' WHEN hold.state <> 0 THEN 'already' ELSE 'released' END;
  IF answer.outcome <> 'released' THEN
    RETURN answer;
  END IF;
  UPDATE tracking_reservation SET state = 2, closed_at = now() WHERE team_id = p_team AND id = p_id;
  PERFORM ledger_move(hold, -hold.held_usd, -hold.held_tokens, 0, 0);
  answer.held_usd := hold.held_usd;
  answer.held_tokens := hold.held_tokens;
  RETURN answer;
END $$;

-- Close one hold whose lease ran out: never sent, it is released; sent, all of it is spent, as an estimate. One that
-- cannot be closed is put off and told of, so that it keeps none of the others.
-- outcome: released, expired, stuck. Returns nothing when no lease has run out.
CREATE FUNCTION ledger_expire(OUT team_id bigint, OUT id uuid, OUT outcome text) RETURNS SETOF record LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
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
  BEGIN
    outcome := ledger_run_out(hold);
  EXCEPTION
    WHEN deadlock_detected OR serialization_failure OR lock_not_available THEN
      RAISE;
    WHEN OTHERS THEN
      outcome := 'stuck';
      UPDATE tracking_reservation r SET lease_until = now() + interval '5 minutes' WHERE r.team_id = hold.team_id AND r.id = hold.id;
      INSERT INTO tracking_alert AS a (id, team_id, kind, severity, dedupe_key, run, agent, payload, opened_at, last_at, times)
        SELECT gen_random_uuid(), t.id, 'stuck', 'critical', 'stuck:' || hold.id, left(hold.run, 128), left(hold.agent, 200),
          jsonb_build_object('reservation_id', hold.id, 'held_usd', hold.held_usd::text, 'error', left(SQLERRM, 500)), now(), now(), 1
        FROM tracking_team t WHERE t.id = hold.team_id
        ON CONFLICT ON CONSTRAINT alert_once DO UPDATE SET times = a.times + 1, last_at = now(), payload = excluded.payload;
  END;
  RETURN NEXT;
END $$;

CREATE FUNCTION ledger_run_out(p_hold tracking_reservation) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  IF p_hold.dispatched_at IS NULL THEN
    UPDATE tracking_reservation SET state = 2, closed_at = now() WHERE team_id = p_hold.team_id AND id = p_hold.id;
    PERFORM ledger_move(p_hold, -p_hold.held_usd, -p_hold.held_tokens, 0, 0);
    RETURN 'released';
  END IF;
  PERFORM ledger_enter(p_hold, 'debit', p_hold.held_usd, p_hold.held_tokens, true,
    'nobody said what the call cost before its lease ran out', '{}');
  UPDATE tracking_reservation SET state = 3, actual_usd = held_usd, actual_tokens = held_tokens, is_estimated = true, closed_at = now()
    WHERE team_id = p_hold.team_id AND id = p_hold.id;
  IF ledger_move(p_hold, -p_hold.held_usd, -p_hold.held_tokens, p_hold.held_usd, p_hold.held_tokens) THEN
    PERFORM ledger_tell(p_hold.team_id, p_hold.teams, p_hold.budgets, p_hold.subjects, p_hold.starts);
  END IF;
  RETURN 'expired';
END $$;

-- What tells the alert of one threshold in one period from all others; a subject may be longer than a key.
CREATE FUNCTION ledger_alert_key(p_budget uuid, p_subject text, p_starts timestamptz, p_percent int) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT concat_ws(':', 'budget', p_budget, CASE WHEN length(p_subject) > 200 THEN md5(p_subject) ELSE p_subject END,
    extract(epoch FROM p_starts), p_percent)
$$;

-- Open an alert for each threshold that these periods' spending has just passed, once a period and threshold. Their rows
-- are locked.
CREATE FUNCTION ledger_tell(p_team bigint, p_teams bigint[], p_budgets uuid[], p_subjects text[], p_starts timestamptz[])
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  WITH at AS (
    SELECT p.team_id, p.budget_id, p.subject, p.starts_at, p.ends_at, p.spent_usd, p.spent_tokens, b.name, b.limit_usd, b.limit_tokens, b.mode,
      (SELECT max(a) FROM unnest(b.alert_at) a
        WHERE a <= greatest(100 * p.spent_usd / nullif(b.limit_usd, 0), 100.0 * p.spent_tokens / nullif(b.limit_tokens, 0))) AS percent
    FROM unnest(p_teams, p_budgets, p_subjects, p_starts) AS k(team_id, budget_id, subject, starts_at)
    JOIN tracking_budget_period p USING (team_id, budget_id, subject, starts_at)
    JOIN tracking_budget b ON b.id = p.budget_id AND b.archived_at IS NULL
  ), passed AS (
    UPDATE tracking_budget_period p SET told_percent = at.percent FROM at
      WHERE (p.team_id, p.budget_id, p.subject, p.starts_at) = (at.team_id, at.budget_id, at.subject, at.starts_at)
        AND at.percent > p.told_percent
      RETURNING at.*
  )
  INSERT INTO tracking_alert (id, team_id, kind, severity, dedupe_key, run, agent, payload, opened_at, last_at, times)
    SELECT gen_random_uuid(), t.id, 'budget', CASE WHEN percent >= 100 THEN 'critical' WHEN percent >= 90 THEN 'high' ELSE 'low' END,
      ledger_alert_key(budget_id, subject, starts_at, percent), '', '',
      jsonb_build_object('budget_id', budget_id, 'budget', passed.name, 'subject', subject, 'percent', percent, 'mode', mode,
        'spent_usd', spent_usd::text, 'limit_usd', limit_usd::text, 'spent_tokens', spent_tokens, 'limit_tokens', limit_tokens,
        'ends_at', nullif(ends_at, '9000-01-01 00:00+00')),
      now(), now(), 1
    FROM passed JOIN tracking_team t ON t.id = p_team ON CONFLICT (team_id, dedupe_key) DO NOTHING;
END $$;

-- A call cost more than was held for it, and a hard budget is over its limit now: an alert, one a period.
CREATE FUNCTION ledger_tell_over(p_hold tracking_reservation, p_usd numeric, p_tokens bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO tracking_alert AS a (id, team_id, kind, severity, dedupe_key, run, agent, payload, opened_at, last_at, times)
    SELECT gen_random_uuid(), t.id, 'overage', 'high',
      concat_ws(':', 'overage', p.budget_id, CASE WHEN length(p.subject) > 200 THEN md5(p.subject) ELSE p.subject END, extract(epoch FROM p.starts_at)),
      left(p_hold.run, 128), left(p_hold.agent, 200),
      jsonb_build_object('budget_id', b.id, 'budget', b.name, 'subject', p.subject, 'mode', b.mode, 'reservation_id', p_hold.id, 'model', p_hold.model,
        'held_usd', p_hold.held_usd::text, 'usd', p_usd::text, 'held_tokens', p_hold.held_tokens, 'tokens', p_tokens,
        'spent_usd', p.spent_usd::text, 'limit_usd', b.limit_usd::text, 'spent_tokens', p.spent_tokens, 'limit_tokens', b.limit_tokens),
      now(), now(), 1
    FROM unnest(p_hold.teams, p_hold.budgets, p_hold.subjects, p_hold.starts) AS k(team_id, budget_id, subject, starts_at)
    JOIN tracking_budget_period p USING (team_id, budget_id, subject, starts_at)
    JOIN tracking_budget b ON b.id = p.budget_id AND b.archived_at IS NULL AND b.mode <> 'soft'
    JOIN tracking_team t ON t.id = p_hold.team_id
    WHERE p.spent_usd + p.held_usd > b.limit_usd + CASE WHEN b.raised_until > now() THEN coalesce(b.raised_usd, 0) ELSE 0 END
      OR p.spent_tokens + p.held_tokens > b.limit_tokens + CASE WHEN b.raised_until > now() THEN coalesce(b.raised_tokens, 0) ELSE 0 END
    ORDER BY p.team_id, p.budget_id, p.subject, p.starts_at
    ON CONFLICT (team_id, dedupe_key) DO UPDATE SET
      last_at = now(), payload = excluded.payload,
      times = CASE WHEN a.resolved_at IS NULL THEN a.times + 1 ELSE 1 END,
      opened_at = CASE WHEN a.resolved_at IS NULL THEN a.opened_at ELSE now() END,
      delivered_at = CASE WHEN a.resolved_at IS NULL THEN a.delivered_at END,
      acknowledged_at = CASE WHEN a.resolved_at IS NULL THEN a.acknowledged_at END,
      acknowledged_by_id = CASE WHEN a.resolved_at IS NULL THEN a.acknowledged_by_id END,
      resolved_at = NULL;
END $$;
