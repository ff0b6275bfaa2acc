-- Budgets' running sums, money held, money moved. One row a budget, subject and window; a new window is a new row, so
-- nothing is ever reset. team_id is 0 for a budget of the whole organization.
CREATE TABLE tracking_budget_period (
  team_id bigint NOT NULL,
  budget_id uuid NOT NULL,
  subject text NOT NULL,
  starts_at timestamptz NOT NULL,
  ends_at timestamptz NOT NULL,
  spent_usd numeric(24, 10) NOT NULL DEFAULT 0 CHECK (spent_usd < 'Infinity'),
  held_usd numeric(24, 10) NOT NULL DEFAULT 0 CHECK (held_usd >= 0 AND held_usd < 'Infinity'),
  spent_tokens bigint NOT NULL DEFAULT 0,
  held_tokens bigint NOT NULL DEFAULT 0 CHECK (held_tokens >= 0),
  told_percent smallint NOT NULL DEFAULT 0,
  touched_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (team_id, budget_id, subject, starts_at)
) WITH (fillfactor = 50);

-- A call's hold on every budget it falls under: budgets[i], subjects[i], starts[i] name a period (teams[i] is its team_id).
-- state: 0 held, 1 settled, 2 released, 3 expired (posted in full as an estimate).
CREATE TABLE tracking_reservation (
  team_id bigint NOT NULL,
  id uuid NOT NULL,
  state smallint NOT NULL DEFAULT 0 CHECK (state BETWEEN 0 AND 3),
  key_id text NOT NULL,
  run text NOT NULL,
  agent text NOT NULL,
  model text NOT NULL,
  end_user text NOT NULL,
  held_usd numeric(20, 10) NOT NULL CHECK (held_usd >= 0 AND held_usd < 'Infinity'),
  held_tokens bigint NOT NULL CHECK (held_tokens >= 0),
  output_tokens bigint NOT NULL,
  actual_usd numeric(20, 10) CHECK (actual_usd < 'Infinity'),
  actual_tokens bigint,
  is_estimated boolean NOT NULL DEFAULT false,
  teams bigint[] NOT NULL,
  budgets uuid[] NOT NULL,
  subjects text[] NOT NULL,
  starts timestamptz[] NOT NULL,
  call jsonb NOT NULL,  -- as ledger_scopes reads it: a budget made meanwhile finds the calls it is about
  detail jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  dispatched_at timestamptz,
  lease_until timestamptz NOT NULL,
  closed_at timestamptz,
  PRIMARY KEY (team_id, id)
) WITH (fillfactor = 70);
CREATE INDEX reservation_open ON tracking_reservation (lease_until) WHERE state = 0;      -- the sweeper
CREATE INDEX reservation_of_team ON tracking_reservation (team_id, created_at) WHERE state = 0;  -- holds in flight
CREATE INDEX reservation_closed ON tracking_reservation (closed_at) WHERE state <> 0;     -- clearing away

-- Money moved. Never changed, never deleted; a mistake is put right by another entry.
CREATE TABLE tracking_ledger_entry (
  team_id bigint NOT NULL,
  id bigint GENERATED ALWAYS AS IDENTITY,
  at timestamptz NOT NULL DEFAULT now(),
  kind text NOT NULL CHECK (kind IN ('debit', 'charge', 'correction', 'opening', 'adjustment', 'reprice')),
  reservation_id uuid,
  usd numeric(20, 10) NOT NULL CHECK (usd < 'Infinity'),
  tokens bigint NOT NULL,
  key_id text NOT NULL DEFAULT '',
  run text NOT NULL DEFAULT '',
  agent text NOT NULL DEFAULT '',
  model text NOT NULL DEFAULT '',
  end_user text NOT NULL DEFAULT '',
  is_estimated boolean NOT NULL DEFAULT false,
  teams bigint[] NOT NULL,
  budgets uuid[] NOT NULL,
  subjects text[] NOT NULL,
  starts timestamptz[] NOT NULL,
  actor text NOT NULL DEFAULT '',
  reason text NOT NULL DEFAULT '',
  detail jsonb NOT NULL DEFAULT '{}',
  PRIMARY KEY (team_id, id),
  CHECK (kind <> 'debit' OR usd >= 0 AND tokens >= 0)
);
CREATE UNIQUE INDEX ledger_debit_once ON tracking_ledger_entry (team_id, reservation_id) WHERE kind = 'debit';
CREATE INDEX ledger_by_budget ON tracking_ledger_entry USING gin (budgets);  -- a budget's page, the reconciler
CREATE INDEX ledger_by_run ON tracking_ledger_entry (team_id, run, id) WHERE run <> '';  -- a run's ledger tab

-- The chain: entries in the order they were sealed in, each with the hash of its contents and of the seal before it.
CREATE TABLE tracking_ledger_seal (
  team_id bigint NOT NULL,
  number bigint NOT NULL,
  entry_id bigint NOT NULL,
  hash bytea NOT NULL,
  PRIMARY KEY (team_id, number),
  UNIQUE (team_id, entry_id)
);

-- Entries that wait for their seal.
CREATE TABLE tracking_ledger_unsealed (
  team_id bigint NOT NULL,
  entry_id bigint NOT NULL,
  PRIMARY KEY (team_id, entry_id)
);

-- What the sealed entries of each period come to: the reconciler adds only the unsealed ones to it.
CREATE TABLE tracking_ledger_sum (
  team_id bigint NOT NULL,
  budget_id uuid NOT NULL,
  subject text NOT NULL,
  starts_at timestamptz NOT NULL,
  usd numeric(24, 10) NOT NULL,
  tokens bigint NOT NULL,
  PRIMARY KEY (team_id, budget_id, subject, starts_at)
) WITH (fillfactor = 70);

-- What a demo team played with goes with it.
CREATE FUNCTION ledger_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' AND EXISTS (SELECT 1 FROM tracking_team t WHERE t.id = OLD.team_id AND t.is_demo) THEN
    RETURN OLD;
  END IF;
  RAISE EXCEPTION 'rows of % are never changed or deleted', TG_TABLE_NAME;
END $$;
CREATE TRIGGER ledger_is_append_only BEFORE UPDATE OR DELETE ON tracking_ledger_entry
  FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER seal_is_append_only BEFORE UPDATE OR DELETE ON tracking_ledger_seal
  FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
