//! `[llm]` of queues.toml: tiers, prices, what is asked next, budgets.

use std::collections::BTreeMap;

use chrono_tz::Tz;
use serde::Deserialize;

use super::{
    budget::{Budget, Budgets, WhenSpent},
    models::{DEFAULT_TIER, FALLBACK_TIER, Models, Next},
    money::{Dollars, Price},
};

/// Stands for every tenant that is not named.
const EVERYBODY: &str = "*";
/// What `when_spent` says when jobs wait.
const WAIT: &str = "wait";

/// A part that cannot be meant.
#[derive(Debug)]
pub struct Fault {
    /// The keys that lead to it inside `[llm]`.
    pub path: Vec<String>,
    /// What is wrong, as the rest of a sentence that starts with `llm.`.
    pub problem: String,
}

impl Fault {
    fn at(path: &[&str], problem: String) -> Self {
        Self { path: path.iter().map(|key| (*key).to_owned()).collect(), problem }
    }
}

/// Everything about models that is set.
#[derive(Debug, Clone, PartialEq)]
pub struct LlmSettings {
    /// Who is asked.
    pub models: Models,
    /// What it may cost.
    pub budgets: Budgets,
}

/// The table as written. Each part that is there replaces the built-in one as a whole.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Written {
    tiers: Option<BTreeMap<String, Vec<String>>>,
    prices: Option<BTreeMap<String, Price>>,
    next: Option<Next>,
    budgets: BTreeMap<String, WrittenBudget>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenBudget {
    per_day: Option<f64>,
    per_month: Option<f64>,
    timezone: Option<String>,
    when_spent: Option<String>,
}

impl LlmSettings {
    /// What is built in: the six models of the catalogue with their prices, and no budgets.
    pub fn built_in() -> Self {
        let models = |models: &[&str]| models.iter().map(|&model| model.to_owned()).collect::<Vec<_>>();
        let tiers = [
            (DEFAULT_TIER, models(&["anthropic/claude-3-haiku"])),
            ("premium", models(&["anthropic/claude-3-sonnet"])),
            (FALLBACK_TIER, models(&["openai/gpt-4o-mini", "openai/gpt-3.5-turbo"])),
            ("economy", models(&["mistralai/mistral-7b"])),
            ("open", models(&["meta-llama/llama-3-8b"])),
        ];
        let prices = [
            ("anthropic/claude-3-haiku", 0.25, 1.25),
            ("anthropic/claude-3-sonnet", 3.0, 15.0),
            ("openai/gpt-4o-mini", 0.15, 0.6),
            ("openai/gpt-3.5-turbo", 0.5, 1.5),
            ("mistralai/mistral-7b", 0.06, 0.06),
            ("meta-llama/llama-3-8b", 0.2, 0.2),
        ];
        let next = Next {
            trouble: models(&[FALLBACK_TIER]),
            too_long: models(&["premium"]),
            policy: models(&["open"]),
        };
        let tiers = tiers.into_iter().map(|(name, models)| (name.to_owned(), models)).collect();
        let prices =
            prices.into_iter().map(|(model, input, output)| (model.to_owned(), Price { input, output }));
        let models = Models { tiers, prices: prices.collect(), next };
        Self { models, budgets: Budgets::default() }
    }

    /// What is written in the place of what is built in. The built-in way out of trouble stays when it is not written,
    /// as far as its tiers are there.
    ///
    /// # Errors
    /// Every part that cannot be meant.
    pub fn of(written: Written) -> Result<Self, Vec<Fault>> {
        let built_in = Self::built_in().models;
        let is_next_written = written.next.is_some();
        let models = Models {
            tiers: written.tiers.unwrap_or(built_in.tiers),
            prices: written.prices.unwrap_or(built_in.prices),
            next: written.next.unwrap_or(built_in.next),
        };
        let mut problems = problems(&models);
        if is_next_written {
            problems.extend(unknown_next(&models));
        }
        let mut budgets = Budgets::default();
        for (tenant, written) in written.budgets {
            match budget(&tenant, written, &models) {
                Ok(budget) if tenant == EVERYBODY => budgets.each = Some(budget),
                Ok(budget) => drop(budgets.named.insert(tenant, budget)),
                Err(more) => problems.extend(more),
            }
        }
        if models.prices.is_empty() && (budgets.each.is_some() || !budgets.named.is_empty()) {
            let problem =
                "prices is empty, so no budget can be kept; write what models cost, or remove prices";
            problems.push(Fault::at(&["prices"], problem.to_owned()));
        }
        if problems.is_empty() { Ok(Self { models, budgets }) } else { Err(problems) }
    }

