//! How versions share a task's traffic, what their outcomes say, and what happened: one block of a task's part of the page.

use hone_domain::{DeploymentState, Strategy, format_rfc3339};
use hone_engine::{Comparison, DeploymentView, Look, TestRule, Verdict};
use maud::{Markup, html};

/// Last events that are shown.
const EVENTS: usize = 5;

/// Renders a deployment that shares traffic, or did last.
pub(crate) fn block(view: &DeploymentView) -> Markup {
    let deployment = &view.deployment;
    let strategy = deployment
        .plan
        .as_ref()
        .map_or(Strategy::AllAtOnce, |plan| plan.strategy);
    html! {
        div.rollout {
            p {
                strong { "Version " (view.name_of(deployment.model_version_id)) } ", " (words_of(strategy)) ": "
                span class={ "state-" (deployment.state.as_str()) } { (words_of_state(deployment.state)) }
                @if let (Strategy::Canary, Some(plan)) = (strategy, &deployment.plan) {
                    ", step " (deployment.step + 1) " of " (plan.steps.len())
                }
            }
            @if let Some(look) = &view.look {
                (shares(view, look))
                p { (look.reason) }
                (comparisons(view, look))
            }
            ul.events {
                @for event in view.events.iter().rev().take(EVENTS) {
                    li { span.none { (format_rfc3339(event.created_at_us)) } " " (event.event.as_str()) ": " (event.reason) }
                }
            }
        }
    }
}

/// A bar with each version's share of the traffic.
fn shares(view: &DeploymentView, look: &Look) -> Markup {
    html! {
        div.shares role="img" aria-label="shares of the traffic" {
            @for (number, arm) in look.exposures.iter().enumerate().filter(|(_, arm)| arm.share > 0.0) {
                span class={ "arm arm-" (number.min(3)) } style={ "flex-grow:" (format!("{:.4}", arm.share)) } {
                    (view.name_of(arm.version_id)) " " (format!("{:.0} %", arm.share * 100.0))
                }
            }
        }
        @if let Some(disagreement) = &look.disagreement {
            p { "said something else in " (disagreement.mean.map_or_else(|| "–".to_owned(), |mean| format!("{:.1} %", mean * 100.0)))
                " of " (disagreement.outcomes) " answers" }
        }
    }
}

fn comparisons(view: &DeploymentView, look: &Look) -> Markup {
    html! {
        table.comparisons {
            thead { tr { th { "new version" } th { "metric" } th.number { "live" } th.number { "new" } th.number { "outcomes" }
                th.number { "difference, better is +" } th.number { "allowed" } th { "" } } }
            tbody {
                @for comparison in &look.comparisons {
                    tr {
                        td { (view.name_of(comparison.version_id)) }
                        td { (comparison.metric) @if comparison.is_guardrail { span.none { " guards" } } }
                        td.number { (number(comparison.live.mean)) }
                        td.number { (number(comparison.new.mean)) }
                        td.number { (comparison.live.outcomes) " / " (comparison.new.outcomes) }
                        td.number { (interval(comparison)) }
                        td.number { (number(comparison.allowed.map(|allowed| 0.0 - allowed))) }
                        td class=(class_of(comparison.verdict)) { (words_of_verdict(comparison.verdict)) }
                    }
                }
            }
        }
    }
}

/// The interval that decides, and no other.
fn interval(comparison: &Comparison) -> String {
    match (comparison.difference, comparison.lower, comparison.upper) {
        (Some(difference), Some(lower), Some(upper)) => {
            format!("{difference:+.3} ({lower:+.3} to {upper:+.3})")
        }
        (Some(difference), ..) if comparison.rule == TestRule::Exact => {
            format!("{difference:+.3} (exact p {:.3})", comparison.p.unwrap_or(1.0))
        }
        (Some(difference), ..) => format!("{difference:+.3}"),
        _ => "–".to_owned(),
    }
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.3}"))
}

const fn words_of(strategy: Strategy) -> &'static str {
    match strategy {
        Strategy::AllAtOnce => "all at once",
        Strategy::Canary => "canary",
        Strategy::Shadow => "shadow",
        Strategy::Ab => "A/B test",
        Strategy::Bandit => "bandit",
    }
}

const fn words_of_state(state: DeploymentState) -> &'static str {
    match state {
        DeploymentState::Running => "running",
        DeploymentState::Paused => "paused",
        DeploymentState::Live => "serves everything",
        DeploymentState::RolledBack => "rolled back",
        DeploymentState::Superseded => "superseded",
    }
}

const fn words_of_verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Harmful => "harmful",
        Verdict::NonInferior => "non-inferior",
        Verdict::Better => "better",
        Verdict::Undecided => "undecided",
    }
}

const fn class_of(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Harmful => "wrong",
        Verdict::NonInferior | Verdict::Better => "right",
        Verdict::Undecided => "none",
    }
}
