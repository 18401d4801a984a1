//! The loop: one module per step, in the order of the loop.
//!
//! record → curate → freeze → train → evaluate → registry → deploy → predict. [`Engine`] holds what the steps share; `api`
//! and `cli` call it, `jobs` runs its handlers. It knows neither HTTP nor SQL.

mod alert;
mod csv_rows;
mod curate;
mod datasets;
mod deploy;
mod discover;
mod drift;
mod effects;
mod engine;
mod error;
mod evaluate;
mod experiment;
mod export;
mod formats;
mod freeze;
mod gate;
mod history;
mod import;
mod keys;
mod measure;
mod models;
mod observe;
mod predict;
mod preferences;
mod privacy;
mod profile;
mod prompt;
mod record;
mod report;
mod review;
mod runs;
mod schedule;
mod splits;
mod tasks;
mod train;
mod transfer;
mod triggers;
mod views;

pub use alert::{AlertReport, CheckAlerts, DeliverAlert, NewSilence, RouteChange, ShownRoute, ShownRule};
pub use curate::{
    CurateTask, CurationPreview, CurationReport, ExampleDecision, Placed, PreviewedChange, Rejection,
};
pub use datasets::{DatasetChange, DatasetComparison, DatasetLineage};
pub use deploy::{DeployRequest, DeploymentChange, DeploymentView};
pub use discover::{DiscoverTopics, Discovered, FailurePattern, FoundExample, Topic};
pub use drift::{DriftMonitor, DriftReport, DriftWord};
pub use engine::{Engine, EngineSettings};
pub use error::EngineError;
pub use evaluate::EvaluateRun;
pub use experiment::{
    ArmCount, Comparison, Exposed, Forecast, LiveAnswer, Look, Recommendation, ShadowAnswer, TestRule,
    Verdict, WatchDeployment,
};
pub use export::{Export, ExportReport, ExportRequest};
pub use formats::{ExportFormat, FormatReport, Remark, TrainingFormat, check_file};
pub use freeze::{DatasetRow, DatasetStatistics};
pub use gate::{Decision, LabelRegression, PairedComparison};
pub use history::{HistoryReader, RowFormat, Told, read_rows};
pub use import::ImportedExample;
pub use keys::NewKey;
pub use measure::MeasureVersion;
pub use observe::{
    Frozen, Health, HealthReason, Indicators, MetricsRequest, Readiness, ScoreMean, SystemHealth, TaskHealth,
    TaskMetrics, TrendPoint, ValueMetrics,
};
pub use predict::{Answer, Routed, Served, ServedModel};
pub use preferences::{PreferenceFilter, PreferenceStatistics};
pub use privacy::Privacy;
pub use profile::PersonProfile;
pub use prompt::{NearExample, PROMPT_TRAINER, Prompt, PromptProblem, RenderedMessage};
pub use record::{
    AnsweredBy, Observed, Receipt, RecordBatch, RecordOutcome, Recorded, Recorder, RecorderSettings,
};
pub use review::{
    ClaimedReview, FillReport, FillReviews, NewReview, NewReviewAnswer, PairAgreement, ReviewProgress,
    ReviewStatistics, ReviewerPace,
};
pub use runs::get_job;
pub use schedule::{RunScheduled, ScheduleChange, action_of};
pub use train::TrainModel;
pub use transfer::{ImportReport, RefusedLine, read_example_file, read_examples};
pub use triggers::CheckTriggers;
pub use views::{CurvePoint, learning_curve};
