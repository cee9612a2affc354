-- Projects, runs, series, members and artifacts.
-- The key of every table begins with project_id; the look-ups by name, by user and by run id aside.
-- Times are microseconds since 1970 (UTC). A NaN is kept as NULL where a column may be NULL.
-- A table marked "clustered" is read by ranges of its key.

CREATE TABLE project (
  project_id   BIGINT NOT NULL,
  owner        TEXT NOT NULL,
  name         TEXT NOT NULL,
  created_at   BIGINT NOT NULL,
  changes      BIGINT NOT NULL,  -- counts makings and renamings of runs, which therefore take turns
  PRIMARY KEY (project_id)
);

CREATE TABLE project_name (
  owner        TEXT NOT NULL,
  name         TEXT NOT NULL,
  project_id   BIGINT NOT NULL,
  PRIMARY KEY (owner, name)
); -- clustered

CREATE TABLE member (
  project_id   BIGINT NOT NULL,
  user_id      TEXT NOT NULL,
  permission   SMALLINT NOT NULL,
  added_at     BIGINT NOT NULL,
  PRIMARY KEY (project_id, user_id)
); -- clustered

CREATE TABLE member_of (
  user_id      TEXT NOT NULL,
  project_id   BIGINT NOT NULL,
  permission   SMALLINT NOT NULL,
  PRIMARY KEY (user_id, project_id)
); -- clustered

CREATE TABLE run (
  project_id   BIGINT NOT NULL,
  run_id       BYTEA NOT NULL,
  name         TEXT NOT NULL,
  status       TEXT NOT NULL,
  created_by   TEXT NOT NULL,
  started_at   BIGINT NOT NULL,
  ended_at     BIGINT,
  last_seen_at BIGINT NOT NULL,
  description  TEXT NOT NULL,
  error        TEXT NOT NULL,
  deleted_at   BIGINT,
  PRIMARY KEY (project_id, run_id)
);

CREATE UNIQUE INDEX run_by_name ON run (project_id, name) WHERE deleted_at IS NULL;
CREATE INDEX run_by_start ON run (project_id, started_at, run_id);
CREATE INDEX run_by_status ON run (project_id, status);

CREATE TABLE run_home (
  run_id       BYTEA NOT NULL,
  project_id   BIGINT NOT NULL,
  PRIMARY KEY (run_id)
); -- clustered

CREATE TABLE attr (
  project_id   BIGINT NOT NULL,
  run_id       BYTEA NOT NULL,
  kind         TEXT NOT NULL,  -- param, tag or fact
  name         TEXT NOT NULL,
  type         TEXT NOT NULL,  -- of a param: int float bool none str json
  text         TEXT NOT NULL,
  num          DOUBLE PRECISION,
  PRIMARY KEY (project_id, run_id, kind, name)
); -- clustered

-- Every name of a metric, param or tag that a project has seen: columns to choose, bare names in filters.
CREATE TABLE key (
  project_id   BIGINT NOT NULL,
  kind         TEXT NOT NULL,  -- metric, system, param or tag
  key_id       BIGINT NOT NULL,
  name         TEXT NOT NULL,
  PRIMARY KEY (project_id, kind, key_id)
); -- clustered

CREATE TABLE series (
  project_id   BIGINT NOT NULL,
  run_id       BYTEA NOT NULL,
  system       SMALLINT NOT NULL,  -- 1 for system metrics
  key_id       BIGINT NOT NULL,
  n            BIGINT NOT NULL,
  pieces       BIGINT NOT NULL,    -- chunks that are not sealed
  sealed       BIGINT NOT NULL,    -- points in sealed chunks
  last_step    BIGINT NOT NULL,
  last_at      BIGINT NOT NULL,
  last         DOUBLE PRECISION,
  lowest       DOUBLE PRECISION,
  highest      DOUBLE PRECISION,
  PRIMARY KEY (project_id, run_id, system, key_id)
); -- clustered

CREATE TABLE chunk (
  project_id   BIGINT NOT NULL,
  run_id       BYTEA NOT NULL,
  key_id       BIGINT NOT NULL,
  seq          BIGINT NOT NULL,    -- points of the series before this chunk
  n            BIGINT NOT NULL,
  overview     BYTEA,              -- first, last, least and greatest of four stretches
  data         BYTEA NOT NULL,
  PRIMARY KEY (project_id, run_id, key_id, seq)
);

CREATE TABLE journal (
  project_id   BIGINT NOT NULL,
  journal_id   BIGINT NOT NULL,
  run_id       BYTEA NOT NULL,
  acked        BIGINT NOT NULL,
  PRIMARY KEY (project_id, journal_id)
); -- clustered

CREATE TABLE artifact (
  project_id   BIGINT NOT NULL,
  run_id       BYTEA NOT NULL,
  path         TEXT NOT NULL,
  size_bytes   BIGINT NOT NULL,
  sha256       BYTEA NOT NULL,
  created_at   BIGINT NOT NULL,
  PRIMARY KEY (project_id, run_id, path)
); -- clustered
