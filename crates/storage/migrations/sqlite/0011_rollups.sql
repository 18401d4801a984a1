-- Counts and sums of each task by minute, hour and day, as a whole and by version, action type, label and source; named scores
-- beside them; and metrics frozen for an hour, day, week or month. The hours that were counted before go on.
CREATE TABLE rollups (
    project_id BLOB NOT NULL,
    task_id BLOB NOT NULL,
    grain TEXT NOT NULL,
    dimension TEXT NOT NULL,
    at_us INTEGER NOT NULL,
    value TEXT NOT NULL,
    interactions INTEGER NOT NULL DEFAULT 0,
    errors INTEGER NOT NULL DEFAULT 0,
    escalated INTEGER NOT NULL DEFAULT 0,
    abstained INTEGER NOT NULL DEFAULT 0,
    cancelled INTEGER NOT NULL DEFAULT 0,
    confident INTEGER NOT NULL DEFAULT 0,
    confidence_micro INTEGER NOT NULL DEFAULT 0,
    timed INTEGER NOT NULL DEFAULT 0,
    latency_us INTEGER NOT NULL DEFAULT 0,
    tokens_input INTEGER NOT NULL DEFAULT 0,
    tokens_output INTEGER NOT NULL DEFAULT 0,
    priced INTEGER NOT NULL DEFAULT 0,
    cost_micro_usd INTEGER NOT NULL DEFAULT 0,
    conversations INTEGER NOT NULL DEFAULT 0,
    turns INTEGER NOT NULL DEFAULT 0,
    feedback INTEGER NOT NULL DEFAULT 0,
    judged INTEGER NOT NULL DEFAULT 0,
    correct INTEGER NOT NULL DEFAULT 0,
    corrected INTEGER NOT NULL DEFAULT 0,
    thumbs INTEGER NOT NULL DEFAULT 0,
    thumbs_up INTEGER NOT NULL DEFAULT 0,
    ratings INTEGER NOT NULL DEFAULT 0,
    rating_micro INTEGER NOT NULL DEFAULT 0,
    used_said INTEGER NOT NULL DEFAULT 0,
    used INTEGER NOT NULL DEFAULT 0,
    helpful_said INTEGER NOT NULL DEFAULT 0,
    helpful INTEGER NOT NULL DEFAULT 0,
    latency_0 INTEGER NOT NULL DEFAULT 0,
    latency_1 INTEGER NOT NULL DEFAULT 0,
    latency_2 INTEGER NOT NULL DEFAULT 0,
    latency_3 INTEGER NOT NULL DEFAULT 0,
    latency_4 INTEGER NOT NULL DEFAULT 0,
    latency_5 INTEGER NOT NULL DEFAULT 0,
    latency_6 INTEGER NOT NULL DEFAULT 0,
    latency_7 INTEGER NOT NULL DEFAULT 0,
    latency_8 INTEGER NOT NULL DEFAULT 0,
    latency_9 INTEGER NOT NULL DEFAULT 0,
    latency_10 INTEGER NOT NULL DEFAULT 0,
    latency_11 INTEGER NOT NULL DEFAULT 0,
    latency_12 INTEGER NOT NULL DEFAULT 0,
    latency_13 INTEGER NOT NULL DEFAULT 0,
    latency_14 INTEGER NOT NULL DEFAULT 0,
    latency_15 INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (task_id, grain, dimension, at_us, value)
) WITHOUT ROWID;

CREATE TABLE rollup_scores (
    project_id BLOB NOT NULL,
    task_id BLOB NOT NULL,
    grain TEXT NOT NULL,
    dimension TEXT NOT NULL,
    at_us INTEGER NOT NULL,
    value TEXT NOT NULL,
    name TEXT NOT NULL,
    scores INTEGER NOT NULL,
    total REAL NOT NULL,
    PRIMARY KEY (task_id, grain, dimension, at_us, value, name)
) WITHOUT ROWID;

INSERT INTO rollups (project_id, task_id, grain, dimension, at_us, value, interactions, feedback, judged, correct)
    SELECT project_id, task_id, 'hour', 'all', hour_us, '', interactions, feedback, judged, correct FROM task_rollups;
INSERT INTO rollups (project_id, task_id, grain, dimension, at_us, value, interactions, feedback, judged, correct)
    SELECT project_id, task_id, 'day', 'all', hour_us - hour_us % 86400000000, '', SUM(interactions), SUM(feedback),
    SUM(judged), SUM(correct) FROM task_rollups GROUP BY project_id, task_id, hour_us - hour_us % 86400000000;
DROP TABLE task_rollups;

CREATE TABLE snapshots (
    id BLOB PRIMARY KEY NOT NULL,
    project_id BLOB NOT NULL,
    task_id BLOB NOT NULL,
    period TEXT NOT NULL,
    from_us INTEGER NOT NULL,
    to_us INTEGER NOT NULL,
    body TEXT NOT NULL,
    created_at_us INTEGER NOT NULL
);
CREATE UNIQUE INDEX snapshots_by_period ON snapshots (task_id, period, from_us, to_us);
CREATE INDEX snapshots_by_project ON snapshots (project_id, created_at_us, id);
