-- v1_held_is_the_open_holds: what a period holds is the sum of the holds that are open on it.
WITH holds AS (
  SELECT k.team_id, k.budget_id, k.subject, k.starts_at, sum(r.held_usd) AS usd, sum(r.held_tokens) AS tokens
  FROM tracking_reservation r
  CROSS JOIN LATERAL unnest(r.teams, r.budgets, r.subjects, r.starts) AS k(team_id, budget_id, subject, starts_at)
  WHERE r.state = 0 GROUP BY 1, 2, 3, 4
), periods AS (
  SELECT team_id, budget_id, subject, starts_at, held_usd, held_tokens FROM tracking_budget_period WHERE held_usd <> 0 OR held_tokens <> 0
)
SELECT team_id, budget_id, subject, starts_at, p.held_usd, h.usd, p.held_tokens, h.tokens
FROM periods p FULL JOIN holds h USING (team_id, budget_id, subject, starts_at)
WHERE (%(team)s::bigint IS NULL OR team_id = %(team)s::bigint)
  AND (coalesce(p.held_usd, 0), coalesce(p.held_tokens, 0)) IS DISTINCT FROM (coalesce(h.usd, 0), coalesce(h.tokens, 0)) LIMIT 10;

-- v2_spent_is_the_entries: what a period has spent is the sum of its entries.
WITH entries AS (
  SELECT k.team_id, k.budget_id, k.subject, k.starts_at, sum(e.usd) AS usd, sum(e.tokens) AS tokens
  FROM tracking_ledger_entry e
  CROSS JOIN LATERAL unnest(e.teams, e.budgets, e.subjects, e.starts) AS k(team_id, budget_id, subject, starts_at)
  WHERE %(team)s::bigint IS NULL OR e.team_id = %(team)s::bigint
  GROUP BY 1, 2, 3, 4
)
SELECT team_id, budget_id, subject, starts_at, p.spent_usd, e.usd, p.spent_tokens, e.tokens
FROM tracking_budget_period p FULL JOIN entries e USING (team_id, budget_id, subject, starts_at)
WHERE (%(team)s::bigint IS NULL OR team_id = %(team)s::bigint)
  AND (coalesce(p.spent_usd, 0), coalesce(p.spent_tokens, 0)) IS DISTINCT FROM (coalesce(e.usd, 0), coalesce(e.tokens, 0)) LIMIT 10;

-- v2_sums_are_the_sealed_entries: what the reconciler goes by is the sum of the entries that are sealed.
WITH entries AS (
  SELECT k.team_id, k.budget_id, k.subject, k.starts_at, sum(e.usd) AS usd, sum(e.tokens) AS tokens
  FROM tracking_ledger_seal s JOIN tracking_ledger_entry e ON e.team_id = s.team_id AND e.id = s.entry_id
  CROSS JOIN LATERAL unnest(e.teams, e.budgets, e.subjects, e.starts) AS k(team_id, budget_id, subject, starts_at)
  WHERE %(team)s::bigint IS NULL OR s.team_id = %(team)s::bigint
  GROUP BY 1, 2, 3, 4
)
SELECT team_id, budget_id, subject, starts_at, s.usd, e.usd, s.tokens, e.tokens
FROM tracking_ledger_sum s FULL JOIN entries e USING (team_id, budget_id, subject, starts_at)
WHERE (%(team)s::bigint IS NULL OR team_id = %(team)s::bigint) AND (s.usd, s.tokens) IS DISTINCT FROM (e.usd, e.tokens) LIMIT 10;

