use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A protobuf message that can be read field by field.
pub(super) trait Message: Default {
    /// The message's name in errors.
    const NAME: &'static str;

    /// Reads the value of `field` (lowerCamelCase or the proto's own name). `false`, with nothing read, when the
    /// message has no such field.
    fn read<'de, M: MapAccess<'de>>(&mut self, field: &str, map: &mut M) -> Result<bool, M::Error>;
}

/// Reads the outermost message, which unlike any other must be there.
pub(super) fn read_top<'de, D: Deserializer<'de>, T: Message>(deserializer: D) -> Result<T, D::Error> {
    let present: Option<Wrapped<T>> = Deserialize::deserialize(deserializer)?;
    present.map(|wrapped| wrapped.0).ok_or_else(|| D::Error::custom(format!("null instead of {}", T::NAME)))
}

/// A message field: `None` when null.
pub(super) fn optional<'de, T: Message, M: MapAccess<'de>>(map: &mut M) -> Result<Option<T>, M::Error> {
    Ok(map.next_value::<Option<Wrapped<T>>>()?.map(|wrapped| wrapped.0))
}

/// A repeated message field: empty when null; a null element is an empty message.
pub(super) fn repeated<'de, T: Message, M: MapAccess<'de>>(map: &mut M) -> Result<Vec<T>, M::Error> {
    Ok(map.next_value::<Option<Many<T>>>()?.map_or_else(Vec::new, |many| many.0))
}

struct Wrapped<T>(T);

impl<'de, T: Message> Deserialize<'de> for Wrapped<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MessageVisitor(PhantomData))
    }
}

struct MessageVisitor<T>(PhantomData<T>);

impl<'de, T: Message> Visitor<'de> for MessageVisitor<T> {
    type Value = Wrapped<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a JSON object with the fields of {}", T::NAME)
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut message = T::default();
        while let Some(field) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            if !message.read(&field, &mut map)? {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Wrapped(message))
    }
}

struct Many<T>(Vec<T>);

impl<'de, T: Message> Deserialize<'de> for Many<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ManyVisitor(PhantomData))
    }
}

struct ManyVisitor<T>(PhantomData<T>);

impl<'de, T: Message> Visitor<'de> for ManyVisitor<T> {
    type Value = Many<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a JSON array of {}", T::NAME)
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut items: S) -> Result<Self::Value, S::Error> {
        let mut many = Vec::new();
        while let Some(item) = items.next_element::<Option<Wrapped<T>>>()? {
            many.push(item.map_or_else(T::default, |wrapped| wrapped.0));
        }
        Ok(Many(many))
    }
}
