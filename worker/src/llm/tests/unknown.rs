//! Stories about models that are not there (any more).

use flota_providers::{ErrorClass, chat};

use super::*;

/// With these models in the place of the built-in ones.
async fn stage_with(default: &str, fallback: &str) -> Stage {
    let mut stage = Stage::set().await;
    let settings = LlmSettings::built_in().with_environment(Some(default), Some(fallback));
    stage.llm.models = settings.models;
    stage
}

#[tokio::test]
async fn a_stale_id_is_passed_over() {
    let stage = stage_with("claude-9", MINI).await;

    let answered = stage.ask(question("Why?")).await.unwrap();

    assert_eq!(answered.result["model"], MINI);
    let calls = answered.usage["calls"].as_array().unwrap();
    let told: Vec<_> = calls.iter().map(|call| (&call["model"], &call["error"])).collect();
    assert_eq!(told, [(&json!("claude-9"), &json!("permanent")), (&json!(MINI), &json!(null))]);
}

#[tokio::test]
async fn when_no_model_is_there_the_failure_names_them_and_where_they_stand() {
    let stage = stage_with("claude-9", "gpt-9").await;
    let wanted = Wanted::Model("llama-9".into());

    let of_tier = provider_error(stage.ask(question("Why?")).await.unwrap_err());
    let by_name = provider_error(stage.ask(Question { wanted, ..question("Why?") }).await.unwrap_err());

    for error in [&of_tier, &by_name] {
        assert_eq!((error.class, error.code.as_deref()), (ErrorClass::Permanent, Some(chat::UNKNOWN_MODEL)));
    }
    for part in
        ["The tiers of this job", "claude-9, gpt-9;", "[llm.tiers]", "LLM_MODEL_DEFAULT", "LLM_BASE_URL"]
    {
        assert!(of_tier.message.contains(part), "{part} is not in {of_tier}");
    }
    for part in [
        "no model llama-9 for this account;",
        "privacy settings",
        "`model`",
        "`tier`",
        "It said: llama-9 is not a valid model ID",
    ] {
        assert!(by_name.message.contains(part), "{part} is not in {by_name}");
    }
}

#[tokio::test]
async fn a_stale_id_that_is_next_in_line_makes_no_passing_trouble_final() {
    let stage = stage_with(HAIKU, "gpt-9").await;
    stage.refuses(502, "provider_unavailable");

    let error = provider_error(stage.ask(question("Why?")).await.unwrap_err());

    assert_eq!((error.class, error.code.as_deref()), (ErrorClass::ServerError, Some("provider_unavailable")));
    assert!(error.message.contains("gpt-9") && !error.message.contains(HAIKU), "{error}");
    assert_eq!(error.detail.unwrap()["usage"]["calls"].as_array().unwrap().len(), 2);
}