-- v3_no_strict_budget_is_over: not by a call that was admitted. What is over its limit came from what nobody admits
-- (charges seen afterwards, corrections, openings, adjustments), or it was told as an overage, or somebody changed the budget
-- since, or it was made while calls were under way.
WITH limits AS (
  SELECT b.id, b.created_at, b.limit_usd + CASE WHEN b.raised_until > now() THEN coalesce(b.raised_usd, 0) ELSE 0 END AS usd,
    b.limit_tokens + CASE WHEN b.raised_until > now() THEN coalesce(b.raised_tokens, 0) ELSE 0 END AS tokens
  FROM tracking_budget b WHERE b.mode = 'strict' AND b.archived_at IS NULL
), over AS MATERIALIZED (
  SELECT p.*, l.usd AS limit_usd, l.tokens AS limit_tokens, l.created_at
  FROM tracking_budget_period p JOIN limits l ON l.id = p.budget_id
  WHERE (%(team)s::bigint IS NULL OR p.team_id = %(team)s::bigint)
    AND (p.spent_usd + p.held_usd > l.usd OR p.spent_tokens + p.held_tokens > l.tokens)
)
SELECT p.team_id, p.budget_id, p.subject, p.starts_at, p.spent_usd, p.held_usd, p.limit_usd, p.spent_tokens, p.held_tokens, p.limit_tokens
FROM over p
CROSS JOIN LATERAL (
  SELECT coalesce(sum(greatest(e.usd, 0)), 0) AS usd, coalesce(sum(greatest(e.tokens, 0)), 0) AS tokens
  FROM tracking_ledger_entry e
  WHERE e.budgets @> ARRAY[p.budget_id] AND e.kind <> 'debit'
    AND (p.subject, p.starts_at) IN (SELECT k.subject, k.starts_at FROM unnest(e.budgets, e.subjects, e.starts) AS k(budget_id, subject, starts_at)
                                     WHERE k.budget_id = p.budget_id)
) AS afterwards
WHERE (p.spent_usd + p.held_usd > p.limit_usd + afterwards.usd OR p.spent_tokens + p.held_tokens > p.limit_tokens + afterwards.tokens)
  AND NOT EXISTS (SELECT 1 FROM tracking_alert a WHERE a.kind = 'overage' AND a.payload ->> 'budget_id' = p.budget_id::text
                    AND a.payload ->> 'subject' = p.subject)
  AND NOT EXISTS (SELECT 1 FROM tracking_auditentry a
                  WHERE a.object_kind = 'budget' AND a.object_id = p.budget_id::text AND a.action IN ('budget.change', 'budget.raise', 'budget.end_raise'))
  AND NOT EXISTS (SELECT 1 FROM tracking_reservation r WHERE r.budgets @> ARRAY[p.budget_id] AND r.created_at < p.created_at)
LIMIT 10;

-- v4_each_call_is_debited_once: a hold that is settled or expired has its one entry, of what it says it cost; others have none.
SELECT r.team_id, r.id, r.state, r.actual_usd, d.usd, r.actual_tokens, d.tokens
FROM tracking_reservation r
LEFT JOIN (
  SELECT e.team_id, e.reservation_id, count(*) FILTER (WHERE e.kind = 'debit') AS debits, sum(e.usd) AS usd, sum(e.tokens) AS tokens
  FROM tracking_ledger_entry e
  WHERE e.kind IN ('debit', 'correction') AND e.reservation_id IS NOT NULL AND (%(team)s::bigint IS NULL OR e.team_id = %(team)s::bigint)
  GROUP BY 1, 2
) AS d ON d.team_id = r.team_id AND d.reservation_id = r.id
WHERE (%(team)s::bigint IS NULL OR r.team_id = %(team)s::bigint)
  AND CASE WHEN r.state IN (1, 3) THEN (d.debits, d.usd, d.tokens) IS DISTINCT FROM (1, r.actual_usd, r.actual_tokens) ELSE d.debits IS NOT NULL END
LIMIT 10;

-- v5_door: received = accepted + known + every kind of rejected, each team and hour.
WITH door AS (
  SELECT team_id, period, agent AS reason, spans FROM tracking_usage WHERE slice = 11 AND grain = 0
  UNION ALL SELECT team_id, period, agent, spans FROM tracking_usage_delta WHERE slice = 11
)
SELECT team_id, period, sum(spans) FILTER (WHERE reason = 'received'), sum(spans) FILTER (WHERE reason <> 'received')
FROM door WHERE %(team)s::bigint IS NULL OR team_id = %(team)s::bigint
GROUP BY 1, 2
HAVING coalesce(sum(spans) FILTER (WHERE reason = 'received'), 0)
    <> coalesce(sum(spans) FILTER (WHERE reason <> 'received'), 0) LIMIT 10;

