//! Samples of a type, made from its JSON Schema: always the same ones, and few.
//!
//! Each alternative, option, list and map of the schema is a choice, and each choice is made in some sample: first with
//! the plainest texts and numbers, so that a type which takes only some texts is likely to take these, then with those
//! at the edges. Alternatives of different parts are not multiplied but go side by side.

pub(super) mod drawn;
mod leaves;

use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Most parts of schemas that are looked at for one type.
const PARTS_MAX: usize = 20_000;
/// Most samples of a part.
const SAMPLES_MAX: usize = 1_000;
/// How often a type may be within itself.
const WITHIN_MAX: usize = 2;
/// Most samples of a type within itself: its choices are made outside.
const SAMPLES_WITHIN_MAX: usize = 2;

/// One value of a type.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) value: Value,
    /// What was chosen, and where, as a path through the types.
    pub(super) choices: BTreeSet<String>,
}

impl Sample {
    fn new(value: impl Into<Value>, choice: impl Into<String>) -> Self {
        Self { value: value.into(), choices: BTreeSet::from([choice.into()]) }
    }

    fn chosen(mut self, choice: &str) -> Self {
        self.choices.insert(choice.to_owned());
        self
    }
}

/// Why there are no samples of a part.
enum Gap {
    /// It is within itself too often. Something else must be chosen.
    Within,
    /// Its schema does not say what it is. For people.
    Open(String),
}

/// Samples of the type with this schema.
///
/// # Errors
/// For people: which part of the schema says too little.
pub(super) fn of(schema: &Value) -> Result<Vec<Sample>, String> {
    let mut all = Vec::new();
    for plain in [true, false] {
        let mut maker = Maker { root: schema, within: Vec::new(), plain, parts: 0 };
        match maker.samples(schema, "") {
            Ok(samples) => all.extend(samples),
            Err(Gap::Open(why)) => return Err(why),
            Err(Gap::Within) => return Err("each value contains another one without end".into()),
        }
    }
    Ok(all)
}

struct Maker<'a> {
    root: &'a Value,
    /// The definitions that are being looked at, the outermost first.
    within: Vec<&'a str>,
    plain: bool,
    parts: usize,
}

type Samples = Result<Vec<Sample>, Gap>;

