-- clock: the database's time, after the locks that this transaction has taken.
SELECT clock_timestamp();

-- hold_calls: of these teams no call that is under way ends until this transaction does.
SELECT 1 FROM tracking_reservation WHERE team_id = ANY(%(teams)s) AND state = 0 ORDER BY team_id, id FOR UPDATE;

-- adopt: calls under way are held for on a budget that was not there when they began; how many. Their locks are held.
WITH held AS (
  SELECT r.team_id AS of_team, r.id, r.held_usd, r.held_tokens, s.team_id, s.budget_id, s.subject, s.starts_at, s.ends_at
  FROM tracking_reservation r
  CROSS JOIN LATERAL ledger_scopes(r.team_id, r.call, r.created_at) s
  WHERE r.team_id = ANY(%(teams)s) AND r.state = 0 AND s.budget_id = %(budget)s
), periods AS (
  INSERT INTO tracking_budget_period (team_id, budget_id, subject, starts_at, ends_at, held_usd, held_tokens)
  SELECT team_id, budget_id, subject, starts_at, ends_at, sum(held_usd), sum(held_tokens) FROM held GROUP BY 1, 2, 3, 4, 5
), adopted AS (
  UPDATE tracking_reservation r
  SET teams = r.teams || h.team_id, budgets = r.budgets || h.budget_id, subjects = r.subjects || h.subject,
      starts = r.starts || h.starts_at
  FROM held h WHERE r.team_id = h.of_team AND r.id = h.id
  RETURNING 1
)
SELECT count(*) FROM adopted;

-- open: begin a budget's present window with what each subject had used in it before; entries say so.
WITH used AS (
  SELECT * FROM unnest(%(subjects)s::text[], %(usd)s::numeric[], %(tokens)s::bigint[]) AS u(subject, usd, tokens)
), periods AS (
  INSERT INTO tracking_budget_period AS p (team_id, budget_id, subject, starts_at, ends_at, spent_usd, spent_tokens)
  SELECT %(team)s, %(budget)s, u.subject, w.starts_at, w.ends_at, u.usd, u.tokens
  FROM used u CROSS JOIN ledger_window(%(window)s, %(zone)s, %(at)s) w ORDER BY u.subject
  ON CONFLICT (team_id, budget_id, subject, starts_at) DO UPDATE
    SET spent_usd = p.spent_usd + excluded.spent_usd, spent_tokens = p.spent_tokens + excluded.spent_tokens
  RETURNING subject, starts_at
)
INSERT INTO tracking_ledger_entry (team_id, kind, usd, tokens, teams, budgets, subjects, starts, actor, reason, detail)
SELECT %(entry_team)s, 'opening', u.usd, u.tokens, ARRAY[%(team)s::bigint], ARRAY[%(budget)s::uuid], ARRAY[u.subject],
       ARRAY[p.starts_at], %(actor)s, %(reason)s, %(detail)s::jsonb
FROM used u JOIN periods p USING (subject) ORDER BY u.subject;

-- adjust: an entry of a person on one window of a budget, and the window as it is after.
WITH period AS (
  INSERT INTO tracking_budget_period AS p (team_id, budget_id, subject, starts_at, ends_at, spent_usd, spent_tokens)
  SELECT %(team)s, %(budget)s, %(subject)s, w.starts_at, w.ends_at, %(usd)s, %(tokens)s
  FROM ledger_window(%(window)s, %(zone)s, %(at)s) w
  ON CONFLICT (team_id, budget_id, subject, starts_at) DO UPDATE
    SET spent_usd = p.spent_usd + excluded.spent_usd, spent_tokens = p.spent_tokens + excluded.spent_tokens,
        touched_at = now()
  RETURNING starts_at, ends_at, spent_usd, spent_tokens
), entry AS (
  INSERT INTO tracking_ledger_entry (team_id, kind, usd, tokens, teams, budgets, subjects, starts, actor, reason)
  SELECT %(entry_team)s, 'adjustment', %(usd)s, %(tokens)s, ARRAY[%(team)s::bigint], ARRAY[%(budget)s::uuid],
         ARRAY[%(subject)s::text], ARRAY[starts_at], %(actor)s, %(reason)s FROM period
  RETURNING id, at
)
SELECT entry.id, entry.at, nullif(starts_at, '1970-01-01 00:00+00'), nullif(ends_at, '9000-01-01 00:00+00'), spent_usd, spent_tokens
FROM entry CROSS JOIN period;

-- retell: after its limit or thresholds changed: what was told and is no longer so is taken back in the windows that are
-- open, so that it is told again when it comes true again; an alert of it is over.
WITH open AS (
  SELECT * FROM tracking_budget_period
  WHERE team_id = %(team)s AND budget_id = %(budget)s AND ends_at > now()
  ORDER BY team_id, budget_id, subject, starts_at FOR UPDATE
), due AS (
  SELECT p.subject, p.starts_at, coalesce((SELECT max(a) FROM unnest(b.alert_at) a
    WHERE a <= greatest(100 * p.spent_usd / nullif(b.limit_usd, 0), 100.0 * p.spent_tokens / nullif(b.limit_tokens, 0))), 0) AS percent
  FROM open p JOIN tracking_budget b ON b.id = p.budget_id
), lowered AS (
  UPDATE tracking_budget_period p SET told_percent = due.percent FROM due
  WHERE p.team_id = %(team)s AND p.budget_id = %(budget)s AND (p.subject, p.starts_at) = (due.subject, due.starts_at)
    AND p.told_percent > due.percent
  RETURNING p.subject, p.starts_at, due.percent
)
UPDATE tracking_alert a
SET resolved_at = coalesce(a.resolved_at, now()), dedupe_key = left(a.dedupe_key, 360) || ':' || a.id
FROM lowered l
WHERE a.team_id = ANY(%(teams)s) AND a.kind = 'budget' AND a.payload ->> 'budget_id' = %(budget)s::text
  AND (a.payload ->> 'percent')::int > l.percent
  AND a.dedupe_key = ledger_alert_key(%(budget)s, l.subject, l.starts_at, (a.payload ->> 'percent')::int);

-- tell: alerts for thresholds that windows of a budget have passed.
SELECT ledger_tell(%(alert_team)s, array_agg(team_id), array_agg(budget_id), array_agg(subject), array_agg(starts_at))
FROM tracking_budget_period
WHERE team_id = %(team)s AND budget_id = %(budget)s AND ends_at > now() AND (spent_usd > 0 OR spent_tokens > 0);

-- now: what a budget has spent and holds at the moment, over all its subjects, and the most of one of them.
SELECT coalesce(sum(spent_usd), 0), coalesce(sum(held_usd), 0), coalesce(sum(spent_tokens), 0), coalesce(sum(held_tokens), 0),
       coalesce(max(spent_usd + held_usd), 0), coalesce(max(spent_tokens + held_tokens), 0)
FROM tracking_budget_period WHERE team_id = %(team)s AND budget_id = %(budget)s AND ends_at > now();

-- run_used: what one run used from a moment on, by its spans.
SELECT coalesce(sum(s.cost_usd), 0), coalesce(sum(coalesce(s.input_tokens, 0) + coalesce(s.output_tokens, 0)), 0),
       count(*) FILTER (WHERE s.cost_status = 2)
FROM tracking_run r
JOIN tracking_span s ON s.team_id = r.team_id AND s.day = r.day AND s.trace_id = r.trace_id
WHERE r.team_id = %(team)s AND (r.external_id = %(run)s OR r.external_id IS NULL AND r.trace_id = %(trace)s)
  AND s.counted AND s.started_at >= coalesce(%(since)s, s.started_at);