-- v6_usage_is_its_spans: hour by hour, usage equals the sums of the spans stored. Spans live on the first day of their
-- run, so an hour is compared while the team keeps its day and the one before.
WITH kept AS (
  SELECT team_id, period, spans, llm_calls, input_tokens, output_tokens, embedding_tokens, cost_usd, unpriced_calls
  FROM tracking_usage WHERE slice = 0 AND grain = 0
  UNION ALL
  SELECT team_id, period, spans, llm_calls, input_tokens, output_tokens, embedding_tokens, cost_usd, unpriced_calls
  FROM tracking_usage_delta WHERE slice = 0
), usage AS (
  SELECT team_id, period, sum(spans) AS spans, sum(llm_calls) AS calls, sum(input_tokens) AS tin,
         sum(output_tokens) AS tout, sum(embedding_tokens) AS embedded, sum(cost_usd) AS cost, sum(unpriced_calls) AS unpriced
  FROM kept GROUP BY 1, 2
), real AS (
  SELECT team_id, date_trunc('hour', started_at, 'UTC') AS period, count(*) AS spans,
         count(*) FILTER (WHERE counted AND kind = 2) AS calls,
         coalesce(sum(input_tokens) FILTER (WHERE counted AND kind <> 6), 0) AS tin,
         coalesce(sum(output_tokens) FILTER (WHERE counted AND kind <> 6), 0) AS tout,
         coalesce(sum(coalesce(input_tokens, 0) + coalesce(output_tokens, 0)) FILTER (WHERE counted AND kind = 6), 0) AS embedded,
         coalesce(sum(cost_usd), 0) AS cost, count(*) FILTER (WHERE counted AND cost_status = 2) AS unpriced
  FROM tracking_span GROUP BY 1, 2
)
SELECT coalesce(u.team_id, r.team_id), coalesce(u.period, r.period), u.spans, r.spans, u.calls, r.calls, u.tin, r.tin,
       u.tout, r.tout, u.cost, r.cost, u.unpriced, r.unpriced
FROM usage u FULL JOIN real r ON r.team_id = u.team_id AND r.period = u.period
JOIN tracking_team t ON t.id = coalesce(u.team_id, r.team_id)
WHERE coalesce(u.period, r.period) >= date_trunc('day', now(), 'UTC') - make_interval(days => t.retention_days - 1)
  AND (%(team)s::bigint IS NULL OR coalesce(u.team_id, r.team_id) = %(team)s::bigint)
  AND (coalesce(u.spans, 0), coalesce(u.calls, 0), coalesce(u.tin, 0), coalesce(u.tout, 0), coalesce(u.embedded, 0),
       coalesce(u.cost, 0), coalesce(u.unpriced, 0))
   IS DISTINCT FROM (coalesce(r.spans, 0), coalesce(r.calls, 0), coalesce(r.tin, 0), coalesce(r.tout, 0),
       coalesce(r.embedded, 0), coalesce(r.cost, 0), coalesce(r.unpriced, 0)) LIMIT 10;

-- v6_slices_agree: every slice of a kind of question sums to the same as the whole.
WITH kept AS (
  SELECT team_id, slice, period, spans, llm_calls, input_tokens, cost_usd FROM tracking_usage WHERE grain = 0 AND slice <> 11
  UNION ALL SELECT team_id, slice, period, spans, llm_calls, input_tokens, cost_usd FROM tracking_usage_delta WHERE slice <> 11
), sums AS (
  SELECT team_id, slice, sum(spans) AS spans, sum(llm_calls) AS calls, sum(input_tokens) AS tin, sum(cost_usd) AS cost
  FROM kept WHERE %(team)s::bigint IS NULL OR team_id = %(team)s::bigint GROUP BY 1, 2
)
SELECT s.team_id, s.slice, s.spans, t.spans, s.cost, t.cost
FROM sums s JOIN sums t ON t.team_id = s.team_id AND t.slice = 0
WHERE (s.spans, s.calls, s.tin, s.cost) IS DISTINCT FROM (t.spans, t.calls, t.tin, t.cost) LIMIT 10;

-- v6_days_are_hours: day rows are the sums of their hour rows.
SELECT team_id, slice, date_trunc('day', period, 'UTC'), sum(spans) FILTER (WHERE grain = 0), sum(spans) FILTER (WHERE grain = 1)
FROM tracking_usage WHERE %(team)s::bigint IS NULL OR team_id = %(team)s::bigint
GROUP BY 1, 2, 3
HAVING (sum(spans) FILTER (WHERE grain = 0), sum(cost_usd) FILTER (WHERE grain = 0), sum(latency) FILTER (WHERE grain = 0))
  IS DISTINCT FROM (sum(spans) FILTER (WHERE grain = 1), sum(cost_usd) FILTER (WHERE grain = 1), sum(latency) FILTER (WHERE grain = 1))
LIMIT 10;

-- v6_runs_are_their_spans: a run's totals are the sums of its spans.
SELECT r.team_id, r.id, r.span_count, s.spans, r.llm_calls, s.calls, r.input_tokens, s.tin, r.cost_usd, s.cost
FROM tracking_run r
LEFT JOIN LATERAL (
  SELECT count(*) AS spans, count(*) FILTER (WHERE counted AND kind = 2) AS calls,
         coalesce(sum(input_tokens) FILTER (WHERE counted AND kind <> 6), 0) AS tin,
         coalesce(sum(output_tokens) FILTER (WHERE counted AND kind <> 6), 0) AS tout, sum(cost_usd) AS cost
  FROM tracking_span s WHERE s.team_id = r.team_id AND s.day = r.day AND s.trace_id = r.trace_id
) s ON true
WHERE (%(team)s::bigint IS NULL OR r.team_id = %(team)s::bigint)
  AND ((r.span_count, r.llm_calls, r.input_tokens, r.output_tokens) IS DISTINCT FROM (s.spans, s.calls, s.tin, s.tout)
       OR coalesce(r.cost_usd, 0) <> coalesce(s.cost, 0)) LIMIT 10;

