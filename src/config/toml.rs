//! The values of a TOML document, each with its place in the text.
//!
//! The package `toml_parser` reads the text and checks its form; what is here puts its events
//! together as tables, by the rules for keys that are defined twice (TOML v1.1.0). Dates and
//! numbers with a fraction stay text: nothing here wants one.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use toml_parser::decoder::{Encoding, ScalarKind};
use toml_parser::parser::{EventReceiver, RecursionGuard, ValidateWhitespace, parse_document};
use toml_parser::{ErrorSink, Expected, ParseError, Raw, Source, Span};

/// How deep arrays and tables may nest, and of how many parts a key may be.
const MAX_DEPTH: u32 = 16;

/// Something wrong at a place in the text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Fault {
    /// The place, in bytes.
    pub at: usize,
    pub what: String,
}

impl Fault {
    pub(super) fn new(at: usize, what: impl Into<String>) -> Self {
        let what = what.into();
        Self { at, what }
    }
}

/// Something of the text, with the place where it begins.
#[derive(Clone, Debug)]
pub(super) struct Placed<T> {
    pub at: usize,
    pub value: T,
}

/// A value of any type.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Boolean(bool),
    /// A type that nothing here wants: what it is called, and its text.
    Other(&'static str, String),
    Array(Vec<Placed<Value>>),
    Table(Table),
}

/// A table: its keys and values in the order of the text.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub entries: Vec<(Placed<String>, Placed<Value>)>,
    origin: Origin,
}

/// How a table came to be, which decides what may add to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Origin {
    /// By the header of a table in it.
    Implied,
    /// By a header of its own.
    Header,
    /// By a dotted key.
    Dotted,
    /// In braces.
    Inline,
}

impl Value {
    /// Says what it is, for a person who expected something else.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Text(text) => format!("string {text:?}"),
            Self::Integer(number) => format!("integer `{number}`"),
            Self::Boolean(value) => format!("boolean `{value}`"),
            Self::Other(kind, text) => format!("{kind} `{text}`"),
            Self::Array(_) => "array".into(),
            Self::Table(_) => "table".into(),
        }
    }
}

impl Table {
    const fn new(origin: Origin) -> Self {
        let entries = Vec::new();
        Self { entries, origin }
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.entries.iter().position(|(key, _)| key.value == name)
    }

    /// Returns the table of this name, which is made if there is none; `None` if there is
    /// something else, or a table that `may_grow` refuses.
    fn child(
        &mut self,
        key: &Placed<String>,
        new: Origin,
        may_grow: impl Fn(Origin) -> bool,
    ) -> Option<&mut Self> {
        let index = self.position(&key.value).unwrap_or_else(|| {
            let (at, value) = (key.at, Value::Table(Self::new(new)));
            self.entries.push((key.clone(), Placed { at, value }));
            self.entries.len() - 1
        });
        match &mut self.entries.get_mut(index)?.1.value {
            Value::Table(table) if may_grow(table.origin) => Some(table),
            _ => None,
        }
    }

    /// Adds a value under a key, dotted or not.
    fn add(&mut self, path: &[Placed<String>], value: Placed<Value>) -> Result<(), Fault> {
        let Some((key, parents)) = path.split_last() else {
            return Ok(());
        };
        let mut table = self;
        for parent in parents {
            table = table
                .child(parent, Origin::Dotted, |origin| origin == Origin::Dotted)
                .ok_or_else(|| duplicate(parent))?;
        }
        if table.position(&key.value).is_some() {
            return Err(duplicate(key));
        }
        table.entries.push((key.clone(), value));
        Ok(())
    }

    /// Returns the table that a header names.
    fn under(&mut self, path: &[Placed<String>]) -> Result<&mut Self, Fault> {
        path.iter().try_fold(self, |table, key| {
            table
                .child(key, Origin::Implied, |origin| origin != Origin::Inline)
                .ok_or_else(|| duplicate(key))
        })
    }

    /// Opens the table that a header names, at `at`.
    fn open(&mut self, path: &[Placed<String>], at: usize) -> Result<(), Fault> {
        let Some((key, parents)) = path.split_last() else {
            return Ok(());
        };
        let parent = self.under(parents)?;
        let is_implied = |origin| origin == Origin::Implied;
        let table = parent.child(key, Origin::Implied, is_implied);
        table.ok_or_else(|| duplicate(key))?.origin = Origin::Header;
        let index = parent.position(&key.value);
        if let Some((_, value)) = index.and_then(|index| parent.entries.get_mut(index)) {
            value.at = at;
        }
        Ok(())
    }
}

fn duplicate(key: &Placed<String>) -> Fault {
    Fault::new(key.at, "duplicate key")
}

/// Reads a document.
///
/// # Errors
///
/// The first [`Fault`] of the text.
pub(super) fn parse(text: &str) -> Result<Table, Fault> {
    let source = Source::new(text);
    let tokens = source.lex().into_vec();
    let mut builder = Builder {
        source,
        root: Table::new(Origin::Header),
        header: Vec::new(),
        header_at: 0,
        path: Vec::new(),
        open: Vec::new(),
        fault: None,
    };
    let mut first: Option<ParseError> = None;
    let mut checked = ValidateWhitespace::new(&mut builder, source);
    let mut guarded = RecursionGuard::new(&mut checked, MAX_DEPTH);
    parse_document(&tokens, &mut guarded, &mut first);
    let malformed = first.as_ref().map(fault);
    match malformed.or(builder.fault) {
        Some(fault) => Err(fault),
        None => Ok(builder.root),
    }
}

