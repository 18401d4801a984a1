//! The review queue: items that wait for people, who looks at them now, and what they said.

use hone_domain::{ProjectId, ReviewId, ReviewKind, ReviewReason, ReviewState, ReviewVerdict, TaskId};
use sqlx::types::{Json, Uuid};

use crate::codec::OptionalText;
use crate::{Conn, StorageError, StoredText};

macro_rules! columns {
    () => {
        "id, project_id, task_id, interaction_id, example_id, kind, reason, priority, input, output, alternative, label, \
         suggestion, details, gold_label, wanted, claimed, done, state, outcome, created_at_us, decided_at_us"
    };
}

statements! {
    INSERT = concat!("INSERT INTO reviews (", columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, \
              $13, $14, $15, $16, $17, $18, $19, $20, $21, $22) ON CONFLICT DO NOTHING");
    FIND = concat!("SELECT ", columns!(), " FROM reviews WHERE project_id = $1 AND id = $2");
    FIND_OF = concat!("SELECT ", columns!(), " FROM reviews WHERE task_id = $1 AND kind = $2 \
              AND (interaction_id = $3 OR example_id = $4)");
    REOPEN = "UPDATE reviews SET reason = $2, priority = $3, label = $4, suggestion = $5, details = $6, state = 'open' \
              WHERE id = $1 AND (state = 'dropped' OR (state = 'open' AND claimed = 0 AND done = 0))";
    SET_PRIORITY = "UPDATE reviews SET priority = $2, suggestion = $3 WHERE id = $1 AND state = 'open'";
    LIST_OPEN = concat!("SELECT ", columns!(), " FROM reviews WHERE task_id = $1 AND state = 'open' \
              AND ((priority, id) < (SELECT priority, id FROM reviews WHERE id = $2) OR $2 IS NULL) \
              AND (reason = $3 OR $3 IS NULL) AND (kind = $4 OR $4 IS NULL) AND (label = $5 OR $5 IS NULL) \
              ORDER BY priority DESC, id DESC LIMIT $6");
    LIST = concat!("SELECT ", columns!(), " FROM reviews WHERE task_id = $1 \
              AND ((created_at_us, id) < (SELECT created_at_us, id FROM reviews WHERE id = $2) OR $2 IS NULL) \
              AND (reason = $3 OR $3 IS NULL) AND (kind = $4 OR $4 IS NULL) AND (label = $5 OR $5 IS NULL) \
              AND (state = $6 OR $6 IS NULL) ORDER BY created_at_us DESC, id DESC LIMIT $7");
    LIST_CLAIMABLE = concat!("SELECT ", columns!(), " FROM reviews WHERE task_id = $1 AND state = 'open' \
              AND claimed + done < wanted AND (reason = $2 OR $2 IS NULL) AND (kind = $3 OR $3 IS NULL) \
              AND (label = $4 OR $4 IS NULL) AND (gold_label IS NOT NULL) = $5 \
              AND NOT EXISTS (SELECT 1 FROM review_claims AS c WHERE c.review_id = reviews.id AND c.reviewer = $6) \
              AND NOT EXISTS (SELECT 1 FROM review_answers AS a WHERE a.review_id = reviews.id AND a.reviewer = $6) \
              ORDER BY priority DESC, id LIMIT $7");
    TAKE = "UPDATE reviews SET claimed = claimed + 1 WHERE id = $1 AND state = 'open' AND claimed + done < wanted";
    INSERT_CLAIM = "INSERT INTO review_claims (review_id, reviewer, project_id, task_id, token, claimed_at_us, until_us) \
              VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (review_id, reviewer) DO NOTHING";
    FIND_CLAIM = "SELECT review_id, reviewer, token, claimed_at_us, until_us FROM review_claims \
              WHERE review_id = $1 AND token = $2";
    DELETE_CLAIM = "DELETE FROM review_claims WHERE review_id = $1 AND token = $2";
    DELETE_STALE = "DELETE FROM review_claims WHERE task_id = $1 AND until_us < $2 RETURNING review_id";
    GIVE_BACK = "UPDATE reviews SET claimed = claimed - 1, done = done + $2 WHERE id = $1";
    INSERT_ANSWER = "INSERT INTO review_answers (id, review_id, reviewer, project_id, task_id, verdict, label, text, \
              comment, took_us, is_gold_right, created_at_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
              ON CONFLICT (review_id, reviewer) DO NOTHING";
    LIST_ANSWERS = "SELECT id, review_id, reviewer, verdict, label, text, comment, took_us, is_gold_right, created_at_us \
              FROM review_answers WHERE review_id = $1 ORDER BY created_at_us, id";
    LIST_ANSWERS_OF_TASK = "SELECT a.id, a.review_id, a.reviewer, a.verdict, a.label, a.text, a.comment, a.took_us, \
              a.is_gold_right, a.created_at_us FROM review_answers AS a WHERE a.task_id = $1 AND a.created_at_us >= $2 \
              AND (a.reviewer = $3 OR $3 IS NULL) ORDER BY a.created_at_us DESC, a.id DESC LIMIT $4";
    CLOSE = "UPDATE reviews SET state = $2, outcome = $3, decided_at_us = $4 WHERE id = $1 AND state IN ('open', 'disputed')";
    WANT_MORE = "UPDATE reviews SET wanted = wanted + 1 WHERE id = $1";
    COUNT_OPEN = "SELECT reason, COUNT(*) FROM reviews WHERE task_id = $1 AND state = 'open' GROUP BY reason";
    DROP_LEAST = "UPDATE reviews SET state = 'dropped' WHERE state = 'open' AND claimed = 0 AND done = 0 AND id IN (SELECT id FROM reviews WHERE task_id = $1 \
              AND state = 'open' AND reason = $2 AND gold_label IS NULL AND claimed = 0 AND done = 0 \
              ORDER BY priority, id LIMIT $3)";
    GET_PROGRESS = "SELECT after_us, after_id FROM review_progress WHERE task_id = $1";
    SET_PROGRESS = "INSERT INTO review_progress (task_id, project_id, after_us, after_id) VALUES ($1, $2, $3, $4) \
              ON CONFLICT (task_id) DO UPDATE SET after_us = excluded.after_us, after_id = excluded.after_id";
}

