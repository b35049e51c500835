//! Samples with other numbers and texts in them, drawn by chance.

use odeon_core::Random;
use serde_json::{Number, Value};

/// The same value with about half of its numbers and texts exchanged for others. Types that take only some of them may
/// not read it.
pub(in crate::service::compact) fn of(value: &Value, random: &mut Random) -> Value {
    match value {
        Value::Number(number) if random.chance(0.5) => number_like(number, random),
        Value::String(_) if random.chance(0.5) => Value::String(text(random)),
        Value::Bool(_) => Value::Bool(random.chance(0.5)),
        Value::Array(items) => Value::Array(items.iter().map(|item| of(item, random)).collect()),
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(name, field)| (name.clone(), of(field, random))).collect())
        }
        Value::Null | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// Of any width, so that each form of MessagePack has its turn.
fn number_like(number: &Number, random: &mut Random) -> Value {
    let bits = random.next_u64() >> random.below(64);
    match (number.is_f64(), random.chance(0.5)) {
        (true, _) => {
            Number::from_f64(f64::from_bits(random.next_u64())).map_or(Value::from(0.5), Value::Number)
        }
        (false, true) => Value::from((bits as i64).wrapping_neg()),
        (false, false) => Value::from(bits),
    }
}

/// Of characters of one to four bytes, controls and quotes among them.
fn text(random: &mut Random) -> String {
    let most = 1 << random.below(9);
    let length = random.below(most);
    let highest = [0x7f, 0x7ff, 0xffff, 0x10_ffff][random.below(4) as usize];
    (0..length).map(|_| char::from_u32(random.below(highest) as u32).unwrap_or('\u{fffd}')).collect()
}