/// Makes a fault of what the parser found.
fn fault(error: &ParseError) -> Fault {
    let mut what = error.description().to_string();
    for (n, expected) in error.expected().unwrap_or_default().iter().enumerate() {
        what.push_str(if n == 0 { ", expected " } else { ", " });
        match expected {
            Expected::Literal("\n") => what.push_str("newline"),
            Expected::Literal(literal) => what.push_str(&format!("`{literal}`")),
            Expected::Description(text) => what.push_str(text),
            _ => what.push_str("something else"),
        }
    }
    Fault::new(error.unexpected().map_or(0, |span| span.start()), what)
}

/// An array or table in braces whose end has not come, with the key that it stands under.
struct Open {
    path: Vec<Placed<String>>,
    value: Placed<Value>,
}

/// Puts events together.
struct Builder<'a> {
    source: Source<'a>,
    root: Table,
    /// The table that keys are in now.
    header: Vec<Placed<String>>,
    header_at: usize,
    /// The parts of the key that is being read.
    path: Vec<Placed<String>>,
    open: Vec<Open>,
    /// The first that was wrong with what the form allows.
    fault: Option<Fault>,
}

impl<'a> Builder<'a> {
    fn note(&mut self, result: Result<(), Fault>) {
        if let Err(fault) = result {
            self.fault.get_or_insert(fault);
        }
    }

    fn raw(&self, span: Span, encoding: Option<Encoding>) -> Raw<'a> {
        let text = self.source.input().get(span.start()..span.end());
        Raw::new_unchecked(text.unwrap_or_default(), encoding, span)
    }

    /// Begins an array or a table in braces.
    fn begin(&mut self, span: Span, value: Value) {
        let path = core::mem::take(&mut self.path);
        let at = span.start();
        let value = Placed { at, value };
        self.open.push(Open { path, value });
    }

    /// Ends the innermost.
    fn end(&mut self) {
        if let Some(Open { path, value }) = self.open.pop() {
            self.path = path;
            self.put(value);
        }
    }

    /// Puts a value where it belongs.
    fn put(&mut self, value: Placed<Value>) {
        let path = core::mem::take(&mut self.path);
        let result = match self.open.last_mut().map(|open| &mut open.value.value) {
            Some(Value::Array(items)) => {
                items.push(value);
                Ok(())
            }
            Some(Value::Table(table)) => table.add(&path, value),
            _ => self
                .root
                .under(&self.header)
                .and_then(|table| table.add(&path, value)),
        };
        self.note(result);
    }
}

impl EventReceiver for Builder<'_> {
    fn std_table_open(&mut self, span: Span, _: &mut dyn ErrorSink) {
        self.path.clear();
        self.header_at = span.start();
    }

    fn std_table_close(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.header = core::mem::take(&mut self.path);
        let result = self.root.open(&self.header, self.header_at);
        self.note(result);
    }

    fn array_table_open(&mut self, span: Span, _: &mut dyn ErrorSink) {
        let fault = Fault::new(span.start(), "an array of tables has no meaning here");
        self.note(Err(fault));
    }

    fn inline_table_open(&mut self, span: Span, _: &mut dyn ErrorSink) -> bool {
        self.begin(span, Value::Table(Table::new(Origin::Inline)));
        true
    }

    fn inline_table_close(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.end();
    }

    fn array_open(&mut self, span: Span, _: &mut dyn ErrorSink) -> bool {
        self.begin(span, Value::Array(Vec::new()));
        true
    }

    fn array_close(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.end();
    }

    fn simple_key(&mut self, span: Span, encoding: Option<Encoding>, error: &mut dyn ErrorSink) {
        let mut value = String::new();
        self.raw(span, encoding).decode_key(&mut value, error);
        let at = span.start();
        if self.path.len() == MAX_DEPTH as usize {
            return self.note(Err(Fault::new(at, "a key of too many parts")));
        }
        self.path.push(Placed { at, value });
    }

    fn scalar(&mut self, span: Span, encoding: Option<Encoding>, error: &mut dyn ErrorSink) {
        let mut text = String::new();
        let value = match self.raw(span, encoding).decode_scalar(&mut text, error) {
            ScalarKind::String => Value::Text(text),
            ScalarKind::Boolean(value) => Value::Boolean(value),
            ScalarKind::Float => Value::Other("floating point", text),
            ScalarKind::DateTime => Value::Other("date", text),
            ScalarKind::Integer(radix) => match i64::from_str_radix(&text, radix.value()) {
                Ok(number) => Value::Integer(number),
                Err(_) => Value::Other("large integer", text),
            },
        };
        let at = span.start();
        self.put(Placed { at, value });
    }
}

#[cfg(test)]
mod tests;
