//! `hone review`: the review queue in the terminal, with single keys.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::process::ExitCode;

use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers, read};
use crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use hone_domain::{HOUR_US, ReviewKind, ReviewState, ReviewVerdict, TaskKind};
use hone_engine::{ClaimedReview, EngineError, NewReviewAnswer, ReviewStatistics};
use hone_storage::reviews::{Filter, Review};
use hone_storage::tasks::Task;
use serde_json::{Value, json};

use crate::app::App;
use crate::args::ReviewArgs;
use crate::output::{Output, shortened};

pub(super) async fn run(app: &App, args: &ReviewArgs, output: Output) -> anyhow::Result<ExitCode> {
    let task = app.engine.get_task(app.project, &args.task).await?;
    if args.statistics {
        let since_us = app.engine.ids.now_us() - args.days * 24 * HOUR_US;
        let statistics = app.engine.review_statistics(&task, since_us).await?;
        output.result(&serde_json::to_value(&statistics)?, || print(&statistics, output));
        return Ok(ExitCode::SUCCESS);
    }
    let reviewer = args.reviewer.as_str();
    let filter = Filter {
        reason: args.reason,
        kind: None,
        label: args.label.clone(),
    };
    let (mut answered, mut skipped) = (0, 0);
    loop {
        let claimed = app.engine.claim_reviews(&task, reviewer, &filter, 1).await?;
        let Some(claimed) = claimed.into_iter().next() else {
            output.say("nothing waits for you");
            break;
        };
        show(&task, &claimed.review, output);
        let (task_kind, review) = (task.kind, claimed.review.clone());
        let choice = tokio::task::spawn_blocking(move || ask(task_kind, &review)).await??;
        let Some(answer) = choice else {
            give_back(app, &claimed).await?;
            break;
        };
        let verdict = answer.verdict;
        match answer_one(app, &claimed, answer).await {
            Ok(state) if verdict == ReviewVerdict::Skip => {
                skipped += 1;
                output.say(format!("skipped ({state})"));
            }
            Ok(state) => {
                answered += 1;
                output.say(format!("{verdict} ({state})"));
            }
            // Another word is wanted, such as a label that can be one; the item comes again.
            Err(error) => {
                output.error(&format!("{error:#}"));
                give_back(app, &claimed).await?;
            }
        }
    }
    output.result(&json!({ "answered": answered, "skipped": skipped }), || {
        output.raw(&format!("{answered} answered, {skipped} skipped by {reviewer}"));
    });
    Ok(ExitCode::SUCCESS)
}

async fn answer_one(
    app: &App,
    claimed: &ClaimedReview,
    answer: NewReviewAnswer,
) -> anyhow::Result<ReviewState> {
    let id = claimed.review.id.into();
    let progress = app
        .engine
        .answer_review(app.project, id, claimed.token, answer)
        .await?;
    Ok(progress.state)
}

