-- Every table carries project_id. Times are microseconds since 1970 UTC; free text is stored through the codec.

CREATE TABLE projects (
    id UUID PRIMARY KEY NOT NULL,
    name TEXT NOT NULL UNIQUE,
    pseudonym_key BYTEA NOT NULL,
    created_at_us BIGINT NOT NULL
);

CREATE TABLE api_keys (
    id UUID PRIMARY KEY NOT NULL,
    project_id UUID NOT NULL REFERENCES projects (id),
    name TEXT NOT NULL,
    key_hash BYTEA NOT NULL UNIQUE,
    scopes TEXT NOT NULL,
    expires_at_us BIGINT,
    revoked_at_us BIGINT,
    created_at_us BIGINT NOT NULL
);

CREATE TABLE tasks (
    id UUID PRIMARY KEY NOT NULL,
    project_id UUID NOT NULL REFERENCES projects (id),
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    policy JSONB NOT NULL,
    created_at_us BIGINT NOT NULL,
    updated_at_us BIGINT NOT NULL,
    UNIQUE (project_id, name)
);

CREATE TABLE subjects (
    id UUID PRIMARY KEY NOT NULL,
    project_id UUID NOT NULL,
    first_seen_us BIGINT NOT NULL
);

CREATE TABLE identities (
    subject_id UUID PRIMARY KEY NOT NULL REFERENCES subjects (id),
    project_id UUID NOT NULL,
    user_id BYTEA NOT NULL,
    ip_address BYTEA,
    user_agent BYTEA,
    updated_at_us BIGINT NOT NULL
);

CREATE TABLE conversations (
    id UUID PRIMARY KEY NOT NULL,
    project_id UUID NOT NULL,
    external_id TEXT NOT NULL,
    turns BIGINT NOT NULL,
    started_at_us BIGINT NOT NULL,
    last_at_us BIGINT NOT NULL
);
CREATE INDEX conversations_by_project ON conversations (project_id, last_at_us);

CREATE TABLE interactions (
    id UUID NOT NULL,
    project_id UUID NOT NULL,
    task_id UUID NOT NULL,
    conversation_id UUID,
    turn BIGINT,
    subject_id UUID,
    input BYTEA NOT NULL,
    output BYTEA,
    label TEXT,
    confidence DOUBLE PRECISION,
    source TEXT NOT NULL,
    status TEXT NOT NULL,
    model TEXT,
    model_version_id UUID,
    latency_us BIGINT,
    tokens_input BIGINT,
    tokens_output BIGINT,
    cost_micro_usd BIGINT,
    action_type TEXT,
    target_tool TEXT,
    language TEXT,
    tags TEXT,
    is_reference BOOLEAN NOT NULL,
    input_hash BYTEA NOT NULL,
    content_hash BYTEA,
    occurred_at_us BIGINT NOT NULL,
    created_at_us BIGINT NOT NULL,
    PRIMARY KEY (project_id, id)
);
CREATE INDEX interactions_by_task ON interactions (task_id, id);
CREATE INDEX interactions_by_conversation ON interactions (conversation_id) WHERE conversation_id IS NOT NULL;

CREATE TABLE feedback (
    id UUID NOT NULL,
    project_id UUID NOT NULL,
    task_id UUID,
    interaction_id UUID,
    conversation_id UUID,
    kind TEXT NOT NULL,
    value DOUBLE PRECISION,
    name TEXT,
    label TEXT,
    detected_label TEXT,
    is_mismatch BOOLEAN,
    text BYTEA,
    preference BYTEA,
    source TEXT NOT NULL,
    content_hash BYTEA,
    occurred_at_us BIGINT NOT NULL,
    created_at_us BIGINT NOT NULL,
    PRIMARY KEY (project_id, id)
);
CREATE INDEX feedback_by_interaction ON feedback (interaction_id) WHERE interaction_id IS NOT NULL;
CREATE INDEX feedback_by_task ON feedback (task_id, id);
CREATE INDEX feedback_before_interaction ON feedback (project_id) WHERE task_id IS NULL AND interaction_id IS NOT NULL;

-- Interactions that curation has to look at, because feedback came or they are references.
CREATE TABLE curation_inbox (
    project_id UUID NOT NULL,
    interaction_id UUID NOT NULL,
    task_id UUID NOT NULL,
    PRIMARY KEY (project_id, interaction_id)
);
CREATE INDEX curation_inbox_by_task ON curation_inbox (task_id, interaction_id);

