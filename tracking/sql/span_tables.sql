-- Spans and payloads, partitioned by the day of their run. PostgreSQL needs the partition key in the primary key;
-- a run has one day, so (team, trace, span) is unique all the same.
CREATE TABLE tracking_span (
  team_id bigint NOT NULL,
  day date NOT NULL,
  trace_id uuid NOT NULL,
  span_id bigint NOT NULL,
  parent_id bigint,
  chunk bigint NOT NULL,
  digest bigint NOT NULL,
  response_key bigint,
  started_at timestamptz NOT NULL,
  ended_at timestamptz,
  input_tokens bigint CHECK (input_tokens >= 0),
  output_tokens bigint CHECK (output_tokens >= 0),
  cached_tokens bigint CHECK (cached_tokens >= 0),
  cache_write_tokens bigint CHECK (cache_write_tokens >= 0),
  reasoning_tokens bigint CHECK (reasoning_tokens >= 0),
  first_token_ms real,
  chunk_position smallint NOT NULL,
  kind smallint NOT NULL,
  status smallint NOT NULL,
  cost_status smallint NOT NULL,
  attempt smallint,
  is_aggregate boolean NOT NULL,
  is_declaration boolean NOT NULL,
  counted boolean NOT NULL,
  cost_usd numeric(20,10) CHECK (cost_usd >= 0 AND cost_usd < 'Infinity'),
  reported_cost_usd numeric(20,10) CHECK (reported_cost_usd >= 0 AND reported_cost_usd < 'Infinity'),
  convention text NOT NULL,
  name text NOT NULL,
  own_agent text,
  agent text,
  tool_name text,
  model text,
  requested_model text,
  provider text,
  finish_reason text,
  purpose text,
  error text,
  usage_detail jsonb,
  PRIMARY KEY (team_id, day, trace_id, span_id)
) PARTITION BY RANGE (day);

-- Bodies are compressed before they come, so PostgreSQL is not to try again.
CREATE TABLE tracking_payload (
  team_id bigint NOT NULL,
  day date NOT NULL,
  trace_id uuid NOT NULL,
  chunk bigint NOT NULL,
  kind smallint NOT NULL,
  body bytea NOT NULL,
  PRIMARY KEY (team_id, day, trace_id, chunk)
) PARTITION BY RANGE (day);
ALTER TABLE tracking_payload ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE TABLE tracking_usage (
  team_id bigint NOT NULL,
  grain smallint NOT NULL,
  slice smallint NOT NULL,
  period timestamptz NOT NULL,
  agent text NOT NULL DEFAULT '',
  model text NOT NULL DEFAULT '',
  provider text NOT NULL DEFAULT '',
  tool text NOT NULL DEFAULT '',
  kind smallint NOT NULL DEFAULT -1,
  user_id text NOT NULL DEFAULT '',
  key_id text NOT NULL DEFAULT '',
  environment text NOT NULL DEFAULT '',
  runs bigint NOT NULL DEFAULT 0,
  spans bigint NOT NULL DEFAULT 0,
  llm_calls bigint NOT NULL DEFAULT 0,
  tool_calls bigint NOT NULL DEFAULT 0,
  errors bigint NOT NULL DEFAULT 0,
  input_tokens bigint NOT NULL DEFAULT 0,
  output_tokens bigint NOT NULL DEFAULT 0,
  cached_tokens bigint NOT NULL DEFAULT 0,
  cache_write_tokens bigint NOT NULL DEFAULT 0,
  reasoning_tokens bigint NOT NULL DEFAULT 0,
  embedding_tokens bigint NOT NULL DEFAULT 0,
  cost_usd numeric(24,10) NOT NULL DEFAULT 0 CHECK (cost_usd < 'Infinity'),
  unpriced_calls bigint NOT NULL DEFAULT 0,
  estimated_calls bigint NOT NULL DEFAULT 0,
  latency numeric NOT NULL DEFAULT 0,
  PRIMARY KEY (team_id, grain, slice, period, agent, model, provider, tool, kind, user_id, key_id, environment)
) WITH (fillfactor = 80);

-- LIKE without the key: deltas are only appended, read whole and deleted.
CREATE TABLE tracking_usage_delta (LIKE tracking_usage INCLUDING DEFAULTS);
ALTER TABLE tracking_usage_delta DROP COLUMN grain, ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY;
ALTER TABLE tracking_usage_delta ADD PRIMARY KEY (team_id, id);
ALTER TABLE tracking_usage_delta SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
