-- admit: the run, its memory of turns and its money, in one trip.
SELECT a.outcome, a.steps, a.run_cost_usd, a.version, a.loop_state::text, a.kill_reason,
       (a.held).outcome, (a.held).output_tokens, (a.held).held_usd, (a.held).held_tokens, (a.held).budget_id,
       (a.held).budget_name, (a.held).budget_subject, (a.held).budget_mode, (a.held).limit_usd, (a.held).limit_tokens,
       (a.held).spent_usd, (a.held).budget_held_usd, (a.held).spent_tokens, (a.held).budget_held_tokens,
       nullif((a.held).starts_at, '1970-01-01 00:00+00'), nullif((a.held).ends_at, '9000-01-01 00:00+00'),
       (a.held).may_wait, (a.held).free_at
FROM gateway_admit(%(team)s, %(run)s, %(own_name)s, %(version)s::int, %(steps_max)s::int, %(idle_minutes_max)s::int,
  %(minutes_max)s::int, %(id)s, %(call)s::jsonb, %(base_usd)s::numeric, %(output_usd)s::numeric, %(base_tokens)s::bigint,
  %(choices)s::int, %(wanted)s::bigint, %(floor)s::bigint, %(slice)s::bigint, %(lease_ms)s::int, %(detail)s::jsonb) a,
  ledger_commit(%(commit)s);

-- memory: what is known of a run's turns.
SELECT version, loop_state::text FROM tracking_runcontrol WHERE team_id = %(team)s AND run = %(run)s;

-- remember: move a run's memory on.
SELECT is_kept, version, state::text FROM gateway_remember(%(team)s, %(run)s, %(version)s, %(state)s::jsonb);

-- loop_told: open the alert of a loop, kill its run where that was decided.
WITH alert AS (
  INSERT INTO tracking_alert (id, team_id, kind, severity, dedupe_key, run, agent, payload, opened_at, last_at, times)
  VALUES (gen_random_uuid(), %(team)s::bigint, 'loop', %(severity)s, %(dedupe_key)s::text, %(run)s::text, left(%(agent)s::text, 200),
          %(payload)s::jsonb, now(), now(), 1)
  ON CONFLICT (team_id, dedupe_key) DO UPDATE SET last_at = now(), payload = excluded.payload, severity = excluded.severity,
    times = CASE WHEN tracking_alert.resolved_at IS NULL THEN tracking_alert.times + 1 ELSE 1 END,
    opened_at = CASE WHEN tracking_alert.resolved_at IS NULL THEN tracking_alert.opened_at ELSE now() END,
    delivered_at = CASE WHEN tracking_alert.resolved_at IS NULL THEN tracking_alert.delivered_at END,
    acknowledged_at = CASE WHEN tracking_alert.resolved_at IS NULL THEN tracking_alert.acknowledged_at END,
    acknowledged_by_id = CASE WHEN tracking_alert.resolved_at IS NULL THEN tracking_alert.acknowledged_by_id END,
    resolved_at = NULL
)
UPDATE tracking_runcontrol SET killed_at = now(), kill_reason = %(kill_reason)s::text, killed_by = 'Wflo'
WHERE team_id = %(team)s::bigint AND run = %(run)s::text AND killed_at IS NULL AND %(kill_reason)s::text <> ''
RETURNING 1;

-- stopped: whether one of these runs was.
SELECT run FROM tracking_runcontrol WHERE team_id = %(team)s AND run = ANY(%(runs)s::text[]) AND killed_at IS NOT NULL;

-- cache_day: what the cache answered today (UTC), and what that saved.
INSERT INTO tracking_cacheday AS c (team_id, day, model, hits, misses, saved_usd)
VALUES (%(team)s, (now() AT TIME ZONE 'UTC')::date, %(model)s, %(hits)s, %(misses)s, %(usd)s::numeric)
ON CONFLICT (team_id, day, model) DO UPDATE SET hits = c.hits + excluded.hits, misses = c.misses + excluded.misses,
  saved_usd = c.saved_usd + excluded.saved_usd
RETURNING 1;

-- mark_run: what pages show of a run; none when its first span is not written yet.
UPDATE tracking_run SET loop_detected = loop_detected OR %(is_loop)s, budget_exceeded = budget_exceeded OR %(is_broke)s,
  status = CASE WHEN EXISTS (SELECT FROM tracking_runcontrol c
                             WHERE c.team_id = %(team)s AND c.run = %(run)s::text AND c.killed_at IS NOT NULL)
                THEN 'killed' ELSE status END
