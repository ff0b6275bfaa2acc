-- standings: of each budget the present window, the subject in it that is nearest to its limit, and how many there are
-- (so many at most). Thresholds passed find the worst without a look at all.
SELECT b.id, nullif(w.starts_at, '1970-01-01 00:00+00'), nullif(w.ends_at, '9000-01-01 00:00+00'), c.subject,
       c.spent_usd, c.held_usd, c.spent_tokens, c.held_tokens, n.subjects
FROM tracking_budget b
CROSS JOIN LATERAL ledger_window(b."window", CASE WHEN b.team_id IS NULL THEN 'UTC' ELSE %(zone)s END, now()) w
LEFT JOIN LATERAL (
  SELECT * FROM (
    SELECT p.subject, p.spent_usd, p.held_usd, p.spent_tokens, p.held_tokens FROM tracking_budget_period p
    WHERE p.team_id = coalesce(b.team_id, 0) AND p.budget_id = b.id AND p.ends_at = w.ends_at
    ORDER BY p.told_percent DESC LIMIT 500) p
  ORDER BY greatest((p.spent_usd + p.held_usd) / nullif(b.limit_usd, 0),
                    (p.spent_tokens + p.held_tokens)::numeric / nullif(b.limit_tokens, 0)) DESC NULLS LAST,
           p.spent_usd DESC, p.spent_tokens DESC, p.subject LIMIT 1
) c ON true
CROSS JOIN LATERAL (
  SELECT count(*) AS subjects FROM (
    SELECT 1 FROM tracking_budget_period p
    WHERE p.team_id = coalesce(b.team_id, 0) AND p.budget_id = b.id AND p.ends_at = w.ends_at LIMIT %(most)s) x
) n
WHERE b.id = ANY(%(budgets)s);

-- subjects: a budget's subjects in the window that ends then, the nearest to the limit first, after one of them; of those
-- that passed the highest thresholds, or with no number to look at of all.
SELECT p.subject, p.spent_usd, p.held_usd, p.spent_tokens, p.held_tokens, p.share
FROM (
  SELECT *, greatest((spent_usd + held_usd) / CASE WHEN %(limit_usd)s > 0 THEN %(limit_usd)s::numeric WHEN %(limit_usd)s = 0 THEN 1 END,
                     (spent_tokens + held_tokens) / CASE WHEN %(limit_tokens)s > 0 THEN %(limit_tokens)s::numeric
                                                         WHEN %(limit_tokens)s = 0 THEN 1 END) AS share
  FROM tracking_budget_period
  WHERE team_id = %(team)s AND budget_id = %(budget)s AND ends_at = coalesce(%(ends_at)s, '9000-01-01 00:00+00'::timestamptz)
  ORDER BY told_percent DESC LIMIT %(look)s
) p
WHERE %(share)s::numeric IS NULL OR (-p.share, p.subject) > (-%(share)s::numeric, %(subject)s)
ORDER BY -p.share, p.subject LIMIT %(limit)s;

-- windows: what a budget spent in its windows since one ended, newest first; the present one too.
SELECT nullif(min(p.starts_at), '1970-01-01 00:00+00'), nullif(p.ends_at, '9000-01-01 00:00+00'), sum(p.spent_usd), sum(p.spent_tokens)::bigint, count(*)
FROM tracking_budget_period p
WHERE p.team_id = %(team)s AND p.budget_id = %(budget)s AND p.ends_at > %(since)s
GROUP BY p.ends_at ORDER BY p.ends_at DESC LIMIT %(limit)s;

-- entries: a budget's entries, newest first, each with its part in it. Each team's are found by themselves, in the order
-- of its own key: together they would all be sorted. Of one kind, agent or model where it is asked for.
SELECT e.id, e.team_id, e.at, e.kind, e.usd, e.tokens, e.key_id, e.run, e.agent, e.model, e.end_user, e.is_estimated,
       e.reservation_id, e.actor, e.reason, e.subjects[i.place], nullif(e.starts[i.place], '1970-01-01 00:00+00')
FROM unnest(%(teams)s::bigint[]) AS t(team_id)
CROSS JOIN LATERAL (
  SELECT * FROM tracking_ledger_entry e
  WHERE e.team_id = t.team_id AND e.budgets @> ARRAY[%(budget)s::uuid] AND (%(before)s::bigint IS NULL OR e.id < %(before)s::bigint)
    AND (%(kind)s = '' OR e.kind = %(kind)s) AND (%(agent)s = '' OR e.agent = %(agent)s) AND (%(model)s = '' OR e.model = %(model)s)
  ORDER BY e.id DESC LIMIT %(limit)s
) e
CROSS JOIN LATERAL (SELECT array_position(e.budgets, %(budget)s::uuid) AS place) i
ORDER BY e.id DESC LIMIT %(limit)s;

