//! The arrows between crates: what `cargo metadata` says against what is allowed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use serde_json::Value;

/// Fails when a crate uses another that it may not, or when the list names an arrow that is gone.
pub(crate) fn check() -> anyhow::Result<()> {
    let metadata = metadata()?;
    // Asked for and not built in: a shared target folder may hold an xtask that another clone has built.
    let root = metadata["workspace_root"]
        .as_str()
        .context("no workspace root in cargo metadata")?;
    let list = std::fs::read_to_string(Path::new(root).join("xtask/arrows.toml"))?;
    let allowed: BTreeMap<String, BTreeSet<String>> = toml::from_str(&list)?;
    let actual = actual_arrows(&metadata)?;
    let mut problems = Vec::new();
    for (from, targets) in &actual {
        let Some(allowed) = allowed.get(from) else {
            problems.push(format!("{from} is not in xtask/arrows.toml; add it with an ADR"));
            continue;
        };
        problems.extend(
            targets
                .difference(allowed)
                .map(|to| format!("{from} must not use {to}")),
        );
        problems.extend(
            allowed
                .difference(targets)
                .map(|to| format!("{from} no longer uses {to}; take the arrow out")),
        );
    }
    problems.extend(
        allowed
            .keys()
            .filter(|crate_name| !actual.contains_key(*crate_name))
            .map(|crate_name| format!("there is no crate {crate_name} any more; take it out")),
    );
    anyhow::ensure!(problems.is_empty(), "{}", problems.join("\n"));
    println_arrows(&actual);
    Ok(())
}

fn metadata() -> anyhow::Result<Value> {
    let cargo = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .output()?;
    anyhow::ensure!(cargo.status.success(), "cargo metadata failed");
    Ok(serde_json::from_slice(&cargo.stdout)?)
}

fn actual_arrows(metadata: &Value) -> anyhow::Result<BTreeMap<String, BTreeSet<String>>> {
    let packages = metadata["packages"]
        .as_array()
        .context("no packages in cargo metadata")?;
    let name = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
    let of_house = |name: &str| name == "hone" || name.starts_with("hone-");
    let mut arrows = BTreeMap::new();
    // The testkit and xtask are for tests and chores: they may use everything.
    for package in packages
        .iter()
        .filter(|package| of_house(&name(package)) && name(package) != "hone-testkit")
    {
        let dependencies = package["dependencies"]
            .as_array()
            .context("no dependencies in cargo metadata")?;
        let normal = dependencies
            .iter()
            .filter(|dependency| dependency["kind"].is_null());
        arrows.insert(
            name(package),
            normal.map(name).filter(|name| of_house(name)).collect(),
        );
    }
    Ok(arrows)
}

#[expect(clippy::print_stdout, reason = "a chore tells what it checked")]
fn println_arrows(actual: &BTreeMap<String, BTreeSet<String>>) {
    println!(
        "arrows: {} crates, {} arrows, all as xtask/arrows.toml allows",
        actual.len(),
        actual.values().map(BTreeSet::len).sum::<usize>()
    );
}
