//! The tables, in Markdown: on the terminal, and in the part of docs/performance.md that is made from a report.

use std::fmt::Write;

use super::{
    case::Case,
    figures::{Asked, FIGURES, Figure},
    judge::Judged,
    metric::Metric,
    report::Report,
    sample::{FLOTA, Spread, of_all_rounds},
};

/// Name of the part of the page.
pub const PART: &str = "bench";

/// What is told of every subject.
const BESIDE_EACH_OTHER: [Metric; 18] = [
    Metric::BulkPerS,
    Metric::SinglePerS,
    Metric::SettledPerS,
    Metric::CommittedPerS,
    Metric::PickUpP50Ms,
    Metric::PickUpP99Ms,
    Metric::PickUpMaxMs,
    Metric::IdleCpuPercent,
    Metric::IdleRedisPercent,
    Metric::IdleRssMb,
    Metric::LoadRssMb,
    Metric::BytesPerQueued,
    Metric::BytesLeft,
    Metric::RedisBulkUs,
    Metric::RedisDrainUs,
    Metric::WorkerUs,
    Metric::PostgresUs,
    Metric::OthersPercent,
];
/// What is told of ours under each circumstance.
const UNDER_CIRCUMSTANCES: [Metric; 8] = [
    Metric::BulkPerS,
    Metric::SettledPerS,
    Metric::CommittedPerS,
    Metric::RedisBothUs,
    Metric::WorkerUs,
    Metric::PostgresUs,
    Metric::BytesPerQueued,
    Metric::ShareOfIdeal,
];

/// Everything about a report.
pub fn markdown(report: &Report) -> String {
    let mut page = format!("{}.", report.machine.line());
    let rounds = if report.plan.rounds == 1 {
        "One round".to_owned()
    } else {
        format!("{} rounds", report.plan.rounds)
    };
    let _ = writeln!(page, " {rounds}; median (least to most).\n");
    if report.quick {
        page.push_str("**Small numbers, to try the measures out: nothing follows from them.**\n\n");
    }
    for table in [figures(report), beside_each_other(report), circumstances(report)] {
        page.push_str(&aligned(&table));
        page.push('\n');
    }
    page.push_str(&left_out(report));
    page
}

/// What was asked and what came of it.
fn figures(report: &Report) -> Vec<Vec<String>> {
    let mut rows = vec![row(["figure", "reached", "asked", "verdict"])];
    for (figure, judged) in FIGURES.iter().zip(&report.figures) {
        rows.push(row([
            figure.what,
            &reached(figure, judged),
            &asked(figure.asked),
            &judged.verdict.to_string(),
        ]));
    }
    rows
}

fn reached(figure: &Figure, judged: &Judged) -> String {
    let Some(Spread { median, least, most }) = judged.reached else { return "–".to_owned() };
    let digits = figure.digits;
    format!("{median:.digits$} ({least:.digits$} to {most:.digits$})")
}

fn asked(asked: Asked) -> String {
    let number = |thousandths: u32| (f64::from(thousandths) / 1_000.0).to_string();
    let with_aim = |sign: &str, reach: u32, aim: Option<u32>| match aim {
        Some(aim) => format!("{sign} {}, aim {}", number(reach), number(aim)),
        None => format!("{sign} {}", number(reach)),
    };
    match asked {
        Asked::AtLeast(reach, aim) => with_aim("≥", reach, aim),
        Asked::AtMost(reach, aim) => with_aim("≤", reach, aim),
        Asked::Within(bound) => format!("0 ± {}", number(bound)),
    }
}

/// A column for every subject, a row for every number.
fn beside_each_other(report: &Report) -> Vec<Vec<String>> {
    let mut subjects: Vec<&str> = Vec::new();
    for sample in &report.samples {
        if sample.case == Case::Usual && !subjects.contains(&&*sample.subject) {
            subjects.push(&sample.subject);
        }
    }
    // Ours first, whoever came first.
    subjects.sort_by_key(|subject| *subject != FLOTA);
    let mut rows = vec![row(["measure"].into_iter().chain(subjects.iter().copied()))];
    for metric in BESIDE_EACH_OTHER {
        let cells = subjects.iter().map(|subject| cell(report, subject, Case::Usual, metric));
        rows.push([metric.title().to_owned()].into_iter().chain(cells).collect());
    }
    rows
}

/// A row for every circumstance; features with their share of the plain rate.
fn circumstances(report: &Report) -> Vec<Vec<String>> {
    let mut cases: Vec<Case> = Vec::new();
    for sample in &report.samples {
        if sample.case != Case::Usual && !cases.contains(&sample.case) {
            cases.push(sample.case);
        }
    }
    let titles = UNDER_CIRCUMSTANCES.map(Metric::title);
    let mut rows = vec![row(["Flota"].into_iter().chain(titles).chain(["committed ÷ plain"]))];
    for case in cases {
        let mut cells = vec![case.to_string()];
        cells.extend(UNDER_CIRCUMSTANCES.map(|metric| cell(report, FLOTA, case, metric)));
        cells.push(if Case::FEATURES.contains(&case) { share_of_plain(report, case) } else { String::new() });
        rows.push(cells);
    }
    rows
}

fn share_of_plain(report: &Report, case: Case) -> String {
    let of = |case| of_all_rounds(&report.samples, FLOTA, case, Metric::CommittedPerS);
    // Each with that of its own round; a round without one of them was not kept at all.
    let shares: Vec<f64> =
        of(case).iter().zip(of(Case::Plain)).map(|(with, without)| with / without).collect();
    Spread::of(&shares).map_or_else(String::new, |share| format!("{:.2}", share.median))
}

