-- chain_break: the first seal of a part of a team's chain that does not follow from the one before and its entry.
SELECT CASE WHEN c.id IS NULL OR c.number <> c.number_before + 1 THEN 'missing' ELSE 'changed' END, c.entry_id, c.number
FROM (
  SELECT s.number, s.entry_id, s.hash, e.id, ledger_hash(lag(s.hash) OVER w, e) AS expected, coalesce(lag(s.number) OVER w, 0) AS number_before
  FROM tracking_ledger_seal s LEFT JOIN tracking_ledger_entry e ON e.team_id = s.team_id AND e.id = s.entry_id
  WHERE s.team_id = %(team)s AND s.number >= %(after)s AND s.number <= %(upto)s WINDOW w AS (ORDER BY s.number)) AS c
WHERE c.number > %(after)s AND (c.id IS NULL OR c.number <> c.number_before + 1 OR c.hash <> c.expected)
ORDER BY c.number LIMIT 1;

-- chain_goes_on: are there seals behind this part?
SELECT EXISTS (SELECT 1 FROM tracking_ledger_seal WHERE team_id = %(team)s AND number > %(upto)s);

-- unchained: the first entry that neither has a seal nor waits for one; or that waits for one and is not there.
SELECT 'inserted', e.id, NULL FROM tracking_ledger_entry e
WHERE e.team_id = %(team)s
  AND NOT EXISTS (SELECT 1 FROM tracking_ledger_seal s WHERE s.team_id = e.team_id AND s.entry_id = e.id)
  AND NOT EXISTS (SELECT 1 FROM tracking_ledger_unsealed u WHERE u.team_id = e.team_id AND u.entry_id = e.id)
UNION ALL
SELECT 'missing', u.entry_id, NULL FROM tracking_ledger_unsealed u
WHERE u.team_id = %(team)s AND NOT EXISTS (SELECT 1 FROM tracking_ledger_entry e WHERE e.team_id = u.team_id AND e.id = u.entry_id)
ORDER BY 2 LIMIT 1;

-- chains: teams that have entries or seals, or had.
WITH RECURSIVE entered AS (
  (SELECT team_id FROM tracking_ledger_entry ORDER BY team_id LIMIT 1)
  UNION ALL
  SELECT (SELECT e.team_id FROM tracking_ledger_entry e WHERE e.team_id > entered.team_id ORDER BY e.team_id LIMIT 1)
  FROM entered WHERE entered.team_id IS NOT NULL
)
SELECT team_id FROM entered WHERE team_id IS NOT NULL
UNION SELECT team_id FROM tracking_ledger_seal WHERE number = 1
UNION SELECT team_id FROM tracking_ledger_unsealed ORDER BY 1;

-- alone: is nobody else looking? Until the transaction ends.
SELECT pg_try_advisory_xact_lock(1397047629, 0);

-- drift: periods in use of late whose sums are not those of their entries and open holds. Sealed entries are in
-- tracking_ledger_sum already; only those that wait are added up.
WITH waiting AS (
  SELECT k.team_id, k.budget_id, k.subject, k.starts_at, sum(e.usd) AS usd, sum(e.tokens) AS tokens
  FROM tracking_ledger_unsealed u JOIN tracking_ledger_entry e ON e.team_id = u.team_id AND e.id = u.entry_id
  CROSS JOIN LATERAL unnest(e.teams, e.budgets, e.subjects, e.starts) AS k(team_id, budget_id, subject, starts_at)
  GROUP BY 1, 2, 3, 4
), holds AS (
  SELECT k.team_id, k.budget_id, k.subject, k.starts_at, sum(r.held_usd) AS usd, sum(r.held_tokens) AS tokens
  FROM tracking_reservation r
  CROSS JOIN LATERAL unnest(r.teams, r.budgets, r.subjects, r.starts) AS k(team_id, budget_id, subject, starts_at)
  WHERE r.state = 0 GROUP BY 1, 2, 3, 4
), looked_at AS (
  SELECT team_id, budget_id, subject, starts_at FROM tracking_budget_period WHERE touched_at > now() - interval '1 day'
  UNION SELECT team_id, budget_id, subject, starts_at FROM waiting
  UNION SELECT team_id, budget_id, subject, starts_at FROM holds
), sums AS (
  SELECT team_id, budget_id, subject, starts_at, coalesce(p.spent_usd, 0) AS spent_usd, coalesce(p.spent_tokens, 0) AS spent_tokens,
    coalesce(s.usd, 0) + coalesce(w.usd, 0) AS entered_usd, coalesce(s.tokens, 0) + coalesce(w.tokens, 0) AS entered_tokens,
    coalesce(p.held_usd, 0) AS held_usd, coalesce(p.held_tokens, 0) AS held_tokens,
    coalesce(h.usd, 0) AS open_usd, coalesce(h.tokens, 0) AS open_tokens
  FROM looked_at
  LEFT JOIN tracking_budget_period p USING (team_id, budget_id, subject, starts_at)
  LEFT JOIN tracking_ledger_sum s USING (team_id, budget_id, subject, starts_at)
  LEFT JOIN waiting w USING (team_id, budget_id, subject, starts_at)
  LEFT JOIN holds h USING (team_id, budget_id, subject, starts_at)
)
SELECT * FROM sums
WHERE (spent_usd, spent_tokens, held_usd, held_tokens) IS DISTINCT FROM (entered_usd, entered_tokens, open_usd, open_tokens)
ORDER BY team_id, budget_id, subject, starts_at LIMIT %(limit)s;

