-- Names that people give to datasets, such as the day of a snapshot.
CREATE TABLE dataset_tags (
    dataset_id BLOB NOT NULL,
    tag TEXT NOT NULL,
    project_id BLOB NOT NULL,
    created_at_us INTEGER NOT NULL,
    PRIMARY KEY (dataset_id, tag)
);
CREATE INDEX dataset_tags_by_tag ON dataset_tags (project_id, tag);
CREATE INDEX model_versions_by_dataset ON model_versions (dataset_id) WHERE dataset_id IS NOT NULL;
