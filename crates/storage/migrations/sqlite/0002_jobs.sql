CREATE TABLE jobs (
    id BLOB PRIMARY KEY NOT NULL,
    project_id BLOB NOT NULL,
    task_id BLOB,
    kind TEXT NOT NULL,
    payload TEXT NOT NULL,
    state TEXT NOT NULL,
    unique_key TEXT,
    run_at_us INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    max_attempts INTEGER NOT NULL,
    lease_until_us INTEGER,
    lease_token BLOB,
    cancel_requested BOOLEAN NOT NULL,
    progress REAL NOT NULL,
    message TEXT NOT NULL,
    error TEXT,
    result TEXT,
    created_at_us INTEGER NOT NULL,
    finished_at_us INTEGER
);
CREATE INDEX jobs_to_claim ON jobs (run_at_us) WHERE state IN ('queued', 'running');
CREATE INDEX jobs_by_project ON jobs (project_id, id);
CREATE UNIQUE INDEX jobs_queued_once ON jobs (unique_key) WHERE state = 'queued';
CREATE INDEX jobs_running ON jobs (unique_key) WHERE state = 'running';

CREATE TABLE job_events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    project_id BLOB NOT NULL,
    job_id BLOB NOT NULL,
    at_us INTEGER NOT NULL,
    progress REAL NOT NULL,
    message TEXT NOT NULL
);
CREATE INDEX job_events_by_job ON job_events (job_id, id);

CREATE TABLE schedules (
    id BLOB PRIMARY KEY NOT NULL,
    project_id BLOB NOT NULL,
    name TEXT NOT NULL,
    cron TEXT NOT NULL,
    kind TEXT NOT NULL,
    payload TEXT NOT NULL,
    paused BOOLEAN NOT NULL,
    next_at_us INTEGER NOT NULL,
    UNIQUE (project_id, name)
);

-- Locks that one process holds for a while; `token` rises with every new holder.
CREATE TABLE leases (
    name TEXT PRIMARY KEY NOT NULL,
    project_id BLOB NOT NULL,
    holder BLOB NOT NULL,
    until_us INTEGER NOT NULL,
    token INTEGER NOT NULL
);
