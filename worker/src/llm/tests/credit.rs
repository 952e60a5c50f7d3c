//! Stories about an account whose credit covers shorter answers only.

use flota_providers::Standing;

use super::*;

#[tokio::test]
async fn credit_for_a_shorter_answer_is_used_and_that_answer_is_not_kept() {
    let stage = Stage::set().await;
    stage.can_afford(30);
    let asked = || Question { keep_for: Some(Duration::from_mins(1)), ..question("Why?") };

    let short = stage.ask(asked()).await.unwrap();
    let whole = stage.ask(asked()).await.unwrap();

    assert_eq!((&short.result["cached"], &whole.result["cached"]), (&json!(false), &json!(false)));
    assert_eq!(stage.most_tokens(), [100, 30, 100]);
}

#[tokio::test]
async fn credit_that_is_too_small_for_one_question_says_nothing_of_others() {
    let table = [
        (&[30, 20][..], Standing::OneRecipient),
        (&[0], Standing::Answered),
        (&[200], Standing::OneRecipient),
    ];
    for (affordable, standing) in table {
        let stage = Stage::set().await;
        for &tokens in affordable {
            stage.can_afford(tokens);
        }

        let error = provider_error(stage.ask(question("Why?")).await.unwrap_err());

        assert_eq!((error.class.name(), error.standing), ("quota", standing), "{affordable:?}");
        assert_eq!(stage.most_tokens().len(), affordable.len(), "{affordable:?}");
    }
}
