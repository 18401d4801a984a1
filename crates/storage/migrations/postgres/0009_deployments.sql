-- Deployments that share a task's traffic: their state, plan and shares; what happened to them; which request got which
-- version; and the outcomes by unit of traffic, with the sums of each arm that move with them.
ALTER TABLE deployments ADD COLUMN state TEXT NOT NULL DEFAULT 'superseded';
ALTER TABLE deployments ADD COLUMN plan JSONB;
ALTER TABLE deployments ADD COLUMN arms JSONB;
ALTER TABLE deployments ADD COLUMN step BIGINT NOT NULL DEFAULT 0;
ALTER TABLE deployments ADD COLUMN step_at_us BIGINT NOT NULL DEFAULT 0;
ALTER TABLE deployments ADD COLUMN turn BIGINT NOT NULL DEFAULT 0;
ALTER TABLE deployments ADD COLUMN look JSONB;
ALTER TABLE deployments ADD COLUMN live_at_us BIGINT;
ALTER TABLE deployments ADD COLUMN live_epoch BIGINT;
UPDATE deployments SET live_at_us = created_at_us, step_at_us = created_at_us, live_epoch = (SELECT COUNT(*)
    FROM deployments AS earlier WHERE earlier.task_id = deployments.task_id
    AND (earlier.created_at_us, earlier.id) <= (deployments.created_at_us, deployments.id));
UPDATE deployments SET state = 'live' WHERE id IN (SELECT deployment_id FROM serving);
CREATE UNIQUE INDEX deployments_sharing ON deployments (task_id) WHERE state IN ('running', 'paused');
DROP INDEX deployments_by_task;
CREATE INDEX deployments_by_task ON deployments (task_id, created_at_us, id);
CREATE INDEX deployments_by_project ON deployments (project_id, created_at_us, id);
CREATE INDEX deployments_live ON deployments (task_id, live_epoch) WHERE live_epoch IS NOT NULL;

ALTER TABLE serving ADD COLUMN sharing JSONB;

CREATE TABLE deployment_events (
    id UUID PRIMARY KEY NOT NULL,
    project_id UUID NOT NULL,
    task_id UUID NOT NULL,
    deployment_id UUID NOT NULL,
    number BIGINT NOT NULL,
    event TEXT NOT NULL,
    state TEXT NOT NULL,
    step BIGINT NOT NULL,
    reason TEXT NOT NULL,
    created_at_us BIGINT NOT NULL
);
CREATE UNIQUE INDEX deployment_events_by_deployment ON deployment_events (deployment_id, number);

CREATE TABLE exposures (
    project_id UUID NOT NULL,
    interaction_id UUID NOT NULL,
    deployment_id UUID NOT NULL,
    version_id UUID NOT NULL,
    unit UUID NOT NULL,
    step BIGINT NOT NULL,
    shadow_version_id UUID,
    shadow_label TEXT,
    shadow_output BYTEA,
    agrees BOOLEAN,
    created_at_us BIGINT NOT NULL,
    PRIMARY KEY (project_id, interaction_id)
);
CREATE INDEX exposures_by_deployment ON exposures (deployment_id, created_at_us, interaction_id);

CREATE TABLE experiment_units (
    deployment_id UUID NOT NULL,
    metric TEXT NOT NULL,
    step BIGINT NOT NULL,
    version_id UUID NOT NULL,
    unit UUID NOT NULL,
    project_id UUID NOT NULL,
    outcomes BIGINT NOT NULL,
    total DOUBLE PRECISION NOT NULL,
    first_at_us BIGINT NOT NULL,
    PRIMARY KEY (deployment_id, metric, step, version_id, unit)
);
CREATE INDEX experiment_units_in_order ON experiment_units (deployment_id, metric, first_at_us, unit);

CREATE TABLE experiment_arms (
    deployment_id UUID NOT NULL,
    metric TEXT NOT NULL,
    step BIGINT NOT NULL,
    version_id UUID NOT NULL,
    project_id UUID NOT NULL,
    units BIGINT NOT NULL,
    outcomes BIGINT NOT NULL,
    total DOUBLE PRECISION NOT NULL,
    outcome_squares DOUBLE PRECISION NOT NULL,
    total_squares DOUBLE PRECISION NOT NULL,
    products DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (deployment_id, metric, step, version_id)
);
