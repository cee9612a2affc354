-- How many runs a project has, deleted ones among them, so that a list of projects counts no runs.

ALTER TABLE project ADD COLUMN runs BIGINT NOT NULL DEFAULT 0;

-- The value of "changes" for which "runs" is true. A process of an older version that makes a run counts changes alone;
-- then the runs are counted anew.
ALTER TABLE project ADD COLUMN runs_at BIGINT NOT NULL DEFAULT 0;

UPDATE project SET runs = (SELECT COUNT(*) FROM run WHERE run.project_id = project.project_id), runs_at = changes;

CREATE INDEX run_by_deletion ON run (project_id) WHERE deleted_at IS NOT NULL;