/// Something that people are asked about.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Review {
    /// Its id.
    pub id: Uuid,
    /// Its project.
    pub project_id: Uuid,
    /// Its task.
    pub task_id: Uuid,
    /// The interaction that is asked about.
    pub interaction_id: Option<Uuid>,
    /// The example that is asked about, where it came from no interaction.
    pub example_id: Option<Uuid>,
    /// What is asked.
    #[sqlx(try_from = "String")]
    pub kind: ReviewKind,
    /// Why it is asked.
    #[sqlx(try_from = "String")]
    pub reason: ReviewReason,
    /// The higher, the earlier it is asked, 0 to 1.
    pub priority: f64,
    /// What was asked of the model.
    #[sqlx(try_from = "Vec<u8>")]
    pub input: StoredText,
    /// What was answered; the first answer of a pair.
    #[sqlx(try_from = "Option<Vec<u8>>")]
    pub output: OptionalText,
    /// The second answer of a pair.
    #[sqlx(try_from = "Option<Vec<u8>>")]
    pub alternative: OptionalText,
    /// The label that is there.
    pub label: Option<String>,
    /// The label that is suggested.
    pub suggestion: Option<String>,
    /// What speaks for asking, such as probabilities and neighbours.
    #[sqlx(json(nullable))]
    pub details: Option<serde_json::Value>,
    /// The label that is known to be right, where reviewers are to be measured.
    pub gold_label: Option<String>,
    /// How many people are to look at it.
    pub wanted: i64,
    /// How many look at it now.
    pub claimed: i64,
    /// How many have.
    pub done: i64,
    /// Where it stands.
    #[sqlx(try_from = "String")]
    pub state: ReviewState,
    /// What was decided.
    #[sqlx(json(nullable))]
    pub outcome: Option<serde_json::Value>,
    /// When it was put into the queue.
    pub created_at_us: i64,
    /// When it was decided.
    pub decided_at_us: Option<i64>,
}

/// That somebody looks at an item.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Claim {
    /// The item.
    pub review_id: Uuid,
    /// Who looks at it.
    pub reviewer: String,
    /// What an answer shows.
    pub token: Uuid,
    /// Since when.
    pub claimed_at_us: i64,
    /// Until when.
    pub until_us: i64,
}

/// What somebody said.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct ReviewAnswer {
    /// Its id.
    pub id: Uuid,
    /// The item.
    pub review_id: Uuid,
    /// Who said it.
    pub reviewer: String,
    /// What was said.
    #[sqlx(try_from = "String")]
    pub verdict: ReviewVerdict,
    /// The label that is right.
    pub label: Option<String>,
    /// The answer that is right.
    #[sqlx(try_from = "Option<Vec<u8>>")]
    pub text: OptionalText,
    /// A remark.
    #[sqlx(try_from = "Option<Vec<u8>>")]
    pub comment: OptionalText,
    /// How long it took from the claim on.
    pub took_us: Option<i64>,
    /// Whether it is what is known to be right.
    pub is_gold_right: Option<bool>,
    /// When it was said.
    pub created_at_us: i64,
}