    /// The models that the environment names, in the place of their tiers.
    pub fn with_environment(mut self, default: Option<&str>, fallback: Option<&str>) -> Self {
        for (tier, model) in [(DEFAULT_TIER, default), (FALLBACK_TIER, fallback)] {
            if let Some(model) = model {
                self.models.tiers.insert(tier.to_owned(), vec![model.to_owned()]);
            }
        }
        self
    }
}

fn problems(models: &Models) -> Vec<Fault> {
    let mut problems = Vec::new();
    if !models.tiers.contains_key(DEFAULT_TIER) {
        let problem = format!("tiers has no `{DEFAULT_TIER}`, which jobs ask that name none; add it");
        problems.push(Fault::at(&["tiers"], problem));
    }
    for (tier, _) in models.tiers.iter().filter(|(_, names)| names.is_empty()) {
        let problem = format!("tiers.{tier} names no model; write one, or remove it");
        problems.push(Fault::at(&["tiers", tier], problem));
    }
    for (model, price) in models.prices.iter().filter(|(_, price)| !price.is_usable()) {
        let problem = format!(
            "prices.\"{model}\" = {} and {} is no price; write dollars per million tokens, 0 to 10000",
            price.input, price.output
        );
        problems.push(Fault::at(&["prices", model], problem));
    }
    problems
}

/// Tiers that are to be asked next and are not there.
fn unknown_next(models: &Models) -> Vec<Fault> {
    let known = models.tiers.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    let Next { trouble, too_long, policy } = &models.next;
    let mut problems = Vec::new();
    for (key, tiers) in [("trouble", trouble), ("too_long", too_long), ("policy", policy)] {
        for tier in tiers.iter().filter(|tier| !models.tiers.contains_key(*tier)) {
            let problem = format!("next.{key} names tier {tier}, which is not there; write one of {known}");
            problems.push(Fault::at(&["next", key], problem));
        }
    }
    problems
}

fn budget(tenant: &str, written: WrittenBudget, models: &Models) -> Result<Budget, Vec<Fault>> {
    let mut problems = Vec::new();
    let place = format!("budgets.\"{tenant}\"");
    let at =
        |key: &str, problem: String| Fault::at(&["budgets", tenant, key], format!("{place}.{key} {problem}"));
    let mut dollars = |key: &str, written: Option<f64>| {
        let written = written?;
        if !(0.0 < written && written <= 1_000_000.0) {
            let problem = format!("= {written} is no budget; write dollars, more than 0 and at most 1000000");
            problems.push(at(key, problem));
        }
        Some(Dollars::new(written))
    };
    let (per_day, per_month) = (dollars("per_day", written.per_day), dollars("per_month", written.per_month));
    if per_day.is_none() && per_month.is_none() {
        let problem = format!("{place} limits nothing; write per_day or per_month, in dollars");
        problems.push(Fault::at(&["budgets", tenant], problem));
    }
    let timezone = written.timezone.map_or(Ok(Tz::UTC), |name| name.parse::<Tz>().map_err(|_| name));
    let timezone = timezone.unwrap_or_else(|name| {
        let problem = format!("= \"{name}\" is no time zone; write one such as \"America/Mexico_City\"");
        problems.push(at("timezone", problem));
        Tz::UTC
    });
    let when_spent = match written.when_spent.as_deref() {
        None | Some(WAIT) => WhenSpent::Wait,
        Some(tier) => {
            if !models.tiers.contains_key(tier) {
                problems.push(at("when_spent", format!("= \"{tier}\" is neither \"{WAIT}\" nor a tier")));
            }
            WhenSpent::Tier(tier.to_owned())
        }
    };
    if problems.is_empty() { Ok(Budget { per_day, per_month, timezone, when_spent }) } else { Err(problems) }
}
