//! Counts and sums by minute, hour and day, of tasks as a whole and broken down, kept up in the transactions that record: a page
//! costs the same at a thousand and at a hundred million interactions.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use hone_domain::{Dimension, Grain, Measure, Sums, TaskId};
use sqlx::types::Uuid;
use sqlx::{ColumnIndex, Decode, FromRow, Row, Type};

use crate::{Conn, StorageError, dialect};

statements! {
    ADD_SCORE = "INSERT INTO rollup_scores (project_id, task_id, grain, dimension, at_us, value, name, scores, total) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
                 ON CONFLICT (task_id, grain, dimension, at_us, value, name) DO UPDATE SET \
                 scores = rollup_scores.scores + excluded.scores, total = rollup_scores.total + excluded.total";
    LIST_SCORES = "SELECT value, name, CAST(SUM(scores) AS BIGINT) AS scores, SUM(total) AS total FROM rollup_scores \
                   WHERE task_id = $1 AND grain = $2 AND dimension = $3 AND at_us >= $4 AND at_us < $5 \
                   GROUP BY value, name ORDER BY value, name";
    PRUNE = "DELETE FROM rollups WHERE task_id = $1 AND grain = $2 AND dimension = $3 AND at_us < $4";
    PRUNE_SCORES = "DELETE FROM rollup_scores WHERE task_id = $1 AND grain = $2 AND dimension = $3 AND at_us < $4";
    SPAN = "SELECT MIN(at_us) AS first_us, MAX(at_us) AS last_us FROM rollups \
            WHERE task_id = $1 AND grain = $2 AND dimension = $3";
}

const WHERE: &str =
    "FROM rollups WHERE task_id = $1 AND grain = $2 AND dimension = $3 AND at_us >= $4 AND at_us < $5";

static LIST: LazyLock<String> = LazyLock::new(|| {
    let columns = Measure::COLUMNS.join(", ");
    format!("SELECT at_us, value, {columns} {WHERE} ORDER BY at_us, value")
});
static TOTALS: LazyLock<String> = LazyLock::new(|| {
    let sums: Vec<String> = Measure::COLUMNS
        .iter()
        .map(|column| format!("CAST(SUM({column}) AS BIGINT)"))
        .collect();
    let sums = sums.join(", ");
    format!(
        "SELECT MIN(at_us), value, {sums} {WHERE} GROUP BY value ORDER BY SUM(interactions) DESC, value LIMIT $6"
    )
});

/// The statements that are put together from the names of the measures.
pub(crate) fn composed_statements() -> [&'static str; 2] {
    [&LIST, &TOTALS]
}

/// Whose counts they are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RollupKey {
    /// The project.
    pub project_id: Uuid,
    /// The task.
    pub task_id: Uuid,
    /// Length of the stretch of time.
    pub grain: Grain,
    /// What they are broken down by.
    pub dimension: Dimension,
    /// When the stretch begins.
    pub at_us: i64,
    /// Which version, action type, label or source; empty for all.
    pub value: String,
}

/// What was counted of one value in one stretch of time, or in several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollup {
    /// When the (first) stretch begins.
    pub at_us: i64,
    /// Which version, action type, label or source; empty for all.
    pub value: String,
    /// Counts and sums.
    pub sums: Sums,
}

impl<'r, R: Row> FromRow<'r, R> for Rollup
where
    usize: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> sqlx::Result<Self> {
        let mut sums = Sums::default();
        for (number, place) in sums.0.iter_mut().enumerate() {
            *place = row.try_get(number + 2)?;
        }
        Ok(Self {
            at_us: row.try_get(0)?,
            value: row.try_get(1)?,
            sums,
        })
    }
}

/// What was counted of a named score.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct ScoreTotal {
    /// Which version, action type, label or source; empty for all.
    pub value: String,
    /// Name of the score.
    pub name: String,
    /// How many.
    pub scores: i64,
    /// Their sum.
    pub total: f64,
}

/// A stretch of time of a task, and how it is broken down.
#[derive(Debug, Clone, Copy)]
pub struct Stretch {
    /// The task.
    pub task: TaskId,
    /// Length of what is added up.
    pub grain: Grain,
    /// What it is broken down by.
    pub dimension: Dimension,
    /// Its first moment, at the start of a minute, hour or day.
    pub from_us: i64,
    /// The moment after it.
    pub to_us: i64,
}

