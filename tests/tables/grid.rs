//! A machine as a table, states down and inputs across, learned from outside: each cell says what comes out and which state is next.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// A machine that is known by what it is fed, what comes out of it and what it shows.
pub trait Machine {
    /// What it can be fed.
    type Input: Copy;

    /// Feeds it, and returns what came out, each thing in a short word; or nothing where this input cannot come now.
    fn feed(&mut self, input: Self::Input) -> Option<Vec<String>>;

    /// Returns what is seen of it without feeding it.
    fn shows(&self) -> String;
}

/// One table.
pub struct Grid<'g, M: Machine> {
    /// What machine it is, and under which conditions.
    pub title: &'g str,
    /// Makes the machine anew.
    pub new: &'g dyn Fn() -> M,
    /// The columns, with their words; each group is a block of its own, so that no line becomes too long.
    pub inputs: &'g [&'g [(&'g str, M::Input)]],
    /// The rows: the word for a state, and the shortest inputs that lead there.
    pub states: &'g [(&'g str, &'g [M::Input])],
    /// What is fed to tell one state from another, in sequences of up to `depth`.
    pub probes: &'g [M::Input],
    /// How long those sequences are. Too short, and two states that are named apart are found to be one.
    pub depth: u32,
    /// By what comes out the table is split.
    pub views: &'g [View<'g>],
    /// Whether every input must lead to a state that has a row. Where not, a state without one is called by what it shows, in brackets.
    pub rows: Rows,
}

/// Whether the rows are all the states there are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// All of them.
    All,
    /// Those worth a row: what is on its way at once multiplies the states.
    Some,
}

/// Some of what comes out.
pub struct View<'g> {
    /// What is shown.
    pub title: &'g str,
    /// Whether a word belongs to it.
    pub shows: fn(&str) -> bool,
    /// Whether the next state is shown too. A view without leaves out the rows and columns in which nothing stands.
    pub next: bool,
}

/// All that comes out, and the next state.
pub const ALL: &[View<'_>] = &[View { title: "", shows: |_| true, next: true }];

struct Cell {
    out: Option<Vec<String>>,
    next: Option<String>,
}

impl<M: Machine> Grid<'_, M> {
    /// Returns the table.
    ///
    /// # Panics
    /// Two states behave alike, or an input leads to a state that has no row and should have one.
    pub fn table(&self) -> String {
        let mut names = BTreeMap::new();
        for &(name, way) in self.states {
            if let Some(other) = names.insert(self.likeness(way), name) {
                panic!("{}: `{name}` behaves as `{other}` does", self.title);
            }
        }
        let mut table = format!("{}\n", self.title);
        let groups: Vec<Vec<Vec<Cell>>> = self
            .inputs
            .iter()
            .map(|group| {
                let row = |&state: &(_, _)| group.iter().map(|&input| self.cell(&names, state, input)).collect();
                self.states.iter().map(row).collect()
            })
            .collect();
        for view in self.views {
            if !view.title.is_empty() {
                write!(table, "\n{}:\n", view.title).expect("a string takes everything");
            }
            for (group, cells) in self.inputs.iter().zip(&groups) {
                table.push_str(&self.block(view, group, cells));
            }
        }
        table
    }

    fn block(&self, view: &View<'_>, group: &[(&str, M::Input)], cells: &[Vec<Cell>]) -> String {
        let mut rows = vec![[""].iter().chain(group.iter().map(|(word, _)| word)).map(ToString::to_string).collect::<Vec<_>>()];
        for (&(name, _), cells) in self.states.iter().zip(cells) {
            rows.push(std::iter::once(name.to_owned()).chain(cells.iter().map(|cell| cell.text(view))).collect());
        }
        if !view.next {
            let says = |cell: &str| cell != NOTHING && cell != CANNOT;
            let speaks: Vec<bool> =
                (0..=group.len()).map(|at| at == 0 || rows.iter().skip(1).any(|row| says(&row[at]))).collect();
            let mut first = true;
            rows.retain(|row| std::mem::take(&mut first) || row.iter().skip(1).any(|cell| says(cell)));
            for row in &mut rows {
                let mut speaks = speaks.iter();
                row.retain(|_| speaks.next() == Some(&true));
            }
            if rows.len() == 1 {
                return String::new();
            }
        }
        format!("\n{}", aligned(&rows))
    }

    fn cell(&self, names: &BTreeMap<String, &str>, (name, way): (&str, &[M::Input]), (word, input): (&str, M::Input)) -> Cell {
        let mut machine = self.fed(way);
        let Some(out) = machine.feed(input) else { return Cell { out: None, next: None } };
        let way: Vec<_> = way.iter().copied().chain([input]).collect();
        let likeness = self.likeness(&way);
        let next = match (names.get(&likeness).copied(), self.rows) {
            (Some(next), _) if next == name => None,
            (Some(next), _) => Some(next.to_owned()),
            (None, Rows::Some) => Some(format!("({})", machine.shows())),
            (None, Rows::All) => panic!(
                "{}: `{word}` in `{name}` gives {out:?} and leads to a state without a row, which shows `{}`:\n{likeness}",
                self.title,
                machine.shows(),
            ),
        };
        Cell { out: Some(out), next }
    }

    /// What is observed after these inputs, whatever is fed next: states of which this is the same are one state.
    fn likeness(&self, way: &[M::Input]) -> String {
        let mut observed = self.fed(way).shows();
        let mut way = way.to_vec();
        self.probe(&mut way, self.depth, &mut observed);
        observed
    }

    fn probe(&self, way: &mut Vec<M::Input>, depth: u32, observed: &mut String) {
        if depth == 0 {
            return;
        }
        for &probe in self.probes {
            let mut machine = self.fed(way);
            let out = machine.feed(probe).map(|words| words.join(" "));
            write!(observed, "({out:?}|{}", machine.shows()).expect("a string takes everything");
            way.push(probe);
            self.probe(way, depth - 1, observed);
            way.pop();
            observed.push(')');
        }
    }

    fn fed(&self, way: &[M::Input]) -> M {
        let mut machine = (self.new)();
        for &input in way {
            machine.feed(input);
        }
        machine
    }
}

