-- Deployments that share a task's traffic: their state, plan and shares; what happened to them; which request got which
-- version; and the outcomes by unit of traffic, with the sums of each arm that move with them.
ALTER TABLE deployments ADD COLUMN state TEXT NOT NULL DEFAULT 'superseded';
ALTER TABLE deployments ADD COLUMN plan TEXT;
ALTER TABLE deployments ADD COLUMN arms TEXT;
ALTER TABLE deployments ADD COLUMN step INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deployments ADD COLUMN step_at_us INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deployments ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deployments ADD COLUMN look TEXT;
ALTER TABLE deployments ADD COLUMN live_at_us INTEGER;
ALTER TABLE deployments ADD COLUMN live_epoch INTEGER;
UPDATE deployments SET live_at_us = created_at_us, step_at_us = created_at_us, live_epoch = (SELECT COUNT(*)
    FROM deployments AS earlier WHERE earlier.task_id = deployments.task_id
    AND (earlier.created_at_us, earlier.id) <= (deployments.created_at_us, deployments.id));
UPDATE deployments SET state = 'live' WHERE id IN (SELECT deployment_id FROM serving);
CREATE UNIQUE INDEX deployments_sharing ON deployments (task_id) WHERE state IN ('running', 'paused');
DROP INDEX deployments_by_task;
CREATE INDEX deployments_by_task ON deployments (task_id, created_at_us, id);
CREATE INDEX deployments_by_project ON deployments (project_id, created_at_us, id);
CREATE INDEX deployments_live ON deployments (task_id, live_epoch) WHERE live_epoch IS NOT NULL;

ALTER TABLE serving ADD COLUMN sharing TEXT;

CREATE TABLE deployment_events (
    id BLOB PRIMARY KEY NOT NULL,
    project_id BLOB NOT NULL,
    task_id BLOB NOT NULL,
    deployment_id BLOB NOT NULL,
    number INTEGER NOT NULL,
    event TEXT NOT NULL,
    state TEXT NOT NULL,
    step INTEGER NOT NULL,
    reason TEXT NOT NULL,
    created_at_us INTEGER NOT NULL
);
CREATE UNIQUE INDEX deployment_events_by_deployment ON deployment_events (deployment_id, number);

CREATE TABLE exposures (
    project_id BLOB NOT NULL,
    interaction_id BLOB NOT NULL,
    deployment_id BLOB NOT NULL,
    version_id BLOB NOT NULL,
    unit BLOB NOT NULL,
    step INTEGER NOT NULL,
    shadow_version_id BLOB,
    shadow_label TEXT,
    shadow_output BLOB,
    agrees BOOLEAN,
    created_at_us INTEGER NOT NULL,
    PRIMARY KEY (project_id, interaction_id)
);
CREATE INDEX exposures_by_deployment ON exposures (deployment_id, created_at_us, interaction_id);

CREATE TABLE experiment_units (
    deployment_id BLOB NOT NULL,
    metric TEXT NOT NULL,
    step INTEGER NOT NULL,
    version_id BLOB NOT NULL,
    unit BLOB NOT NULL,
    project_id BLOB NOT NULL,
    outcomes INTEGER NOT NULL,
    total REAL NOT NULL,
    first_at_us INTEGER NOT NULL,
    PRIMARY KEY (deployment_id, metric, step, version_id, unit)
);
CREATE INDEX experiment_units_in_order ON experiment_units (deployment_id, metric, first_at_us, unit);

CREATE TABLE experiment_arms (
    deployment_id BLOB NOT NULL,
    metric TEXT NOT NULL,
    step INTEGER NOT NULL,
    version_id BLOB NOT NULL,
    project_id BLOB NOT NULL,
    units INTEGER NOT NULL,
    outcomes INTEGER NOT NULL,
    total REAL NOT NULL,
    outcome_squares REAL NOT NULL,
    total_squares REAL NOT NULL,
    products REAL NOT NULL,
    PRIMARY KEY (deployment_id, metric, step, version_id)
);
