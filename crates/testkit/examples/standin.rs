//! The stand-in provider on its own, to try the gateway by hand without a real one: prints its base URL and stays.
#![expect(clippy::print_stdout, reason = "the address is what is asked for")]

#[tokio::main]
async fn main() {
    let standin = hone_testkit::StandIn::start().await;
    println!("{}/v1", standin.address);
    std::future::pending::<()>().await;
}
