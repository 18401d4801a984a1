//! Errors on the terminal, and the exit codes that scripts rely on.

use std::process::ExitCode;

use hone_domain::{InvalidInput, UnknownVariant};
use hone_engine::EngineError;
use hone_storage::StorageError;

use crate::output::Output;

/// The command failed.
const FAILED: u8 = 1;
/// The input was refused.
pub(crate) const INPUT_REFUSED: u8 = 3;
/// Something named does not exist.
const NOT_FOUND: u8 = 4;
/// The gate refused the new version; what served still serves.
pub(crate) const GATE_REFUSED: u8 = 5;

/// Prints an error and gives its exit code.
pub(crate) fn report(output: Output, error: &anyhow::Error) -> ExitCode {
    output.error(&format!("{error:#}"));
    ExitCode::from(code_of(error))
}

fn code_of(error: &anyhow::Error) -> u8 {
    if error.is::<UnknownVariant>() || error.is::<InvalidInput>() {
        return INPUT_REFUSED;
    }
    if matches!(error.downcast_ref(), Some(StorageError::Missing { .. })) {
        return NOT_FOUND;
    }
    match error.downcast_ref::<EngineError>() {
        Some(EngineError::Invalid(_)) => INPUT_REFUSED,
        Some(
            EngineError::NotFound { .. }
            | EngineError::NoModel(_)
            | EngineError::Storage(StorageError::Missing { .. }),
        ) => NOT_FOUND,
        _ => FAILED,
    }
}
