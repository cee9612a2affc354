-- Indexes that give runs in the order of a metric's last value, and find them by the value of a param or tag.

CREATE INDEX series_by_last ON series (project_id, system, key_id, last, run_id);

CREATE INDEX attr_by_number ON attr (project_id, kind, name, num, run_id) WHERE num IS NOT NULL;

-- Facts are many and nobody asks for runs by them: they get a type of their own, so that the index leaves them out.
-- By their kind it could not: SQLite sees that only where a statement does not also say which kind it wants.
UPDATE attr SET type = 'fact' WHERE kind = 'fact';

-- Of a text only its beginning: no index takes one of any length. With all that is asked for in it, run and type, it
-- needs no look at the table, without which SQLite would not choose it.
CREATE INDEX attr_by_text ON attr (project_id, kind, name, SUBSTR(text, 1, 64), run_id, type) WHERE type <> 'fact';
