-- The chain of hashes over the entries, and what the sealed entries of each period come to.

-- A moment as a seal and an auditor read it, whatever the session's settings.
CREATE FUNCTION ledger_moment(p_at timestamptz) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT to_char(p_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;

-- What is sealed of an entry: a JSON array, amounts as texts with all their digits.
CREATE FUNCTION ledger_contents(e tracking_ledger_entry) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_array(e.team_id, e.id, ledger_moment(e.at), e.kind, e.reservation_id, e.usd::text, e.tokens, e.key_id, e.run, e.agent,
    e.model, e.end_user, e.is_estimated, to_jsonb(e.teams), to_jsonb(e.budgets), to_jsonb(e.subjects),
    (SELECT jsonb_agg(ledger_moment(s.at) ORDER BY s.place) FROM unnest(e.starts) WITH ORDINALITY AS s(at, place)),
    e.actor, e.reason, e.detail)::text
$$;

CREATE FUNCTION ledger_hash(p_before bytea, e tracking_ledger_entry) RETURNS bytea LANGUAGE sql STABLE AS $$
  SELECT sha256(coalesce(p_before, decode(repeat('00', 32), 'hex')) || convert_to(ledger_contents(e), 'UTF8'))
$$;

-- Every entry waits for its seal from the moment it is made.
CREATE FUNCTION ledger_await_seal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO tracking_ledger_unsealed (team_id, entry_id) VALUES (NEW.team_id, NEW.id);
  RETURN NULL;
END $$;
CREATE TRIGGER ledger_awaits_seal AFTER INSERT ON tracking_ledger_entry FOR EACH ROW EXECUTE FUNCTION ledger_await_seal();

-- Seal some of a team's entries, in the order of their ids; those that were committed late come later in the chain.
-- Returns how many; none while another is at it.
CREATE FUNCTION ledger_seal(p_team bigint, p_limit int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  ids bigint[];
  hashes bytea[] := '{}';
  last record;
  before bytea;
  entry tracking_ledger_entry;
BEGIN
  IF NOT pg_try_advisory_xact_lock(1397047628, (p_team % 2147483647)::int) THEN
    RETURN 0;
  END IF;
  ids := ARRAY(SELECT e.id FROM tracking_ledger_unsealed u JOIN tracking_ledger_entry e ON e.team_id = u.team_id AND e.id = u.entry_id
    WHERE u.team_id = p_team ORDER BY e.id LIMIT p_limit);
  SELECT s.number, s.hash INTO last FROM tracking_ledger_seal s WHERE s.team_id = p_team ORDER BY s.number DESC LIMIT 1;
  before := last.hash;
  FOR entry IN SELECT e.* FROM tracking_ledger_entry e WHERE e.team_id = p_team AND e.id = ANY (ids) ORDER BY e.id LOOP
    before := ledger_hash(before, entry);
    hashes := array_append(hashes, before);
  END LOOP;
  INSERT INTO tracking_ledger_seal (team_id, number, entry_id, hash)
    SELECT p_team, coalesce(last.number, 0) + k.place, k.id, k.hash FROM unnest(ids, hashes) WITH ORDINALITY AS k(id, hash, place);
  INSERT INTO tracking_ledger_sum AS s (team_id, budget_id, subject, starts_at, usd, tokens)
    SELECT k.team_id, k.budget_id, k.subject, k.starts_at, sum(e.usd), sum(e.tokens)
    FROM tracking_ledger_entry e
    CROSS JOIN LATERAL unnest(e.teams, e.budgets, e.subjects, e.starts) AS k(team_id, budget_id, subject, starts_at)
    WHERE e.team_id = p_team AND e.id = ANY (ids)
    GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
    ON CONFLICT (team_id, budget_id, subject, starts_at) DO UPDATE SET usd = s.usd + excluded.usd, tokens = s.tokens + excluded.tokens;
  DELETE FROM tracking_ledger_unsealed u WHERE u.team_id = p_team AND u.entry_id = ANY (ids);
  RETURN cardinality(ids);
END $$;
