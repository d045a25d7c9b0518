//! Medians, spreads and ratios; as a table for people and as JSON for programs.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

/// The values of one figure, one for each round.
#[derive(Clone, Default)]
pub(crate) struct Series(Vec<f64>);

impl Series {
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// The value below which this share of all values lies.
    fn quantile(&self, share: f64) -> f64 {
        let mut values = self.0.clone();
        values.sort_by(f64::total_cmp);
        let last = values.len().checked_sub(1).expect("something was measured");
        values[(last as f64 * share).round() as usize]
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// Half the distance between the quartiles, in percent of the median.
    fn spread(&self) -> f64 {
        (self.quantile(0.75) - self.quantile(0.25)) / 2.0 / self.median().abs().max(f64::MIN_POSITIVE) * 100.0
    }

    /// Round by round, so that what disturbs a whole round disturbs no ratio.
    fn over(&self, base: &Self) -> Self {
        self.0.iter().zip(&base.0).map(|(ours, base)| ours / base).collect()
    }

    fn json(&self) -> Value {
        json!({ "median": self.median(), "spread_percent": self.spread(), "values": self.0 })
    }
}

impl FromIterator<f64> for Series {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

impl From<f64> for Series {
    fn from(value: f64) -> Self {
        Self(vec![value])
    }
}

/// Samples in one round; sorted once, asked often.
pub(crate) struct Samples(Series);

impl Samples {
    pub(crate) fn new(values: Vec<f64>) -> Self {
        Self(Series(values))
    }

    pub(crate) fn percentile(&self, percent: f64) -> f64 {
        self.0.quantile(percent / 100.0)
    }
}

#[derive(Clone, Copy)]
enum Goal {
    RatioAtLeast(f64),
    RatioAtMost(f64),
    AtMost(f64),
}

/// One figure.
pub(crate) struct Row {
    what: String,
    unit: &'static str,
    ours: Series,
    base: Option<Series>,
    goals: Vec<Goal>,
}

impl Row {
    /// What the ratio should be at least.
    pub(crate) fn ratio_at_least(&mut self, ratio: f64) -> &mut Self {
        self.goals.push(Goal::RatioAtLeast(ratio));
        self
    }

    /// What the ratio should be at most.
    pub(crate) fn ratio_at_most(&mut self, ratio: f64) -> &mut Self {
        self.goals.push(Goal::RatioAtMost(ratio));
        self
    }

    /// What the figure should be at most.
    pub(crate) fn at_most(&mut self, value: f64) -> &mut Self {
        self.goals.push(Goal::AtMost(value));
        self
    }

    fn ratio(&self) -> Option<Series> {
        self.base.as_ref().map(|base| self.ours.over(base))
    }

    /// Each goal in words, and whether it is met.
    fn goals(&self) -> Vec<(String, bool)> {
        let ratio = self.ratio().map_or(f64::NAN, |ratio| ratio.median());
        let goal = |goal: &Goal| match *goal {
            Goal::RatioAtLeast(least) => (format!("ratio >= {least}"), ratio >= least),
            Goal::RatioAtMost(most) => (format!("ratio <= {most}"), ratio <= most),
            Goal::AtMost(most) => (format!("<= {} {}", number(most), self.unit), self.ours.median() <= most),
        };
        self.goals.iter().map(goal).collect()
    }

    fn cells(&self) -> [String; 5] {
        let value = |series: &Series| match series.0.len() {
            1 => number(series.median()),
            _ => format!("{} ±{:.0}%", number(series.median()), series.spread()),
        };
        let goals = self.goals();
        let goals =
            goals.iter().map(|(goal, met)| format!("{goal}: {}", if *met { "met" } else { "MISSED" }));
        [
            format!("{}, {}", self.what, self.unit),
            value(&self.ours),
            self.base.as_ref().map_or_else(String::new, value),
            self.ratio().map_or_else(String::new, |ratio| format!("{:.2}", ratio.median())),
            goals.collect::<Vec<_>>().join("; "),
        ]
    }

    fn json(&self) -> Value {
        let goals = self.goals();
        let goals: Vec<Value> = goals.iter().map(|(goal, met)| json!({ "goal": goal, "met": met })).collect();
        json!({
            "figure": self.what, "unit": self.unit, "backroom": self.ours.json(), "goals": goals,
            "baseline": self.base.as_ref().map(Series::json), "ratio": self.ratio().as_ref().map(Series::json),
        })
    }
}

/// Everything that one bench found.
pub(crate) struct Report {
    name: &'static str,
    about: &'static str,
    quick: bool,
    load_average: String,
    rows: Vec<Row>,
}

impl Report {
    /// Begins a report; `about` says what the baseline is.
    pub(crate) fn new(name: &'static str, quick: bool, about: &'static str) -> Self {
        eprintln!("measuring {name} ...");
        Self { name, about, quick, load_average: read("/proc/loadavg"), rows: Vec::new() }
    }

    /// Adds a figure, with that of the baseline if there is one.
    pub(crate) fn row(
        &mut self,
        what: impl Into<String>,
        unit: &'static str,
        ours: impl Into<Series>,
        base: impl Into<Option<Series>>,
    ) -> &mut Row {
        let row = Row { what: what.into(), unit, ours: ours.into(), base: base.into(), goals: Vec::new() };
        eprintln!("  {}", row.cells().join("  "));
        self.rows.push(row);
        self.rows.last_mut().expect("just pushed")
    }

    /// Prints the table, and writes the JSON.
    pub(crate) fn finish(self) {
        let head = ["figure", "Backroom", "baseline", "ratio", "goal"].map(str::to_owned);
        let lines: Vec<[String; 5]> = std::iter::once(head).chain(self.rows.iter().map(Row::cells)).collect();
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths = [0, 1, 2, 3, 4].map(width);
        let quick = if self.quick { " (quick: these figures mean nothing)" } else { "" };
        println!("\n## {}{quick}\n\n{}\n", self.name, self.about);
        for (index, line) in lines.iter().enumerate() {
            let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
            println!("| {} |", cells.collect::<Vec<_>>().join(" | "));
            if index == 0 {
                println!("|-{}-|", widths.map(|width| "-".repeat(width)).join("-|-"));
            }
        }
        let page = json!({
            "name": self.name, "about": self.about, "quick": self.quick, "machine": machine(&self.load_average),
            "figures": self.rows.iter().map(Row::json).collect::<Vec<_>>(),
        });
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench");
        let file = folder.join(format!("{}.json", self.name));
        fs::create_dir_all(&folder)
            .and_then(|()| fs::write(&file, format!("{page:#}\n")))
            .expect("writes the JSON");
    }
}

fn machine(load_average: &str) -> Value {
    let cpu = read("/proc/cpuinfo");
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    json!({
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "cpu": cpu.trim_start_matches([' ', '\t', ':']),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "load_average_before": load_average.trim(),
    })
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Three digits that count, more or less.
fn number(value: f64) -> String {
    match value.abs() {
        0.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}
