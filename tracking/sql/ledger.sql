-- reserve: hold a call's ceiling.
SELECT outcome, output_tokens, held_usd, held_tokens, budget_id, budget_name, budget_subject, budget_mode, limit_usd,
       limit_tokens, spent_usd, budget_held_usd, spent_tokens, budget_held_tokens,
       nullif(starts_at, '1970-01-01 00:00+00'), nullif(ends_at, '9000-01-01 00:00+00'), may_wait, free_at
FROM ledger_reserve(%(team)s, %(id)s, %(call)s::jsonb, %(base_usd)s::numeric, %(output_usd)s::numeric,
  %(base_tokens)s::bigint, %(choices)s::int, %(wanted)s::bigint, %(floor)s::bigint, %(slice)s::bigint, %(lease_ms)s::int,
  %(detail)s::jsonb), ledger_commit(%(commit)s);

-- dispatch: the calls are about to go out. Each by its key: "state + 0", or a plan made while there were few holds reads all of a team's.
WITH live AS (
  SELECT r.team_id, r.id FROM tracking_reservation r
  JOIN unnest(%(teams)s::bigint[], %(ids)s::uuid[]) AS k(team_id, id) USING (team_id, id)
  WHERE r.state + 0 = 0 ORDER BY r.team_id, r.id FOR UPDATE OF r
)
UPDATE tracking_reservation r SET dispatched_at = coalesce(r.dispatched_at, now())
FROM live WHERE r.team_id = live.team_id AND r.id = live.id RETURNING r.id;

-- extend: let a hold grow.
SELECT outcome, output_tokens, held_usd, held_tokens, budget_id, budget_name, budget_subject, budget_mode, limit_usd,
       limit_tokens, spent_usd, budget_held_usd, spent_tokens, budget_held_tokens,
       nullif(starts_at, '1970-01-01 00:00+00'), nullif(ends_at, '9000-01-01 00:00+00'), may_wait, free_at
FROM ledger_extend(%(team)s, %(id)s, %(usd)s::numeric, %(tokens)s::bigint, %(lease_ms)s::int), ledger_commit(%(commit)s);

-- renew: the calls live on.
WITH live AS (
  SELECT r.team_id, r.id FROM tracking_reservation r
  JOIN unnest(%(teams)s::bigint[], %(ids)s::uuid[]) AS k(team_id, id) USING (team_id, id)
  WHERE r.state + 0 = 0 ORDER BY r.team_id, r.id FOR UPDATE OF r
)
UPDATE tracking_reservation r
SET lease_until = greatest(r.lease_until, now() + make_interval(secs => %(lease_ms)s / 1000.0))
FROM live WHERE r.team_id = live.team_id AND r.id = live.id RETURNING r.id;

-- settle: what a call cost.
SELECT outcome, output_tokens, held_usd, held_tokens, budget_id, budget_name, budget_subject, budget_mode, limit_usd,
       limit_tokens, spent_usd, budget_held_usd, spent_tokens, budget_held_tokens,
       nullif(starts_at, '1970-01-01 00:00+00'), nullif(ends_at, '9000-01-01 00:00+00'), may_wait, free_at
FROM ledger_settle(%(team)s, %(id)s, %(usd)s::numeric, %(tokens)s::bigint, %(is_estimated)s, %(detail)s::jsonb), ledger_commit(%(commit)s);

-- release: nothing was spent.
SELECT outcome, output_tokens, held_usd, held_tokens, budget_id, budget_name, budget_subject, budget_mode, limit_usd,
       limit_tokens, spent_usd, budget_held_usd, spent_tokens, budget_held_tokens,
       nullif(starts_at, '1970-01-01 00:00+00'), nullif(ends_at, '9000-01-01 00:00+00'), may_wait, free_at
FROM ledger_release(%(team)s, %(id)s), ledger_commit(%(commit)s);

-- expire: close one hold whose lease ran out.
SELECT team_id, id, outcome FROM ledger_expire(), ledger_commit(%(commit)s);

-- budgeted: which teams are under a budget, from now on unchanged until the transaction ends.
SELECT team_id FROM ledger_budgeted(%(teams)s);

-- charge: costs seen afterwards.
SELECT made FROM ledger_charge(%(team)s, %(charges)s::jsonb, %(actor)s) AS made, ledger_commit(%(commit)s);

-- flush: waits until all that was committed before is on the disk; many wait together.
SELECT pg_logical_emit_message(true, 'wflo', '')

-- window: when the present window of a kind began and ends in a zone, by the database's clock.
SELECT nullif(starts_at, '1970-01-01 00:00+00'), nullif(ends_at, '9000-01-01 00:00+00'), now() FROM ledger_window(%(window)s, %(zone)s, now());

-- join_alone: nobody else's verb of this team runs until this transaction ends.
SELECT pg_advisory_xact_lock(1279608903, (%(team)s %% 2147483647)::int);

-- unsealed: teams with entries that wait for their seal, who waits longest first.
SELECT team_id FROM tracking_ledger_unsealed GROUP BY team_id ORDER BY min(entry_id);

-- seal: some of a team's entries; how many.
SELECT ledger_seal(%(team)s, %(limit)s);

-- clear: forget holds that were closed long ago.
DELETE FROM tracking_reservation r USING (
  SELECT team_id, id FROM tracking_reservation
  WHERE state <> 0 AND closed_at < now() - make_interval(days => %(days)s::int)
  ORDER BY closed_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED) AS old
WHERE r.team_id = old.team_id AND r.id = old.id;
