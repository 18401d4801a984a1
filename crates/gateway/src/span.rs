//! The span of a request, for those who collect traces.

use hone_storage::tasks::Task;
use http::HeaderMap;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::TRACES;
use crate::context::RequestContext;
use crate::endpoint::Endpoint;

/// The span of a request, with the names of OpenTelemetry's GenAI conventions, inside the client's span where the client
/// names one. What comes later is filled in when the request is recorded.
pub(crate) fn span_of(
    endpoint: Endpoint,
    asked_model: &str,
    task: &Task,
    context: &RequestContext,
    headers: &HeaderMap,
) -> tracing::Span {
    let span = tracing::info_span!(
        target: TRACES,
        "gateway",
        otel.name = %format_args!("{} {asked_model}", endpoint.name()),
        otel.kind = "server",
        otel.status_code = Empty,
        gen_ai.operation.name = if endpoint == Endpoint::Embeddings { "embeddings" } else { "chat" },
        gen_ai.request.model = asked_model,
        gen_ai.conversation.id = context.conversation.as_ref().filter(|_| !context.is_opted_out),
        gen_ai.provider.name = Empty,
        gen_ai.response.model = Empty,
        gen_ai.usage.input_tokens = Empty,
        gen_ai.usage.output_tokens = Empty,
        error.r#type = Empty,
        hone.task = task.name,
        hone.interaction_id = Empty,
    );
    if !span.is_disabled()
        && let Some(parent) = headers.get("traceparent").and_then(|value| value.to_str().ok())
        && let Some(parent) = remote_parent(parent)
    {
        // It fails only where nobody collects traces.
        let _ = span.set_parent(opentelemetry::Context::new().with_remote_span_context(parent));
    }
    span
}

/// The span that a `traceparent` names (W3C Trace Context, level 1); `None` where it is none.
fn remote_parent(header: &str) -> Option<SpanContext> {
    let mut parts = header.trim().split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_known = version.len() == 2 && version != "ff" && trace.len() == 32 && span.len() == 16;
    if !is_known || flags.len() != 2 || (version == "00" && parts.next().is_some()) {
        return None;
    }
    let parent = SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED,
        true,
        TraceState::default(),
    );
    parent.is_valid().then_some(parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_traceparent_is_a_parent() {
        let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let parent = remote_parent(header).unwrap();
        assert_eq!(parent.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(parent.span_id().to_string(), "00f067aa0ba902b7");
        assert!(parent.is_sampled() && parent.is_remote());
        for wrong in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        ] {
            assert!(remote_parent(wrong).is_none(), "{wrong}");
        }
    }
}
