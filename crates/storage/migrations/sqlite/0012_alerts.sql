-- Rules that alert people, the alerts, how people are told and what became of that, and when nobody is told.
CREATE TABLE alert_rules (
    project_id BLOB NOT NULL,
    name TEXT NOT NULL,
    rule TEXT NOT NULL,
    updated_at_us INTEGER NOT NULL,
    PRIMARY KEY (project_id, name)
);

CREATE TABLE alerts (
    id BLOB PRIMARY KEY NOT NULL,
    project_id BLOB NOT NULL,
    task_id BLOB,
    rule TEXT NOT NULL,
    value TEXT NOT NULL,
    severity TEXT NOT NULL,
    state TEXT NOT NULL,
    measured REAL,
    message TEXT NOT NULL,
    advice TEXT NOT NULL,
    is_told BOOLEAN NOT NULL,
    since_us INTEGER NOT NULL,
    fired_at_us INTEGER,
    resolved_at_us INTEGER,
    updated_at_us INTEGER NOT NULL
);
CREATE UNIQUE INDEX alerts_open ON alerts (project_id, rule, task_id, value) WHERE state IN ('pending', 'firing');
CREATE INDEX alerts_by_project ON alerts (project_id, since_us, id);

CREATE TABLE alert_silences (
    id BLOB PRIMARY KEY NOT NULL,
    project_id BLOB NOT NULL,
    rule TEXT,
    task_id BLOB,
    until_us INTEGER NOT NULL,
    reason TEXT NOT NULL,
    created_at_us INTEGER NOT NULL
);
CREATE INDEX alert_silences_by_project ON alert_silences (project_id, until_us);

CREATE TABLE alert_routes (
    id BLOB PRIMARY KEY NOT NULL,
    project_id BLOB NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    target BLOB NOT NULL,
    min_severity TEXT NOT NULL,
    enabled BOOLEAN NOT NULL,
    created_at_us INTEGER NOT NULL,
    UNIQUE (project_id, name)
);

CREATE TABLE alert_deliveries (
    id BLOB PRIMARY KEY NOT NULL,
    project_id BLOB NOT NULL,
    alert_id BLOB,
    route TEXT NOT NULL,
    event TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    error TEXT,
    created_at_us INTEGER NOT NULL,
    delivered_at_us INTEGER
);
CREATE INDEX alert_deliveries_by_project ON alert_deliveries (project_id, created_at_us, id);

-- How many of the shipped schedules a project has been given: those that come with a later version are added once.
ALTER TABLE projects ADD COLUMN shipped_schedules INTEGER NOT NULL DEFAULT 0;
