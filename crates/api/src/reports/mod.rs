//! Reports that compare versions, over HTTP.

pub(crate) mod list;
pub(crate) mod show;
