//! `hone topics`.

use std::process::ExitCode;

use hone_engine::{Discovered, Topic};

use crate::app::App;
use crate::args::TopicsArgs;
use crate::output::{Output, shortened};

pub(super) async fn run(app: &App, args: &TopicsArgs, output: Output) -> anyhow::Result<ExitCode> {
    let task = app.engine.get_task(app.project, &args.task).await?;
    app.engine.refresh_router().await?;
    let spinner = output.spinner("looking at the requests");
    let found: Discovered = app.engine.discover(&task, args.days).await?;
    spinner.finish_and_clear();
    output.result(&serde_json::to_value(&found)?, || {
        output.raw(&format!("{} requests", found.requests));
        topics(&found.topics, output);
        if !found.failures.is_empty() {
            output.raw("\nwhat goes wrong again and again");
            let cells = found.failures.iter().map(|failure| {
                let example = failure.examples.first();
                vec![
                    failure.count.to_string(),
                    failure.kind.clone(),
                    shortened(&failure.what, 50),
                    example.map_or_else(String::new, |example| shortened(&example.input, 60)),
                ]
            });
            output.table(&["times", "kind", "what", "such as"], cells.collect());
        }
        if !found.without_label.is_empty() {
            output.raw("\nnew labels? What people ask that none seems to be for");
            topics(&found.without_label, output);
        }
    });
    Ok(ExitCode::SUCCESS)
}

fn topics(topics: &[Topic], output: Output) {
    let number = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.2}"));
    let cells = topics.iter().map(|topic| {
        vec![
            topic.size.to_string(),
            shortened(&topic.name, 40),
            shortened(&topic.medoid.input, 60),
            topic
                .labels
                .first()
                .map_or_else(String::new, |(label, _)| label.clone()),
            number(topic.approval_rate),
            format!("{:.2}", topic.success_rate),
            number(topic.growth),
        ]
    });
    let headers = [
        "requests", "about", "such as", "label", "approved", "ok", "growth",
    ];
    output.table(&headers, cells.collect());
}
