//! What the handlers' own descriptions leave out of the OpenAPI document because it holds for all of them: who made it, the
//! key, what every endpoint may answer, and a name for each operation that generated clients can use.

use utoipa::openapi::path::{HttpMethod, Operation, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, License, OpenApi, Ref, RefOr, ResponseBuilder};

/// What every endpoint that asks for a key may answer.
const OF_KEYS: [(&str, &str); 2] = [
    ("401", "no key, or one that does not work"),
    ("403", "the key lacks the scope"),
];

/// Completes the document.
pub(crate) fn complete(mut document: OpenApi) -> OpenApi {
    "Hone".clone_into(&mut document.info.title);
    env!("CARGO_PKG_VERSION").clone_into(&mut document.info.version);
    document.info.description = Some("Makes an AI feature better with every use.".to_owned());
    document.info.contact = None;
    document.info.license = Some(License::new("Apache-2.0"));
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("an API key of a project"))
        .build();
    document
        .components
        .get_or_insert_default()
        .add_security_scheme("key", SecurityScheme::Http(bearer));
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            operation.operation_id = Some(operation_id(&method, path));
            add_common_answers(&method, operation);
        }
    }
    document
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (HttpMethod, &mut Operation)> {
    [
        (HttpMethod::Get, &mut item.get),
        (HttpMethod::Post, &mut item.post),
        (HttpMethod::Put, &mut item.put),
        (HttpMethod::Delete, &mut item.delete),
        (HttpMethod::Patch, &mut item.patch),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// `POST /v1/tasks/{task}/train` becomes `post_tasks_task_train`.
fn operation_id(method: &HttpMethod, path: &str) -> String {
    let words = path
        .split(['/', '{', '}'])
        .filter(|word| !word.is_empty() && *word != "v1");
    let method = match method {
        HttpMethod::Get => "get",
        HttpMethod::Post => "post",
        HttpMethod::Put => "put",
        HttpMethod::Delete => "delete",
        _ => "patch",
    };
    std::iter::once(method).chain(words).collect::<Vec<_>>().join("_")
}

fn add_common_answers(method: &HttpMethod, operation: &mut Operation) {
    let of_bodies = [("413", "the body is too large")];
    let has_body = matches!(method, HttpMethod::Post | HttpMethod::Put);
    let of_bodies = of_bodies.into_iter().filter(|_| has_body);
    for (status, description) in OF_KEYS.into_iter().chain(of_bodies) {
        let problem = ContentBuilder::new()
            .schema(Some(Ref::from_schema_name("ProblemBody")))
            .build();
        let answer = ResponseBuilder::new()
            .description(description)
            .content("application/problem+json", problem)
            .build();
        operation
            .responses
            .responses
            .entry(status.to_owned())
            .or_insert(RefOr::T(answer));
    }
}