impl Stretch {
    /// All of a task at all times.
    pub const fn ever(task: TaskId) -> Self {
        Self {
            task,
            grain: Grain::Day,
            dimension: Dimension::All,
            from_us: i64::MIN,
            to_us: i64::MAX,
        }
    }

    /// All of a task by the hour, from then on.
    pub const fn hours_since(task: TaskId, from_us: i64) -> Self {
        Self {
            task,
            grain: Grain::Hour,
            dimension: Dimension::All,
            from_us,
            to_us: i64::MAX,
        }
    }
}

/// Adds counts and sums, each key once.
pub async fn add_many(conn: &mut Conn, added: &BTreeMap<RollupKey, Sums>) -> Result<(), StorageError> {
    let rows: Vec<(&RollupKey, &Sums)> = added.iter().collect();
    dialect::add_rollups(conn, &rows).await
}

/// Adds named scores: their number and sum by key and name.
pub async fn add_scores(
    conn: &mut Conn,
    added: &BTreeMap<(RollupKey, String), (i64, f64)>,
) -> Result<(), StorageError> {
    for ((key, name), (scores, total)) in added {
        let (grain, dimension) = (key.grain.as_str(), key.dimension.as_str());
        execute!(
            conn,
            ADD_SCORE,
            key.project_id,
            key.task_id,
            grain,
            dimension,
            key.at_us,
            &key.value,
            name,
            scores,
            total
        )?;
    }
    Ok(())
}

/// Every minute, hour or day of a stretch in which something was counted, in order.
pub async fn list(conn: &mut Conn, stretch: &Stretch) -> Result<Vec<Rollup>, StorageError> {
    let Stretch { from_us, to_us, .. } = *stretch;
    let (grain, dimension) = (stretch.grain.as_str(), stretch.dimension.as_str());
    Ok(rows!(
        fetch_all,
        conn,
        Rollup,
        LIST.as_str(),
        stretch.task.0,
        grain,
        dimension,
        from_us,
        to_us
    )?)
}

/// The whole stretch by value, the value with the most interactions first.
pub async fn list_totals(
    conn: &mut Conn,
    stretch: &Stretch,
    limit: i64,
) -> Result<Vec<Rollup>, StorageError> {
    let Stretch { from_us, to_us, .. } = *stretch;
    let (grain, dimension) = (stretch.grain.as_str(), stretch.dimension.as_str());
    Ok(rows!(
        fetch_all,
        conn,
        Rollup,
        TOTALS.as_str(),
        stretch.task.0,
        grain,
        dimension,
        from_us,
        to_us,
        limit
    )?)
}

/// The named scores of a stretch by value.
pub async fn list_scores(conn: &mut Conn, stretch: &Stretch) -> Result<Vec<ScoreTotal>, StorageError> {
    let Stretch { from_us, to_us, .. } = *stretch;
    let (grain, dimension) = (stretch.grain.as_str(), stretch.dimension.as_str());
    Ok(rows!(
        fetch_all,
        conn,
        ScoreTotal,
        LIST_SCORES,
        stretch.task.0,
        grain,
        dimension,
        from_us,
        to_us
    )?)
}

/// When something was counted first and last, at this grain.
pub async fn find_span(
    conn: &mut Conn,
    task: TaskId,
    grain: Grain,
) -> Result<Option<(i64, i64)>, StorageError> {
    let dimension = Dimension::All.as_str();
    let (first_us, last_us) = rows!(
        fetch_one,
        conn,
        (Option<i64>, Option<i64>),
        SPAN,
        task.0,
        grain.as_str(),
        dimension
    )?;
    Ok(first_us.zip(last_us))
}

/// Forgets what is older.
pub async fn prune(conn: &mut Conn, task: TaskId, grain: Grain, before_us: i64) -> Result<(), StorageError> {
    for dimension in Dimension::ALL {
        let (grain, dimension) = (grain.as_str(), dimension.as_str());
        execute!(conn, PRUNE, task.0, grain, dimension, before_us)?;
        execute!(conn, PRUNE_SCORES, task.0, grain, dimension, before_us)?;
    }
    Ok(())
}