/// Adds an item; false where there is one on the same interaction or example.
pub async fn insert(conn: &mut Conn, review: &Review) -> Result<bool, StorageError> {
    let added = execute!(
        conn,
        INSERT,
        review.id,
        review.project_id,
        review.task_id,
        review.interaction_id,
        review.example_id,
        review.kind.as_str(),
        review.reason.as_str(),
        review.priority,
        StoredText::encode(&review.input.0),
        StoredText::encode_option(review.output.0.as_deref()),
        StoredText::encode_option(review.alternative.0.as_deref()),
        &review.label,
        &review.suggestion,
        review.details.as_ref().map(Json),
        &review.gold_label,
        review.wanted,
        review.claimed,
        review.done,
        review.state.as_str(),
        review.outcome.as_ref().map(Json),
        review.created_at_us,
        review.decided_at_us
    )?;
    Ok(added > 0)
}

/// The item on this interaction or example.
pub async fn find_of(
    conn: &mut Conn,
    task: TaskId,
    kind: ReviewKind,
    interaction: Option<Uuid>,
    example: Option<Uuid>,
) -> Result<Option<Review>, StorageError> {
    Ok(rows!(
        fetch_optional,
        conn,
        Review,
        FIND_OF,
        task.0,
        kind.as_str(),
        interaction,
        example
    )?)
}

/// Asks about an item for another reason, unless it is settled or somebody is looking at it.
pub async fn reopen(conn: &mut Conn, id: Uuid, review: &Review) -> Result<bool, StorageError> {
    let details = review.details.as_ref().map(Json);
    let reopened = execute!(
        conn,
        REOPEN,
        id,
        review.reason.as_str(),
        review.priority,
        &review.label,
        &review.suggestion,
        details
    )?;
    Ok(reopened > 0)
}

/// Moves an open item in the queue.
pub async fn set_priority(
    conn: &mut Conn,
    id: Uuid,
    priority: f64,
    suggestion: Option<&str>,
) -> Result<(), StorageError> {
    execute!(conn, SET_PRIORITY, id, priority, suggestion)?;
    Ok(())
}

/// The item with this id.
pub async fn find(conn: &mut Conn, project: ProjectId, id: ReviewId) -> Result<Option<Review>, StorageError> {
    Ok(rows!(fetch_optional, conn, Review, FIND, project.0, id.0)?)
}

/// What to list; absent fields do not restrict.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only for this reason.
    pub reason: Option<ReviewReason>,
    /// Only of this kind.
    pub kind: Option<ReviewKind>,
    /// Only with this label.
    pub label: Option<String>,
}

