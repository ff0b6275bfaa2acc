-- turn: who chooses a job chooses alone, until the end of its transaction; a process that freezes meanwhile holds nobody up for long.
SELECT set_config('idle_in_transaction_session_timeout', '3000', true), pg_advisory_xact_lock(1364542789);

-- claim: the job to do next, for this worker: of the team with the fewest under way, the most urgent, the oldest.
WITH busy AS (
  SELECT team_id, count(*) AS jobs FROM tracking_agentjob WHERE status = 'running' GROUP BY team_id
), next AS (
  SELECT j.team_id, j.id, coalesce(busy.jobs, 0) AS jobs, j.run_at
  FROM tracking_team t
  LEFT JOIN busy ON busy.team_id = t.id
  CROSS JOIN LATERAL (
    SELECT q.team_id, q.id, q.run_at FROM tracking_agentjob q
    WHERE q.team_id = t.id AND q.status = 'queued' AND q.run_at <= clock_timestamp()
    ORDER BY q.priority DESC, q.run_at, q.id LIMIT 1) j
  WHERE t.status = 'active' AND coalesce(busy.jobs, 0) < %(team_most)s
  ORDER BY jobs, j.run_at, j.id LIMIT 1
)
UPDATE tracking_agentjob j
SET status = 'running', reason = '', fence = j.fence + 1, lease_owner = %(owner)s,
    lease_until = clock_timestamp() + make_interval(secs => %(lease_s)s), started_at = coalesce(j.started_at, clock_timestamp()),
    changed_at = clock_timestamp()
FROM next WHERE j.team_id = next.team_id AND j.id = next.id AND j.status = 'queued'
RETURNING j.team_id, j.id, j.fence;

-- renew: this worker's leases, as long as the jobs are still its own; and which of them are to be given up.
UPDATE tracking_agentjob j SET lease_until = clock_timestamp() + make_interval(secs => %(lease_s)s)
FROM unnest(%(teams)s::bigint[], %(ids)s::uuid[], %(fences)s::bigint[]) AS mine(team_id, id, fence)
WHERE j.team_id = mine.team_id AND j.id = mine.id AND j.fence = mine.fence AND j.status = 'running'
RETURNING j.id, j.fence, j.cancel_asked_at IS NOT NULL;

-- lost: jobs whose worker fell silent: to be done again, or given up after so many times without a step.
WITH silent AS (
  SELECT team_id, id FROM tracking_agentjob WHERE status = 'running' AND lease_until < clock_timestamp()
  ORDER BY team_id, id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
UPDATE tracking_agentjob j
SET status = 'queued', losses = losses + 1, fence = fence + 1, run_at = clock_timestamp(), changed_at = clock_timestamp(), lease_until = NULL,
    reason = 'its worker (' || lease_owner || ') fell silent'
FROM silent WHERE j.team_id = silent.team_id AND j.id = silent.id RETURNING j.team_id, j.id, j.losses;

-- begin_step: it is under way, for whoever holds the job. No row: somebody else does. More than one try: it was begun before.
INSERT INTO tracking_jobstep AS s
  (team_id, run, key, kind, agent, name, lane, ordinal, input_hash, arguments, effect, has_undo, undo_error, is_error, call_id, span_id, tries, fence, begun_at)
SELECT j.team_id, %(run)s, %(key)s, %(kind)s, left(%(agent)s, 200), left(%(name)s, 200), %(lane)s, %(ordinal)s, %(input_hash)s, %(arguments)s::jsonb,
       %(effect)s, %(has_undo)s, '', false, %(call_id)s, %(span_id)s, 1, j.fence, clock_timestamp()
FROM tracking_agentjob j WHERE j.team_id = %(team)s AND j.id = %(job)s AND j.fence = %(fence)s AND j.status = 'running'
ON CONFLICT (team_id, run, key) DO UPDATE
  SET tries = s.tries + 1, fence = excluded.fence, begun_at = excluded.begun_at, call_id = excluded.call_id, name = excluded.name
  WHERE s.position IS NULL
RETURNING tries;

-- end_step: it is done, and the job one step further. No row: the job is somebody else's now.
WITH mine AS (
  UPDATE tracking_agentjob SET position = position + 1, losses = 0, attempts = 0, changed_at = clock_timestamp()
  WHERE team_id = %(team)s AND id = %(job)s AND fence = %(fence)s AND status = 'running' RETURNING position
)
UPDATE tracking_jobstep s
SET position = mine.position, output = %(output)s::jsonb, is_error = %(is_error)s, input_tokens = %(input_tokens)s, output_tokens = %(output_tokens)s,
    cost_usd = %(cost_usd)s, checkpoint_id = %(checkpoint)s, ended_at = clock_timestamp()
FROM mine WHERE s.team_id = %(team)s AND s.run = %(run)s AND s.key = %(key)s AND s.position IS NULL
RETURNING s.position;

-- steps: all that a run has, those of the runs it goes on from with it, in the order in which they were done; last, what is under way.
WITH RECURSIVE lineage(run, upto, depth) AS (
  SELECT %(run)s::varchar, 2147483647, 0
  UNION ALL
  SELECT r.parent, least(l.upto, r.from_position), l.depth + 1 FROM lineage l
  JOIN tracking_jobrun r ON r.team_id = %(team)s AND r.run = l.run WHERE r.parent <> '' AND l.depth < 200
)
SELECT s.run, s.key, s.position, s.kind, s.agent, s.name, s.lane, s.ordinal, s.input_hash, s.arguments, s.effect, s.has_undo, s.undone_at, s.undo_error, s.output,
       s.is_error, s.input_tokens, s.output_tokens, s.cost_usd, s.call_id, s.span_id, s.tries, s.checkpoint_id, s.begun_at, s.ended_at, l.depth > 0
FROM lineage l JOIN tracking_jobstep s ON s.team_id = %(team)s AND s.run = l.run
WHERE s.position <= l.upto OR (s.position IS NULL AND l.depth = 0)
ORDER BY s.position NULLS LAST, s.begun_at;

-- spent: what the runs of a job cost so far, each by itself; calls of unknown price are not in it.
SELECT r.run, coalesce(c.cost_usd, 0) FROM tracking_jobrun r
LEFT JOIN tracking_runcontrol c ON c.team_id = r.team_id AND c.run = r.run WHERE r.team_id = %(team)s AND r.job_id = %(job)s ORDER BY r.number;

-- seen: a worker says that it is there.
INSERT INTO tracking_worker (name, started_at, seen_at, jobs) VALUES (%(name)s, %(started_at)s, clock_timestamp(), %(jobs)s)
ON CONFLICT (name) DO UPDATE SET seen_at = excluded.seen_at, jobs = excluded.jobs;

-- forget_workers: those nobody has heard of for a day.
DELETE FROM tracking_worker WHERE seen_at < clock_timestamp() - interval '1 day';

-- rest_costs: of the latest completed jobs of an agent, what each cost after so many steps: how many jobs, p50, p90; p50 of the steps.
-- Jobs with calls of unknown price are left out.
SELECT count(*), percentile_cont(0.5) WITHIN GROUP (ORDER BY usd), percentile_cont(0.9) WITHIN GROUP (ORDER BY usd),
       percentile_cont(0.5) WITHIN GROUP (ORDER BY steps) FROM (
  SELECT sum(s.cost_usd) FILTER (WHERE s.position > %(position)s) AS usd, count(*) FILTER (WHERE s.position > %(position)s) AS steps
  FROM (SELECT j.run FROM tracking_agentjob j
        JOIN tracking_jobrun r ON r.team_id = j.team_id AND r.run = j.run AND r.from_position <= %(position)s
        WHERE j.team_id = %(team)s AND j.agent = %(agent)s AND j.status = 'completed' AND j.id <> %(job)s
        ORDER BY j.created_at DESC LIMIT %(limit)s) done
  JOIN tracking_jobstep s ON s.team_id = %(team)s AND s.run = done.run AND s.position IS NOT NULL
  GROUP BY done.run
  HAVING count(*) FILTER (WHERE s.kind = 'model' AND s.cost_usd IS NULL) = 0) AS job WHERE usd IS NOT NULL;

-- unpriced: answers in these runs whose price nobody knows.
SELECT run, count(*) FROM tracking_jobstep
WHERE team_id = %(team)s AND run = ANY(%(runs)s::text[]) AND kind = 'model' AND position IS NOT NULL AND cost_usd IS NULL GROUP BY run;

-- estimate: of the latest completed jobs of an agent, of a version or of all: how many, how many of them whose price is known; p50 and p90
-- of what these cost, of all jobs' steps and seconds. A fork has its first steps from elsewhere and says nothing.
SELECT count(*), count(usd), percentile_cont(0.5) WITHIN GROUP (ORDER BY usd), percentile_cont(0.9) WITHIN GROUP (ORDER BY usd),
       percentile_cont(0.5) WITHIN GROUP (ORDER BY steps), percentile_cont(0.9) WITHIN GROUP (ORDER BY steps),
       percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds), percentile_cont(0.9) WITHIN GROUP (ORDER BY seconds)