impl<'a> Maker<'a> {
    fn samples(&mut self, schema: &'a Value, at: &str) -> Samples {
        self.parts += 1;
        if self.parts > PARTS_MAX {
            return Err(Gap::Open("it has more parts than are tried out".into()));
        }
        let open = || Gap::Open(format!("the schema of {} allows anything", named(at)));
        let Some(schema) = schema.as_object() else {
            return if *schema == Value::Bool(false) { Ok(Vec::new()) } else { Err(open()) };
        };
        if let Some(value) = schema.get("const") {
            return Ok(vec![Sample::new(value.clone(), at)]);
        }
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            return Ok(values.iter().map(|v| Sample::new(v.clone(), format!("{at}={v}"))).collect());
        }
        let mut parts = Vec::new();
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            parts.push(self.definition(reference)?);
        }
        for member in list(schema, "allOf") {
            parts.push(self.samples(member, at)?);
        }
        for word in ["oneOf", "anyOf"] {
            if schema.contains_key(word) {
                parts.push(self.alternatives(list(schema, word), at)?);
            }
        }
        let types = types(schema);
        // beside alternatives, the type of something that is no object is what they have in common
        if parts.is_empty() || types == ["object"] {
            let alone = parts.is_empty();
            for own in self.own(&types, schema, at, alone)? {
                parts.push(own);
            }
        }
        let samples = together(parts).ok_or_else(open)?;
        if samples.len() > SAMPLES_MAX {
            return Err(Gap::Open(format!("{} has more forms than are tried out", named(at))));
        }
        Ok(samples)
    }

    fn definition(&mut self, reference: &'a str) -> Samples {
        let name = reference.rsplit('/').next().unwrap_or(reference);
        let schema = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
        let schema = schema.ok_or_else(|| Gap::Open(format!("there is no schema `{reference}`")))?;
        let within = self.within.iter().filter(|open| **open == name).count();
        if within == WITHIN_MAX {
            return Err(Gap::Within);
        }
        self.within.push(name);
        let samples = self.samples(schema, name);
        self.within.pop();
        samples.map(|mut samples| {
            if within > 0 {
                samples.truncate(SAMPLES_WITHIN_MAX);
            }
            samples
        })
    }

    fn alternatives(&mut self, schemas: impl Iterator<Item = &'a Value>, at: &str) -> Samples {
        let (mut all, mut gap) = (Vec::new(), None);
        for (number, schema) in schemas.enumerate() {
            let choice = format!("{at}|{number}");
            match self.samples(schema, &choice) {
                Ok(samples) => all.extend(samples.into_iter().map(|sample| sample.chosen(&choice))),
                Err(Gap::Within) => gap = Some(Gap::Within),
                Err(open) => return Err(open),
            }
        }
        gap.filter(|_| all.is_empty()).map_or(Ok(all), Err)
    }

    /// What the schema says by itself, besides what it refers to.
    fn own(
        &mut self,
        types: &[&str],
        schema: &'a Map<String, Value>,
        at: &str,
        alone: bool,
    ) -> Result<Vec<Vec<Sample>>, Gap> {
        if types == ["object"] {
            return self.object(schema, at, alone);
        }
        let mut all = Vec::new();
        for kind in types {
            let samples = match *kind {
                "array" => self.array(schema, at)?,
                "object" => together(self.object(schema, at, true)?).unwrap_or_default(),
                leaf => leaves::of(leaf, schema, self.plain)
                    .into_iter()
                    .map(|v| Sample::new(v, format!("{at}:{leaf}")))
                    .collect(),
            };
            all.extend(samples);
        }
        Ok(if types.is_empty() { Vec::new() } else { vec![all] })
    }

    fn array(&mut self, schema: &'a Map<String, Value>, at: &str) -> Samples {
        let number =
            |word: &str| schema.get(word).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
        if schema.contains_key("prefixItems") {
            let mut columns = Vec::new();
            for (number, item) in list(schema, "prefixItems").enumerate() {
                columns.push(self.samples(item, &format!("{at}.{number}"))?);
            }
            let rows = side_by_side(&columns, |row| Value::Array(row.into_iter().cloned().collect()));
            return Ok(rows.unwrap_or_default());
        }
        let (least, most) = (number("minItems").unwrap_or(0), number("maxItems").unwrap_or(usize::MAX));
        let mut rows = Vec::new();
        if least == 0 {
            rows.push(Sample::new(Value::Array(Vec::new()), format!("{at}[0]")));
        }
        if most == 0 {
            return Ok(rows);
        }
        let open = || Gap::Open(format!("the schema of {} allows a list of anything", named(at)));
        let items = match self.samples(schema.get("items").ok_or_else(open)?, &format!("{at}[]")) {
            Err(Gap::Within) if least == 0 => return Ok(rows),
            items => items?,
        };
        // what is equal may stand only once in some lists, and their order is not always kept
        let unique = schema.get("uniqueItems") == Some(&Value::Bool(true));
        let window = if unique { 1 } else { least.max(1) };
        for first in 0..items.len() {
            rows.push(listed((0..window).map(|i| &items[(first + i) % items.len()])));
        }
        if !unique && !self.plain && items.len() > window && items.len() <= most {
            rows.push(listed(items.iter()));
        }
        Ok(rows)
    }

    /// The named properties and what may be there under other names: two parts, of which the second may be missing.
    fn object(
        &mut self,
        schema: &'a Map<String, Value>,
        at: &str,
        alone: bool,
    ) -> Result<Vec<Vec<Sample>>, Gap> {
        let mut parts = Vec::new();
        let required: BTreeSet<_> = list(schema, "required").filter_map(Value::as_str).collect();
        let properties = schema.get("properties").and_then(Value::as_object);
        let mut columns = Vec::new();
        for (name, property) in properties.into_iter().flatten() {
            let place = format!("{at}.{name}");
            let with = |value| Value::Object(Map::from_iter([(name.clone(), value)]));
            let mut column = match self.samples(property, &place) {
                Err(Gap::Within) if !required.contains(name.as_str()) => Vec::new(),
                samples => samples?,
            };
            column.iter_mut().for_each(|sample| sample.value = with(sample.value.take()));
            if !required.contains(name.as_str()) {
                column.push(Sample::new(Map::new(), format!("{place} absent")));
            }
            columns.push(column);
        }
        if let Some(rows) = side_by_side(&columns, |row| row.into_iter().fold(Map::new().into(), merged)) {
            parts.push(rows);
        }
        let mut others: Vec<_> =
            schema.get("patternProperties").and_then(Value::as_object).into_iter().flatten().collect();
        let pattern = String::new();
        if let Some(schema) = schema.get("additionalProperties").filter(|s| **s != Value::Bool(false)) {
            others.push((&pattern, schema));
        }
        for (pattern, schema) in others {
            parts.push(self.table(pattern, schema, at)?);
        }
        if parts.is_empty() && alone {
            parts.push(vec![Sample::new(Map::new(), at)]);
        }
        Ok(parts)
    }

    /// Maps: none, one entry, all.
    fn table(&mut self, pattern: &str, schema: &'a Value, at: &str) -> Samples {
        let mut rows = vec![Sample::new(Map::new(), format!("{at}{{0}}"))];
        let values = match self.samples(schema, &format!("{at}{{}}")) {
            Err(Gap::Within) => return Ok(rows),
            values => values?,
        };
        let keys = leaves::keys(pattern, self.plain);
        let entry = |number: usize, sample: &Sample| {
            let key = keys.get(number).cloned().unwrap_or_else(|| format!("{}{number}", keys[0]));
            Value::Object(Map::from_iter([(key, sample.value.clone())]))
        };
        for (number, sample) in values.iter().enumerate() {
            let value = entry(number % keys.len(), sample);
            rows.push(Sample { value, choices: sample.choices.clone() });
        }
        if values.len() > 1 {
            let value = values.iter().enumerate().map(|(number, sample)| entry(number, sample));
            let value = value.fold(Map::new().into(), |all, one| merged(all, &one));
            let choices = values.iter().flat_map(|s| s.choices.iter().cloned()).collect();
            rows.push(Sample { value, choices });
        }
        Ok(rows)
    }
}