WHERE team_id = %(team)s AND (external_id = %(run)s::text OR trace_id = %(trace)s::uuid) RETURNING 1;

-- finish: what calls cost, for their budgets and for their runs, and what turns they were; in the order of the calls.
SELECT f.run_cost_usd, f.is_kept, f.version, f.state::text
FROM gateway_finish_all(%(calls)s::jsonb) WITH ORDINALITY f, ledger_commit(%(commit)s) ORDER BY f.ordinality;

-- take_back: a call that was held for and is not made.
SELECT gateway_take_back(%(team)s, %(run)s, %(id)s), ledger_commit(%(commit)s);

-- refuse: note calls that were not made; of a budget's first refusal in its window somebody is told.
WITH refused AS MATERIALIZED (
  SELECT * FROM jsonb_to_recordset(%(calls)s::jsonb) AS c(team bigint, id uuid, code text, status int, message text, details jsonb,
    key text, run text, agent text, "user" text, model text, dedupe_key text)
), told AS (
  INSERT INTO tracking_alert AS a (id, team_id, kind, severity, dedupe_key, run, agent, payload, opened_at, last_at, times)
  SELECT DISTINCT ON (team, dedupe_key) gen_random_uuid(), team, 'budget', 'critical', dedupe_key, left(run, 128), left(agent, 200),
         details || '{"percent": 100, "is_refusal": true}', now(), now(), count(*) OVER (PARTITION BY team, dedupe_key)
  FROM refused WHERE dedupe_key <> '' ORDER BY team, dedupe_key
  ON CONFLICT (team_id, dedupe_key) DO UPDATE SET last_at = now(), times = a.times + excluded.times
)
INSERT INTO tracking_refusal (team_id, id, at, code, status, message, details, key_id, run, agent, end_user, model)
SELECT team, id, now(), code, status, message, details, key, run, agent, "user", model FROM refused
ON CONFLICT DO NOTHING RETURNING 1;

-- routes: what a team means by a name: another's, where it is an alias; then the group of that name, with what is behind it.
WITH meant AS (
  SELECT coalesce((SELECT a.target FROM tracking_modelalias a
                   WHERE a.name = %(name)s AND (a.team_id = %(team)s OR a.team_id IS NULL)
                   ORDER BY a.team_id NULLS LAST LIMIT 1), %(name)s::text) AS name
)
SELECT meant.name, g.id, g.cache_seconds, g.fallback_on_auth, d.id, d.model, d.api_base, d.sealed_key, d.priority, d.weight,
       d.rpm, d.tpm, d.timeout_seconds, g.team_id IS NULL
FROM meant
LEFT JOIN tracking_modelgroup g ON g.name = meant.name AND g.is_active
  AND (g.team_id = %(team)s OR g.team_id IS NULL AND EXISTS (
    SELECT 1 FROM tracking_modelgroup_teams t WHERE t.modelgroup_id = g.id AND t.team_id = %(team)s))
LEFT JOIN tracking_deployment d ON d.group_id = g.id AND d.is_active
ORDER BY g.team_id NULLS LAST, d.priority, d.created_at;

-- credential: a provider's key for a team without one on the deployment; the organization's own first.
SELECT c.api_base, c.sealed_key FROM tracking_providercredential c
WHERE c.is_active AND c.provider = %(provider)s
  AND (c.organization_id IS NULL OR c.organization_id = (SELECT organization_id FROM tracking_team WHERE id = %(team)s))
ORDER BY c.organization_id NULLS LAST LIMIT 1;

-- names: what a team may name as a model, and what is meant by it.
SELECT g.name, extract(epoch FROM g.created_at)::bigint, g.name FROM tracking_modelgroup g
WHERE g.is_active AND (g.team_id = %(team)s OR g.team_id IS NULL AND EXISTS (
    SELECT 1 FROM tracking_modelgroup_teams t WHERE t.modelgroup_id = g.id AND t.team_id = %(team)s))
UNION
SELECT a.name, extract(epoch FROM a.created_at)::bigint, a.target FROM tracking_modelalias a
WHERE a.team_id = %(team)s OR a.team_id IS NULL AND NOT EXISTS (  -- a group that was not granted is not told of
  SELECT 1 FROM tracking_modelgroup g WHERE g.name = a.target AND g.team_id IS NULL AND NOT EXISTS (
    SELECT 1 FROM tracking_modelgroup_teams t WHERE t.modelgroup_id = g.id AND t.team_id = %(team)s))
ORDER BY 1;
