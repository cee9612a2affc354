-- Sessions of browsers. Of a session only a digest is kept; it holds as long as the key that began it.

CREATE TABLE session (
  digest       BYTEA NOT NULL,      -- SHA-256 of what the cookie holds
  key_digest   BYTEA NOT NULL,
  created_at   BIGINT NOT NULL,
  expires_at   BIGINT NOT NULL,
  PRIMARY KEY (digest)
); -- clustered

CREATE INDEX session_by_end ON session (expires_at);
