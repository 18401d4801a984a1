-- Every table carries project_id. Times are microseconds since 1970 UTC; free text is stored through the codec.

CREATE TABLE projects (
    id BLOB PRIMARY KEY NOT NULL,
    name TEXT NOT NULL UNIQUE,
    pseudonym_key BLOB NOT NULL,
    created_at_us INTEGER NOT NULL
);

CREATE TABLE api_keys (
    id BLOB PRIMARY KEY NOT NULL,
    project_id BLOB NOT NULL REFERENCES projects (id),
    name TEXT NOT NULL,
    key_hash BLOB NOT NULL UNIQUE,
    scopes TEXT NOT NULL,
    expires_at_us INTEGER,
    revoked_at_us INTEGER,
    created_at_us INTEGER NOT NULL
);

CREATE TABLE tasks (
    id BLOB PRIMARY KEY NOT NULL,
    project_id BLOB NOT NULL REFERENCES projects (id),
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    policy TEXT NOT NULL,
    created_at_us INTEGER NOT NULL,
    updated_at_us INTEGER NOT NULL,
    UNIQUE (project_id, name)
);

CREATE TABLE subjects (
    id BLOB PRIMARY KEY NOT NULL,
    project_id BLOB NOT NULL,
    first_seen_us INTEGER NOT NULL
);

CREATE TABLE identities (
    subject_id BLOB PRIMARY KEY NOT NULL REFERENCES subjects (id),
    project_id BLOB NOT NULL,
    user_id BLOB NOT NULL,
    ip_address BLOB,
    user_agent BLOB,
    updated_at_us INTEGER NOT NULL
);

CREATE TABLE conversations (
    id BLOB PRIMARY KEY NOT NULL,
    project_id BLOB NOT NULL,
    external_id TEXT NOT NULL,
    turns INTEGER NOT NULL,
    started_at_us INTEGER NOT NULL,
    last_at_us INTEGER NOT NULL
);
CREATE INDEX conversations_by_project ON conversations (project_id, last_at_us);

CREATE TABLE interactions (
    id BLOB NOT NULL,
    project_id BLOB NOT NULL,
    task_id BLOB NOT NULL,
    conversation_id BLOB,
    turn INTEGER,
    subject_id BLOB,
    input BLOB NOT NULL,
    output BLOB,
    label TEXT,
    confidence REAL,
    source TEXT NOT NULL,
    status TEXT NOT NULL,
    model TEXT,
    model_version_id BLOB,
    latency_us INTEGER,
    tokens_input INTEGER,
    tokens_output INTEGER,
    cost_micro_usd INTEGER,
    action_type TEXT,
    target_tool TEXT,
    language TEXT,
    tags TEXT,
    is_reference BOOLEAN NOT NULL,
    input_hash BLOB NOT NULL,
    content_hash BLOB,
    occurred_at_us INTEGER NOT NULL,
    created_at_us INTEGER NOT NULL,
    PRIMARY KEY (project_id, id)
);
CREATE INDEX interactions_by_task ON interactions (task_id, id);
CREATE INDEX interactions_by_conversation ON interactions (conversation_id) WHERE conversation_id IS NOT NULL;

CREATE TABLE feedback (
    id BLOB NOT NULL,
    project_id BLOB NOT NULL,
    task_id BLOB,
    interaction_id BLOB,
    conversation_id BLOB,
    kind TEXT NOT NULL,
    value REAL,
    name TEXT,
    label TEXT,
    detected_label TEXT,
    is_mismatch BOOLEAN,
    text BLOB,
    preference BLOB,
    source TEXT NOT NULL,
    content_hash BLOB,
    occurred_at_us INTEGER NOT NULL,
    created_at_us INTEGER NOT NULL,
    PRIMARY KEY (project_id, id)
);
CREATE INDEX feedback_by_interaction ON feedback (interaction_id) WHERE interaction_id IS NOT NULL;
CREATE INDEX feedback_by_task ON feedback (task_id, id);
CREATE INDEX feedback_before_interaction ON feedback (project_id) WHERE task_id IS NULL AND interaction_id IS NOT NULL;

-- Interactions that curation has to look at, because feedback came or they are references.
CREATE TABLE curation_inbox (
    project_id BLOB NOT NULL,
    interaction_id BLOB NOT NULL,
    task_id BLOB NOT NULL,
    PRIMARY KEY (project_id, interaction_id)
);
CREATE INDEX curation_inbox_by_task ON curation_inbox (task_id, interaction_id);

