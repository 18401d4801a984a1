-- Schedules in a time zone, with a rule for missed runs; when each ran last.
ALTER TABLE schedules ADD COLUMN time_zone TEXT NOT NULL DEFAULT 'UTC';
ALTER TABLE schedules ADD COLUMN missed TEXT NOT NULL DEFAULT 'run_once';
ALTER TABLE schedules ADD COLUMN last_at_us INTEGER;

-- Reports that compare versions, as Markdown and as HTML.
CREATE TABLE reports (
    id BLOB PRIMARY KEY NOT NULL,
    project_id BLOB NOT NULL,
    title TEXT NOT NULL,
    markdown BLOB NOT NULL,
    html BLOB NOT NULL,
    created_at_us INTEGER NOT NULL
);
CREATE INDEX reports_by_project ON reports (project_id, created_at_us, id);
