CREATE TABLE jobs (
    id UUID PRIMARY KEY NOT NULL,
    project_id UUID NOT NULL,
    task_id UUID,
    kind TEXT NOT NULL,
    payload JSONB NOT NULL,
    state TEXT NOT NULL,
    unique_key TEXT,
    run_at_us BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    max_attempts BIGINT NOT NULL,
    lease_until_us BIGINT,
    lease_token UUID,
    cancel_requested BOOLEAN NOT NULL,
    progress DOUBLE PRECISION NOT NULL,
    message TEXT NOT NULL,
    error TEXT,
    result JSONB,
    created_at_us BIGINT NOT NULL,
    finished_at_us BIGINT
);
CREATE INDEX jobs_to_claim ON jobs (run_at_us) WHERE state IN ('queued', 'running');
CREATE INDEX jobs_by_project ON jobs (project_id, id);
CREATE UNIQUE INDEX jobs_queued_once ON jobs (unique_key) WHERE state = 'queued';
CREATE INDEX jobs_running ON jobs (unique_key) WHERE state = 'running';

CREATE TABLE job_events (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id UUID NOT NULL,
    job_id UUID NOT NULL,
    at_us BIGINT NOT NULL,
    progress DOUBLE PRECISION NOT NULL,
    message TEXT NOT NULL
);
CREATE INDEX job_events_by_job ON job_events (job_id, id);

CREATE TABLE schedules (
    id UUID PRIMARY KEY NOT NULL,
    project_id UUID NOT NULL,
    name TEXT NOT NULL,
    cron TEXT NOT NULL,
    kind TEXT NOT NULL,
    payload JSONB NOT NULL,
    paused BOOLEAN NOT NULL,
    next_at_us BIGINT NOT NULL,
    UNIQUE (project_id, name)
);

-- Locks that one process holds for a while; `token` rises with every new holder.
CREATE TABLE leases (
    name TEXT PRIMARY KEY NOT NULL,
    project_id UUID NOT NULL,
    holder UUID NOT NULL,
    until_us BIGINT NOT NULL,
    token BIGINT NOT NULL
);
