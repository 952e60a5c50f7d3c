//! Stories about tenants whose budget is spent, or held by what is under way.

use super::*;

#[tokio::test]
async fn who_has_spent_its_budget_waits_for_the_next_day_and_others_go_on() {
    let named = BTreeMap::from([("acme".to_owned(), budget(0.000_150, WhenSpent::Wait))]);
    let stage = Stage::with(Budgets { each: None, named }).await;
    let mut answered = 0;
    let spent = loop {
        match stage.llm.answer(&job(Some("acme")), question("a question of six words, mostly")).await {
            Ok(_) => answered += 1,
            Err(Error::BudgetSpent(spent)) => break spent,
            Err(error) => panic!("{error:?}"),
        }
        assert!(answered < 100, "the budget never ends");
    };

    let other = stage.llm.answer(&job(Some("globex")), question("Why?")).await;

    assert!(answered >= 1 && other.is_ok());
    assert!(spent.wait <= Duration::from_hours(24), "{:?}", spent.wait);
    let sentence = spent.to_string();
    assert!(
        sentence.starts_with("Tenant acme may spend $0.00015 in 20")
            && sentence.contains(" is held for calls"),
        "{sentence}"
    );
}

#[tokio::test]
async fn an_answer_that_does_not_say_what_it_took_counts_as_the_most_that_it_may_have() {
    let named = BTreeMap::from([("acme".to_owned(), budget(0.000_001, WhenSpent::Wait))]);
    let stage = Stage::with(Budgets { each: None, named }).await;
    stage.says_for("Because.", &Value::Null);

    let first = stage.llm.answer(&job(Some("acme")), question("Why?")).await.unwrap();
    let second = stage.llm.answer(&job(Some("acme")), question("Why?")).await.unwrap_err();

    let call = &first.usage["calls"][0];
    assert_eq!((&first.result["answer"], &call["cost_from"]), (&json!("Because."), &json!("estimate")));
    assert!(call["cost_usd"].as_f64() > Some(0.0), "{call}");
    assert!(matches!(second, Error::BudgetSpent(_)), "{second}");
}

#[tokio::test]
async fn who_has_spent_its_budget_may_be_given_a_tier_of_its_own() {
    let named = BTreeMap::from([("acme".to_owned(), budget(0.000_001, WhenSpent::Tier("open".into())))]);
    let stage = Stage::with(Budgets { each: None, named }).await;
    let job = job(Some("acme"));

    let first = stage.llm.answer(&job, question("Why?")).await.unwrap();
    let second = stage.llm.answer(&job, question("Why?")).await.unwrap();

    assert_eq!((&first.result["model"], &second.result["model"]), (&json!(HAIKU), &json!(LLAMA)));
}

#[tokio::test]
async fn the_answer_of_the_cheaper_tier_is_not_kept_for_those_that_have_a_budget() {
    let named = BTreeMap::from([("acme".to_owned(), budget(0.000_001, WhenSpent::Tier("open".into())))]);
    let mut stage = Stage::with(Budgets { each: None, named }).await;
    let job = job(Some("acme"));
    let to_keep = || Question { keep_for: Some(Duration::from_mins(1)), ..question("Why?") };
    stage.llm.answer(&job, question("The first one is within the budget.")).await.unwrap();
    let cheap = stage.llm.answer(&job, to_keep()).await.unwrap();

    stage.llm.budgets = Budgets::default();
    let wanted = stage.llm.answer(&job, to_keep()).await.unwrap();

    assert_eq!((&cheap.result["model"], &wanted.result["model"]), (&json!(LLAMA), &json!(HAIKU)));
    assert_eq!(wanted.result["cached"], false);
}

#[tokio::test]
async fn a_model_without_a_price_is_held_against_a_budget_as_the_dearest_that_has_one() {
    let named = BTreeMap::from([("acme".to_owned(), budget(0.001, WhenSpent::Wait))]);
    let stage = Stage::with(Budgets { each: None, named }).await;
    let unpriced = || Question { wanted: Wanted::Model("own/model".into()), ..question("Why?") };
    stage.llm.answer(&job(Some("acme")), unpriced()).await.unwrap();

    let refused = stage.llm.answer(&job(Some("acme")), unpriced()).await.unwrap_err();
    let without_budget = stage.llm.answer(&job(None), unpriced()).await;

    // A hundred tokens of the dearest model cost $0.0015, which only a first call may exceed.
    assert!(matches!(&refused, Error::BudgetSpent(_)), "{refused}");
    assert!(without_budget.is_ok());
}

#[tokio::test]
async fn a_job_that_is_cancelled_while_a_model_thinks_has_spent_what_was_held_for_it() {
    let named = BTreeMap::from([("acme".to_owned(), budget(1.0, WhenSpent::Wait))]);
    let stage = Stage::with(Budgets { each: None, named }).await;
    stage.sandbox.fault(Fault { delay_ms: 60_000, ..Fault::of("llm") }).unwrap();
    let job = job(Some("acme"));
    let standing = async || {
        let budget = stage.llm.budgets.of(Some("acme")).unwrap();
        let standing = stage.llm.purses.standing(Some("acme"), budget).await.unwrap().remove(0);
        (standing.held, standing.spent)
    };

    let held = tokio::select! {
        answered = stage.llm.answer(&job, question("Why?")) => panic!("{answered:?}"),
        held = async {
            stage.sandbox.wait_for(Some("llm"), 1, Duration::from_secs(10)).await.unwrap();
            standing().await.0
        } => held,
    };

    let settled = async {
        while standing().await.0 != 0.0 {
            tokio::task::yield_now().await;
        }
        standing().await.1
    };
    let spent = tokio::time::timeout(Duration::from_secs(10), settled).await.expect("the hold ends");
    assert!(0.0 < held && (spent - held).abs() < 1e-12, "{held} was held, {spent} is spent");
}
