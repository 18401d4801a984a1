//! LiteLLM and Portkey.

pub(super) async fn measure(_table: &mut String, _standin: &str) -> anyhow::Result<()> {
    std::future::ready(Ok(())).await
}