-- moves: the same, with what a replay needs of them.
SELECT e.id, e.at, e.kind, e.usd, e.tokens, e.agent, e.reservation_id, e.subjects[i.place], nullif(e.starts[i.place], '1970-01-01 00:00+00')
FROM unnest(%(teams)s::bigint[]) AS t(team_id)
CROSS JOIN LATERAL (
  SELECT * FROM tracking_ledger_entry e
  WHERE e.team_id = t.team_id AND e.budgets @> ARRAY[%(budget)s::uuid] AND (%(before)s::bigint IS NULL OR e.id < %(before)s::bigint)
  ORDER BY e.id DESC LIMIT %(limit)s
) e
CROSS JOIN LATERAL (SELECT array_position(e.budgets, %(budget)s::uuid) AS place) i
ORDER BY e.id DESC LIMIT %(limit)s;

-- holds: calls under way that a budget holds money for, oldest first.
SELECT r.id, r.team_id, r.created_at, r.dispatched_at, r.lease_until, extract(epoch FROM r.lease_until - now())::float8, r.held_usd,
       r.held_tokens, r.key_id, r.run, r.agent, r.model, r.end_user, r.subjects[array_position(r.budgets, %(budget)s::uuid)]
FROM tracking_reservation r
WHERE r.state = 0 AND r.team_id = ANY(%(teams)s) AND r.budgets @> ARRAY[%(budget)s::uuid]
  AND (%(after)s::timestamptz IS NULL OR (r.created_at, r.id) > (%(after)s::timestamptz, %(after_id)s::uuid))
ORDER BY r.created_at, r.id LIMIT %(limit)s;

-- days: what a budget's newest entries moved, by their day in a zone; for scopes that usage is not kept by.
SELECT (e.at AT TIME ZONE %(zone)s)::date, sum(e.usd), sum(e.tokens)::bigint
FROM unnest(%(teams)s::bigint[]) AS t(team_id)
CROSS JOIN LATERAL (
  SELECT at, usd, tokens FROM tracking_ledger_entry
  WHERE team_id = t.team_id AND budgets @> ARRAY[%(budget)s::uuid] ORDER BY id DESC LIMIT %(limit)s) e
WHERE e.at >= %(since)s GROUP BY 1 ORDER BY 1;

-- passed: when a window's spending passed a limit: of its newest entries the one that did; none when it was before those.
WITH e AS (
  SELECT e.id, e.at, sum(e.usd) OVER newer AS usd, sum(e.tokens) OVER newer AS tokens
  FROM unnest(%(teams)s::bigint[]) AS t(team_id)
  CROSS JOIN LATERAL (
    SELECT id, at, usd, tokens FROM tracking_ledger_entry
    WHERE team_id = t.team_id AND budgets @> ARRAY[%(budget)s::uuid]
      AND subjects[array_position(budgets, %(budget)s::uuid)] = %(subject)s
      AND starts[array_position(budgets, %(budget)s::uuid)] = coalesce(%(starts_at)s, '1970-01-01 00:00+00'::timestamptz)
    ORDER BY id DESC LIMIT %(limit)s) e
  WINDOW newer AS (ORDER BY e.id DESC)
)
SELECT at FROM e
WHERE (%(limit_usd)s::numeric IS NULL OR %(spent_usd)s - usd < %(limit_usd)s::numeric)
  AND (%(limit_tokens)s::bigint IS NULL OR %(spent_tokens)s - tokens < %(limit_tokens)s::bigint)
ORDER BY id DESC LIMIT 1;

-- spent: what a budget's windows of these subjects and beginnings have spent.
SELECT p.subject, nullif(p.starts_at, '1970-01-01 00:00+00'), p.spent_usd, p.spent_tokens
FROM unnest(%(subjects)s::text[], %(starts)s::timestamptz[]) AS w(subject, starts_at)
JOIN tracking_budget_period p ON p.subject = w.subject AND p.starts_at = coalesce(w.starts_at, '1970-01-01 00:00+00')
WHERE p.team_id = %(team)s AND p.budget_id = %(budget)s;