-- drift_everywhere: the same of every period, its entries added up one by one.
WITH entries AS (
  SELECT k.team_id, k.budget_id, k.subject, k.starts_at, sum(e.usd) AS usd, sum(e.tokens) AS tokens
  FROM tracking_ledger_entry e
  CROSS JOIN LATERAL unnest(e.teams, e.budgets, e.subjects, e.starts) AS k(team_id, budget_id, subject, starts_at)
  GROUP BY 1, 2, 3, 4
), holds AS (
  SELECT k.team_id, k.budget_id, k.subject, k.starts_at, sum(r.held_usd) AS usd, sum(r.held_tokens) AS tokens
  FROM tracking_reservation r
  CROSS JOIN LATERAL unnest(r.teams, r.budgets, r.subjects, r.starts) AS k(team_id, budget_id, subject, starts_at)
  WHERE r.state = 0 GROUP BY 1, 2, 3, 4
), sums AS (
  SELECT team_id, budget_id, subject, starts_at, coalesce(p.spent_usd, 0) AS spent_usd, coalesce(p.spent_tokens, 0) AS spent_tokens,
    coalesce(e.usd, 0) AS entered_usd, coalesce(e.tokens, 0) AS entered_tokens,
    coalesce(p.held_usd, 0) AS held_usd, coalesce(p.held_tokens, 0) AS held_tokens,
    coalesce(h.usd, 0) AS open_usd, coalesce(h.tokens, 0) AS open_tokens
  FROM tracking_budget_period p
  FULL JOIN entries e USING (team_id, budget_id, subject, starts_at)
  FULL JOIN holds h USING (team_id, budget_id, subject, starts_at)
)
SELECT * FROM sums
WHERE (spent_usd, spent_tokens, held_usd, held_tokens) IS DISTINCT FROM (entered_usd, entered_tokens, open_usd, open_tokens)
ORDER BY team_id, budget_id, subject, starts_at LIMIT %(limit)s;

-- team_of: who is told of a budget: its team, or the first of its organization.
SELECT t.id FROM tracking_team t LEFT JOIN tracking_budget b ON b.id = %(budget)s
WHERE t.id = %(team)s OR %(team)s = 0 AND t.organization_id = b.organization_id ORDER BY t.id LIMIT 1;

-- open_alert: a difference a person should see: a new one, one that is still there, or one that is there again.
INSERT INTO tracking_alert AS a (id, team_id, kind, severity, dedupe_key, run, agent, payload, opened_at, last_at, times)
VALUES (gen_random_uuid(), %(team)s, 'drift', 'critical', %(key)s, '', '', %(payload)s::jsonb, now(), now(), 1)
ON CONFLICT (team_id, dedupe_key) DO UPDATE SET
  last_at = now(), payload = excluded.payload,
  times = CASE WHEN a.resolved_at IS NULL THEN a.times + 1 ELSE 1 END,
  opened_at = CASE WHEN a.resolved_at IS NULL THEN a.opened_at ELSE now() END,
  delivered_at = CASE WHEN a.resolved_at IS NULL THEN a.delivered_at END,
  acknowledged_at = CASE WHEN a.resolved_at IS NULL THEN a.acknowledged_at END,
  acknowledged_by_id = CASE WHEN a.resolved_at IS NULL THEN a.acknowledged_by_id END,
  resolved_at = NULL;
