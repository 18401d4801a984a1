-- What was found among the requests of a task: topics, failure patterns, topics without a label. JSON with texts in it.
CREATE TABLE discoveries (
    id UUID PRIMARY KEY NOT NULL,
    project_id UUID NOT NULL,
    task_id UUID NOT NULL,
    result BYTEA NOT NULL,
    created_at_us BIGINT NOT NULL
);
CREATE INDEX discoveries_by_task ON discoveries (task_id, created_at_us, id);
