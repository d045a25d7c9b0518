//! Tables for people: columns that line up, and nothing else.

use std::io::{self, Write};

use serde_json::Value;

use super::problem::Failure;
use super::remote::Answer;
use super::screen::{Paint, Screen};
use super::text::{clean, json_line};

/// Shows a list (`{"items":[…]}`) or one thing as a table, or as the server has answered it.
pub(super) fn show(
    answer: &Answer,
    json: bool,
    screen: Screen,
    headings: &'static [&'static str],
    row: fn(&Value) -> Vec<String>,
) -> Result<(), Failure> {
    let mut out = io::stdout();
    if json {
        return Ok(writeln!(out, "{}", json_line(&answer.text()))?);
    }
    let value = answer.value()?;
    let rows: Vec<Vec<String>> = match value["items"].as_array() {
        Some(items) => items.iter().map(row).collect(),
        None => vec![row(&value)],
    };
    Ok(Table::new(headings, screen).write(&rows, &mut out)?)
}

/// Rows below their headings. The columns are as wide as the rows so far need.
pub(super) struct Table {
    headings: &'static [&'static str],
    widths: Vec<usize>,
    screen: Screen,
    begun: bool,
}

impl Table {
    pub(super) fn new(headings: &'static [&'static str], screen: Screen) -> Self {
        let widths = headings.iter().map(|heading| heading.len()).collect();
        Self { headings, widths, screen, begun: false }
    }

    /// Writes rows, the first ones below the headings. Cells are texts as the server has them; the last one of a row is
    /// cut where the terminal ends.
    pub(super) fn write(&mut self, rows: &[Vec<String>], out: &mut impl Write) -> io::Result<()> {
        let rows: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().map(|cell| clean(cell).into_owned()).collect()).collect();
        for row in &rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        if !self.begun {
            self.begun = true;
            let headings: Vec<String> = self.headings.iter().map(ToString::to_string).collect();
            let line = self.line(&headings);
            writeln!(out, "{}", self.screen.paint(Paint::Bold, &line))?;
        }
        for row in &rows {
            let line = self.line(row);
            // Painted afterwards, so that colours take no room; of what stands in the column of the state alone.
            let state = self.headings.iter().position(|heading| *heading == "STATE");
            match state.and_then(|column| Some((self.start(column), row.get(column)?))) {
                Some((start, state)) if self.screen.color => {
                    let split = |n: usize| line.char_indices().nth(n).map_or(line.len(), |(at, _)| at);
                    let (from, to) = (split(start), split(start + state.chars().count()));
                    let painted = self.screen.paint(Paint::of(state), &line[from..to]);
                    writeln!(out, "{}{painted}{}", &line[..from], &line[to..])?;
                }
                _ => writeln!(out, "{line}")?,
            }
        }
        Ok(())
    }

    /// Where a column begins.
    fn start(&self, column: usize) -> usize {
        self.widths[..column].iter().map(|width| width + 2).sum()
    }

    fn line(&self, cells: &[String]) -> String {
        let mut line = String::new();
        for (width, cell) in self.widths.iter().zip(cells) {
            let padding = width - cell.chars().count() + 2;
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', padding));
        }
        self.screen.fit(line.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<String>> {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        vec![row(["a", "completed", "x\u{1b}y\nz"]), row(["long one", "failed", ""])]
    }

    fn written(screen: Screen) -> String {
        let (mut table, mut out) = (Table::new(&["ID", "STATE", "ERROR"], screen), Vec::new());
        table.write(&rows(), &mut out).unwrap();
        table.write(&rows()[..1], &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_line_up_without_colours() {
        let plain = written(Screen { terminal: false, color: false, width: None });
        assert_eq!(
            plain,
            "ID        STATE      ERROR\n\
             a         completed  x\\u{1b}y\\nz\n\
             long one  failed\n\
             a         completed  x\\u{1b}y\\nz\n"
        );
    }

    #[test]
    fn on_a_terminal_the_state_has_a_colour_and_lines_end_where_it_does() {
        let color = written(Screen { terminal: true, color: true, width: Some(24) });
        assert!(color.starts_with("\u{1b}[1mID        STATE      ER…\u{1b}[0m\n"), "{color:?}");
        assert!(color.contains("a         \u{1b}[32mcompleted\u{1b}[0m  x\\…\n"), "{color:?}");
        assert!(color.contains("long one  \u{1b}[33mfailed\u{1b}[0m\n"), "{color:?}");
        // Even where the state itself is cut.
        assert!(
            written(Screen { terminal: true, color: true, width: Some(12) })
                .contains("\u{1b}[32mc…\u{1b}[0m\n")
        );
    }
}
