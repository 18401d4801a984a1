//! What the process says of itself: log lines on standard error, metrics for Prometheus, traces by OTLP.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use crate::config::Config;

/// Buckets of durations, in seconds: from a prediction in the process to a long answer of a provider.
const SECONDS: [f64; 16] = [
    0.000_1, 0.000_3, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0,
];

/// What is counted, in the words of `# HELP`.
const COUNTERS: [(&str, &str); 13] = [
    (
        "hone_http_requests_total",
        "Requests to Hone's own endpoints by path, method and status.",
    ),
    (
        "hone_gateway_requests_total",
        "Requests for models by endpoint, provider (local: the task's own classifier) and outcome.",
    ),
    (
        "hone_gateway_refusals_total",
        "Requests for models that Hone itself refused, by endpoint and kind.",
    ),
    (
        "hone_gateway_errors_total",
        "Failed attempts at providers by provider and kind: a status or a word.",
    ),
    ("hone_gateway_retries_total", "Repeated attempts by provider."),
    (
        "hone_gateway_tokens_total",
        "Tokens by provider and direction, as providers count them.",
    ),
    (
        "hone_gateway_cost_micro_usd_total",
        "Cost by provider in millionths of a USD.",
    ),
    (
        "hone_cascade_decisions_total",
        "Requests to tasks with a cascade by what it decided; disagreed ones are also shadowed.",
    ),
    (
        "hone_cascade_saved_tokens_total",
        "Tokens that local answers saved, by the mean of those that were passed on.",
    ),
    (
        "hone_cascade_saved_micro_usd_total",
        "Cost that local answers saved, likewise, in millionths of a USD.",
    ),
    (
        "hone_recorder_records_total",
        "Interactions and feedback by what became of them.",
    ),
    (
        "hone_alerts_total",
        "Alerts by severity and where they came to stand.",
    ),
    (
        "hone_alert_deliveries_total",
        "Attempts to tell people, by kind of route and outcome.",
    ),
];
/// What is measured when it is looked at.
const GAUGES: [(&str, &str); 5] = [
    (
        "hone_recorder_queue_bytes",
        "Bytes of records that wait to be written.",
    ),
    (
        "hone_recorder_lag_seconds",
        "How long the oldest record has waited that is not durable yet.",
    ),
    ("hone_alerts_firing", "Alerts that fire now, by project."),
    ("hone_jobs_due", "Background jobs that are due and not begun."),
    (
        "hone_gateway_models_left_alone",
        "Models that are not asked for a while because they failed, by provider.",
    ),
];
/// Durations.
const HISTOGRAMS: [(&str, &str); 5] = [
    (
        "hone_http_request_seconds",
        "Time to answer at Hone's own endpoints, by path.",
    ),
    (
        "hone_gateway_request_seconds",
        "Time from a request for a model to the end of its answer, by endpoint.",
    ),
    (
        "hone_gateway_upstream_seconds",
        "Of that, the wait for providers until a whole answer or the beginning of a stream.",
    ),
    (
        "hone_gateway_first_token_seconds",
        "Time to the first token of streams, by endpoint.",
    ),
    (
        "hone_recorder_commit_seconds",
        "Time of a group of records in the database.",
    ),
];

/// Sends traces until it is dropped; what waits is sent then.
#[derive(Debug)]
pub(crate) struct Traces(SdkTracerProvider);

impl Drop for Traces {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown() {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// Starts the log and, where an endpoint is set, traces.
pub(crate) fn start(config: &Config) -> anyhow::Result<Option<Traces>> {
    let level = &config.log.level;
    // Spans of requests are for traces; in the log they would only be noise.
    let filter = EnvFilter::try_new(format!("{level},{}=off", hone_gateway::TRACES))
        .map_err(|error| anyhow::anyhow!("log.level \"{level}\" cannot be used: {error}"))?;
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let lines = if config.log.json {
        lines.json().with_filter(filter).boxed()
    } else {
        lines.with_filter(filter).boxed()
    };
    let Some(endpoint) = &config.telemetry.otlp_endpoint else {
        tracing_subscriber::registry().with(lines).init();
        return Ok(None);
    };
    let provider = provider(endpoint, config).context("telemetry.otlp_endpoint")?;
    let spans = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("hone"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_filter(Targets::new().with_target(hone_gateway::TRACES, tracing::Level::INFO));
    tracing_subscriber::registry().with(lines).with(spans).init();
    Ok(Some(Traces(provider)))
}

fn provider(endpoint: &str, config: &Config) -> anyhow::Result<SdkTracerProvider> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_endpoint(endpoint)
        .with_headers(config.telemetry.otlp_headers.clone().into_iter().collect())
        .build()?;
    let resource = Resource::builder()
        .with_service_name("hone")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    Ok(SdkTracerProvider::builder()
        // Whoever sets an endpoint wants all spans, also inside a trace that its beginner does not keep.
        .with_sampler(Sampler::AlwaysOn)
        .with_batch_exporter(exporter)
        .with_resource(resource)
        .build())
}

/// Starts counting; the handle renders what was counted.
pub(crate) fn count() -> anyhow::Result<PrometheusHandle> {
    let builder =
        PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?;
    let handle = builder.install_recorder()?;
    for (name, meaning) in COUNTERS {
        metrics::describe_counter!(name, meaning);
    }
    for (name, meaning) in GAUGES {
        metrics::describe_gauge!(name, meaning);
    }
    for (name, meaning) in HISTOGRAMS {
        metrics::describe_histogram!(name, metrics::Unit::Seconds, meaning);
    }
    Ok(handle)
}
