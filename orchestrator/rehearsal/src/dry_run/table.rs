//! The report as cells of a table, the same for terminals, programs and tests.

use amends_engine::Status;

use super::Row;

/// What stands above [`Row::cells`].
pub const HEADING: [&str; 7] = ["step", "what goes wrong", "ending", "undone", "left", "sends", "takes"];

impl Row {
    /// The row, a cell for each of [`HEADING`].
    #[must_use]
    pub fn cells(&self) -> Vec<String> {
        let step = match (self.step.as_str(), &self.with) {
            (step, None) => step.to_owned(),
            ("", Some(with)) => format!("({with})"),
            (step, Some(with)) => format!("{step} ({with})"),
        };
        vec![
            or_dash(step),
            self.fault.to_string(),
            self.ending_in_words(),
            or_dash(self.undone.join(", ")),
            or_dash(self.left.join(", ")),
            self.sends.to_string(),
            duration(self.duration_ms),
        ]
    }

    /// `completed`, `compensated (attempts)`, `parked (tell: rejected)`
    fn ending_in_words(&self) -> String {
        match (self.ending, &self.failure) {
            (Status::Parked, _) => format!("parked ({})", self.stuck.join(", ")),
            (ending, Some(failure)) => format!("{ending} ({failure})"),
            (ending, None) => ending.to_string(),
        }
    }
}

fn or_dash(text: String) -> String {
    if text.is_empty() { "-".to_owned() } else { text }
}

/// `80ms`, `10.2s`, `5m 3s`, `24h 10m`
fn duration(ms: u64) -> String {
    let (s, min) = (ms / 1000, ms / 60_000);
    match ms {
        0..1_000 => format!("{ms}ms"),
        1_000..60_000 => format!("{s}.{}s", ms % 1000 / 100),
        60_000..3_600_000 => format!("{min}m {}s", s % 60),
        _ => format!("{}h {}m", min / 60, min % 60),
    }
}