async fn give_back(app: &App, claimed: &ClaimedReview) -> anyhow::Result<()> {
    let id = claimed.review.id.into();
    match app.engine.release_review(app.project, id, claimed.token).await {
        // The claim has run out: somebody else has it.
        Ok(()) | Err(EngineError::Conflict(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Prints an item with what can be said of it.
fn show(task: &Task, review: &Review, output: Output) {
    output.say(visible(&format!("\n── {} ──────────────", review.reason)));
    output.say(visible(&format!("asked     {}", review.input.0)));
    if review.kind == ReviewKind::Pair {
        output.say(visible(&format!(
            "first     {}",
            review.output.0.as_deref().unwrap_or("")
        )));
        output.say(visible(&format!(
            "second    {}",
            review.alternative.0.as_deref().unwrap_or("")
        )));
        return;
    }
    if task.kind == TaskKind::Generate {
        output.say(visible(&format!(
            "answered  {}",
            review.output.0.as_deref().unwrap_or("")
        )));
    } else if let Some(label) = &review.label {
        output.say(visible(&format!("label     {label}")));
    }
    for (number, label) in alternatives(review).iter().enumerate() {
        output.say(visible(&format!("     {}    {label}", number + 1)));
    }
    for neighbour in list(review, "neighbours") {
        let text = neighbour["input"].as_str().unwrap_or_default();
        output.say(visible(&format!("  like    {}", shortened(text, 90))));
    }
    if let Some(said) = review
        .details
        .as_ref()
        .and_then(|details| details["said"].as_str())
    {
        output.say(visible(&format!("said      {said}")));
    }
}

/// A recorded text without what would steer the terminal.
fn visible(text: &str) -> String {
    let shown = |character: char| {
        if character.is_control() && character != '\n' {
            '\u{fffd}'
        } else {
            character
        }
    };
    text.chars().map(shown).collect()
}

fn list<'a>(review: &'a Review, name: &str) -> &'a [Value] {
    let list = review
        .details
        .as_ref()
        .and_then(|details| details[name].as_array());
    list.map_or(&[], Vec::as_slice)
}

/// Labels to choose from by their number: what is suggested first, then what the model holds for probable.
fn alternatives(review: &Review) -> Vec<String> {
    let mut labels: Vec<String> = review.suggestion.iter().cloned().collect();
    let probable = list(review, "alternatives")
        .iter()
        .filter_map(|pair| pair[0].as_str().map(str::to_owned));
    for label in probable {
        if !labels.contains(&label) {
            labels.push(label);
        }
    }
    labels.truncate(9);
    labels
}

/// Asks for a key until it means something. `None` ends the session.
fn ask(kind: TaskKind, review: &Review) -> anyhow::Result<Option<NewReviewAnswer>> {
    let mut keys = Keys::new();
    let labels = alternatives(review);
    let mut comment = None;
    loop {
        let prompt = if review.kind == ReviewKind::Pair {
            "[1] first  [2] second  [t]ie  [s]kip  [k] comment  [q]uit "
        } else {
            "[a]pprove  [c]orrect  [r]eject  [s]kip  [k] comment  [q]uit "
        };
        let Some(key) = keys.key(prompt)? else {
            return Ok(None);
        };
        let verdict = match (review.kind, key) {
            (_, 'q') => return Ok(None),
            (_, 's') => ReviewVerdict::Skip,
            (_, 'k') => {
                comment = keys.line("comment: ")?.filter(|text| !text.is_empty());
                continue;
            }
            (ReviewKind::Pair, '1') => ReviewVerdict::First,
            (ReviewKind::Pair, '2') => ReviewVerdict::Second,
            (ReviewKind::Pair, 't') => ReviewVerdict::Tie,
            (ReviewKind::Answer, 'a') => ReviewVerdict::Approve,
            (ReviewKind::Answer, 'r') => ReviewVerdict::Reject,
            (ReviewKind::Answer, 'c' | '1'..='9') => ReviewVerdict::Correct,
            _ => continue,
        };
        let mut answer = NewReviewAnswer {
            comment: comment.take(),
            ..NewReviewAnswer::new(verdict)
        };
        if verdict == ReviewVerdict::Correct {
            let chosen = key
                .to_digit(10)
                .and_then(|number| labels.get(number as usize - 1));
            let said = match (chosen, key) {
                (Some(label), _) => Some(label.clone()),
                (None, 'c') if kind == TaskKind::Classify => keys.line("right label: ")?,
                (None, 'c') => keys.line("right answer: ")?,
                (None, _) => continue,
            };
            let Some(said) = said.filter(|said| !said.is_empty()) else {
                continue;
            };
            match kind {
                TaskKind::Classify => answer.label = Some(said),
                TaskKind::Generate => answer.text = Some(said),
            }
        }
        return Ok(Some(answer));
    }
}

/// Where keys come from: a terminal one by one, anything else line by line.
struct Keys {
    is_terminal: bool,
}

impl Keys {
    fn new() -> Self {
        Self {
            is_terminal: std::io::stdin().is_terminal(),
        }
    }

    /// The next key, or nothing at the end.
    fn key(&mut self, prompt: &str) -> anyhow::Result<Option<char>> {
        if !self.is_terminal {
            return Ok(self.line("")?.map(|line| line.chars().next().unwrap_or(' ')));
        }
        write!(std::io::stderr(), "{prompt}")?;
        std::io::stderr().flush()?;
        enable_raw_mode()?;
        let key = read_key();
        disable_raw_mode()?;
        writeln!(std::io::stderr())?;
        key
    }

    #[expect(clippy::unused_self, reason = "beside `key`, which needs to know where from")]
    fn line(&mut self, prompt: &str) -> anyhow::Result<Option<String>> {
        write!(std::io::stderr(), "{prompt}")?;
        std::io::stderr().flush()?;
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line)?;
        Ok((read > 0).then(|| line.trim().to_owned()))
    }
}

fn read_key() -> anyhow::Result<Option<char>> {
    loop {
        let Event::Key(key) = read()? else { continue };
        if key.kind == KeyEventKind::Release {
            continue;
        }
        match key.code {
            KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => return Ok(None),
            KeyCode::Char(letter) => return Ok(Some(letter.to_ascii_lowercase())),
            KeyCode::Esc => return Ok(None),
            _ => {}
        }
    }
}

fn print(statistics: &ReviewStatistics, output: Output) {
    let number = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.2}"));
    for (reason, count) in &statistics.open {
        output.raw(&format!("{count:>6}  open: {reason}"));
    }
    output.raw(&format!(
        "{:>6}  reviews, {} items judged by two or more, alpha {}",
        statistics.reviews,
        statistics.shared,
        statistics
            .alpha
            .map_or_else(|| "unknown".to_owned(), |alpha| format!("{alpha:.3}"))
    ));
    let cells = statistics.reviewers.iter().map(|pace| {
        vec![
            pace.reviewer.clone(),
            pace.reviews.to_string(),
            pace.skipped.to_string(),
            number(pace.median_s),
            number(pace.per_hour),
            pace.gold.to_string(),
            number(pace.gold_right),
            number(pace.with_majority),
        ]
    });
    let headers = [
        "reviewer",
        "reviews",
        "skipped",
        "seconds",
        "an hour",
        "gold",
        "right",
        "with majority",
    ];
    output.table(&headers, cells.collect());
    if !statistics.pairs.is_empty() {
        let cells = statistics.pairs.iter().map(|pair| {
            let (a, b) = &pair.reviewers;
            vec![
                format!("{a}, {b}"),
                pair.shared.to_string(),
                format!("{:.2}", pair.same),
                number(pair.kappa),
            ]
        });
        output.table(&["reviewers", "shared", "same", "kappa"], cells.collect());
    }
}
