//! Numbers of repeated measurements, and the page they are appended to.

use std::io::Write as _;

use anyhow::Context as _;

/// Values of the same measurement, repeated.
#[derive(Debug, Clone)]
pub(crate) struct Repeats(Vec<f64>);

impl Repeats {
    /// Sorts the values.
    pub fn new(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// The value in the middle.
    pub fn median(&self) -> f64 {
        self.0.get(self.0.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// Median with the smallest and the largest value.
    pub fn shown(&self, digits: usize) -> String {
        let (low, high) = (
            self.0.first().copied().unwrap_or(f64::NAN),
            self.0.last().copied().unwrap_or(f64::NAN),
        );
        format!("{:.digits$} ({low:.digits$}–{high:.digits$})", self.median())
    }
}

/// Appends a section to docs/benchmarks.md, with the commit and the machine it was measured on.
pub(crate) fn append(suite: &str, table: &str) -> anyhow::Result<()> {
    let git = std::process::Command::new("git")
        .args(["rev-parse", "--short", "HEAD"])
        .output()?;
    let commit = String::from_utf8_lossy(&git.stdout).trim().to_owned();
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find(|line| line.starts_with("model name"))
        .and_then(|line| line.split(": ").nth(1));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let section = format!(
        "\n## {suite}\n\n`cargo xtask bench {suite}`, on commit {commit}, {cores} cores, {}. Median (min–max).\n\n{table}",
        model.unwrap_or("unknown processor")
    );
    let path = crate::folder().join("../docs/benchmarks.md");
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .context("docs/benchmarks.md")?;
    file.write_all(section.as_bytes())?;
    write!(std::io::stdout(), "{section}")?;
    Ok(())
}
