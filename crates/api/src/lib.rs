//! JSON over HTTP: one file per endpoint, problem details, OpenAPI.
