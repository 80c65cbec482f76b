//! The leaves: numbers that may be texts, hex ids, base64 bytes, enums.

use std::fmt;

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

/// A scalar field; null is the default.
pub(super) fn scalar<'de, T, M>(map: &mut M) -> Result<T::Output, M::Error>
where
    T: Scalar + Deserialize<'de>,
    T::Output: Default,
    M: MapAccess<'de>,
{
    Ok(map.next_value::<Option<T>>()?.map(T::into_inner).unwrap_or_default())
}

/// A scalar that proto3 calls `optional`, or one inside a `oneof`; null is `None`.
pub(super) fn optional_scalar<'de, T, M>(map: &mut M) -> Result<Option<T::Output>, M::Error>
where
    T: Scalar + Deserialize<'de>,
    M: MapAccess<'de>,
{
    Ok(map.next_value::<Option<T>>()?.map(T::into_inner))
}

/// A repeated scalar; null is empty.
pub(super) fn scalars<'de, T, M>(map: &mut M) -> Result<Vec<T::Output>, M::Error>
where
    T: Scalar + Deserialize<'de>,
    M: MapAccess<'de>,
{
    let items = map.next_value::<Option<Vec<T>>>()?.unwrap_or_default();
    Ok(items.into_iter().map(T::into_inner).collect())
}

/// A type that only says how to read another.
pub(super) trait Scalar {
    /// What is read.
    type Output;
    fn into_inner(self) -> Self::Output;
}

macro_rules! scalar {
    ($name:ident, $output:ty, $doc:literal) => {
        #[doc = $doc]
        pub(super) struct $name($output);

        impl Scalar for $name {
            type Output = $output;
            fn into_inner(self) -> $output {
                self.0
            }
        }
    };
}

scalar!(Text, String, "Text.");
scalar!(Flag, bool, "`true` or `false`.");
scalar!(Hex, Vec<u8>, "An id in hexadecimal, of any length and case (rule 14).");
scalar!(Base64, Vec<u8>, "Bytes in base64, of either alphabet, padded or not.");
scalar!(Enum, i32, "An enum as its integer; names are not OTLP/JSON (rule 15).");
scalar!(Double, f64, "A double: a number, its text, `NaN`, `Infinity` or `-Infinity`.");
scalar!(U64, u64, "An integer as number or text (rule 15).");
scalar!(I64, i64, "An integer as number or text (rule 15).");
scalar!(U32, u32, "An integer as number or text (rule 15).");
scalar!(I32, i32, "An integer as number or text (rule 15).");

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        bool::deserialize(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HexVisitor;
        impl Visitor<'_> for HexVisitor {
            type Value = Hex;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an id as a hexadecimal string")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Hex, E> {
                hex::decode(text).map(Hex).map_err(|_| E::custom("an id that is not hexadecimal"))
            }
        }
        deserializer.deserialize_str(HexVisitor)
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Base64Visitor;
        impl Visitor<'_> for Base64Visitor {
            type Value = Base64;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes as a base64 string")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Base64, E> {
                const LENIENT: GeneralPurposeConfig =
                    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
                let alphabet = if text.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
                let engine = GeneralPurpose::new(alphabet, LENIENT);
                engine.decode(text).map(Base64).map_err(|_| E::custom("bytes that are not base64"))
            }
        }
        deserializer.deserialize_str(Base64Visitor)
    }
}

impl<'de> Deserialize<'de> for Double {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DoubleVisitor;
        impl Visitor<'_> for DoubleVisitor {
            type Value = Double;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, \"NaN\", \"Infinity\" or \"-Infinity\"")
            }
            fn visit_f64<E: Error>(self, number: f64) -> Result<Double, E> {
                Ok(Double(number))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Double, E> {
                Ok(Double(number as f64))
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Double, E> {
                Ok(Double(number as f64))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Double, E> {
                match text {
                    "NaN" => Ok(Double(f64::NAN)),
                    "Infinity" => Ok(Double(f64::INFINITY)),
                    "-Infinity" => Ok(Double(f64::NEG_INFINITY)),
                    // Rust also reads words such as `inf`, which JSON's mapping does not have.
                    _ if text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b)) => text
                        .parse()
                        .ok()
                        .filter(|number: &f64| number.is_finite())
                        .map(Double)
                        .ok_or_else(|| E::custom("a text that is not a double")),
                    _ => Err(E::custom("a text that is not a double, NaN, Infinity or -Infinity")),
                }
            }
        }
        deserializer.deserialize_any(DoubleVisitor)
    }
}

impl<'de> Deserialize<'de> for Enum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EnumVisitor;
        impl Visitor<'_> for EnumVisitor {
            type Value = Enum;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an enum as its integer (OTLP/JSON has no enum names)")
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Enum, E> {
                i32::try_from(number).map(Enum).map_err(|_| E::custom("an enum beyond 32 bits"))
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Enum, E> {
                i32::try_from(number).map(Enum).map_err(|_| E::custom("an enum beyond 32 bits"))
            }
        }
        deserializer.deserialize_any(EnumVisitor)
    }
}

/// Any integer that some OTLP field can hold.
struct Integer(i128);

impl<'de> Deserialize<'de> for Integer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IntegerVisitor;
        impl Visitor<'_> for IntegerVisitor {
            type Value = Integer;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an integer, as a number or a string")
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Integer, E> {
                Ok(Integer(number.into()))
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Integer, E> {
                Ok(Integer(number.into()))
            }
            /// `1e3` and `1.0` are integers to JSON; above 2^64 a double tells nothing about its last digits.
            fn visit_f64<E: Error>(self, number: f64) -> Result<Integer, E> {
                if number.fract() != 0.0 || number.abs() > u64::MAX as f64 {
                    return Err(E::custom("a number that is not an integer of 64 bits"));
                }
                Ok(Integer(number as i128))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Integer, E> {
                text.parse().map(Integer).map_err(|_| E::custom("a text that is not an integer"))
            }
        }
        deserializer.deserialize_any(IntegerVisitor)
    }
}

macro_rules! integer {
    ($name:ident, $output:ty, $words:literal) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let Integer(number) = Integer::deserialize(deserializer)?;
                <$output>::try_from(number)
                    .map(Self)
                    .map_err(|_| D::Error::custom(concat!("an integer outside of ", $words)))
            }
        }
    };
}

integer!(U64, u64, "0 to 2^64-1");
integer!(I64, i64, "-2^63 to 2^63-1");
integer!(U32, u32, "0 to 2^32-1");
integer!(I32, i32, "-2^31 to 2^31-1");