-- v10_spans_have_their_run: every span and payload belongs to a run of its own team and day.
SELECT s.team_id, s.day, s.trace_id FROM tracking_span s
LEFT JOIN tracking_run r ON r.team_id = s.team_id AND r.trace_id = s.trace_id AND r.day = s.day
WHERE r.id IS NULL AND (%(team)s::bigint IS NULL OR s.team_id = %(team)s::bigint)
UNION ALL
SELECT p.team_id, p.day, p.trace_id FROM tracking_payload p
LEFT JOIN tracking_run r ON r.team_id = p.team_id AND r.trace_id = p.trace_id AND r.day = p.day
WHERE r.id IS NULL AND (%(team)s::bigint IS NULL OR p.team_id = %(team)s::bigint) LIMIT 10;

-- v12_no_nonsense: no NaN, no negative figure, no span that counts twice over.
SELECT team_id, trace_id, span_id, cost_usd FROM tracking_span
WHERE (%(team)s::bigint IS NULL OR team_id = %(team)s::bigint)
  AND (cost_usd < 0 OR cost_usd = 'NaN' OR input_tokens < 0 OR output_tokens < 0 OR ended_at < started_at
       OR (NOT counted AND cost_usd IS NOT NULL) OR (cost_status = 2 AND cost_usd IS NOT NULL))
LIMIT 10;

-- v11_chains_are_whole: each seal follows from the one before and from its entry; every entry has a seal or waits for it.
SELECT c.team_id, c.entry_id, c.number FROM (
  SELECT s.team_id, s.number, s.entry_id, s.hash, e.id, ledger_hash(lag(s.hash) OVER w, e) AS expected, coalesce(lag(s.number) OVER w, 0) AS number_before
  FROM tracking_ledger_seal s LEFT JOIN tracking_ledger_entry e ON e.team_id = s.team_id AND e.id = s.entry_id
  WHERE %(team)s::bigint IS NULL OR s.team_id = %(team)s::bigint WINDOW w AS (PARTITION BY s.team_id ORDER BY s.number)) AS c
WHERE c.id IS NULL OR c.number <> c.number_before + 1 OR c.hash <> c.expected
UNION ALL
SELECT team_id, coalesce(e.id, u.entry_id, s.entry_id), NULL
FROM (SELECT team_id, id FROM tracking_ledger_entry) e
FULL JOIN (SELECT team_id, entry_id AS id, entry_id FROM tracking_ledger_unsealed) u USING (team_id, id)
FULL JOIN (SELECT team_id, entry_id AS id, entry_id FROM tracking_ledger_seal) s USING (team_id, id)
WHERE (%(team)s::bigint IS NULL OR team_id = %(team)s::bigint) AND (e.id IS NULL OR (u.entry_id IS NULL) = (s.entry_id IS NULL))
LIMIT 10;

-- v12_no_nonsense_in_the_ledger: no NaN, no sum below zero that cannot be.
SELECT 'period', team_id, budget_id::text FROM tracking_budget_period
WHERE (%(team)s::bigint IS NULL OR team_id = %(team)s::bigint)
  AND (spent_usd = 'NaN' OR held_usd = 'NaN' OR held_usd < 0 OR held_tokens < 0 OR starts_at >= ends_at)
UNION ALL
SELECT 'hold', team_id, id::text FROM tracking_reservation
WHERE (%(team)s::bigint IS NULL OR team_id = %(team)s::bigint)
  AND (held_usd = 'NaN' OR held_usd < 0 OR held_tokens < 0 OR actual_usd = 'NaN' OR actual_usd < 0 OR actual_tokens < 0
       OR (state = 0) <> (closed_at IS NULL) OR (state IN (1, 3)) AND actual_usd IS NULL)
UNION ALL
SELECT 'entry', team_id, id::text FROM tracking_ledger_entry
WHERE (%(team)s::bigint IS NULL OR team_id = %(team)s::bigint) AND (usd = 'NaN' OR kind = 'debit' AND (usd < 0 OR tokens < 0)
  OR cardinality(budgets) <> cardinality(subjects) OR cardinality(budgets) <> cardinality(starts) OR cardinality(budgets) <> cardinality(teams))
LIMIT 10;
