//! Printing: tables and sentences for people, JSON for programs, progress bars on a terminal only.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};

/// Where results go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    /// Prints JSON when asked to.
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether programs read the output.
    pub fn is_json(self) -> bool {
        self.json
    }

    /// Prints a sentence for people; nothing for programs.
    pub fn say(self, text: impl AsRef<str>) {
        if !self.json {
            self.raw(text.as_ref());
        }
    }

    /// Prints a value for programs, or what `for_people` makes of it.
    pub fn result(self, value: &serde_json::Value, for_people: impl FnOnce()) {
        if self.json {
            self.raw(&serde_json::to_string_pretty(value).unwrap_or_default());
        } else {
            for_people();
        }
    }

    /// Prints one line of JSON for programs, which read lines of what goes on, or a sentence for people.
    pub fn event(self, value: &serde_json::Value, for_people: &str) {
        if self.json {
            self.raw(&value.to_string());
        } else {
            self.raw(for_people);
        }
    }

    /// Prints a line whoever reads it.
    #[expect(clippy::unused_self, reason = "all output goes through this type")]
    pub fn raw(self, text: &str) {
        // A closed pipe (`hone models intent | head`) is no error of ours.
        let _ = writeln!(std::io::stdout(), "{text}");
    }

    /// Prints a table; columns whose cells are numbers are aligned to the right.
    pub fn table(self, headers: &[&str], rows: Vec<Vec<String>>) {
        if rows.is_empty() {
            return self.raw("none");
        }
        let mut table = Table::new();
        table
            .load_style(presets::UTF8_HORIZONTAL_ONLY)
            .set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(headers.to_vec());
        let is_number = |column: usize| {
            let mut cells = rows
                .iter()
                .map(|row| row[column].as_str())
                .filter(|cell| !cell.is_empty())
                .peekable();
            cells.peek().is_some()
                && cells.all(|cell| cell.trim_end_matches([' ', '%']).parse::<f64>().is_ok())
        };
        let numbers: Vec<usize> = (0..headers.len()).filter(|&column| is_number(column)).collect();
        table.add_rows(rows);
        for number in numbers {
            if let Some(column) = table.column_mut(number) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        self.raw(&table.to_string());
    }

    /// Prints an error on standard error.
    pub fn error(self, text: &str) {
        if self.json {
            let _ = writeln!(std::io::stderr(), "{}", serde_json::json!({ "error": text }));
        } else {
            let _ = writeln!(std::io::stderr(), "error: {text}");
        }
    }

    /// A sign of life for work of unknown length; hidden where nobody watches.
    pub fn spinner(self, message: &'static str) -> ProgressBar {
        if self.json || !std::io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let spinner = ProgressBar::new_spinner().with_message(message);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {pos} {elapsed}") {
            spinner.set_style(style);
        }
        spinner.enable_steady_tick(Duration::from_millis(100));
        spinner
    }

    /// A bar for work of known length; hidden where nobody watches.
    pub fn bar(self, length: u64, message: &'static str) -> ProgressBar {
        if self.json || !std::io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new(length).with_message(message);
        if let Ok(style) = ProgressStyle::with_template("{msg:24} {bar:40} {pos}/{len} {elapsed}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        bar
    }
}

/// One line of a text, cut to so many characters.
pub(crate) fn shortened(text: &str, chars: usize) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= chars {
        return line;
    }
    let cut: String = line.chars().take(chars.saturating_sub(1)).collect();
    format!("{cut}…")
}
