//! `flota llm`: which models are asked, what they cost, what tenants may still spend.

use clap::Subcommand;
use serde::Serialize;

use crate::{
    clock::now,
    config::Environment,
    dead,
    exit::{Done, Exit, Stop},
    llm::{By, Dollars, LlmSettings, Purses, Standing, Sum, WhenSpent, usage},
};

use super::{
    Global,
    context::{self, Redis, postgres},
    output::Show,
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Tiers with their models and prices, and who is asked when one cannot answer
    #[command(after_help = "Example: flota llm models")]
    Models,
    /// Tokens, seconds of sound and dollars of all questions and transcriptions, from history
    #[command(
        after_help = "Examples: flota llm usage --since 30d --by tenant\n          flota llm usage --tenant acme --by day -o json\n          flota llm usage --by kind"
    )]
    Usage {
        /// How far back: 2h, 30d, 2026-11-01 or 2026-11-21T18:00:00Z
        #[arg(long, default_value = "30d")]
        since: String,
        /// Only this tenant's
        #[arg(long)]
        tenant: Option<String>,
        /// What each row stands for
        #[arg(long, default_value = "model")]
        by: By,
    },
    /// What a tenant has spent of its budget in this day and month
    #[command(after_help = "Example: flota llm budget acme")]
    Budget {
        /// The tenant; jobs without one unless given
        tenant: Option<String>,
    },
}

/// A model as the list shows it.
#[derive(Debug, Serialize)]
struct ModelRow {
    model: String,
    tier: String,
    /// Dollars per million tokens of the question.
    input: Option<f64>,
    /// Dollars per million tokens of the answer.
    output: Option<f64>,
    /// What leads from the default tier to this one.
    asked_when: Vec<&'static str>,
}

pub(super) async fn run(global: &Global, environment: Environment, command: Command) -> Done {
    let chat = environment.integrations.chat.as_ref();
    let settings = context::queues(global)?.llm.with_environment(
        chat.and_then(|chat| chat.model.as_deref()),
        chat.and_then(|chat| chat.fallback.as_deref()),
    );
    match command {
        Command::Models => global.output.list(&models(&settings), "No model is set.")?,
        Command::Usage { since, tenant, by } => {
            let since = dead::filter::moment(&since, now())?;
            let rows = usage(&postgres(&environment)?, since, tenant.as_deref(), by).await?;
            global.output.list(
                &rows,
                "No question to a language model and no transcription was recorded in this time.",
            )?;
        }
        Command::Budget { tenant } => {
            let budget = settings.budgets.of(tenant.as_deref()).ok_or_else(|| {
                Stop::not_found(
                    "there is no budget for this tenant; write [llm.budgets.\"*\"] into queues.toml",
                )
            })?;
            let redis = Redis::new(&environment)?;
            let standing = Purses::new(redis.link, redis.prefix).standing(tenant.as_deref(), budget).await?;
            global.output.list(&standing, "Nothing is limited.")?;
            if let WhenSpent::Tier(tier) = &budget.when_spent
                && global.output.is_table()
            {
                super::output::line(&format!("When it is spent, tier {tier} is asked."))?;
            }
        }
    }
    Ok(Exit::Ok)
}

fn models(settings: &LlmSettings) -> Vec<ModelRow> {
    let models = &settings.models;
    let next = &models.next;
    let ways = [("trouble", &next.trouble), ("too long", &next.too_long), ("policy", &next.policy)];
    let row = |(tier, model): (&String, &String)| ModelRow {
        model: model.clone(),
        tier: tier.clone(),
        input: models.prices.get(model).map(|price| price.input),
        output: models.prices.get(model).map(|price| price.output),
        asked_when: ways.iter().filter(|(_, tiers)| tiers.contains(tier)).map(|(why, _)| *why).collect(),
    };
    models
        .tiers
        .iter()
        .flat_map(|(tier, models)| models.iter().map(move |model| (tier, model)))
        .map(row)
        .collect()
}

fn price(price: Option<f64>) -> String {
    price.map_or_else(|| "?".to_owned(), |price| format!("{price:.2}"))
}

impl Show for ModelRow {
    const COLUMNS: &'static [&'static str] =
        &["model", "tier", "$/1M input", "$/1M output", "asked next when"];

    fn row(&self) -> Vec<String> {
        let asked = self.asked_when.join(", ");
        vec![self.model.clone(), self.tier.clone(), price(self.input), price(self.output), asked]
    }

    fn id(&self) -> String {
        self.model.clone()
    }
}

impl Show for Sum {
    const COLUMNS: &'static [&'static str] =
        &["name", "calls", "failed", "tokens in", "tokens out", "audio s", "dollars"];

    fn row(&self) -> Vec<String> {
        let tokens = [self.prompt_tokens, self.completion_tokens];
        let numbers = [self.calls, self.failed].into_iter().chain(tokens).chain([self.audio_seconds]);
        let name = if self.name.is_empty() { "(no tenant)".to_owned() } else { self.name.clone() };
        let numbers = numbers.map(|number| number.to_string());
        [name].into_iter().chain(numbers).chain([Dollars::new(self.cost_usd).to_string()]).collect()
    }

    fn id(&self) -> String {
        self.name.clone()
    }
}

impl Show for Standing {
    const COLUMNS: &'static [&'static str] = &["window", "limit", "spent", "held", "left"];

    fn row(&self) -> Vec<String> {
        let left = (self.limit - self.spent - self.held).max(0.0);
        let dollars =
            [self.limit, self.spent, self.held, left].map(|dollars| Dollars::new(dollars).to_string());
        [self.window.clone()].into_iter().chain(dollars).collect()
    }

    fn id(&self) -> String {
        self.window.clone()
    }
}
