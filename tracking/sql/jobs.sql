-- summaries: what each of some jobs came to.
SELECT job_id, count(*), count(*) FILTER (WHERE error <> ''), coalesce(sum(input_tokens), 0)::bigint,
       coalesce(sum(output_tokens), 0)::bigint, coalesce(sum(cost_usd), 0), coalesce(sum(client_cost_usd), 0),
       count(*) FILTER (WHERE error = '' AND cost_usd IS NULL), coalesce(avg(latency_ms) FILTER (WHERE error = ''), 0)::int,
       count(*) FILTER (WHERE purpose <> '') - count(DISTINCT nullif(purpose, ''))
FROM tracking_jobcall WHERE team_id = %(team)s AND job_id = ANY(%(jobs)s::uuid[]) GROUP BY job_id;

-- lines: jobs of some teams in a time, by type, team or day.
SELECT CASE %(by)s WHEN 'job_type' THEN j.job_type WHEN 'team' THEN t.slug
         ELSE to_char(j.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') END AS key,
       count(*), count(*) FILTER (WHERE j.status = 'completed'), count(*) FILTER (WHERE j.status = 'failed'),
       coalesce(sum(c.calls), 0)::bigint, coalesce(sum(c.tokens), 0)::bigint, coalesce(sum(c.client_usd), 0), coalesce(sum(c.usd), 0)
FROM tracking_job j JOIN tracking_team t ON t.id = j.team_id
LEFT JOIN LATERAL (
  SELECT count(*) AS calls, sum(input_tokens + output_tokens) AS tokens, sum(client_cost_usd) AS client_usd, sum(cost_usd) AS usd
  FROM tracking_jobcall c WHERE c.team_id = j.team_id AND c.job_id = j.id
) c ON true
WHERE j.team_id = ANY(%(teams)s) AND j.created_at >= %(start)s AND j.created_at < %(end)s
GROUP BY 1 ORDER BY 1;

-- models: which models answered, and what that came to.
SELECT c.model, count(*), coalesce(sum(c.input_tokens + c.output_tokens), 0)::bigint, coalesce(sum(c.client_cost_usd), 0) AS usd
FROM tracking_job j JOIN tracking_jobcall c ON c.team_id = j.team_id AND c.job_id = j.id
WHERE j.team_id = ANY(%(teams)s) AND j.created_at >= %(start)s AND j.created_at < %(end)s AND c.model <> ''
GROUP BY 1 ORDER BY usd DESC, 1;
