//! How a task does: its health with reasons and what to do, the last week hour by hour, and what it did by version, action type,
//! label and source; one block of a task's part of the page.

use hone_domain::{HealthLabel, HealthStatus, Indicator, ReadinessLevel, Severity};
use hone_engine::{Indicators, TaskHealth, TaskMetrics, TrendPoint};
use maud::{Markup, html};

/// Recommendations that are shown.
const RECOMMENDATIONS: usize = 3;
/// The indicators of a break-down.
const SHOWN: [Indicator; 7] = [
    Indicator::Interactions,
    Indicator::Correctness,
    Indicator::ApprovalRate,
    Indicator::CorrectionRate,
    Indicator::ErrorRate,
    Indicator::LatencyP95,
    Indicator::CostPerInteraction,
];

/// Renders the health of a task.
pub(crate) fn health(health: &TaskHealth) -> Markup {
    html! {
        div.health {
            p {
                span class={ "health-" (health.status.as_str()) } { (words_of(health.status)) }
                @if let (Some(label), Some(correctness)) = (health.label, health.correctness) {
                    ", " (words_of_label(label)) span.none { " (" (share(correctness)) " right)" }
                }
                span.none { ". Training: " (words_of_level(health.readiness.level)) ", "
                    (health.readiness.feedback) " pieces of feedback, " (health.readiness.new_feedback) " since the last one" }
            }
            @if !health.reasons.is_empty() {
                ul.events {
                    @for reason in &health.reasons {
                        li class=(class_of(reason.severity)) { (reason.message) }
                    }
                }
            }
            @for recommendation in health.recommendations.iter().take(RECOMMENDATIONS) {
                p.advice { (recommendation) }
            }
        }
    }
}

/// Renders the trend of a task.
pub(crate) fn trend(metrics: &TaskMetrics) -> Markup {
    if metrics.trend.is_empty() {
        return html! { p.empty { "Nothing in the last seven days." } };
    }
    let series = |indicator: Indicator| -> Vec<Option<f64>> {
        let of = |point: &TrendPoint| point.indicators.get(indicator.as_str()).copied();
        metrics.trend.iter().map(of).collect()
    };
    let times: Vec<i64> = metrics
        .trend
        .iter()
        .filter_map(|point| hone_domain::parse_rfc3339(&point.at))
        .map(|at_us| at_us / hone_domain::SECOND_US)
        .collect();
    let data = serde_json::json!([
        times,
        series(Indicator::Interactions),
        series(Indicator::Correctness),
        series(Indicator::ApprovalRate),
        series(Indicator::ErrorRate)
    ]);
    let seconds = |at: &str| hone_domain::parse_rfc3339(at).unwrap_or_default() / hone_domain::SECOND_US;
    let range = format!("[{},{}]", seconds(&metrics.from), seconds(&metrics.to));
    html! { div.trend data-trend=(data.to_string()) data-range=(range) {} }
}

/// Renders what each version did.
pub(crate) fn by_version(metrics: &TaskMetrics) -> Markup {
    html! {
        @if !metrics.by.is_empty() {
            h3 { "The last seven days by version" }
            table.by-version {
                thead { tr { th { "version" } @for indicator in SHOWN { th.number { (indicator.as_str().replace('_', " ")) } } } }
                tbody {
                    @for value in &metrics.by {
                        tr {
                            td { (value.value) }
                            @for indicator in SHOWN { td.number { (cell(&value.indicators, indicator)) } }
                        }
                    }
                }
            }
        }
    }
}

fn cell(of: &Indicators, indicator: Indicator) -> String {
    let Some(&value) = of.get(indicator.as_str()) else {
        return "–".to_owned();
    };
    match indicator {
        Indicator::Interactions => format!("{value}"),
        Indicator::LatencyP95 => format!("{value:.1}"),
        Indicator::CostPerInteraction => format!("{value:.5}"),
        _ => share(value),
    }
}

fn share(value: f64) -> String {
    format!("{:.1} %", 100.0 * value)
}

const fn words_of(status: HealthStatus) -> &'static str {
    match status {
        HealthStatus::Healthy => "healthy",
        HealthStatus::Degraded => "degraded",
        HealthStatus::Unhealthy => "unhealthy",
    }
}

const fn words_of_label(label: HealthLabel) -> &'static str {
    match label {
        HealthLabel::Excellent => "excellent",
        HealthLabel::Good => "good",
        HealthLabel::NeedsImprovement => "needs improvement",
    }
}

const fn words_of_level(level: ReadinessLevel) -> &'static str {
    match level {
        ReadinessLevel::NotReady => "not ready",
        ReadinessLevel::Ready => "ready",
        ReadinessLevel::Optimal => "optimal",
    }
}

const fn class_of(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "none",
        Severity::Warning => "warning",
        Severity::Critical => "wrong",
    }
}
