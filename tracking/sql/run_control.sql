-- kill: refuse every later call under these names of one run; the names that were not refused before.
INSERT INTO tracking_runcontrol AS c (team_id, run, steps, cost_usd, tokens, started_at, last_at, killed_at, kill_reason, killed_by, version)
SELECT %(team)s, name, 0, 0, 0, now(), now(), now(), left(%(reason)s, 500), left(%(by)s, 200), 0 FROM unnest(%(names)s::text[]) AS name
ON CONFLICT (team_id, run) DO UPDATE SET killed_at = now(), kill_reason = excluded.kill_reason, killed_by = excluded.killed_by
  WHERE c.killed_at IS NULL
RETURNING c.run;

-- complete: a run is done with, until it calls again.
UPDATE tracking_runcontrol SET ended_at = now()
WHERE team_id = %(team)s AND run = ANY(%(names)s::text[]) AND killed_at IS NULL AND ended_at IS NULL RETURNING run;

-- controls: how these runs, of whatever team, stand, by the names their callers give them. A budget that nobody opened for a run is all there.
SELECT c.team_id, c.run, c.steps, c.cost_usd, c.tokens, c.started_at, c.last_at, c.ended_at, c.killed_at, c.kill_reason,
       (SELECT min(b.limit_usd + CASE WHEN b.raised_until > now() THEN coalesce(b.raised_usd, 0) ELSE 0 END
                   - coalesce(p.spent_usd + p.held_usd, 0))
        FROM tracking_team t
        JOIN tracking_budget b ON b.team_id = t.id OR b.team_id IS NULL AND b.organization_id = t.organization_id AND NOT t.is_demo
        LEFT JOIN tracking_budget_period p ON p.team_id = coalesce(b.team_id, 0) AND p.budget_id = b.id AND p.subject = c.run
          AND p.starts_at <= now() AND p.ends_at > now()
        WHERE t.id = c.team_id AND b.archived_at IS NULL AND b.mode <> 'soft' AND b.limit_usd IS NOT NULL
          AND (b.scope_kind IN ('organization', 'team') AND b."window" = 'run' OR b.scope_kind = 'run' AND b.scope_id IN ('', c.run))),
       (SELECT jsonb_build_object('id', r.id, 'checkpoint', jsonb_build_object('id', r.checkpoint_id, 'version', r.checkpoint_version,
                 'name', r.checkpoint_name), 'reason', r.reason, 'overrides', r.overrides, 'budget_usd', trim_scale(r.budget_usd)::text, 'requested_by', r.requested_by, 'requested_at', r.requested_at)
        FROM tracking_rollback r WHERE r.team_id = c.team_id AND r.run = c.run AND r.status = 'requested'
        ORDER BY r.requested_at DESC LIMIT 1),
       (SELECT jsonb_object_agg(a.id, jsonb_build_object('status', a.status, 'decided_by', a.decided_by, 'comment', a.comment))
        FROM (SELECT * FROM tracking_approval a WHERE a.team_id = c.team_id AND a.run = c.run
              AND (a.status = 'pending' AND a.expires_at > now() OR a.decided_at > now() - make_interval(mins => %(approval_minutes)s))
              ORDER BY a.requested_at DESC LIMIT %(approvals)s) a)
FROM unnest(%(teams)s::bigint[], %(names)s::text[]) AS asked(team_id, name)
JOIN tracking_runcontrol c ON c.team_id = asked.team_id AND c.run = asked.name;

-- latest: the runs that called through the gateway lately; those a name was only ever refused under made no call.
SELECT c.run, c.steps, c.cost_usd, c.tokens, c.started_at, c.last_at, c.ended_at, c.killed_at, c.kill_reason, NULL::numeric, NULL::jsonb,
       NULL::jsonb
FROM tracking_runcontrol c
WHERE c.team_id = %(team)s AND c.steps > 0 AND (c.last_at, c.run) < (%(before)s, %(after)s)
  AND (%(status)s = '' OR %(status)s = CASE WHEN c.killed_at IS NOT NULL THEN 'killed'
       WHEN c.ended_at IS NOT NULL OR c.last_at < %(idle)s THEN 'completed' ELSE 'running' END)
ORDER BY c.last_at DESC, c.run DESC LIMIT %(limit)s;

-- killed: which of these runs, of whatever team, were stopped.
SELECT c.team_id, c.run, c.kill_reason FROM unnest(%(teams)s::bigint[], %(runs)s::text[]) AS live(team_id, run)
JOIN tracking_runcontrol c ON c.team_id = live.team_id AND c.run = live.run WHERE c.killed_at IS NOT NULL;
