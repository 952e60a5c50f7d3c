//! The examples of docs/api.md do what they say.

use std::process::Stdio;

use flota_tests::{
    api_server::{ApiServer, token},
    generated_text::repository,
    program::Installation,
};
use flota_worker::tokens::Role;
use serde_json::Value;
use tokio::{io::AsyncWriteExt, process::Command};

/// The first block of this language that holds this text.
fn block(language: &str, holding: &str) -> String {
    let page = std::fs::read_to_string(repository().join("docs/api.md")).expect("the page");
    let begin = format!("```{language}\n");
    let mut blocks = page.split(&begin).skip(1);
    let block = blocks.find_map(|rest| rest.split_once("```").filter(|(block, _)| block.contains(holding)));
    block.unwrap_or_else(|| panic!("docs/api.md has no {language} block with {holding}")).0.to_owned()
}

/// What a program prints that reads this on its standard input.
async fn printed(program: &[&str], input: &str, api: &ApiServer, token: &str) -> String {
    let mut command = Command::new(program[0]);
    command.args(&program[1..]).env("FLOTA", &api.address).env("TOKEN", token).env("NO_PROXY", "*");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    child.stdin.take().expect("an input").write_all(input.as_bytes()).await.expect("it reads");
    let done = child.wait_with_output().await.expect("it ends");
    assert!(done.status.success(), "{program:?}: {done:?}");
    String::from_utf8(done.stdout).expect("UTF-8")
}

async fn has(program: &str) -> bool {
    let version = Command::new(program).arg("--version").stdout(Stdio::null()).status().await;
    version.is_ok_and(|status| status.success())
}

#[tokio::test]
async fn the_examples_enqueue_what_they_say() {
    let flota = Installation::new().await;
    let (api, operator) = (ApiServer::start(&flota).await, token(&flota, Role::Operator, |_| {}).await);
    let mut expected = 0;

    if has("curl").await {
        let (first, again) = (
            printed(&["sh", "-s"], &block("sh", "curl"), &api, &operator).await,
            printed(&["sh", "-s"], &block("sh", "curl"), &api, &operator).await,
        );
        let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(read(&first)["id"], read(&again)["id"], "the key makes it one job");
        expected += 1;
    }
    if has("node").await {
        let node = ["node", "--input-type=module", "-"];
        let said = printed(&node, &block("ts", "fetch"), &api, &operator).await;
        assert!(said.trim_end().ends_with(" ready"), "{said}");
        expected += 1;
    }

    let queue = flota.flota(&["queue", "get", "email"]).await.expect(0).json();
    assert_eq!(queue["ready"], expected);
    api.process.stop().await;
}
