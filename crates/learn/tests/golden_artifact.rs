//! Artifacts of every format version must go on loading and predicting what they did. `cargo xtask golden` writes the
//! file of a new version; none is ever written again.

use hone_learn::{Scratch, artifact};

#[test]
fn the_artifact_of_format_1_loads_and_predicts_as_it_did() {
    let classifier = artifact::decode(include_bytes!("golden/model_v1.hone")).unwrap();
    assert_eq!(classifier.labels, ["login", "order", "refund"]);
    assert_eq!(
        (classifier.trainer.as_str(), &classifier.settings["c"]),
        ("linear", &serde_json::json!(1.0))
    );
    let mut scratch = Scratch::default();
    for (text, label) in [
        ("pasword reset", "login"),
        ("where is it", "order"),
        ("money back", "refund"),
    ] {
        let prediction = classifier.predict(text, 3, &mut scratch);
        assert_eq!(classifier.labels[prediction.label], label, "{text}");
        assert!(
            (prediction
                .top
                .iter()
                .map(|(_, probability)| probability)
                .sum::<f32>()
                - 1.0)
                .abs()
                < 1e-5
        );
    }
}
