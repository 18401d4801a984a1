-- What waits for people: an answer to be judged, or two to choose between. `claimed` and `done` count who looks at it and
-- who has; both together never exceed `wanted`.
CREATE TABLE reviews (
    id BLOB PRIMARY KEY NOT NULL,
    project_id BLOB NOT NULL,
    task_id BLOB NOT NULL,
    interaction_id BLOB,
    example_id BLOB,
    kind TEXT NOT NULL,
    reason TEXT NOT NULL,
    priority REAL NOT NULL,
    input BLOB NOT NULL,
    output BLOB,
    alternative BLOB,
    label TEXT,
    suggestion TEXT,
    details TEXT,
    gold_label TEXT,
    wanted INTEGER NOT NULL,
    claimed INTEGER NOT NULL,
    done INTEGER NOT NULL,
    state TEXT NOT NULL,
    outcome TEXT,
    created_at_us INTEGER NOT NULL,
    decided_at_us INTEGER
);
CREATE UNIQUE INDEX reviews_of_interaction ON reviews (task_id, interaction_id, kind) WHERE interaction_id IS NOT NULL;
CREATE UNIQUE INDEX reviews_of_example ON reviews (task_id, example_id, kind) WHERE example_id IS NOT NULL;
CREATE INDEX reviews_open ON reviews (task_id, priority, id) WHERE state = 'open';
CREATE INDEX reviews_by_task ON reviews (task_id, created_at_us, id);

-- Who looks at what, and until when; the token is what an answer shows.
CREATE TABLE review_claims (
    review_id BLOB NOT NULL,
    reviewer TEXT NOT NULL,
    project_id BLOB NOT NULL,
    task_id BLOB NOT NULL,
    token BLOB NOT NULL,
    claimed_at_us INTEGER NOT NULL,
    until_us INTEGER NOT NULL,
    PRIMARY KEY (review_id, reviewer)
);
CREATE INDEX review_claims_stale ON review_claims (task_id, until_us);

-- What reviewers said. One who skips an item has said nothing of it and is not asked again.
CREATE TABLE review_answers (
    id BLOB PRIMARY KEY NOT NULL,
    review_id BLOB NOT NULL,
    reviewer TEXT NOT NULL,
    project_id BLOB NOT NULL,
    task_id BLOB NOT NULL,
    verdict TEXT NOT NULL,
    label TEXT,
    text BLOB,
    comment BLOB,
    took_us INTEGER,
    is_gold_right BOOLEAN,
    created_at_us INTEGER NOT NULL,
    UNIQUE (review_id, reviewer)
);
CREATE INDEX review_answers_by_task ON review_answers (task_id, created_at_us, id);

-- Up to which interaction of a task the queue has been filled.
CREATE TABLE review_progress (
    task_id BLOB PRIMARY KEY NOT NULL,
    project_id BLOB NOT NULL,
    after_us INTEGER NOT NULL,
    after_id BLOB NOT NULL
);
