-- What waits for people: an answer to be judged, or two to choose between. `claimed` and `done` count who looks at it and
-- who has; both together never exceed `wanted`.
CREATE TABLE reviews (
    id UUID PRIMARY KEY NOT NULL,
    project_id UUID NOT NULL,
    task_id UUID NOT NULL,
    interaction_id UUID,
    example_id UUID,
    kind TEXT NOT NULL,
    reason TEXT NOT NULL,
    priority DOUBLE PRECISION NOT NULL,
    input BYTEA NOT NULL,
    output BYTEA,
    alternative BYTEA,
    label TEXT,
    suggestion TEXT,
    details JSONB,
    gold_label TEXT,
    wanted BIGINT NOT NULL,
    claimed BIGINT NOT NULL,
    done BIGINT NOT NULL,
    state TEXT NOT NULL,
    outcome JSONB,
    created_at_us BIGINT NOT NULL,
    decided_at_us BIGINT
);
CREATE UNIQUE INDEX reviews_of_interaction ON reviews (task_id, interaction_id, kind) WHERE interaction_id IS NOT NULL;
CREATE UNIQUE INDEX reviews_of_example ON reviews (task_id, example_id, kind) WHERE example_id IS NOT NULL;
CREATE INDEX reviews_open ON reviews (task_id, priority, id) WHERE state = 'open';
CREATE INDEX reviews_by_task ON reviews (task_id, created_at_us, id);

-- Who looks at what, and until when; the token is what an answer shows.
CREATE TABLE review_claims (
    review_id UUID NOT NULL,
    reviewer TEXT NOT NULL,
    project_id UUID NOT NULL,
    task_id UUID NOT NULL,
    token UUID NOT NULL,
    claimed_at_us BIGINT NOT NULL,
    until_us BIGINT NOT NULL,
    PRIMARY KEY (review_id, reviewer)
);
CREATE INDEX review_claims_stale ON review_claims (task_id, until_us);

-- What reviewers said. One who skips an item has said nothing of it and is not asked again.
CREATE TABLE review_answers (
    id UUID PRIMARY KEY NOT NULL,
    review_id UUID NOT NULL,
    reviewer TEXT NOT NULL,
    project_id UUID NOT NULL,
    task_id UUID NOT NULL,
    verdict TEXT NOT NULL,
    label TEXT,
    text BYTEA,
    comment BYTEA,
    took_us BIGINT,
    is_gold_right BOOLEAN,
    created_at_us BIGINT NOT NULL,
    UNIQUE (review_id, reviewer)
);
CREATE INDEX review_answers_by_task ON review_answers (task_id, created_at_us, id);

-- Up to which interaction of a task the queue has been filled.
CREATE TABLE review_progress (
    task_id UUID PRIMARY KEY NOT NULL,
    project_id UUID NOT NULL,
    after_us BIGINT NOT NULL,
    after_id UUID NOT NULL
);