impl Cell {
    fn text(&self, view: &View<'_>) -> String {
        let Some(out) = &self.out else { return CANNOT.into() };
        let mut words = counted(out.iter().filter(|word| (view.shows)(word)));
        words.extend(self.next.iter().filter(|_| view.next).map(|next| format!("⇒{next}")));
        if words.is_empty() { NOTHING.into() } else { words.join(" ") }
    }
}

/// Nothing comes out, and the state stays.
const NOTHING: &str = "·";

/// The input cannot come in this state.
const CANNOT: &str = "";

/// Says a word that comes several times once, with how often it came.
fn counted<'w>(words: impl Iterator<Item = &'w String>) -> Vec<String> {
    let mut counts: Vec<(&str, u32)> = Vec::new();
    for word in words {
        match counts.iter_mut().find(|(known, _)| known == word) {
            Some((_, count)) => *count += 1,
            None => counts.push((word, 1)),
        }
    }
    counts.into_iter().map(|(word, count)| if count == 1 { word.to_owned() } else { format!("{count}×{word}") }).collect()
}

/// Compares the tables with the golden file of this name; with `UPDATE=1` writes it anew.
///
/// # Panics
/// They differ: each line that does is shown as it was and as it is.
pub fn check(name: &str, tables: &[String]) {
    let now = tables.join("\n");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.table"));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    if golden == now {
        return;
    }
    let (mut was, mut is) = (golden.lines(), now.lines());
    let mut differing = String::new();
    loop {
        let (was, is) = (was.next(), is.next());
        if was.is_none() && is.is_none() {
            break;
        }
        if was != is {
            writeln!(differing, "- {}\n+ {}", was.unwrap_or_default(), is.unwrap_or_default()).unwrap();
        }
    }
    panic!("{} differs; `UPDATE=1 cargo test --test tables` writes it anew:\n{differing}", path.display());
}

fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in rows {
        let line: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        writeln!(text, "{}", line.join(" │ ").trim_end()).unwrap();
    }
    text
}
