//! Golden files: one artifact per format version, written once, that every later version must go on loading.

use hone_learn::{FitContext, LinearTrainer, Trainer as _, TrainingSet, artifact};

/// Writes the golden artifact of the present format unless it is there.
pub(crate) fn write() -> anyhow::Result<()> {
    let folder = crate::folder().join("../crates/learn/tests/golden");
    let file = folder.join(format!("model_v{}.hone", artifact::FORMAT_VERSION));
    anyhow::ensure!(
        !file.exists(),
        "{} is there; a golden file is never written again",
        file.display()
    );
    let mut set = TrainingSet::default();
    for (label, text) in [
        ("order", "where is my parcel"),
        ("order", "when will it arrive"),
        ("order", "track my package"),
        ("refund", "give my money back"),
        ("refund", "i want a refund"),
        ("refund", "return the money please"),
        ("login", "reset my password"),
        ("login", "i cannot log in"),
        ("login", "my account is locked"),
    ] {
        set.push(text, label, 1.0);
    }
    let settings = serde_json::json!({ "features": "words_and_characters" });
    let fitted = LinearTrainer.fit(&set, &settings, &FitContext::silent(1))?;
    std::fs::create_dir_all(folder)?;
    std::fs::write(&file, artifact::encode(&fitted.classifier)?)?;
    Ok(())
}
