//! What versions that share a task's traffic did: which request got which version, and the outcomes of each.
//!
//! Outcomes are summed up by the unit that traffic is divided by, as they come, and the sums of an arm move with them: a look at
//! an experiment reads a few rows however much there was. Written in the recorder's transactions.

use std::collections::BTreeMap;

use hone_domain::{DeploymentId, InteractionId, Metric, ProjectId};
use sqlx::types::Uuid;

use crate::codec::OptionalText;
use crate::{Conn, StorageError, dialect};

statements! {
    FIND_EXPOSURE = "SELECT project_id, interaction_id, deployment_id, version_id, unit, step, shadow_version_id, \
                     shadow_label, shadow_output, agrees, created_at_us FROM exposures \
                     WHERE project_id = $1 AND interaction_id = $2";
    LIST_DISAGREEMENTS = "SELECT project_id, interaction_id, deployment_id, version_id, unit, step, shadow_version_id, \
                     shadow_label, shadow_output, agrees, created_at_us FROM exposures \
                     WHERE deployment_id = $1 AND agrees = FALSE ORDER BY created_at_us DESC, interaction_id DESC LIMIT $2";
    ADD_TO_ARM = "INSERT INTO experiment_arms (deployment_id, metric, step, version_id, project_id, units, outcomes, total, \
                  outcome_squares, total_squares, products) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
                  ON CONFLICT (deployment_id, metric, step, version_id) DO UPDATE SET \
                  units = experiment_arms.units + excluded.units, \
                  outcomes = experiment_arms.outcomes + excluded.outcomes, \
                  total = experiment_arms.total + excluded.total, \
                  outcome_squares = experiment_arms.outcome_squares + excluded.outcome_squares, \
                  total_squares = experiment_arms.total_squares + excluded.total_squares, \
                  products = experiment_arms.products + excluded.products";
    LIST_ARMS = "SELECT metric, step, version_id, units, outcomes, total, outcome_squares, total_squares, products \
                 FROM experiment_arms WHERE deployment_id = $1 ORDER BY metric, step, version_id";
    LIST_UNITS = "SELECT version_id, outcomes, total FROM experiment_units WHERE deployment_id = $1 AND metric = $2 \
                  AND outcomes > 0 ORDER BY first_at_us, unit LIMIT $3";
}

/// That a request got a version while several shared the traffic.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct Exposure {
    /// Its project.
    pub project_id: Uuid,
    /// The interaction that was recorded of it.
    pub interaction_id: Uuid,
    /// The deployment by which the traffic was shared.
    pub deployment_id: Uuid,
    /// The version that answered.
    pub version_id: Uuid,
    /// The conversation, person or request that the traffic is divided by, as a keyed hash.
    pub unit: Uuid,
    /// The deployment's step.
    pub step: i64,
    /// The version that was asked beside it.
    pub shadow_version_id: Option<Uuid>,
    /// The label that this one gave.
    pub shadow_label: Option<String>,
    /// The text that this one gave.
    #[sqlx(try_from = "Option<Vec<u8>>")]
    pub shadow_output: OptionalText,
    /// Whether the two said the same.
    pub agrees: Option<bool>,
    /// When.
    pub created_at_us: i64,
}

/// Which sums an outcome belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ArmKey {
    /// The deployment.
    pub deployment_id: Uuid,
    /// What was measured, by its name; `exposure` for units that got the version.
    pub metric: String,
    /// The deployment's step.
    pub step: i64,
    /// The version.
    pub version_id: Uuid,
    /// The project.
    pub project_id: Uuid,
}

/// What a unit's outcomes gain: their number and their sum.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Gain {
    /// Outcomes.
    pub outcomes: i64,
    /// Their sum.
    pub total: f64,
    /// When the first came.
    pub at_us: i64,
}

/// The sums of an arm over its units: of a unit's outcomes `n` and their sum `y`, and of `n n`, `y y`, `n y`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ArmSums {
    /// Units with an outcome.
    pub units: i64,
    /// Sum of `n`.
    pub outcomes: i64,
    /// Sum of `y`.
    pub total: f64,
    /// Sum of `n n`.
    pub outcome_squares: f64,
    /// Sum of `y y`.
    pub total_squares: f64,
    /// Sum of `n y`.
    pub products: f64,
}

impl ArmSums {
    /// Adds others to them.
    pub fn add(&mut self, other: &Self) {
        self.units += other.units;
        self.outcomes += other.outcomes;
        self.total += other.total;
        self.outcome_squares += other.outcome_squares;
        self.total_squares += other.total_squares;
        self.products += other.products;
    }

    /// Takes in that a unit went from `before` (`n`, `y`) to `after`.
    pub fn unit_changed(&mut self, before: (i64, f64), after: (i64, f64)) {
        self.units += i64::from(before.0 == 0 && after.0 > 0);
        self.outcomes += after.0 - before.0;
        self.total += after.1 - before.1;
        let (n, m) = (before.0 as f64, after.0 as f64);
        self.outcome_squares += m * m - n * n;
        self.total_squares += after.1 * after.1 - before.1 * before.1;
        self.products += m * after.1 - n * before.1;
    }
}

