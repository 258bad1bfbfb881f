//! `~SEQ`, `~SEQx` and `~LST` (behaviour note 15).

use super::line::Line;
use super::substitute::{Output, name_len};
use super::{Definition, Reader, Stop};
use crate::diagnostic::Diagnostic;

/// A line to repeat: the names and, for each repetition, their values.
#[derive(Debug, PartialEq, Eq)]
struct Repeat {
    names: Vec<String>,
    values: Vec<Vec<String>>,
    /// Where the repeated text begins.
    rest: usize,
}

impl Reader<'_> {
    /// A line that begins with `~`. False when it is no such line.
    pub(super) fn repeat(&mut self, line: &Line, depth: usize) -> Result<bool, Stop> {
        let text = self.sources.get(line.text);
        let Some(close) = closing(text) else {
            return Ok(false);
        };
        let head = self.substitute(&line.part(0, close + 1))?;
        let budget = self.budget / 16;
        let parsed = parse(self.sources.get(head.text), budget);
        let Some(mut repeat) = parsed else {
            self.report_bad_sequence(line);
            return Ok(true);
        };
        repeat.rest = close + 1;
        let body = line.part(repeat.rest, line.text.len as usize).trimmed(&self.sources);
        let saved: Vec<_> = repeat.names.iter().map(|n| (n.clone(), self.definitions.get(n).cloned())).collect();
        for values in &repeat.values {
            self.spend(body.text.len as usize)?;
            self.bind(&head, &repeat.names, values)?;
            self.logical(&body, depth + 1)?;
        }
        for (name, definition) in saved {
            match definition {
                Some(definition) => self.definitions.insert(name, definition),
                None => self.definitions.remove(&name),
            };
        }
        Ok(true)
    }

    fn report_bad_sequence(&mut self, line: &Line) {
        let found = Diagnostic::error("bad-sequence", "this `~SEQ` or `~LST` cannot be read")
            .at(line.whole(&self.sources))
            .help("write `~SEQ(var,[start,[step,]]end) text` or `~LST(var,value,value...) text`");
        self.diagnostics.push(found);
    }

    /// Defines the names of this repetition.
    fn bind(&mut self, head: &Line, names: &[String], values: &[String]) -> Result<(), Stop> {
        let span = head.whole(&self.sources);
        for (name, value) in names.iter().zip(values) {
            self.spend(value.len() + 256)?;
            let mut output = Output::default();
            output.replaced(value, span);
            let line = output.finish(&mut self.sources).ok_or(Stop)?;
            let lines = [line].into();
            self.definitions.insert(name.clone(), Definition { lines, span });
        }
        Ok(())
    }
}

/// Where the parenthesis of `~SEQ(...)` ends.
fn closing(text: &str) -> Option<usize> {
    let known = ["~SEQ(", "~SEQx(", "~LST("].iter().any(|head| text.starts_with(head));
    known.then(|| text.find(')')).flatten()
}

fn parse(head: &str, most: usize) -> Option<Repeat> {
    let (kind, inside) = head.strip_suffix(')')?.split_once('(')?;
    let (names, values) = match kind {
        "~LST" => list(inside)?,
        _ => sequence(inside, kind == "~SEQx", most)?,
    };
    let valid = |n: &String| !n.is_empty() && name_len(n) == n.len();
    names.iter().all(valid).then_some(Repeat { names, values, rest: 0 })
}

type Bindings = (Vec<String>, Vec<Vec<String>>);

