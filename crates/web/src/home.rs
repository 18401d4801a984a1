//! The first page: of every task its learning curve, its versions, its last interactions with their feedback.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse as _, Response};
use hone_domain::{Indicator, Measure, SECOND_US, format_rfc3339};
use hone_engine::CurvePoint;
use maud::{DOCTYPE, Markup, html};

use crate::WebState;
use crate::access::Shown;
use crate::observed;
use crate::rollout;
use crate::view::{TaskView, load, summary};

/// The whole page.
pub(crate) async fn page(
    State(state): State<WebState>,
    Extension(Shown(project)): Extension<Shown>,
) -> Response {
    match load(&state.engine, project).await {
        Ok(views) => Html(frame(&tasks(&views)).into_string()).into_response(),
        Err(error) => failed(&error),
    }
}

/// The part that htmx asks for again every two seconds.
pub(crate) async fn fragment(
    State(state): State<WebState>,
    Extension(Shown(project)): Extension<Shown>,
) -> Response {
    match load(&state.engine, project).await {
        Ok(views) => Html(tasks(&views).into_string()).into_response(),
        Err(error) => failed(&error),
    }
}

fn failed(error: &hone_engine::EngineError) -> Response {
    tracing::error!(%error, "page not rendered");
    (
        StatusCode::SERVICE_UNAVAILABLE,
        "the database does not answer; reload in a moment",
    )
        .into_response()
}

fn frame(contents: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Hone" }
                link rel="stylesheet" href="/assets/uplot.min.css";
                link rel="stylesheet" href="/assets/hone.css";
                script src="/assets/htmx.min.js" {}
                script src="/assets/uplot.min.js" {}
                script src="/assets/hone.js" defer {}
            }
            body {
                header {
                    h1 { "Hone" }
                    p { "records, learns, and puts a better model live only when it is no worse" }
                    a href="/docs" { "API" }
                }
                main hx-get="/fragments/tasks" hx-trigger="every 2s" hx-swap="innerHTML" { (contents) }
            }
        }
    }
}

fn tasks(views: &[TaskView]) -> Markup {
    html! {
        @if views.is_empty() {
            p.empty { "No task yet. Make one with " code { "hone task create intent --kind classify" } "." }
        }
        @for view in views { (task(view)) }
    }
}

fn task(view: &TaskView) -> Markup {
    let correctness = Indicator::Correctness
        .of(&view.totals, 0.0)
        .map_or_else(|| "–".to_owned(), |share| format!("{:.1} %", 100.0 * share));
    html! {
        section.task id={ "task-" (view.task.name) } {
            h2 { (view.task.name) " " span.none { (view.task.kind.as_str()) } }
            dl.facts {
                div { dt { "serving" } dd.serving { (view.serving.as_deref().unwrap_or("none")) } }
                div { dt { "interactions" } dd { (view.totals.get(Measure::Interactions)) } }
                div { dt { "feedback" } dd { (view.totals.get(Measure::Feedback)) } }
                div { dt { "judged right" } dd { (correctness) } }
                div { dt { "examples" } dd { (view.counters.usable_examples) } }
                div { dt { "new since training" } dd { (view.counters.new_examples) } }
            }
            @if let Some(health) = &view.health { (observed::health(health)) }
            @if let Some(rollout) = &view.rollout {
                h3 { "Rollout" }
                (rollout::block(rollout))
            }
            h3 { "The last seven days, by the hour" }
            (observed::trend(&view.week))
            (observed::by_version(&view.week))
            h3 { "Learning curve, on held-out examples" }
            (curve(view))
            h3 { "Versions" }
            (versions(view))
            h3 { "Last interactions" }
            (interactions(view))
        }
    }
}

fn curve(view: &TaskView) -> Markup {
    if view.curve.is_empty() {
        return html! { p.empty { "No evaluated run yet: the first training starts with "
        (view.task.policy.training.min_samples) " examples." } };
    }
    let times: Vec<f64> = view
        .curve
        .iter()
        .map(|point| point.at_us as f64 / SECOND_US as f64)
        .collect();
    // What the gate refused never served: it stands beside the curve, not on it.
    let served = |value: fn(&CurvePoint) -> f64| -> Vec<Option<f64>> {
        view.curve
            .iter()
            .map(|point| point.accepted.then(|| value(point)))
            .collect()
    };
    let refused: Vec<Option<f64>> = view
        .curve
        .iter()
        .map(|point| (!point.accepted).then_some(point.macro_f1))
        .collect();
    let data =
        serde_json::json!([times, served(|p| p.accuracy), served(|p| p.macro_f1), refused]).to_string();
    html! { div.curve data-curve=(data) {} }
}

fn versions(view: &TaskView) -> Markup {
    if view.versions.is_empty() {
        return html! { p.empty { "None registered yet." } };
    }
    html! {
        table.versions {
            thead { tr { th { "version" } th { "stage" } th.number { "accuracy" } th.number { "macro-F1" }
                th.number { "size" } th { "registered" } } }
            tbody {
                @for version in &view.versions {
                    tr {
                        td { (version.version) }
                        td class={ "stage-" (version.stage.as_str()) } { (version.stage.as_str()) }
                        td.number { (metric(&version.metrics, "accuracy")) }
                        td.number { (metric(&version.metrics, "macro_f1")) }
                        td.number { (version.artifact_bytes / 1_024) " KiB" }
                        td { (to_second(version.created_at_us)) }
                    }
                }
            }
        }
    }
}

fn metric(metrics: &serde_json::Value, name: &str) -> String {
    metrics
        .get(name)
        .and_then(serde_json::Value::as_f64)
        .map_or_else(|| "–".to_owned(), |value| format!("{value:.3}"))
}

fn to_second(time_us: i64) -> String {
    format_rfc3339(time_us - time_us.rem_euclid(SECOND_US))
        .replace('T', " ")
        .replace('Z', "")
}

fn interactions(view: &TaskView) -> Markup {
    if view.interactions.is_empty() {
        return html! { p.empty { "None recorded yet. Send one to " code { "POST /v1/interactions" } " or "
        code { "POST /v1/classify" } "." } };
    }
    html! {
        table.interactions {
            thead { tr { th { "input" } th { "answer" } th.number { "probability" } th { "by" } th { "feedback" } } }
            tbody {
                @for (row, version, said) in &view.interactions {
                    tr {
                        td { (shortened(&row.input.0)) }
                        td { (row.label.as_deref().or(row.output.0.as_deref()).map_or_else(String::new, shortened)) }
                        td.number { @if let Some(confidence) = row.confidence { (format!("{confidence:.2}")) } }
                        td { (version.as_deref().unwrap_or(row.source.as_str())) }
                        td { (feedback(said)) }
                    }
                }
            }
        }
    }
}

fn feedback(said: &[hone_storage::feedback::Feedback]) -> Markup {
    html! {
        @if said.is_empty() { span.none { "–" } }
        @for (words, right) in said.iter().map(summary) {
            span class=(match right { Some(true) => "right", Some(false) => "wrong", None => "" }) { (words) } " "
        }
    }
}

/// The first 100 characters: a page is no place for a whole document.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(100) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
