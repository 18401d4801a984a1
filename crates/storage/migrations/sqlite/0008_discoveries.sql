-- What was found among the requests of a task: topics, failure patterns, topics without a label. JSON with texts in it.
CREATE TABLE discoveries (
    id BLOB PRIMARY KEY NOT NULL,
    project_id BLOB NOT NULL,
    task_id BLOB NOT NULL,
    result BLOB NOT NULL,
    created_at_us INTEGER NOT NULL
);
CREATE INDEX discoveries_by_task ON discoveries (task_id, created_at_us, id);
