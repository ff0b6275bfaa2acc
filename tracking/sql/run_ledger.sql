-- entries: what was moved for calls of a run, newest first, before one of them.
SELECT e.id, e.team_id, e.at, e.kind, e.usd, e.tokens, e.key_id, e.run, e.agent, e.model, e.end_user, e.is_estimated,
       e.reservation_id, e.actor, e.reason, '', NULL
FROM tracking_ledger_entry e
WHERE e.team_id = %(team)s AND e.run = ANY(%(runs)s) AND e.run <> '' AND (%(before)s::bigint IS NULL OR e.id < %(before)s::bigint)
ORDER BY e.id DESC LIMIT %(limit)s;

-- sums: of the same, all of them.
SELECT count(*), coalesce(sum(e.usd), 0), coalesce(sum(e.tokens), 0)::bigint
FROM tracking_ledger_entry e WHERE e.team_id = %(team)s AND e.run = ANY(%(runs)s) AND e.run <> '';

-- holds: its calls under way, oldest first.
SELECT r.id, r.team_id, r.created_at, r.dispatched_at, r.lease_until, extract(epoch FROM r.lease_until - now())::float8, r.held_usd,
       r.held_tokens, r.key_id, r.run, r.agent, r.model, r.end_user, ''
FROM tracking_reservation r
WHERE r.state = 0 AND r.team_id = %(team)s AND r.run = ANY(%(runs)s) ORDER BY r.created_at, r.id LIMIT %(limit)s;

-- budgets: the windows that its entries and holds draw on, what it took of each and how each stands; the most taken first.
-- Of a run of very many entries the newest are looked at.
WITH moved AS (
  (SELECT e.teams, e.budgets, e.subjects, e.starts, e.usd, e.tokens FROM tracking_ledger_entry e
   WHERE e.team_id = %(team)s AND e.run = ANY(%(runs)s) AND e.run <> '' ORDER BY e.id DESC LIMIT %(look)s)
  UNION ALL
  SELECT r.teams, r.budgets, r.subjects, r.starts, 0, 0 FROM tracking_reservation r
  WHERE r.state = 0 AND r.team_id = %(team)s AND r.run = ANY(%(runs)s)
), drawn AS (
  SELECT u.team_id, u.budget_id, u.subject, u.starts_at, sum(m.usd) AS usd, sum(m.tokens)::bigint AS tokens
  FROM moved m CROSS JOIN LATERAL unnest(m.teams, m.budgets, m.subjects, m.starts) AS u(team_id, budget_id, subject, starts_at)
  GROUP BY 1, 2, 3, 4
)
SELECT d.budget_id, d.subject, nullif(d.starts_at, '1970-01-01 00:00+00'), nullif(p.ends_at, '9000-01-01 00:00+00'), d.usd, d.tokens,
       coalesce(p.spent_usd, 0), coalesce(p.held_usd, 0), coalesce(p.spent_tokens, 0), coalesce(p.held_tokens, 0)
FROM drawn d LEFT JOIN tracking_budget_period p
  ON p.team_id = d.team_id AND p.budget_id = d.budget_id AND p.subject = d.subject AND p.starts_at = d.starts_at
ORDER BY d.usd DESC, d.tokens DESC, d.budget_id, d.starts_at DESC LIMIT %(limit)s;
