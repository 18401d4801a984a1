//! Prompt generation with the profile of a person.

use serde_json::{Value, json};

use super::*;

async fn writer(app: &TestApp) {
    generate_task(
        app,
        "writer",
        json!({ "gateway": { "models": [{ "model": "openai/gpt-4o-mini" }] } }),
    )
    .await;
}

fn wish(input: &str) -> Value {
    json!({ "task": "writer", "input": input, "target_tool": "midjourney", "language": "de", "use_case": "poster",
        "conversation": "s1", "subject": { "user_id": "ann", "ip_address": "192.0.2.1", "user_agent": "test" } })
}

#[tokio::test]
async fn a_prompt_is_made_answered_and_recorded_with_every_field() {
    let (app, standin) = app().await;
    writer(&app).await;
    let (status, made) = app
        .post("/v1/prompts", &wish("a cat on the moon {{ 7 * 7 }}"))
        .await;
    assert_eq!(status, 200, "{made}");
    let prompt = made["structured_prompt"].as_str().unwrap();
    for part in [
        "midjourney",
        "poster",
        "language de",
        "a cat on the moon {{ 7 * 7 }}",
    ] {
        assert!(prompt.contains(part), "{part}: {prompt}");
    }
    assert_eq!(
        (&made["output"], &made["tokens_total"]),
        (&json!("echo: a cat on the moon {{ 7 * 7 }}"), &json!(17))
    );
    assert_eq!(standin.last_body()["messages"].as_array().unwrap().len(), 2);
    let shown = recorded(&app, made["interaction_id"].as_str().unwrap()).await;
    assert_eq!(shown["structured_prompt"], made["structured_prompt"]);
    assert_eq!(
        (&shown["input"], &shown["output"]),
        (&json!("a cat on the moon {{ 7 * 7 }}"), &made["output"])
    );
    assert_eq!(
        (&shown["target_tool"], &shown["language"]),
        (&json!("midjourney"), &json!("de"))
    );
    assert_eq!(shown["tags"], json!(["use_case:poster"]));
    assert!(shown["conversation_id"].is_string() && shown["subject_id"].is_string());

    for (wrong, said) in [
        (json!({ "task": "none", "input": "x" }), "hone task create none"),
        (json!({ "task": "writer", "input": " " }), "input"),
        (json!({ "task": "writer", "input": "x", "tool": "y" }), "tool"),
    ] {
        let (status, reply) = app.post("/v1/prompts", &wrong).await;
        assert!(status == 400 || status == 404, "{reply}");
        assert!(
            reply["error"]["message"].as_str().unwrap().contains(said),
            "{reply}"
        );
    }
}

#[tokio::test]
async fn edits_teach_a_profile_that_is_applied_and_can_be_edited() {
    let (app, _standin) = app().await;
    writer(&app).await;
    for number in 0..3 {
        let (_, made) = app.post("/v1/prompts", &wish(&format!("wish {number}"))).await;
        let id = made["interaction_id"].as_str().unwrap();
        recorded(&app, id).await;
        let edit =
            json!({ "interaction_id": id, "kind": "correction", "text": "- a cat\n- the moon\n- blue" });
        assert_eq!(app.post("/v1/feedback", &edit).await.0, 201);
    }
    let (_, profile) = app.get("/v1/subjects/ann/profile").await;
    assert_eq!(
        profile["learned"],
        json!({ "style": "lists", "length": "short", "detail": "brief" }),
        "{profile}"
    );
    let (_, made) = app.post("/v1/prompts", &wish("another")).await;
    let prompt = made["structured_prompt"].as_str().unwrap();
    assert!(
        prompt.contains("Style: lists.") && prompt.contains("Length: short."),
        "{prompt}"
    );

    let (status, set) = app
        .put("/v1/subjects/ann/profile", &json!({ "length": "long" }))
        .await;
    assert_eq!(
        (status, &set["profile"]["length"], &set["profile"]["style"]),
        (200, &json!("long"), &json!("lists"))
    );
    let (_, made) = app.post("/v1/prompts", &wish("another")).await;
    assert_eq!(made["profile"]["length"], "long");
    assert_eq!(
        app.put("/v1/subjects/ann/profile", &json!({ "length": "huge" }))
            .await
            .0,
        422
    );
    assert_eq!(app.delete("/v1/subjects/ann/profile").await, 204);
    assert_eq!(
        app.get("/v1/subjects/ann/profile").await.1["profile"]["length"],
        "short"
    );
    assert_eq!(app.get("/v1/subjects/bob/profile").await.1["profile"], json!({}));
}
