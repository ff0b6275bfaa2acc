-- store: an answer that its provider keeps.
INSERT INTO tracking_storedresponse (team_id, id, model, deployment, tokens, made_at)
VALUES (%(team)s, %(id)s, %(model)s, %(deployment)s, %(tokens)s, now()) ON CONFLICT DO NOTHING RETURNING id;

-- find: one of the team's.
SELECT model, deployment, tokens FROM tracking_storedresponse WHERE team_id = %(team)s AND id = %(id)s;

-- forget: its provider keeps it no longer.
DELETE FROM tracking_storedresponse WHERE team_id = %(team)s AND id = %(id)s RETURNING id;

-- forget_old: providers keep them for a month.
DELETE FROM tracking_storedresponse WHERE made_at < now() - make_interval(days => %(days)s) RETURNING 1;
