-- Indexes that give runs in the order of a metric's last value, and find them by the value of a param or tag.

CREATE INDEX series_by_last ON series (project_id, system, key_id, last, run_id);

-- Of a text only its beginning: no index takes one of any length.
CREATE INDEX attr_by_number ON attr (project_id, kind, name, num, run_id) WHERE kind <> 'fact';
CREATE INDEX attr_by_text ON attr (project_id, kind, name, SUBSTR(text, 1, 64), run_id) WHERE kind <> 'fact';