fn list<'a>(schema: &'a Map<String, Value>, word: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    schema.get(word).and_then(Value::as_array).into_iter().flatten()
}

fn types(schema: &Map<String, Value>) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(kind)) => vec![kind],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        _ if schema.contains_key("properties") => vec!["object"],
        _ => Vec::new(),
    }
}

/// A place for people.
fn named(at: &str) -> String {
    if at.is_empty() { "the whole".into() } else { format!("`{}`", at.trim_start_matches('.')) }
}

fn listed<'s>(items: impl Iterator<Item = &'s Sample> + Clone) -> Sample {
    let value = Value::Array(items.clone().map(|sample| sample.value.clone()).collect());
    Sample { value, choices: items.flat_map(|sample| sample.choices.iter().cloned()).collect() }
}

/// As many rows as the longest column has samples; the others begin again. Row by row they are shifted against each
/// other, so that they do not go in step. None without columns, or where a column has nothing to choose.
fn side_by_side(columns: &[Vec<Sample>], make: impl Fn(Vec<&Value>) -> Value) -> Option<Vec<Sample>> {
    let rows = columns.iter().map(Vec::len).max()?;
    if columns.iter().any(Vec::is_empty) {
        return Some(Vec::new());
    }
    let row = |row: usize| {
        let chosen: Vec<_> = columns
            .iter()
            .enumerate()
            .map(|(number, column)| {
                let shift = if column.len() < rows { number * (row / column.len()) } else { 0 };
                &column[(row + shift) % column.len()]
            })
            .collect();
        let choices = chosen.iter().flat_map(|sample| sample.choices.iter().cloned()).collect();
        Sample { value: make(chosen.iter().map(|sample| &sample.value).collect()), choices }
    };
    Some((0..rows).map(row).collect())
}

/// Objects that are parts of one. None if there are no parts; the first one where they are no objects.
fn together(mut parts: Vec<Vec<Sample>>) -> Option<Vec<Sample>> {
    match parts.len() {
        0 | 1 => parts.pop(),
        _ => side_by_side(&parts, |row| {
            let mut row = row.into_iter();
            let first = row.next().cloned().unwrap_or_default();
            row.fold(first, merged)
        }),
    }
}

fn merged(mut all: Value, part: &Value) -> Value {
    if let (Value::Object(all), Value::Object(part)) = (&mut all, part) {
        all.extend(part.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
    all
}

#[cfg(test)]
mod tests;
