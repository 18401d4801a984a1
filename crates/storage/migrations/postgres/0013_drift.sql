-- What was found when requests since the last training were compared with those before it.
CREATE TABLE drift_checks (
    id UUID PRIMARY KEY NOT NULL,
    project_id UUID NOT NULL,
    task_id UUID NOT NULL,
    report BYTEA NOT NULL,
    created_at_us BIGINT NOT NULL
);
CREATE INDEX drift_checks_by_task ON drift_checks (task_id, created_at_us, id);