/// The sums of one version in one step, by what was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmRow {
    /// What was measured, by its name; `exposure` for units that got the version.
    pub metric: String,
    /// The step.
    pub step: i64,
    /// The version.
    pub version_id: Uuid,
    /// The sums.
    pub sums: ArmSums,
}

/// The name under which units that got a version are counted.
pub const EXPOSURE: &str = "exposure";

/// The name under which disagreements of a shadow are counted.
pub const DISAGREEMENT: &str = "disagreement";

/// Keeps which versions requests got, each interaction once; what a shadow said may come later.
pub async fn expose(conn: &mut Conn, exposures: &[Exposure]) -> Result<(), StorageError> {
    if exposures.is_empty() {
        return Ok(());
    }
    dialect::insert_exposures(conn, exposures).await
}

/// Which version the request of an interaction got.
pub async fn find_exposure(
    conn: &mut Conn,
    project: ProjectId,
    interaction: InteractionId,
) -> Result<Option<Exposure>, StorageError> {
    Ok(rows!(
        fetch_optional,
        conn,
        Exposure,
        FIND_EXPOSURE,
        project.0,
        interaction.0
    )?)
}

/// The latest requests where a shadow said something else than the version that answered.
pub async fn list_disagreements(
    conn: &mut Conn,
    deployment: DeploymentId,
    limit: i64,
) -> Result<Vec<Exposure>, StorageError> {
    Ok(rows!(
        fetch_all,
        conn,
        Exposure,
        LIST_DISAGREEMENTS,
        deployment.0,
        limit
    )?)
}

/// Adds to units' outcomes, each unit of an arm once, and to the sums of their arms.
pub async fn add_outcomes(
    conn: &mut Conn,
    gains: &BTreeMap<(ArmKey, Uuid), Gain>,
) -> Result<(), StorageError> {
    if gains.is_empty() {
        return Ok(());
    }
    let listed: Vec<(&ArmKey, Uuid, Gain)> = gains
        .iter()
        .map(|((arm, unit), gain)| (arm, *unit, *gain))
        .collect();
    let after = dialect::add_to_units(conn, &listed).await?;
    let mut arms: BTreeMap<&ArmKey, ArmSums> = BTreeMap::new();
    for (arm, unit, gain) in listed {
        let key = (
            arm.deployment_id,
            arm.metric.clone(),
            arm.step,
            arm.version_id,
            unit,
        );
        let (outcomes, total) = after.get(&key).copied().ok_or_else(|| StorageError::Missing {
            noun: "unit of traffic",
            id: unit.to_string(),
        })?;
        let before = (outcomes - gain.outcomes, total - gain.total);
        arms.entry(arm)
            .or_default()
            .unit_changed(before, (outcomes, total));
    }
    for (arm, sums) in arms {
        add_to_arm(conn, arm, &sums).await?;
    }
    Ok(())
}

/// Adds to the sums of an arm.
async fn add_to_arm(conn: &mut Conn, arm: &ArmKey, sums: &ArmSums) -> Result<(), StorageError> {
    execute!(
        conn,
        ADD_TO_ARM,
        arm.deployment_id,
        &arm.metric,
        arm.step,
        arm.version_id,
        arm.project_id,
        sums.units,
        sums.outcomes,
        sums.total,
        sums.outcome_squares,
        sums.total_squares,
        sums.products
    )?;
    Ok(())
}

/// The sums of a deployment's arms.
pub async fn list_arms(conn: &mut Conn, deployment: DeploymentId) -> Result<Vec<ArmRow>, StorageError> {
    type Row = (String, i64, Uuid, i64, i64, f64, f64, f64, f64);
    let rows: Vec<Row> = rows!(fetch_all, conn, Row, LIST_ARMS, deployment.0)?;
    let arm = |row: Row| ArmRow {
        metric: row.0,
        step: row.1,
        version_id: row.2,
        sums: ArmSums {
            units: row.3,
            outcomes: row.4,
            total: row.5,
            outcome_squares: row.6,
            total_squares: row.7,
            products: row.8,
        },
    };
    Ok(rows.into_iter().map(arm).collect())
}

/// The first units of a deployment with an outcome of a metric, in the order in which these came: version, number of outcomes
/// and their sum.
pub async fn list_units(
    conn: &mut Conn,
    deployment: DeploymentId,
    metric: &Metric,
    limit: i64,
) -> Result<Vec<(Uuid, i64, f64)>, StorageError> {
    Ok(rows!(
        fetch_all,
        conn,
        (Uuid, i64, f64),
        LIST_UNITS,
        deployment.0,
        metric.name().into_owned(),
        limit
    )?)
}
