-- Lists are in the order of recording, whatever ids clients give.
DROP INDEX interactions_by_task;
CREATE INDEX interactions_by_task ON interactions (task_id, created_at_us, id);
CREATE INDEX interactions_by_project ON interactions (project_id, created_at_us, id);
DROP INDEX feedback_by_task;
CREATE INDEX feedback_by_task ON feedback (task_id, created_at_us, id);
CREATE INDEX feedback_by_project ON feedback (project_id, created_at_us, id);
CREATE INDEX examples_by_time ON examples (task_id, created_at_us, id);

-- When what an example says was said: the later judgement of a text wins, whichever is curated last.
ALTER TABLE examples ADD COLUMN judged_at_us INTEGER NOT NULL DEFAULT 0;
UPDATE examples SET judged_at_us = updated_at_us;
