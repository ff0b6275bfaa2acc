-- The budgets a call falls under, each with its subject and window, in the order in which all lock them.
-- p_call: key, run, agent, user, job (text or null), models (the name asked for and what it resolved to), run_budget_usd
-- (what the call itself says its run may spend: a budget without a row in tracking_budget, of the calls that say so). What
-- a demo team plays with is not its organization's money.
CREATE OR REPLACE FUNCTION ledger_scopes(p_team bigint, p_call jsonb, p_at timestamptz) RETURNS SETOF ledger_scope
LANGUAGE sql STABLE AS $$
  SELECT DISTINCT ON (1, 2, 3, 4)
         coalesce(b.team_id, 0), b.id,
         CASE WHEN b."window" = 'run' AND b.scope_kind <> 'run' THEN concat_ws(' in run ', nullif(v.value, ''), p_call ->> 'run') ELSE v.value END,
         w.starts_at, w.ends_at, b.name, b.mode,
         b.limit_usd + CASE WHEN b.raised_until > now() THEN coalesce(b.raised_usd, 0) ELSE 0 END,
         b.limit_tokens + CASE WHEN b.raised_until > now() THEN coalesce(b.raised_tokens, 0) ELSE 0 END
  FROM tracking_team t
  JOIN tracking_budget b ON b.archived_at IS NULL AND (b.team_id = t.id OR b.team_id IS NULL AND b.organization_id = t.organization_id AND NOT t.is_demo)
  CROSS JOIN LATERAL (
    SELECT CASE b.scope_kind
             WHEN 'organization' THEN ARRAY['']
             WHEN 'team' THEN ARRAY['']
             WHEN 'model' THEN (SELECT array_agg(m) FROM jsonb_array_elements_text(p_call -> 'models') WITH ORDINALITY AS x(m, place)
                                WHERE b.scope_id <> '' OR place = jsonb_array_length(p_call -> 'models'))
             ELSE ARRAY[p_call ->> b.scope_kind]
           END AS named
  ) AS n
  CROSS JOIN LATERAL unnest(n.named) AS v(value)
  CROSS JOIN LATERAL ledger_window(b."window", CASE WHEN b.team_id IS NULL THEN 'UTC' ELSE t.time_zone END, p_at) AS w
  WHERE t.id = p_team AND v.value IS NOT NULL
    AND (b.scope_kind IN ('organization', 'team') OR v.value <> '')
    AND (b.scope_id = '' OR b.scope_id = v.value OR b.scope_kind IN ('organization', 'team'))
    AND (b."window" <> 'run' OR coalesce(p_call ->> 'run', '') <> '')
  UNION ALL
  SELECT p_team, '00000000-0000-0000-0000-000000000001', p_call ->> 'run', w.starts_at, w.ends_at, 'X-Run-Budget', 'strict',
         (p_call ->> 'run_budget_usd')::numeric, NULL
  FROM ledger_window('run', 'UTC', p_at) AS w WHERE p_call ->> 'run_budget_usd' IS NOT NULL
  ORDER BY 1, 2, 3, 4
$$;
