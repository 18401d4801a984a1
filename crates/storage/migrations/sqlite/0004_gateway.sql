-- What the gateway sees of an interaction beside its texts: the body that went to the model, an answer that is more than
-- text, the prompt that was built, the time to the first token, and what went wrong.
ALTER TABLE interactions ADD COLUMN request BLOB;
ALTER TABLE interactions ADD COLUMN reply BLOB;
ALTER TABLE interactions ADD COLUMN structured_prompt BLOB;
ALTER TABLE interactions ADD COLUMN first_token_us INTEGER;
ALTER TABLE interactions ADD COLUMN error TEXT;

-- Budgets and rate limits, as JSON.
ALTER TABLE projects ADD COLUMN limits TEXT;
ALTER TABLE api_keys ADD COLUMN limits TEXT;

-- What keys, tasks and projects with limits have used in a minute or a day.
CREATE TABLE usage_windows (
    owner_id BLOB NOT NULL,
    project_id BLOB NOT NULL,
    length_us INTEGER NOT NULL,
    start_us INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    cost_micro_usd INTEGER NOT NULL,
    PRIMARY KEY (owner_id, length_us, start_us)
);
CREATE INDEX usage_windows_by_start ON usage_windows (start_us);

-- Providers that a project brings itself. Their keys come with each request and are never stored.
CREATE TABLE providers (
    id BLOB PRIMARY KEY NOT NULL,
    project_id BLOB NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    base_url TEXT NOT NULL,
    created_at_us INTEGER NOT NULL,
    UNIQUE (project_id, name)
);

-- A version that answers through a provider's model was not fitted on a dataset.
CREATE TABLE model_versions_next (
    id BLOB PRIMARY KEY NOT NULL,
    project_id BLOB NOT NULL,
    task_id BLOB NOT NULL,
    run_id BLOB NOT NULL UNIQUE,
    dataset_id BLOB,
    number INTEGER NOT NULL,
    version TEXT NOT NULL,
    stage TEXT NOT NULL,
    artifact_hash TEXT NOT NULL,
    artifact_bytes INTEGER NOT NULL,
    dataset_hash TEXT,
    trainer TEXT NOT NULL,
    settings TEXT NOT NULL,
    metrics TEXT NOT NULL,
    code_version TEXT NOT NULL,
    created_at_us INTEGER NOT NULL,
    UNIQUE (task_id, version),
    UNIQUE (task_id, number)
);
INSERT INTO model_versions_next SELECT id, project_id, task_id, run_id, dataset_id, number, version, stage, artifact_hash,
    artifact_bytes, dataset_hash, trainer, settings, metrics, code_version, created_at_us FROM model_versions;
DROP TABLE model_versions;
ALTER TABLE model_versions_next RENAME TO model_versions;

-- What each version of a local classifier in front of an expensive model has answered, passed on and saved.
CREATE TABLE cascades (
    model_version_id BLOB PRIMARY KEY NOT NULL,
    task_id BLOB NOT NULL,
    project_id BLOB NOT NULL,
    answered INTEGER NOT NULL,
    passed_on INTEGER NOT NULL,
    shadowed INTEGER NOT NULL,
    disagreed INTEGER NOT NULL,
    saved_tokens INTEGER NOT NULL,
    saved_micro_usd INTEGER NOT NULL,
    passed_tokens INTEGER NOT NULL,
    passed_micro_usd INTEGER NOT NULL
);

CREATE INDEX cascades_by_task ON cascades (task_id);

-- How a person likes answers, as set by hand; the rest is learned from what they say of answers.
CREATE TABLE profiles (
    project_id BLOB NOT NULL,
    subject_id BLOB NOT NULL,
    profile TEXT NOT NULL,
    updated_at_us INTEGER NOT NULL,
    PRIMARY KEY (project_id, subject_id)
);
CREATE INDEX interactions_by_subject ON interactions (project_id, subject_id) WHERE subject_id IS NOT NULL;
