-- Counts and sums of each task by minute, hour and day, as a whole and by version, action type, label and source; named scores
-- beside them; and metrics frozen for an hour, day, week or month. The hours that were counted before go on.
CREATE TABLE rollups (
    project_id UUID NOT NULL,
    task_id UUID NOT NULL,
    grain TEXT NOT NULL,
    dimension TEXT NOT NULL,
    at_us BIGINT NOT NULL,
    value TEXT NOT NULL,
    interactions BIGINT NOT NULL DEFAULT 0,
    errors BIGINT NOT NULL DEFAULT 0,
    escalated BIGINT NOT NULL DEFAULT 0,
    abstained BIGINT NOT NULL DEFAULT 0,
    cancelled BIGINT NOT NULL DEFAULT 0,
    confident BIGINT NOT NULL DEFAULT 0,
    confidence_micro BIGINT NOT NULL DEFAULT 0,
    timed BIGINT NOT NULL DEFAULT 0,
    latency_us BIGINT NOT NULL DEFAULT 0,
    tokens_input BIGINT NOT NULL DEFAULT 0,
    tokens_output BIGINT NOT NULL DEFAULT 0,
    priced BIGINT NOT NULL DEFAULT 0,
    cost_micro_usd BIGINT NOT NULL DEFAULT 0,
    conversations BIGINT NOT NULL DEFAULT 0,
    turns BIGINT NOT NULL DEFAULT 0,
    feedback BIGINT NOT NULL DEFAULT 0,
    judged BIGINT NOT NULL DEFAULT 0,
    correct BIGINT NOT NULL DEFAULT 0,
    corrected BIGINT NOT NULL DEFAULT 0,
    thumbs BIGINT NOT NULL DEFAULT 0,
    thumbs_up BIGINT NOT NULL DEFAULT 0,
    ratings BIGINT NOT NULL DEFAULT 0,
    rating_micro BIGINT NOT NULL DEFAULT 0,
    used_said BIGINT NOT NULL DEFAULT 0,
    used BIGINT NOT NULL DEFAULT 0,
    helpful_said BIGINT NOT NULL DEFAULT 0,
    helpful BIGINT NOT NULL DEFAULT 0,
    latency_0 BIGINT NOT NULL DEFAULT 0,
    latency_1 BIGINT NOT NULL DEFAULT 0,
    latency_2 BIGINT NOT NULL DEFAULT 0,
    latency_3 BIGINT NOT NULL DEFAULT 0,
    latency_4 BIGINT NOT NULL DEFAULT 0,
    latency_5 BIGINT NOT NULL DEFAULT 0,
    latency_6 BIGINT NOT NULL DEFAULT 0,
    latency_7 BIGINT NOT NULL DEFAULT 0,
    latency_8 BIGINT NOT NULL DEFAULT 0,
    latency_9 BIGINT NOT NULL DEFAULT 0,
    latency_10 BIGINT NOT NULL DEFAULT 0,
    latency_11 BIGINT NOT NULL DEFAULT 0,
    latency_12 BIGINT NOT NULL DEFAULT 0,
    latency_13 BIGINT NOT NULL DEFAULT 0,
    latency_14 BIGINT NOT NULL DEFAULT 0,
    latency_15 BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (task_id, grain, dimension, at_us, value)
);

CREATE TABLE rollup_scores (
    project_id UUID NOT NULL,
    task_id UUID NOT NULL,
    grain TEXT NOT NULL,
    dimension TEXT NOT NULL,
    at_us BIGINT NOT NULL,
    value TEXT NOT NULL,
    name TEXT NOT NULL,
    scores BIGINT NOT NULL,
    total DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (task_id, grain, dimension, at_us, value, name)
);

INSERT INTO rollups (project_id, task_id, grain, dimension, at_us, value, interactions, feedback, judged, correct)
    SELECT project_id, task_id, 'hour', 'all', hour_us, '', interactions, feedback, judged, correct FROM task_rollups;
INSERT INTO rollups (project_id, task_id, grain, dimension, at_us, value, interactions, feedback, judged, correct)
    SELECT project_id, task_id, 'day', 'all', hour_us - hour_us % 86400000000, '', SUM(interactions), SUM(feedback),
    SUM(judged), SUM(correct) FROM task_rollups GROUP BY project_id, task_id, hour_us - hour_us % 86400000000;
DROP TABLE task_rollups;

CREATE TABLE snapshots (
    id UUID PRIMARY KEY NOT NULL,
    project_id UUID NOT NULL,
    task_id UUID NOT NULL,
    period TEXT NOT NULL,
    from_us BIGINT NOT NULL,
    to_us BIGINT NOT NULL,
    body JSONB NOT NULL,
    created_at_us BIGINT NOT NULL
);
CREATE UNIQUE INDEX snapshots_by_period ON snapshots (task_id, period, from_us, to_us);
CREATE INDEX snapshots_by_project ON snapshots (project_id, created_at_us, id);
