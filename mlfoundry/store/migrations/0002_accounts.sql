-- Users of a server and their keys. Of a key only a digest is kept.

CREATE TABLE account (
  user_id      TEXT NOT NULL,
  is_admin     SMALLINT NOT NULL,
  created_at   BIGINT NOT NULL,
  disabled_at  BIGINT,
  PRIMARY KEY (user_id)
); -- clustered

CREATE TABLE api_key (
  digest       BYTEA NOT NULL,      -- SHA-256 of the key
  key_id       BIGINT NOT NULL,     -- names the key without telling it
  user_id      TEXT NOT NULL,
  label        TEXT NOT NULL,
  created_at   BIGINT NOT NULL,
  expires_at   BIGINT,
  revoked_at   BIGINT,
  last_used_at BIGINT,
  PRIMARY KEY (digest)
); -- clustered

CREATE INDEX api_key_by_user ON api_key (user_id, key_id);