CREATE TABLE task_rollups (
    project_id BLOB NOT NULL,
    task_id BLOB NOT NULL,
    hour_us INTEGER NOT NULL,
    interactions INTEGER NOT NULL,
    feedback INTEGER NOT NULL,
    judged INTEGER NOT NULL,
    correct INTEGER NOT NULL,
    PRIMARY KEY (task_id, hour_us)
);

CREATE TABLE examples (
    id BLOB PRIMARY KEY NOT NULL,
    project_id BLOB NOT NULL,
    task_id BLOB NOT NULL,
    interaction_id BLOB,
    conversation_id BLOB,
    input BLOB NOT NULL,
    label TEXT,
    target BLOB,
    input_hash BLOB NOT NULL,
    weight REAL NOT NULL,
    status TEXT NOT NULL,
    origin TEXT NOT NULL,
    is_validated BOOLEAN NOT NULL,
    split TEXT,
    reason TEXT NOT NULL,
    created_at_us INTEGER NOT NULL,
    updated_at_us INTEGER NOT NULL,
    UNIQUE (task_id, interaction_id)
);
CREATE INDEX examples_by_task ON examples (task_id, id);
CREATE INDEX examples_by_hash ON examples (task_id, input_hash);

-- What has come since the last training, kept up as it comes, so that a trigger costs the same at any size.
CREATE TABLE task_progress (
    task_id BLOB PRIMARY KEY NOT NULL,
    project_id BLOB NOT NULL,
    usable_examples INTEGER NOT NULL,
    new_examples INTEGER NOT NULL,
    new_validated INTEGER NOT NULL,
    new_judged INTEGER NOT NULL,
    new_correct INTEGER NOT NULL,
    last_trained_at_us INTEGER
);

CREATE TABLE datasets (
    id BLOB PRIMARY KEY NOT NULL,
    project_id BLOB NOT NULL,
    task_id BLOB NOT NULL,
    content_hash TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    example_count INTEGER NOT NULL,
    statistics TEXT NOT NULL,
    created_at_us INTEGER NOT NULL,
    UNIQUE (task_id, content_hash)
);

CREATE TABLE runs (
    id BLOB PRIMARY KEY NOT NULL,
    project_id BLOB NOT NULL,
    task_id BLOB NOT NULL,
    reason TEXT NOT NULL,
    status TEXT NOT NULL,
    trainer TEXT NOT NULL,
    settings TEXT NOT NULL,
    seed INTEGER NOT NULL,
    dataset_id BLOB,
    artifact_hash TEXT,
    artifact_bytes INTEGER,
    baseline_version_id BLOB,
    model_version_id BLOB,
    metrics TEXT,
    baseline_metrics TEXT,
    decision TEXT,
    error TEXT,
    created_at_us INTEGER NOT NULL,
    started_at_us INTEGER,
    finished_at_us INTEGER
);
CREATE INDEX runs_by_task ON runs (task_id, id);
CREATE INDEX runs_unfinished ON runs (task_id) WHERE status IN ('queued', 'running');
CREATE INDEX runs_by_project ON runs (project_id, id);

CREATE TABLE model_versions (
    id BLOB PRIMARY KEY NOT NULL,
    project_id BLOB NOT NULL,
    task_id BLOB NOT NULL,
    run_id BLOB NOT NULL UNIQUE,
    dataset_id BLOB NOT NULL,
    number INTEGER NOT NULL,
    version TEXT NOT NULL,
    stage TEXT NOT NULL,
    artifact_hash TEXT NOT NULL,
    artifact_bytes INTEGER NOT NULL,
    dataset_hash TEXT NOT NULL,
    trainer TEXT NOT NULL,
    settings TEXT NOT NULL,
    metrics TEXT NOT NULL,
    code_version TEXT NOT NULL,
    created_at_us INTEGER NOT NULL,
    UNIQUE (task_id, version),
    UNIQUE (task_id, number)
);

CREATE TABLE deployments (
    id BLOB PRIMARY KEY NOT NULL,
    project_id BLOB NOT NULL,
    task_id BLOB NOT NULL,
    model_version_id BLOB NOT NULL,
    previous_version_id BLOB,
    kind TEXT NOT NULL,
    reason TEXT NOT NULL,
    created_at_us INTEGER NOT NULL
);
CREATE INDEX deployments_by_task ON deployments (task_id, id);

-- Which version serves each task now; `epoch` rises with every deployment of the task.
CREATE TABLE serving (
    task_id BLOB PRIMARY KEY NOT NULL,
    project_id BLOB NOT NULL,
    model_version_id BLOB NOT NULL,
    deployment_id BLOB NOT NULL,
    epoch INTEGER NOT NULL
);
