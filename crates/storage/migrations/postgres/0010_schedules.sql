-- Schedules in a time zone, with a rule for missed runs; when each ran last.
ALTER TABLE schedules ADD COLUMN time_zone TEXT NOT NULL DEFAULT 'UTC';
ALTER TABLE schedules ADD COLUMN missed TEXT NOT NULL DEFAULT 'run_once';
ALTER TABLE schedules ADD COLUMN last_at_us BIGINT;

-- Reports that compare versions, as Markdown and as HTML.
CREATE TABLE reports (
    id UUID PRIMARY KEY NOT NULL,
    project_id UUID NOT NULL,
    title TEXT NOT NULL,
    markdown BYTEA NOT NULL,
    html BYTEA NOT NULL,
    created_at_us BIGINT NOT NULL
);
CREATE INDEX reports_by_project ON reports (project_id, created_at_us, id);