FROM (SELECT extract(epoch FROM j.ended_at - coalesce(j.started_at, j.created_at)) AS seconds, count(s.key) AS steps,
             CASE WHEN count(*) FILTER (WHERE s.kind = 'model' AND s.cost_usd IS NULL) = 0 THEN coalesce(sum(s.cost_usd), 0) END AS usd
      FROM (SELECT * FROM tracking_agentjob WHERE team_id = %(team)s AND agent = %(agent)s AND status = 'completed' AND forked_from = ''
              AND (%(version)s::int IS NULL OR agent_version = %(version)s)
            ORDER BY created_at DESC LIMIT %(limit)s) j
      JOIN tracking_jobrun r ON r.team_id = %(team)s AND r.job_id = j.id
      LEFT JOIN tracking_jobstep s ON s.team_id = %(team)s AND s.run = r.run AND s.position IS NOT NULL
      GROUP BY j.id, j.ended_at, j.started_at, j.created_at) done;

-- ended: a team's jobs that ended in the last day, by status and by how many minutes ago.
SELECT status, least(floor(extract(epoch FROM %(now)s::timestamptz - ended_at) / 60), 1439)::int, count(*) FROM tracking_agentjob
WHERE team_id = %(team)s AND ended_at > %(now)s::timestamptz - interval '24 hours' AND ended_at <= %(now)s GROUP BY 1, 2;

-- mark: the job's latest run, what changes when anything that its page shows does, and whether it has ended.
SELECT j.run, concat_ws(' ', j.run, j.status, j.position, extract(epoch FROM j.changed_at),
         (SELECT extract(epoch FROM max(s.begun_at)) FROM tracking_jobstep s WHERE s.team_id = j.team_id AND s.run = j.run),
         (SELECT max(c.version) FROM tracking_checkpoint c WHERE c.team_id = j.team_id AND c.run = j.run),
         (SELECT sum(c.cost_usd) FROM tracking_jobrun r JOIN tracking_runcontrol c ON c.team_id = r.team_id AND c.run = r.run
          WHERE r.team_id = j.team_id AND r.job_id = j.id)),
       j.status IN ('completed', 'failed', 'cancelled')
FROM tracking_agentjob j WHERE j.team_id = %(team)s AND j.id = %(job)s;