fn sequence(inside: &str, hexadecimal: bool, most: usize) -> Option<Bindings> {
    let mut fields = inside.split(',').map(str::trim);
    let name = fields.next()?.to_owned();
    let numbers = fields.map(number).collect::<Option<Vec<_>>>()?;
    let (start, step, end) = match *numbers.as_slice() {
        [end] => (1, if end < 1 { -1 } else { 1 }, end),
        [start, end] => (start, if end < start { -1 } else { 1 }, end),
        [start, step, end] => (start, step, end),
        _ => return None,
    };
    let distance = end.checked_sub(start)?;
    if step == 0 || distance.signum() * step.signum() < 0 {
        return None;
    }
    let inside_range = |v: &i64| if step > 0 { *v <= end } else { *v >= end };
    let written = |v: i64| if hexadecimal { format!("{v:x}") } else { v.to_string() };
    let values = std::iter::successors(Some(start), |v| v.checked_add(step)).take_while(inside_range);
    Some((vec![name], values.take(most).map(|v| vec![written(v)]).collect()))
}

/// A number with a sign, in base 8, 10 or 16 as in C.
fn number(text: &str) -> Option<i64> {
    match text.strip_prefix('-') {
        Some(digits) => crate::names::number(digits)?.try_into().ok().map(|value: i64| -value),
        None => crate::names::number(text)?.try_into().ok(),
    }
}

/// Names without a value in their tuple are empty.
fn list(inside: &str) -> Option<Bindings> {
    let fields = split_fields(inside);
    let (first, rest) = fields.split_first().filter(|(_, rest)| !rest.is_empty())?;
    let names: Vec<String> = braced(first).unwrap_or_else(|| vec![(*first).to_owned()]);
    let row = |field: &&str| {
        let mut values = braced(field).unwrap_or_else(|| vec![(*field).to_owned()]);
        let fits = values.len() <= names.len();
        values.resize(names.len(), String::new());
        fits.then_some(values)
    };
    let values = rest.iter().map(row).collect::<Option<_>>()?;
    Some((names, values))
}

fn braced(field: &str) -> Option<Vec<String>> {
    let inside = field.strip_prefix('{')?.strip_suffix('}')?;
    Some(inside.split(',').map(|v| v.trim().to_owned()).collect())
}

/// Splits at commas outside braces.
fn split_fields(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut fields) = (0_i32, 0, Vec::new());
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            b',' if depth <= 0 => {
                fields.extend(text.get(start..at).map(str::trim));
                start = at + 1;
            }
            _ => {}
        }
    }
    fields.extend(text.get(start..).map(str::trim));
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(head: &str) -> Vec<String> {
        let repeat = parse(head, 100).expect("valid");
        repeat.values.into_iter().map(|row| row.join("/")).collect()
    }

    #[test]
    fn sequences_count() {
        assert_eq!(values("~SEQ(N,3)"), ["1", "2", "3"]);
        assert_eq!(values("~SEQ(N,1,3)"), ["1", "2", "3"]);
        assert_eq!(values("~SEQ(N,2,2,6)"), ["2", "4", "6"]);
        assert_eq!(values("~SEQx(N,9,11)"), ["9", "a", "b"]);
        assert_eq!(values("~SEQ(N,3,1)"), ["3", "2", "1"]);
        assert_eq!(values("~SEQ(N,-0x1,010)").len(), 10);
    }

    #[test]
    fn lists_take_tuples() {
        assert_eq!(values("~LST(N,5,9)"), ["5", "9"]);
        assert_eq!(values("~LST({a,b},{1,2},{3,4})"), ["1/2", "3/4"]);
        assert_eq!(values("~LST({a,b},{1},2)"), ["1/", "2/"]);
        assert_eq!(values("~LST(a,{1},2)"), ["1", "2"]);
    }

    #[test]
    fn nonsense_is_refused_and_size_is_bounded() {
        for head in
            ["~SEQ(N,1,0,9)", "~SEQ(N,5,1,2)", "~SEQ(,1)", "~SEQ(N,x)", "~SEQ(N,08)", "~LST(N)", "~LST(a,{1,2})"]
        {
            assert_eq!(parse(head, 10), None, "{head}");
        }
        assert_eq!(parse("~SEQ(N,1,9000000000)", 10).expect("valid").values.len(), 10);
        assert!(parse("~SEQ(N,-9223372036854775808,9223372036854775807)", 10).is_none());
    }
}
