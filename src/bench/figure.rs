//! What a bench found: figures, each beside its budget where there is one.

use serde::Serialize;

/// One figure: a line of the table, an object of the JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// Which bench.
    pub bench: &'static str,
    /// What was done, in words.
    pub case: String,
    /// What was measured.
    pub what: &'static str,
    /// How much, rounded to what is worth saying.
    pub value: f64,
    /// Of what: `us`, `ms`, `B`; empty for a plain number.
    pub unit: &'static str,
    /// What it is held against; null where it is told for its own sake, and where its budget was made for another size.
    pub budget: Option<Budget>,
    /// `ok` or `short`; null without a budget.
    pub verdict: Option<&'static str>,
}

/// What a figure is held against.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Budget {
    /// It must not be more.
    AtMost(f64),
    /// It must not be less.
    AtLeast(f64),
}

impl Budget {
    fn is_kept(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
        }
    }
}

/// Figures of one case, in the order in which they are told.
#[derive(Debug)]
pub struct Case {
    bench: &'static str,
    case: String,
    is_judged: bool,
    figures: Vec<Figure>,
}

impl Case {
    /// A case of a bench, without figures.
    pub fn new(bench: &'static str, case: impl Into<String>) -> Self {
        Self { bench, case: case.into(), is_judged: true, figures: Vec::new() }
    }

    /// Whether its budgets were made for its size; where they were not, figures stand alone.
    #[must_use]
    pub fn judged_if(self, is_judged: bool) -> Self {
        Self { is_judged, ..self }
    }

    /// Adds a figure that is told for its own sake.
    #[must_use]
    pub fn told(self, what: &'static str, value: f64, unit: &'static str) -> Self {
        self.add(what, value, unit, None)
    }

    /// Adds a figure that must not be more than `most`.
    #[must_use]
    pub fn at_most(self, most: f64, what: &'static str, value: f64, unit: &'static str) -> Self {
        let budget = self.is_judged.then_some(Budget::AtMost(rounded(most)));
        self.add(what, value, unit, budget)
    }

    /// Adds a count of what must not be, at any size.
    #[must_use]
    pub fn none(self, what: &'static str, count: usize) -> Self {
        self.add(what, count as f64, "", Some(Budget::AtMost(0.0)))
    }

    /// Adds a figure that must not be less than `least`.
    #[must_use]
    pub fn at_least(self, least: f64, what: &'static str, value: f64, unit: &'static str) -> Self {
        let budget = self.is_judged.then_some(Budget::AtLeast(rounded(least)));
        self.add(what, value, unit, budget)
    }

    /// The figures.
    pub fn figures(self) -> Vec<Figure> {
        self.figures
    }

    fn add(mut self, what: &'static str, value: f64, unit: &'static str, budget: Option<Budget>) -> Self {
        // What is judged is what is shown.
        let value = rounded(value);
        let verdict = budget.map(|budget| if budget.is_kept(value) { "ok" } else { "short" });
        self.figures.push(Figure { bench: self.bench, case: self.case.clone(), what, value, unit, budget, verdict });
        self
    }
}

/// Three digits that count.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let places = 2 - value.abs().log10().floor() as i32;
    if places <= 0 {
        return value.round();
    }
    let scale = 10_f64.powi(places.min(9));
    (value * scale).round() / scale
}

/// Values in order, to be asked for quantiles.
#[derive(Debug, Clone, Default)]
pub struct Sample(Vec<f64>);

impl Sample {
    /// In any order.
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The value that the share `of` of all do not exceed; 0 without values.
    pub fn quantile(&self, of: f64) -> f64 {
        let place = (self.0.len() as f64 * of).ceil() as usize;
        self.0.get(place.clamp(1, self.0.len().max(1)) - 1).copied().unwrap_or(0.0)
    }

    /// The greatest; 0 without values.
    pub fn most(&self) -> f64 {
        self.quantile(1.0)
    }

    /// The median; 0 without values.
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_are_kept_and_whole_numbers_whole() {
        assert_eq!(rounded(0.123_45), 0.123);
        assert_eq!(rounded(12.345), 12.3);
        assert_eq!(rounded(123_456.7), 123_457.0);
        assert_eq!(rounded(0.0), 0.0);
    }

    #[test]
    fn a_figure_is_held_against_its_budget() {
        let figures =
            Case::new("lag", "x").at_most(1.0, "p99", 1.004, "ms").at_least(2.0, "r", 1.9, "").told("n", 3.0, "");
        let verdicts: Vec<_> = figures.figures().into_iter().map(|figure| figure.verdict).collect();
        assert_eq!(verdicts, [Some("ok"), Some("short"), None], "what is judged is what is shown");
    }

    #[test]
    fn a_budget_holds_for_the_size_that_it_was_made_for_and_what_is_lost_is_lost_at_any() {
        let case = Case::new("lag", "x").judged_if(false);
        let figures = case.at_most(1.0, "p99", 2.0, "ms").at_least(2.0, "r", 3.0, "").none("lost", 1).figures();
        let verdicts: Vec<_> = figures.iter().map(|figure| figure.verdict).collect();
        assert_eq!(verdicts, [None, None, Some("short")]);
        assert_eq!(figures[0].budget, None);
    }

    #[test]
    fn quantiles_are_values_of_the_sample() {
        let sample = Sample::of((1..=100).rev().map(f64::from).collect());
        assert_eq!((sample.median(), sample.quantile(0.99), sample.most()), (50.0, 99.0, 100.0));
        assert_eq!(Sample::default().quantile(0.99), 0.0);
    }
}
