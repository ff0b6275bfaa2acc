-- reserve: hold a call's ceiling.
SELECT outcome, output_tokens, held_usd, held_tokens, budget_id, budget_name, budget_subject, budget_mode, limit_usd,
       limit_tokens, spent_usd, budget_held_usd, spent_tokens, budget_held_tokens,
       nullif(starts_at, '1970-01-01 00:00+00'), nullif(ends_at, '9000-01-01 00:00+00'), may_wait, free_at
FROM ledger_reserve(%(team)s, %(id)s, %(call)s::jsonb, %(base_usd)s::numeric, %(output_usd)s::numeric,
  %(base_tokens)s::bigint, %(choices)s::int, %(wanted)s::bigint, %(floor)s::bigint, %(slice)s::bigint, %(lease_ms)s::int,
  %(detail)s::jsonb);

-- dispatch: the call is about to go out.
UPDATE tracking_reservation SET dispatched_at = coalesce(dispatched_at, now())
WHERE team_id = %(team)s AND id = %(id)s AND state = 0 RETURNING 1;

-- extend: let a hold grow.
SELECT outcome, output_tokens, held_usd, held_tokens, budget_id, budget_name, budget_subject, budget_mode, limit_usd,
       limit_tokens, spent_usd, budget_held_usd, spent_tokens, budget_held_tokens,
       nullif(starts_at, '1970-01-01 00:00+00'), nullif(ends_at, '9000-01-01 00:00+00'), may_wait, free_at
FROM ledger_extend(%(team)s, %(id)s, %(usd)s::numeric, %(tokens)s::bigint, %(lease_ms)s::int);

-- renew: the calls live on.
UPDATE tracking_reservation r SET lease_until = now() + make_interval(secs => %(lease_ms)s / 1000.0)
FROM unnest(%(teams)s::bigint[], %(ids)s::uuid[]) AS k(team_id, id)
WHERE r.team_id = k.team_id AND r.id = k.id AND r.state = 0 RETURNING r.id;

-- settle: what a call cost.
SELECT outcome, output_tokens, held_usd, held_tokens, budget_id, budget_name, budget_subject, budget_mode, limit_usd,
       limit_tokens, spent_usd, budget_held_usd, spent_tokens, budget_held_tokens,
       nullif(starts_at, '1970-01-01 00:00+00'), nullif(ends_at, '9000-01-01 00:00+00'), may_wait, free_at
FROM ledger_settle(%(team)s, %(id)s, %(usd)s::numeric, %(tokens)s::bigint, %(is_estimated)s, %(detail)s::jsonb);

-- release: nothing was spent.
SELECT outcome, output_tokens, held_usd, held_tokens, budget_id, budget_name, budget_subject, budget_mode, limit_usd,
       limit_tokens, spent_usd, budget_held_usd, spent_tokens, budget_held_tokens,
       nullif(starts_at, '1970-01-01 00:00+00'), nullif(ends_at, '9000-01-01 00:00+00'), may_wait, free_at
FROM ledger_release(%(team)s, %(id)s);

-- expire: close one hold whose lease ran out.
SELECT team_id, id, outcome FROM ledger_expire();

-- charge: costs seen afterwards.
SELECT ledger_charge(%(team)s, %(charges)s::jsonb, %(actor)s);

-- window: when the present window of a kind began and ends in a zone, by the database's clock.
SELECT nullif(starts_at, '1970-01-01 00:00+00'), nullif(ends_at, '9000-01-01 00:00+00'), now() FROM ledger_window(%(window)s, %(zone)s, now());

-- join_alone: nobody else's verb of this team runs until this transaction ends.
SELECT pg_advisory_xact_lock(1279608903, (%(team)s %% 2147483647)::int);

-- unsealed: teams with entries that no seal covers.
SELECT DISTINCT e.team_id FROM tracking_ledger_entry e
WHERE e.id > %(after)s AND NOT EXISTS (SELECT 1 FROM tracking_ledger_seal s WHERE s.team_id = e.team_id AND s.entry_id = e.id);

-- to_seal: a team's entries without a seal, in their order.
SELECT e.id, e.at, e.kind, e.reservation_id, e.usd, e.tokens, e.key_id, e.run, e.agent, e.model, e.end_user, e.is_estimated,
       e.teams, e.budgets, e.subjects, e.starts::text, e.actor, e.reason, e.detail::text
FROM tracking_ledger_entry e
WHERE e.team_id = %(team)s AND NOT EXISTS (SELECT 1 FROM tracking_ledger_seal s WHERE s.team_id = e.team_id AND s.entry_id = e.id)
ORDER BY e.id LIMIT %(limit)s;

-- sealed: a team's chain from a number on, each seal with its entry (null when the entry is gone).
SELECT s.number, s.hash, e.id, e.at, e.kind, e.reservation_id, e.usd, e.tokens, e.key_id, e.run, e.agent, e.model, e.end_user,
       e.is_estimated, e.teams, e.budgets, e.subjects, e.starts::text, e.actor, e.reason, e.detail::text
FROM tracking_ledger_seal s LEFT JOIN tracking_ledger_entry e ON e.team_id = s.team_id AND e.id = s.entry_id
WHERE s.team_id = %(team)s AND s.number > %(after)s ORDER BY s.number LIMIT %(limit)s;

-- last_seal: the end of a team's chain.
SELECT number, hash FROM tracking_ledger_seal WHERE team_id = %(team)s ORDER BY number DESC LIMIT 1;
