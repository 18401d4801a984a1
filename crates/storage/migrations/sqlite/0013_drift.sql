-- What was found when requests since the last training were compared with those before it.
CREATE TABLE drift_checks (
    id BLOB PRIMARY KEY NOT NULL,
    project_id BLOB NOT NULL,
    task_id BLOB NOT NULL,
    report BLOB NOT NULL,
    created_at_us INTEGER NOT NULL
);
CREATE INDEX drift_checks_by_task ON drift_checks (task_id, created_at_us, id);
