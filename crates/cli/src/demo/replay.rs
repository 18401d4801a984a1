//! The story: customers write, the model answers, people say what was right, and the triggers do the rest.

use serde_json::json;

use super::client::Client;
use super::desk::{Message, messages};
use crate::output::Output;

/// Messages between two points of the chart.
const BLOCK: usize = 40;
/// Every so many right answers a customer says thank you; silence teaches nothing.
const THANKS_EVERY: usize = 2;

/// One stretch of messages.
#[derive(Debug, Clone, serde::Serialize)]
pub(super) struct Block {
    /// Messages so far.
    pub messages: usize,
    /// Share of this stretch that the model answered rightly; what it could not answer counts as wrong.
    pub accuracy: f64,
    /// The version that served at its end.
    pub serving: Option<String>,
}

/// Replays all messages; then tries a training that the gate must refuse.
pub(super) async fn run(client: &Client, output: Output) -> anyhow::Result<Vec<Block>> {
    let messages = messages();
    let bar = output.bar(messages.len() as u64, "support desk");
    let mut blocks: Vec<Block> = Vec::new();
    for stretch in messages.chunks(BLOCK) {
        let right = converse(client, stretch).await?;
        bar.inc(stretch.len() as u64);
        client.wait_until_idle().await?;
        blocks.push(Block {
            messages: blocks.last().map_or(0, |block| block.messages) + stretch.len(),
            accuracy: right as f64 / stretch.len() as f64,
            serving: client.serving().await?,
        });
    }
    // Someone starves the model of features to save memory: the gate has to notice.
    client
        .train(&json!({ "features": "words", "max_features": 12 }))
        .await?;
    client.wait_until_idle().await?;
    bar.finish_and_clear();
    Ok(blocks)
}

/// Sends a stretch of messages with people's reactions; gives how many the model answered rightly.
async fn converse(client: &Client, stretch: &[Message]) -> anyhow::Result<usize> {
    let mut right = 0;
    for message in stretch {
        let reply = client.ask(&message.text).await?;
        if reply.label.as_deref() == Some(message.intent) {
            right += 1;
            if right % THANKS_EVERY == 0 {
                client.approve(&reply.interaction_id).await?;
            }
        } else {
            client.correct(&reply.interaction_id, message.intent).await?;
        }
    }
    Ok(right)
}
