//! hone
fn main() {}
