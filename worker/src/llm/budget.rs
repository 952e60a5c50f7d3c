//! How much a tenant may spend in a day or a month. Pure: windows are those of the calendar in the tenant's zone, and the
//! time comes in. What was spent is in Redis (`purse.rs`).

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, TimeZone, Utc};
use chrono_tz::Tz;

use super::money::Dollars;

/// What one tenant may spend.
#[derive(Debug, Clone, PartialEq)]
pub struct Budget {
    /// In a day of the calendar.
    pub per_day: Option<Dollars>,
    /// In a month of the calendar.
    pub per_month: Option<Dollars>,
    /// Where days begin at midnight.
    pub timezone: Tz,
    /// What happens when it is spent.
    pub when_spent: WhenSpent,
}

/// What happens to jobs of a tenant that has spent its budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhenSpent {
    /// They wait until the window turns. Waiting costs no try.
    Wait,
    /// They are asked of this tier, whatever that costs: meant for models of one's own, or free ones.
    Tier(String),
}

/// The budgets of all tenants.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Budgets {
    /// Of every tenant that is not named, each for itself; of jobs without a tenant too.
    pub each: Option<Budget>,
    /// Of those that are.
    pub named: BTreeMap<String, Budget>,
}

impl Budgets {
    /// The budget of this tenant; `None` when it may spend what it wants.
    pub fn of(&self, tenant: Option<&str>) -> Option<&Budget> {
        tenant.and_then(|tenant| self.named.get(tenant)).or(self.each.as_ref())
    }
}

/// One stretch of time with its limit.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// `2026-11-22`, or `2026-11` for a month.
    pub name: String,
    /// What may be spent in it.
    pub limit: Dollars,
    /// Time until the next one begins.
    pub left: Duration,
}

impl Budget {
    /// The windows at this moment, the day first.
    pub fn windows(&self, now: DateTime<Utc>) -> Vec<Window> {
        let today = now.with_timezone(&self.timezone).date_naive();
        let window = |name: String, limit, next: Option<NaiveDate>| {
            let begins = next.and_then(|day| midnight(self.timezone, day));
            let left = begins.and_then(|begins| (begins - now).to_std().ok()).unwrap_or_default();
            Window { name, limit, left }
        };
        let first = today.with_day(1).unwrap_or(today);
        let day =
            self.per_day.map(|limit| window(today.to_string(), limit, today.checked_add_days(Days::new(1))));
        let month = self.per_month.map(|limit| {
            window(today.format("%Y-%m").to_string(), limit, first.checked_add_months(Months::new(1)))
        });
        day.into_iter().chain(month).collect()
    }
}

/// When a day begins: at midnight, or after the hour that the clock skips.
fn midnight(timezone: Tz, day: NaiveDate) -> Option<DateTime<Utc>> {
    let hours = (0..3).filter_map(|hour| NaiveTime::from_hms_opt(hour, 0, 0));
    let begins = hours.filter_map(|time| timezone.from_local_datetime(&day.and_time(time)).earliest());
    begins.map(|time| time.with_timezone(&Utc)).next()
}

#[cfg(test)]
mod tests {
    use chrono_tz::{America::Mexico_City, Asia::Beirut};

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn budget(timezone: Tz) -> Budget {
        let (per_day, per_month) = (Some(Dollars::new(5.0)), Some(Dollars::new(100.0)));
        Budget { per_day, per_month, timezone, when_spent: WhenSpent::Wait }
    }

    #[test]
    fn windows_are_those_of_the_calendar_where_the_tenant_is() {
        // 23:30 of 30 November in Mexico, already December in UTC.
        let windows = budget(Mexico_City).windows(at("2026-12-01T05:30:00Z"));

        let half_an_hour = Duration::from_mins(30);
        let told: Vec<_> = windows.iter().map(|window| (window.name.as_str(), window.left)).collect();
        assert_eq!(told, [("2026-11-30", half_an_hour), ("2026-11", half_an_hour)]);
    }

    #[test]
    fn a_day_whose_midnight_is_skipped_begins_an_hour_later() {
        // Lebanon's clocks jump from 00:00 to 01:00.
        let windows = budget(Beirut).windows(at("2026-03-28T21:00:00Z"));

        assert_eq!((windows[0].name.as_str(), windows[0].left), ("2026-03-28", Duration::from_hours(1)));
    }

    #[test]
    fn a_named_tenant_has_its_own_budget_and_the_others_each_the_common_one() {
        let own = Budget { per_month: None, ..budget(Mexico_City) };
        let budgets = Budgets {
            each: Some(budget(Mexico_City)),
            named: BTreeMap::from([("acme".into(), own.clone())]),
        };

        assert_eq!(budgets.of(Some("acme")), Some(&own));
        for tenant in [Some("globex"), None] {
            assert_eq!(budgets.of(tenant), budgets.each.as_ref());
        }
        assert_eq!(Budgets::default().of(Some("acme")), None);
    }
}