/// Items of a task after `after`: open ones as they are asked, others the latest first.
pub async fn list(
    conn: &mut Conn,
    task: TaskId,
    state: Option<ReviewState>,
    filter: &Filter,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Review>, StorageError> {
    let (reason, kind) = (
        filter.reason.map(ReviewReason::as_str),
        filter.kind.map(ReviewKind::as_str),
    );
    let label = filter.label.as_deref();
    let found = if state == Some(ReviewState::Open) {
        rows!(
            fetch_all, conn, Review, LIST_OPEN, task.0, after, reason, kind, label, limit
        )?
    } else {
        let state = state.map(ReviewState::as_str);
        rows!(
            fetch_all, conn, Review, LIST, task.0, after, reason, kind, label, state, limit
        )?
    };
    Ok(found)
}

/// Items that somebody may look at, in the order in which they are asked; those with a known answer or those without.
pub async fn list_claimable(
    conn: &mut Conn,
    task: TaskId,
    filter: &Filter,
    reviewer: &str,
    is_gold: bool,
    limit: i64,
) -> Result<Vec<Review>, StorageError> {
    let (reason, kind) = (
        filter.reason.map(ReviewReason::as_str),
        filter.kind.map(ReviewKind::as_str),
    );
    Ok(rows!(
        fetch_all,
        conn,
        Review,
        LIST_CLAIMABLE,
        task.0,
        reason,
        kind,
        filter.label.as_deref(),
        is_gold,
        reviewer,
        limit
    )?)
}

/// Gives an item to somebody; false when as many as are wanted look at it or have.
pub async fn claim(conn: &mut Conn, review: &Review, claim: &Claim) -> Result<bool, StorageError> {
    if execute!(conn, TAKE, review.id)? == 0 {
        return Ok(false);
    }
    let added = execute!(
        conn,
        INSERT_CLAIM,
        review.id,
        &claim.reviewer,
        review.project_id,
        review.task_id,
        claim.token,
        claim.claimed_at_us,
        claim.until_us
    )?;
    if added == 0 {
        // The same reviewer has it already, from another window.
        execute!(conn, GIVE_BACK, review.id, 0i64)?;
    }
    Ok(added > 0)
}

/// The claim with this token.
pub async fn find_claim(conn: &mut Conn, id: ReviewId, token: Uuid) -> Result<Option<Claim>, StorageError> {
    Ok(rows!(fetch_optional, conn, Claim, FIND_CLAIM, id.0, token)?)
}

/// Ends a claim, with a review or without; false when there is none with this token.
pub async fn end_claim(
    conn: &mut Conn,
    id: ReviewId,
    token: Uuid,
    is_reviewed: bool,
) -> Result<bool, StorageError> {
    if execute!(conn, DELETE_CLAIM, id.0, token)? == 0 {
        return Ok(false);
    }
    execute!(conn, GIVE_BACK, id.0, i64::from(is_reviewed))?;
    Ok(true)
}

/// Ends the claims of a task that have run out; gives how many.
pub async fn release_stale(conn: &mut Conn, task: TaskId, now_us: i64) -> Result<usize, StorageError> {
    let mut stale: Vec<Uuid> = rows!(fetch_all, conn, (Uuid,), DELETE_STALE, task.0, now_us)?
        .into_iter()
        .map(|(id,)| id)
        .collect();
    stale.sort_unstable();
    for id in &stale {
        execute!(conn, GIVE_BACK, id, 0i64)?;
    }
    Ok(stale.len())
}

/// Adds what somebody said; false when they have said something before.
pub async fn insert_answer(
    conn: &mut Conn,
    review: &Review,
    answer: &ReviewAnswer,
) -> Result<bool, StorageError> {
    let added = execute!(
        conn,
        INSERT_ANSWER,
        answer.id,
        review.id,
        &answer.reviewer,
        review.project_id,
        review.task_id,
        answer.verdict.as_str(),
        &answer.label,
        StoredText::encode_option(answer.text.0.as_deref()),
        StoredText::encode_option(answer.comment.0.as_deref()),
        answer.took_us,
        answer.is_gold_right,
        answer.created_at_us
    )?;
    Ok(added > 0)
}

/// What was said of an item, earliest first.
pub async fn list_answers(conn: &mut Conn, id: ReviewId) -> Result<Vec<ReviewAnswer>, StorageError> {
    Ok(rows!(fetch_all, conn, ReviewAnswer, LIST_ANSWERS, id.0)?)
}

/// What was said in a task since then, by one reviewer or all, latest first.
pub async fn list_answers_of_task(
    conn: &mut Conn,
    task: TaskId,
    since_us: i64,
    reviewer: Option<&str>,
    limit: i64,
) -> Result<Vec<ReviewAnswer>, StorageError> {
    Ok(rows!(
        fetch_all,
        conn,
        ReviewAnswer,
        LIST_ANSWERS_OF_TASK,
        task.0,
        since_us,
        reviewer,
        limit
    )?)
}

/// Settles an item, or says that it is disputed; false when it is settled already.
pub async fn close(
    conn: &mut Conn,
    id: ReviewId,
    state: ReviewState,
    outcome: Option<&serde_json::Value>,
    now_us: i64,
) -> Result<bool, StorageError> {
    Ok(execute!(conn, CLOSE, id.0, state.as_str(), outcome.map(Json), now_us)? > 0)
}

/// Asks one more person about an item.
pub async fn want_more(conn: &mut Conn, id: ReviewId) -> Result<(), StorageError> {
    execute!(conn, WANT_MORE, id.0)?;
    Ok(())
}

/// How many open items there are for each reason.
pub async fn count_open(conn: &mut Conn, task: TaskId) -> Result<Vec<(String, i64)>, StorageError> {
    Ok(rows!(fetch_all, conn, (String, i64), COUNT_OPEN, task.0)?)
}

/// Takes so many open items off the queue at which nobody has looked, those with the least priority.
pub async fn drop_least(
    conn: &mut Conn,
    task: TaskId,
    reason: ReviewReason,
    count: i64,
) -> Result<(), StorageError> {
    execute!(conn, DROP_LEAST, task.0, reason.as_str(), count)?;
    Ok(())
}

/// Up to which interaction the queue has been filled: its time of recording and its id.
pub async fn get_progress(conn: &mut Conn, task: TaskId) -> Result<Option<(i64, Uuid)>, StorageError> {
    Ok(rows!(fetch_optional, conn, (i64, Uuid), GET_PROGRESS, task.0)?)
}

/// Notes up to which interaction the queue has been filled.
pub async fn set_progress(
    conn: &mut Conn,
    project: ProjectId,
    task: TaskId,
    after: (i64, Uuid),
) -> Result<(), StorageError> {
    execute!(conn, SET_PROGRESS, task.0, project.0, after.0, after.1)?;
    Ok(())
}
