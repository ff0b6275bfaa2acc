-- in_force: the row that prices each model for a team at a moment: the team's before an operator's before the list's.
SELECT id, model, provider, source, valid_from, rates, created_by, created_at FROM (
  SELECT DISTINCT ON (model) * FROM tracking_price
  WHERE (team_id = %(team)s OR team_id IS NULL) AND valid_from <= %(at)s
    AND (model LIKE %(like)s OR lower(provider) LIKE %(like)s) AND model > %(after)s
  ORDER BY model, CASE WHEN team_id IS NOT NULL THEN 0 WHEN source = 'operator' THEN 1 ELSE 2 END, valid_from DESC
) AS chosen
WHERE %(sources)s::text[] IS NULL OR source = ANY(%(sources)s)
ORDER BY model LIMIT %(limit)s;
