//! `GET /v1/tasks/{task}/cascade`: where a task's cascade stands.

use axum::Json;
use axum::extract::{Path, State};
use hone_domain::{CascadePolicy, Scope};
use hone_gateway::CascadeStanding;
use hone_learn::clopper_pearson;

use crate::auth::Caller;
use crate::problem::ProblemBody;
use crate::{AppState, Problem};

/// Where a cascade stands.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct CascadeBody {
    policy: CascadePolicy,
    /// From which confidence on the serving classifier answers; absent while the held-out examples do not show that it is
    /// wrong seldom enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    certified: Option<CertifiedBody>,
    /// Whether the disagreement is more than the task allows, so that this version answers no more.
    is_contradicted: bool,
    /// Requests that the classifier answered alone.
    answered: i64,
    /// Requests that it passed on.
    passed_on: i64,
    /// Requests that it was sure of and the model behind was asked for too.
    shadowed: i64,
    /// Of these, those where the two said different things.
    disagreed: i64,
    /// Share of disagreement with its 95 % interval (Clopper-Pearson); absent before the first shadowed request.
    #[serde(skip_serializing_if = "Option::is_none")]
    disagreement: Option<ShareBody>,
    /// Tokens that the answered requests would have used.
    saved_tokens: i64,
    /// What they would have cost, in USD.
    saved_usd: f64,
}

/// A certified threshold.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct CertifiedBody {
    /// The least confidence that answers.
    threshold: f64,
    /// Share of the held-out examples that it answers.
    coverage: f64,
    /// Share of wrong answers among these.
    observed_error: f64,
}

/// A share with its interval.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct ShareBody {
    value: f64,
    low: f64,
    high: f64,
}

impl CascadeBody {
    fn new(policy: CascadePolicy, standing: &CascadeStanding) -> Self {
        let counts = standing.counts;
        let of = |count: i64| u32::try_from(count).unwrap_or(u32::MAX);
        let (low, high) = clopper_pearson(of(counts.disagreed), of(counts.shadowed), 0.95);
        Self {
            policy,
            certified: standing.certified.map(|certified| CertifiedBody {
                threshold: certified.threshold,
                coverage: certified.coverage,
                observed_error: certified.observed_error,
            }),
            is_contradicted: standing.is_contradicted,
            answered: counts.answered,
            passed_on: counts.passed_on,
            shadowed: counts.shadowed,
            disagreed: counts.disagreed,
            disagreement: (counts.shadowed > 0).then(|| ShareBody {
                value: counts.disagreed as f64 / counts.shadowed as f64,
                low,
                high,
            }),
            saved_tokens: counts.saved_tokens,
            saved_usd: counts.saved_micro_usd as f64 / 1e6,
        }
    }
}

/// Show where the cascade of a task's serving version stands
///
/// From which confidence on the task's own classifier answers in place of the model behind it, how often the two disagree
/// where both were asked, and what was saved.
#[utoipa::path(get, path = "/v1/tasks/{task}/cascade", tag = "gateway", security(("key" = [])),
    params(("task" = String, Path, description = "name of the task")),
    responses((status = 200, body = CascadeBody), (status = 404, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Path(task): Path<String>,
) -> Result<Json<CascadeBody>, Problem> {
    caller.require(Scope::Read)?;
    let task = state.engine.get_task(caller.project, &task).await?;
    let standing = state.gateway.cascade_standing(&task).await?;
    Ok(Json(CascadeBody::new(task.policy.cascade.clone(), &standing)))
}
