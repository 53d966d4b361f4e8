//! A machine as a table, states down and inputs across, learned from outside: each cell says what comes out and which state is next.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// A machine that is known by what it is fed, what comes out of it and what it shows.
pub trait Machine {
    /// What it can be fed.
    type Input: Copy;

    /// Feeds it, and returns in short words what came out; nothing is an empty string.
    fn feed(&mut self, input: Self::Input) -> String;

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
}

impl<M: Machine> Grid<'_, M> {
    /// Returns the table.
    ///
    /// # Panics
    /// Two states behave alike, or an input leads to a state that has no row.
    pub fn table(&self) -> String {
        let mut names = BTreeMap::new();
        for &(name, way) in self.states {
            if let Some(other) = names.insert(self.likeness(way), name) {
                panic!("{}: `{name}` behaves as `{other}` does", self.title);
            }
        }
        let mut table = format!("{}\n", self.title);
        for group in self.inputs {
            let mut rows = vec![[""].iter().chain(group.iter().map(|(word, _)| word)).map(ToString::to_string).collect()];
            for &(name, way) in self.states {
                let mut row = vec![name.to_owned()];
                row.extend(group.iter().map(|&(word, input)| self.cell(&names, (name, way), (word, input))));
                rows.push(row);
            }
            table.push('\n');
            table.push_str(&aligned(&rows));
        }
        table
    }

    fn cell(&self, names: &BTreeMap<String, &str>, (name, way): (&str, &[M::Input]), (word, input): (&str, M::Input)) -> String {
        let mut machine = self.fed(way);
        let out = machine.feed(input);
        let way: Vec<_> = way.iter().copied().chain([input]).collect();
        let next = names.get(&self.likeness(&way)).copied();
        match (out.as_str(), next) {
            ("", Some(next)) if next == name => "·".into(),
            (_, Some(next)) if next == name => out,
            ("", Some(next)) => format!("→{next}"),
            (_, Some(next)) => format!("{out} →{next}"),
            (_, None) => panic!(
                "{}: `{word}` in `{name}` gives `{out}` and leads to a state without a row, which shows `{}`:\n{}",
                self.title,
                machine.shows(),
                self.likeness(&way)
            ),
        }
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
            let out = machine.feed(probe);
            write!(observed, "({out}|{}", machine.shows()).expect("a string takes everything");
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
