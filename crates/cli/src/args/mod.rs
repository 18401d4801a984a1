//! The command line.

mod deployments;
mod observe;
mod schedules;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

pub(crate) use deployments::{DeployArgs, DeploymentArgs, DeploymentCommand, RollbackArgs};
pub(crate) use observe::{AlertsCommand, MetricsArgs, RouteCommand, RuleCommand, SnapshotArgs};
pub(crate) use schedules::{ReportArgs, ScheduleCommand};

/// Hone makes an AI feature better with every use: it records, collects feedback, curates, trains, evaluates and puts a
/// better model live.
#[derive(Debug, Parser)]
#[command(
    name = "hone",
    version,
    max_term_width = 110,
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage, \
    3 input refused, 4 not found, 5 the gate refused the new version."
)]
pub(crate) struct Args {
    /// Configuration file; hone.toml is read when it is there.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder of the database and the models.
    #[arg(long, global = true, value_name = "FOLDER")]
    pub data: Option<PathBuf>,
    /// Database: a file, or postgres://…
    #[arg(long, global = true, value_name = "URL")]
    pub database: Option<String>,
    /// Project to work in.
    #[arg(long, global = true, value_name = "NAME")]
    pub project: Option<String>,
    /// Print JSON for programs in place of tables.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the whole loop on an empty machine, in seconds.
    Demo(DemoArgs),
    /// Make the database, the project and a first API key.
    Init,
    /// Serve the API and the pages, and run background jobs.
    Serve(ServeArgs),
    /// Run background jobs alone.
    Worker,
    /// Make, list and revoke API keys.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Show or set what the project or one of its keys may use in a minute and in a day.
    Limits(LimitsArgs),
    /// Make, list, show and configure tasks.
    #[command(subcommand)]
    Task(TaskCommand),
    /// Register a version of a generate task from a JSON file: model, prompt, parameters, examples.
    Register(RegisterArgs),
    /// Bring examples in from JSONL, JSON, CSV or Parquet.
    Import(ImportArgs),
    /// Bring in interactions and feedback from an export of another tool.
    History(HistoryArgs),
    /// Write a task's examples or preferences to a file of any size.
    Export(ExportArgs),
    /// Check a file to train on line by line before it is used.
    Check(CheckArgs),
    /// Turn new feedback into examples now, or show what that would change.
    Curate(CurateArgs),
    /// List examples with the reason of each decision, and decide on them by hand.
    #[command(subcommand)]
    Examples(ExamplesCommand),
    /// Freeze, list, compare, tag, back up and restore datasets, and write dated snapshot files.
    #[command(subcommand)]
    Datasets(DatasetsCommand),
    /// Show what people ask about, what goes wrong again and again, and what no label is for.
    Topics(TopicsArgs),
    /// Look at what waits for people and judge it with single keys; or show how reviewers do.
    Review(ReviewArgs),
    /// Show or set what becomes of personal data before anything is stored.
    Privacy(PrivacyArgs),
    /// Note whether anything of a person may be learned from.
    #[command(subcommand)]
    Subject(SubjectCommand),
    /// Train, evaluate and, where the gate accepts, deploy a new version now.
    Train(TrainArgs),
    /// List training runs, or print one with the gate's decision and its numbers.
    #[command(subcommand)]
    Runs(RunsCommand),
    /// Measure a version on held-out examples, or on a file.
    Evaluate(EvaluateArgs),
    /// Predict one text, or each line of standard input.
    Predict(PredictArgs),
    /// List the registered versions of a task.
    Models(OfTask),
    /// Make a version serve its task: at once, or sharing the traffic with the live one.
    Deploy(DeployArgs),
    /// Show and change how versions share a task's traffic.
    #[command(subcommand)]
    Deployment(DeploymentCommand),
    /// Go back to the version that served before, or to another earlier one.
    Rollback(RollbackArgs),
    /// List, change and start what runs by the clock.
    #[command(subcommand)]
    Schedule(ScheduleCommand),
    /// Run the whole pipeline once and wait for it: for those who have a cron of their own.
    Cycle,
    /// Write a report of the last month that compares versions.
    Report(ReportArgs),
    /// Show metrics over a period: the whole, its trend, and by version, action type, label or source.
    Metrics(MetricsArgs),
    /// Show how healthy everything is, with reasons and what to do; and how far each task is from its next training.
    Health,
    /// Compare requests since the last training with those before it, and name the words that changed.
    Drift(OfTask),
    /// Freeze the metrics of the current hour, day, week or month, or list what was frozen.
    Snapshot(SnapshotArgs),
    /// Show what is wrong, and set the rules and the ways in which people are told.
    #[command(subcommand)]
    Alerts(AlertsCommand),
    /// List, cancel and retry background jobs.
    #[command(subcommand)]
    Jobs(JobsCommand),
    /// Check the configuration, the database, the models and the disk.
    Doctor,
    /// Print a configuration file with every setting, or check one.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// Port to serve the page on; a free one when 8088 is taken.
    #[arg(long, default_value_t = 8088)]
    pub port: u16,
    /// Go on serving after the replay, until Ctrl-C.
    #[arg(long)]
    pub stay: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    /// Address to listen on, such as 127.0.0.1:8080.
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Serve requests only; jobs run in `hone worker`.
    #[arg(long)]
    pub no_worker: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a key; it is shown once.
    Create {
        /// What the key is for.
        #[arg(default_value = "default")]
        name: String,
        /// Comma-separated: record, predict, read, review, edit, operate, admin.
        #[arg(long, default_value = "record,predict,read,review,edit,operate,admin")]
        scopes: String,
        /// Days until it expires.
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
        expires_in: Option<u32>,
    },
    /// List the keys of the project.
    List,
    /// Make a key stop working.
    Revoke {
        /// The key's id, from `hone key list`.
        id: uuid::Uuid,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct LimitsArgs {
    /// Limits as JSON, such as `{"per_day":{"cost_usd":20},"per_minute":{"requests":600}}`; `{}` lifts them. Shows them
    /// when absent.
    pub limits: Option<String>,
    /// The key's id, from `hone key list`; the project when absent.
    #[arg(long, value_name = "ID")]
    pub key: Option<uuid::Uuid>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum KindArg {
    /// Text to label.
    Classify,
    /// Messages to text.
    Generate,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TaskCommand {
    /// Make a task.
    Create {
        /// Letters, digits, '-', '_' and '.'.
        name: String,
        /// What it does.
        #[arg(long, value_enum, default_value = "classify")]
        kind: KindArg,
        /// Policies as JSON, such as `{"training":{"new_samples":50}}`.
        #[arg(long, value_name = "JSON", default_value = "{}")]
        policy: String,
    },
    /// List the tasks of the project.
    List,
    /// Show a task with its policies and where it stands.
    Show {
        /// Name of the task.
        name: String,
    },
    /// Change policies: the given fields are replaced, the others kept.
    Set {
        /// Name of the task.
        name: String,
        /// Policies as JSON, such as `{"training":{"new_samples":50}}`.
        policy: String,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct OfTask {
    /// Name of the task.
    pub task: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CurateArgs {
    /// Name of the task.
    pub task: String,
    /// Look at all examples again, because the policy has changed; what people decided stays.
    #[arg(long)]
    pub again: bool,
    /// Change nothing and show what would change.
    #[arg(long)]
    pub dry_run: bool,
    /// With --dry-run: curation as it would be, as JSON such as `{"min_quality":0.6}`; what is left out stays as it is.
    #[arg(long, value_name = "JSON", requires = "dry_run")]
    pub policy: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ExamplesCommand {
    /// List the examples of a task, latest first.
    List(ExamplesListArgs),
    /// Take examples, whatever curation said: their targets are right.
    Approve(ExampleIds),
    /// Keep examples out of datasets.
    Reject(ExampleIds),
    /// Undo rejections: the examples are taken as they are.
    Restore(ExampleIds),
}

#[derive(Debug, clap::Args)]
pub(crate) struct ExamplesListArgs {
    /// Name of the task.
    pub task: String,
    /// Only with this status: pending, reviewed, approved, rejected or used.
    #[arg(long)]
    pub status: Option<hone_domain::ExampleStatus>,
    /// Only those that this step of curation rejected, such as `near_duplicates`.
    #[arg(long)]
    pub step: Option<hone_domain::CurationStep>,
    /// Only with this label.
    #[arg(long)]
    pub label: Option<String>,
    /// Only those that rest on the word of a user, an expert or a program (automated).
    #[arg(long)]
    pub source: Option<hone_domain::FeedbackSource>,
    /// Only of this quality and better, 0 to 1.
    #[arg(long)]
    pub min_quality: Option<f64>,
    /// Only those after the example with this id, from the page before.
    #[arg(long)]
    pub after: Option<uuid::Uuid>,
    /// How many to list, at most 10,000.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=10_000))]
    pub limit: i64,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ExampleIds {
    /// Their ids, from `hone examples list`.
    #[arg(required = true)]
    pub ids: Vec<uuid::Uuid>,
    /// Why, for the record.
    #[arg(long)]
    pub reason: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DatasetsCommand {
    /// List datasets, latest first.
    List {
        /// Only of this task.
        task: Option<String>,
        /// Only those with this tag.
        #[arg(long)]
        tag: Option<String>,
    },
    /// Freeze the usable examples of a task; gives the same dataset again when nothing has changed.
    Freeze {
        /// Name of the task.
        task: String,
        /// A tag for it.
        #[arg(long)]
        tag: Option<String>,
    },
    /// Show a dataset with its statistics, where it came from and the models that learned from it.
    Show {
        /// Its id, a tag, or `latest`.
        dataset: String,
    },
    /// Say what came, went and changed from one dataset to another.
    Compare {
        /// The dataset before: its id, a tag, or `latest`.
        before: String,
        /// The dataset after.
        after: String,
    },
    /// Give a dataset a tag, or take one off.
    Tag {
        /// Its id, a tag, or `latest`.
        dataset: String,
        /// The tag.
        tag: String,
        /// Take it off.
        #[arg(long)]
        remove: bool,
    },
    /// Write a dataset with its id and tags to one file.
    Backup {
        /// Its id, a tag, or `latest`.
        dataset: String,
        /// The file.
        file: PathBuf,
    },
    /// Bring a dataset back from such a file.
    Restore {
        /// Name of the task it belongs to.
        task: String,
        /// The file.
        file: PathBuf,
    },
    /// Freeze a task and write its examples as chats to training-snapshot-DAY.jsonl.
    Snapshot {
        /// Name of the task.
        task: String,
        /// Where to write it.
        #[arg(long, default_value = "training-snapshots")]
        folder: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct TopicsArgs {
    /// Name of the task.
    pub task: String,
    /// Requests of the last days; the latest 20,000 are looked at.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(i64).range(1..=3_650))]
    pub days: i64,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ReviewArgs {
    /// Name of the task.
    pub task: String,
    /// Who looks at it.
    #[arg(long = "as", value_name = "NAME", default_value = "reviewer")]
    pub reviewer: String,
    /// Only for this reason: uncertain, random, typical, suspect, mismatch, `low_rating` or `by_hand`.
    #[arg(long)]
    pub reason: Option<hone_domain::ReviewReason>,
    /// Only with this label.
    #[arg(long)]
    pub label: Option<String>,
    /// Show agreement and pace of the reviewers in place of asking.
    #[arg(long)]
    pub statistics: bool,
    /// With --statistics: of the last days.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(i64).range(1..=3_650))]
    pub days: i64,
}

#[derive(Debug, clap::Args)]
pub(crate) struct PrivacyArgs {
    /// As JSON such as `{"personal_data":{"handling":"redact","kept_kinds":["url"]}}`; handling is keep, redact or
    /// pseudonymise. Shows what is set when absent.
    pub privacy: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SubjectCommand {
    /// Nothing of a person becomes an example any more, and what is there goes into no further dataset.
    OptOut {
        /// The client's id of the person.
        user_id: String,
    },
    /// A person may be learned from again.
    OptIn {
        /// The client's id of the person.
        user_id: String,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum SplitArg {
    /// Fitted on.
    Train,
    /// For choosing settings.
    Validation,
    /// Held out.
    Test,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum FormatArg {
    /// One JSON object a line.
    Jsonl,
    /// One JSON list.
    Json,
    /// Comma-separated with a header line.
    Csv,
    /// Parquet without nested columns.
    Parquet,
    /// Chats of OpenAI's fine-tuning: the last answer is the target.
    OpenaiChat,
    /// TRL's prompt and completion, or messages.
    Sft,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ImportArgs {
    /// Name of the task; it is made when it is missing.
    pub task: String,
    /// JSONL, JSON, CSV or Parquet with input (or text) and label or target; - is standard input.
    pub file: PathBuf,
    /// Told from the file's name when absent.
    #[arg(long, value_enum)]
    pub format: Option<FormatArg>,
    /// Keep all rows in this part of datasets; by default they are divided.
    #[arg(long, value_enum)]
    pub split: Option<SplitArg>,
    /// Store nothing and only report what would be refused.
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// JSONL; - is standard input.
    pub file: PathBuf,
    /// What its lines are.
    #[arg(long, value_enum)]
    pub format: TrainingFormatArg,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum TrainingFormatArg {
    /// OpenAI's chats for supervised fine-tuning: messages.
    OpenaiChat,
    /// OpenAI's preference rows, for DPO.
    OpenaiPreference,
    /// TRL's supervised rows: messages, or prompt and completion, or text.
    Sft,
    /// TRL's preference rows: prompt, chosen, rejected.
    Preference,
    /// TRL's unpaired rows for KTO: prompt, completion, label.
    Kto,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum HistorySourceArg {
    /// Chats for fine-tuning: messages (SFT), or preferred and not preferred answers (DPO).
    Openai,
    /// Traces, observations and scores.
    Langfuse,
    /// Inferences and feedback.
    Tensorzero,
    /// Records of version 1 or 2.
    Argilla,
    /// TRL's rows: prompt with completion, with chosen and rejected, or with a label (KTO).
    Trl,
    /// Any table, with a mapping of its columns.
    Table,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum RowFormatArg {
    /// One JSON object a line.
    Jsonl,
    /// One JSON list, or an object that holds one.
    Json,
    /// Comma-separated with a header line.
    Csv,
    /// Parquet without nested columns.
    Parquet,
}

#[derive(Debug, clap::Args)]
pub(crate) struct HistoryArgs {
    /// Name of the task; it is made when it is missing.
    pub task: String,
    /// The file.
    pub file: PathBuf,
    /// The tool that wrote it.
    #[arg(long, value_enum)]
    pub from: HistorySourceArg,
    /// Where a field is called otherwise in the file, such as `input=question`; may be given several times.
    #[arg(long, value_name = "FIELD=COLUMN", value_parser = mapping)]
    pub map: Vec<(String, String)>,
    /// jsonl, json, csv or parquet; told from the file's name when absent.
    #[arg(long, value_enum)]
    pub format: Option<RowFormatArg>,
    /// Kind of the task where it is made.
    #[arg(long, value_enum, default_value = "generate")]
    pub kind: KindArg,
    /// Store nothing and only report what would be refused.
    #[arg(long)]
    pub dry_run: bool,
    /// Begin anew where an earlier attempt broke off.
    #[arg(long)]
    pub restart: bool,
}

fn mapping(text: &str) -> Result<(String, String), String> {
    let problem = || format!("\"{text}\" is no mapping; write field=column");
    let (field, column) = text.split_once('=').ok_or_else(problem)?;
    if field.is_empty() || column.is_empty() {
        return Err(problem());
    }
    Ok((field.to_owned(), column.to_owned()))
}

#[derive(Debug, clap::Args)]
pub(crate) struct ExportArgs {
    /// Name of the task.
    pub task: String,
    /// File to write; - is standard output.
    #[arg(default_value = "-")]
    pub file: PathBuf,
    /// Told from the file's name when absent.
    #[arg(long, value_enum)]
    pub format: Option<ExportFormatArg>,
    /// Write this part of the dataset alone; the task is frozen first, so that every example has one.
    #[arg(long, value_enum)]
    pub split: Option<SplitArg>,
    /// Write this frozen dataset, from `hone datasets list`, in place of the examples as they are now.
    #[arg(long, value_name = "ID")]
    pub dataset: Option<uuid::Uuid>,
    /// Write rows with this label alone.
    #[arg(long)]
    pub label: Option<String>,
    /// Write rows that rest on the word of a user, an expert or a program (automated) alone.
    #[arg(long)]
    pub source: Option<hone_domain::FeedbackSource>,
    /// Write rows of this quality and better alone, 0 to 1.
    #[arg(long)]
    pub min_quality: Option<f64>,
    /// Write rows that were judged then or later alone, such as 2026-01-31T12:00:00Z.
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// Write rows that were judged before alone.
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// For preferences: pairs of which neither answer is more than so many times as long as the other alone.
    #[arg(long, value_name = "RATIO")]
    pub max_length_ratio: Option<f64>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ExportFormatArg {
    /// Everything about an example, one JSON object a line.
    Jsonl,
    /// The same as one JSON list.
    Json,
    /// Comma-separated with a header line.
    Csv,
    /// Apache Parquet.
    Parquet,
    /// Chats of OpenAI's supervised fine-tuning: a question and its right answer or label.
    OpenaiChat,
    /// TRL's prompt and completion.
    Sft,
    /// OpenAI's preference rows, for DPO: from edits, choices and answers that were asked for again.
    OpenaiPreference,
    /// The same for TRL: prompt, chosen and rejected.
    Preference,
    /// TRL's unpaired rows for KTO: from these, and from thumbs and ratings.
    Kto,
}

#[derive(Debug, clap::Args)]
pub(crate) struct TrainArgs {
    /// Name of the task.
    pub task: String,
    /// Settings of the trainer as JSON, such as `{"features":"words_and_characters"}`.
    #[arg(long, value_name = "JSON")]
    pub settings: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct EvaluateArgs {
    /// Name of the task.
    pub task: String,
    /// The version; the one that serves when absent.
    #[arg(long)]
    pub version: Option<String>,
    /// Measure on this JSONL or CSV in place of the held-out examples.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Print the metrics of every label.
    #[arg(long)]
    pub labels: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct PredictArgs {
    /// Name of the task.
    pub task: String,
    /// The text; each line of standard input when absent.
    pub text: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RegisterArgs {
    /// Name of the task.
    pub task: String,
    /// JSON such as `{"model":"openai/gpt-4o-mini","messages":[{"role":"system","template":"…"}]}`; - is standard input.
    pub file: PathBuf,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum StateArg {
    /// Waits for its time and a worker.
    Queued,
    /// Held by a worker.
    Running,
    /// Ended well.
    Succeeded,
    /// Given up.
    Dead,
    /// Stopped by hand.
    Cancelled,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RunsCommand {
    /// List a task's runs, latest first.
    List {
        /// Name of the task.
        task: String,
    },
    /// Print a run: what it made, how it compares row by row, how the gate decided.
    Show {
        /// The run's id.
        id: uuid::Uuid,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum JobsCommand {
    /// List jobs, latest first.
    List {
        /// Only in this state.
        #[arg(long, value_enum)]
        state: Option<StateArg>,
    },
    /// Stop a job.
    Cancel {
        /// The job's id.
        id: uuid::Uuid,
    },
    /// Give a dead or cancelled job another chance.
    Retry {
        /// The job's id.
        id: uuid::Uuid,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print a configuration file with every setting, its meaning and its default.
    Template,
    /// Read the configuration as every command does and print what it says.
    Check,
}
