//! What is to be seen: a live table, or lines of text where there is no terminal.

use std::{
    io::{self, IsTerminal as _, Write},
    time::Duration,
};

use ratatui::{
    DefaultTerminal, Frame,
    crossterm::event::{self, Event, KeyCode, KeyModifiers},
    layout::{Constraint, Layout},
    style::{Style, Stylize as _},
    text::Line,
    widgets::{Block, Paragraph, Row, Table},
};
use sentinel_core::{ResourceSnapshot, Sentinel};

use crate::history::History;

/// One resource.
pub(crate) struct Numbers {
    resource: String,
    pass: f64,
    block: f64,
    p50: Duration,
    p99: Duration,
    in_flight: u64,
    rule: String,
}

/// One picture.
pub(crate) struct View<'a> {
    pub(crate) title: &'a str,
    pub(crate) elapsed: Duration,
    pub(crate) rows: Vec<Numbers>,
    pub(crate) notes: &'a [String],
    /// Why the rules in the file are not in force.
    pub(crate) trouble: Option<String>,
}

/// What the user wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    GoOn,
    Quit,
}

pub(crate) enum Screen {
    Live(Box<DefaultTerminal>),
    Plain {
        /// Seconds of which lines have been written.
        shown: u64,
        /// Notes that have been written.
        noted: usize,
    },
}

impl Screen {
    pub(crate) fn open(plain: bool) -> io::Result<Self> {
        if plain || !io::stdout().is_terminal() {
            return Ok(Self::Plain { shown: 0, noted: 0 });
        }
        Ok(Self::Live(Box::new(ratatui::try_init()?)))
    }

    pub(crate) fn show(&mut self, view: &View<'_>) -> io::Result<Wish> {
        match self {
            Self::Live(terminal) => {
                terminal.draw(|frame| draw(frame, view))?;
                wish()
            }
            Self::Plain { shown, noted } => {
                let mut out = io::stdout().lock();
                for note in view.notes.get(*noted..).unwrap_or_default() {
                    writeln!(out, "# {note}")?;
                }
                *noted = view.notes.len();
                let second = view.elapsed.as_secs();
                if second > *shown {
                    *shown = second;
                    write_lines(&mut out, second, view)?;
                }
                Ok(Wish::GoOn)
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if matches!(self, Self::Live(_)) {
            ratatui::restore();
        }
    }
}

/// The numbers of all resources.
pub(crate) fn rows(sentinel: &Sentinel, history: &History) -> Vec<Numbers> {
    let resources = sentinel.snapshot().resources;
    let numbers = resources.iter().map(|resource| {
        let statistics = &resource.statistics;
        Numbers {
            resource: resource.name.to_string(),
            pass: statistics.second.pass_rate(),
            block: statistics.second.block_rate(),
            p50: statistics.percentiles.p50,
            p99: statistics.percentiles.p99,
            in_flight: statistics.in_flight,
            rule: rule(resource, history),
        }
    });
    numbers.collect()
}

/// The rules that name a resource in words, those by pattern by their names.
fn rule(resource: &ResourceSnapshot, history: &History) -> String {
    let named = history.in_force(&resource.name);
    if !named.is_empty() {
        return named;
    }
    resource.rules.iter().map(|rule| &*rule.id).collect::<Vec<_>>().join("; ")
}

fn write_lines(out: &mut impl Write, second: u64, view: &View<'_>) -> io::Result<()> {
    writeln!(out, "{second:>3} s  {}", view.title)?;
    for row in &view.rows {
        writeln!(
            out,
            "       {:18} pass {:>6.0}/s  block {:>6.0}/s  p50 {:>8.2?}  p99 {:>8.2?}  in flight {:>3}  {}",
            row.resource, row.pass, row.block, row.p50, row.p99, row.in_flight, row.rule
        )?;
    }
    match &view.trouble {
        Some(trouble) => writeln!(out, "       the last good rules stay in force: {trouble}"),
        None => Ok(()),
    }
}

/// Whether a key was pressed that ends the demo. In this mode the terminal makes no signal of Ctrl-C.
fn wish() -> io::Result<Wish> {
    while event::poll(Duration::ZERO)? {
        if let Event::Key(key) = event::read()? {
            let interrupt = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
            if interrupt || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc) {
                return Ok(Wish::Quit);
            }
        }
    }
    Ok(Wish::GoOn)
}

fn draw(frame: &mut Frame<'_>, view: &View<'_>) {
    let words = view.notes.len() as u16 + u16::from(view.trouble.is_some()) + 1;
    let [table, notes] = Layout::vertical([Constraint::Min(6), Constraint::Length(words + 1)]).areas(frame.area());
    let header = Row::new(["resource", "pass/s", "block/s", "p50", "p99", "in flight", "rule in force"]).bold();
    let rows = view.rows.iter().map(|row| {
        let style = if row.block > 0.0 { Style::new().yellow() } else { Style::new() };
        Row::new([
            row.resource.clone(),
            format!("{:.0}", row.pass),
            format!("{:.0}", row.block),
            format!("{:.2?}", row.p50),
            format!("{:.2?}", row.p99),
            row.in_flight.to_string(),
            row.rule.clone(),
        ])
        .style(style)
    });
    let widths = [
        Constraint::Length(18),
        Constraint::Length(8),
        Constraint::Length(8),
        Constraint::Length(10),
        Constraint::Length(10),
        Constraint::Length(9),
        Constraint::Min(20),
    ];
    let title = format!(" {:.0} s: {} ", view.elapsed.as_secs_f64(), view.title);
    frame.render_widget(Table::new(rows, widths).header(header).block(Block::bordered().title(title)), table);
    let mut lines: Vec<Line<'_>> = view.notes.iter().map(|note| Line::raw(note.as_str())).collect();
    if let Some(trouble) = &view.trouble {
        lines.push(Line::raw(format!("the last good rules stay in force: {trouble}")).red());
    }
    lines.push(Line::raw("q or Ctrl-C ends it").dim());
    frame.render_widget(Paragraph::new(lines), notes);
}