CREATE TABLE task_rollups (
    project_id UUID NOT NULL,
    task_id UUID NOT NULL,
    hour_us BIGINT NOT NULL,
    interactions BIGINT NOT NULL,
    feedback BIGINT NOT NULL,
    judged BIGINT NOT NULL,
    correct BIGINT NOT NULL,
    PRIMARY KEY (task_id, hour_us)
);

CREATE TABLE examples (
    id UUID PRIMARY KEY NOT NULL,
    project_id UUID NOT NULL,
    task_id UUID NOT NULL,
    interaction_id UUID,
    conversation_id UUID,
    input BYTEA NOT NULL,
    label TEXT,
    target BYTEA,
    input_hash BYTEA NOT NULL,
    weight DOUBLE PRECISION NOT NULL,
    status TEXT NOT NULL,
    origin TEXT NOT NULL,
    is_validated BOOLEAN NOT NULL,
    split TEXT,
    reason TEXT NOT NULL,
    created_at_us BIGINT NOT NULL,
    updated_at_us BIGINT NOT NULL,
    UNIQUE (task_id, interaction_id)
);
CREATE INDEX examples_by_task ON examples (task_id, id);
CREATE INDEX examples_by_hash ON examples (task_id, input_hash);

-- What has come since the last training, kept up as it comes, so that a trigger costs the same at any size.
CREATE TABLE task_progress (
    task_id UUID PRIMARY KEY NOT NULL,
    project_id UUID NOT NULL,
    usable_examples BIGINT NOT NULL,
    new_examples BIGINT NOT NULL,
    new_validated BIGINT NOT NULL,
    new_judged BIGINT NOT NULL,
    new_correct BIGINT NOT NULL,
    last_trained_at_us BIGINT
);

CREATE TABLE datasets (
    id UUID PRIMARY KEY NOT NULL,
    project_id UUID NOT NULL,
    task_id UUID NOT NULL,
    content_hash TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    example_count BIGINT NOT NULL,
    statistics JSONB NOT NULL,
    created_at_us BIGINT NOT NULL,
    UNIQUE (task_id, content_hash)
);

CREATE TABLE runs (
    id UUID PRIMARY KEY NOT NULL,
    project_id UUID NOT NULL,
    task_id UUID NOT NULL,
    reason TEXT NOT NULL,
    status TEXT NOT NULL,
    trainer TEXT NOT NULL,
    settings JSONB NOT NULL,
    seed BIGINT NOT NULL,
    dataset_id UUID,
    artifact_hash TEXT,
    artifact_bytes BIGINT,
    baseline_version_id UUID,
    model_version_id UUID,
    metrics JSONB,
    baseline_metrics JSONB,
    decision JSONB,
    error TEXT,
    created_at_us BIGINT NOT NULL,
    started_at_us BIGINT,
    finished_at_us BIGINT
);
CREATE INDEX runs_by_task ON runs (task_id, id);
CREATE INDEX runs_unfinished ON runs (task_id) WHERE status IN ('queued', 'running');
CREATE INDEX runs_by_project ON runs (project_id, id);

CREATE TABLE model_versions (
    id UUID PRIMARY KEY NOT NULL,
    project_id UUID NOT NULL,
    task_id UUID NOT NULL,
    run_id UUID NOT NULL UNIQUE,
    dataset_id UUID NOT NULL,
    number BIGINT NOT NULL,
    version TEXT NOT NULL,
    stage TEXT NOT NULL,
    artifact_hash TEXT NOT NULL,
    artifact_bytes BIGINT NOT NULL,
    dataset_hash TEXT NOT NULL,
    trainer TEXT NOT NULL,
    settings JSONB NOT NULL,
    metrics JSONB NOT NULL,
    code_version TEXT NOT NULL,
    created_at_us BIGINT NOT NULL,
    UNIQUE (task_id, version),
    UNIQUE (task_id, number)
);

CREATE TABLE deployments (
    id UUID PRIMARY KEY NOT NULL,
    project_id UUID NOT NULL,
    task_id UUID NOT NULL,
    model_version_id UUID NOT NULL,
    previous_version_id UUID,
    kind TEXT NOT NULL,
    reason TEXT NOT NULL,
    created_at_us BIGINT NOT NULL
);
CREATE INDEX deployments_by_task ON deployments (task_id, id);

-- Which version serves each task now; `epoch` rises with every deployment of the task.
CREATE TABLE serving (
    task_id UUID PRIMARY KEY NOT NULL,
    project_id UUID NOT NULL,
    model_version_id UUID NOT NULL,
    deployment_id UUID NOT NULL,
    epoch BIGINT NOT NULL
);
