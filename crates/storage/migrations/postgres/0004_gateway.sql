-- What the gateway sees of an interaction beside its texts: the body that went to the model, an answer that is more than
-- text, the prompt that was built, the time to the first token, and what went wrong.
ALTER TABLE interactions ADD COLUMN request BYTEA;
ALTER TABLE interactions ADD COLUMN reply BYTEA;
ALTER TABLE interactions ADD COLUMN structured_prompt BYTEA;
ALTER TABLE interactions ADD COLUMN first_token_us BIGINT;
ALTER TABLE interactions ADD COLUMN error TEXT;

-- Budgets and rate limits, as JSON.
ALTER TABLE projects ADD COLUMN limits JSONB;
ALTER TABLE api_keys ADD COLUMN limits JSONB;

-- What keys, tasks and projects with limits have used in a minute or a day.
CREATE TABLE usage_windows (
    owner_id UUID NOT NULL,
    project_id UUID NOT NULL,
    length_us BIGINT NOT NULL,
    start_us BIGINT NOT NULL,
    requests BIGINT NOT NULL,
    tokens BIGINT NOT NULL,
    cost_micro_usd BIGINT NOT NULL,
    PRIMARY KEY (owner_id, length_us, start_us)
);
CREATE INDEX usage_windows_by_start ON usage_windows (start_us);

-- Providers that a project brings itself. Their keys come with each request and are never stored.
CREATE TABLE providers (
    id UUID PRIMARY KEY NOT NULL,
    project_id UUID NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    base_url TEXT NOT NULL,
    created_at_us BIGINT NOT NULL,
    UNIQUE (project_id, name)
);

-- A version that answers through a provider's model was not fitted on a dataset.
ALTER TABLE model_versions ALTER COLUMN dataset_id DROP NOT NULL;
ALTER TABLE model_versions ALTER COLUMN dataset_hash DROP NOT NULL;

-- What each version of a local classifier in front of an expensive model has answered, passed on and saved.
CREATE TABLE cascades (
    model_version_id UUID PRIMARY KEY NOT NULL,
    task_id UUID NOT NULL,
    project_id UUID NOT NULL,
    answered BIGINT NOT NULL,
    passed_on BIGINT NOT NULL,
    shadowed BIGINT NOT NULL,
    disagreed BIGINT NOT NULL,
    saved_tokens BIGINT NOT NULL,
    saved_micro_usd BIGINT NOT NULL,
    passed_tokens BIGINT NOT NULL,
    passed_micro_usd BIGINT NOT NULL
);

CREATE INDEX cascades_by_task ON cascades (task_id);

-- How a person likes answers, as set by hand; the rest is learned from what they say of answers.
CREATE TABLE profiles (
    project_id UUID NOT NULL,
    subject_id UUID NOT NULL,
    profile JSONB NOT NULL,
    updated_at_us BIGINT NOT NULL,
    PRIMARY KEY (project_id, subject_id)
);
CREATE INDEX interactions_by_subject ON interactions (project_id, subject_id) WHERE subject_id IS NOT NULL;
