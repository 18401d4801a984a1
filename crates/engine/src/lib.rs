//! The loop: record, feedback, curate, train, evaluate, registry, deploy.