fn cell(report: &Report, subject: &str, case: Case, metric: Metric) -> String {
    let values = of_all_rounds(&report.samples, subject, case, metric);
    let Some(spread) = Spread::of(&values) else { return String::new() };
    let shown = |value: f64| number(value, metric);
    if values.len() == 1 {
        return shown(spread.median);
    }
    format!("{} ({} to {})", shown(spread.median), shown(spread.least), shown(spread.most))
}

/// Rates in whole numbers with commas, the rest with as many digits as mean something.
fn number(value: f64, metric: Metric) -> String {
    if metric == Metric::ShareOfIdeal {
        return format!("{value:.3}");
    }
    if value.abs() < 100.0 {
        return format!("{value:.2}");
    }
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if 0 < place && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 { format!("-{text}") } else { text }
}

/// Runs that do not count, and peers that are missing.
fn left_out(report: &Report) -> String {
    let mut text = String::new();
    for failed in &report.failed {
        let (subject, measure, round) = (&failed.subject, failed.measure, failed.round);
        let _ = writeln!(text, "- {subject}, {measure:?}, round {round}, does not count: {}", failed.reason);
    }
    for missing in &report.missing {
        let _ = writeln!(text, "- {} could not be built here: {}", missing.peer, missing.reason);
    }
    text
}

fn row<'a>(cells: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    cells.into_iter().map(str::to_owned).collect()
}

/// A table that can be read as it is, too. The first row is the head; without others there is no table.
fn aligned(rows: &[Vec<String>]) -> String {
    let ([head, _, ..], Some(columns)) = (rows, rows.first().map(Vec::len)) else { return String::new() };
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = line(head, &widths);
    let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    text.push_str(&line(&rules, &widths));
    for row in &rows[1..] {
        text.push_str(&line(row, &widths));
    }
    text
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let padded = cells
        .iter()
        .zip(widths)
        .map(|(cell, width)| format!(" {cell}{} |", " ".repeat(width - cell.chars().count())));
    format!("|{}\n", padded.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{
        figures::BULLMQ,
        judge::judge,
        machine::Machine,
        peers::PEERS,
        plan::{Arguments, Plan},
        sample::Sample,
    };
    use clap::Parser;

    fn report(samples: Vec<Sample>) -> Report {
        let plan = Plan::of(&Arguments::parse_from(["bench", "--quick"]));
        let machine = Machine {
            cores: 2,
            processor: "a processor".to_owned(),
            memory_mb: 8_000,
            kernel: "6.1".to_owned(),
            redis: "7.0".to_owned(),
            postgres: "15.1".to_owned(),
            commit: "abc".to_owned(),
            release: true,
        };
        let figures = FIGURES.iter().map(|figure| judge(figure, &samples)).collect();
        let (failed, missing) = (Vec::new(), Vec::new());
        Report { machine, began_unix: 0, quick: true, plan, figures, samples, failed, missing }
    }

    fn sample(subject: &str, case: Case, metric: Metric, value: f64) -> Sample {
        Sample { round: 1, subject: subject.to_owned(), case, metric, value }
    }

    #[test]
    fn a_page_has_every_figure_each_subject_and_each_circumstance() {
        let bullmq = PEERS.iter().find(|peer| peer.product == BULLMQ).unwrap().name;
        let page = markdown(&report(vec![
            sample(bullmq, Case::Usual, Metric::SettledPerS, 5_000.0),
            sample(FLOTA, Case::Usual, Metric::SettledPerS, 60_000.4),
            sample(FLOTA, Case::Usual, Metric::CommittedPerS, 32_500.0),
            sample(FLOTA, Case::Plain, Metric::CommittedPerS, 30_000.0),
            sample(FLOTA, Case::Unique, Metric::CommittedPerS, 27_000.0),
        ]));

        let lines: Vec<String> =
            page.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        for expected in [
            "2 cores (a processor), 8000 MB, Linux 6.1, Redis 7.0, Postgres 15.1, commit abc. One round; median (least to most).",
            "| drain, every outcome committed to Postgres ÷ BullMQ's best drain | 6.50 (6.50 to 6.50) | ≥ 6, aim 10 | held |",
            "| drain to settled ÷ BullMQ's best drain | 12.00 (12.00 to 12.00) | ≥ 7, aim 11 | held, and the aim |",
            "| left in Redis per finished job, bytes | – | 0 ± 2 | not measured |",
            "| measure | Flota | BullMQ 1×100 |",
            "| drain to settled/s | 60,000 | 5,000 |",
        ] {
            assert!(lines.iter().any(|line| line == expected), "{expected}\nis not in\n{page}");
        }
        assert!(
            lines.iter().any(|line| line.starts_with("| unique key |") && line.ends_with("| 0.90 |")),
            "{page}"
        );
    }

    #[test]
    fn a_report_that_was_kept_gives_the_same_page() {
        let report = report(vec![sample(FLOTA, Case::Backlog(1_000), Metric::SettledPerS, 41_234.0)]);

        let kept: Report = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();

        assert_eq!(markdown(&kept), markdown(&report));
    }

    #[test]
    fn numbers_have_the_digits_that_mean_something() {
        for (value, shown) in [
            (0.954, "0.95"),
            (99.4, "99.40"),
            (100.0, "100"),
            (1_234_567.8, "1,234,568"),
            (-1_000.0, "-1,000"),
        ] {
            assert_eq!(number(value, Metric::WorkerUs), shown);
        }
        assert_eq!(number(0.9876, Metric::ShareOfIdeal), "0.988");
    }
}
