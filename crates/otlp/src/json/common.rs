use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList, any_value::Value,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use serde::de::MapAccess;

use super::message::{Message, optional, repeated};
use super::scalar::{Base64, Double, Flag, I32, I64, Text, U32, optional_scalar, scalar, scalars};

impl Message for AnyValue {
    const NAME: &'static str = "AnyValue";

    fn read<'de, M: MapAccess<'de>>(&mut self, field: &str, map: &mut M) -> Result<bool, M::Error> {
        let value = match field {
            "stringValue" | "string_value" => optional_scalar::<Text, M>(map)?.map(Value::StringValue),
            "boolValue" | "bool_value" => optional_scalar::<Flag, M>(map)?.map(Value::BoolValue),
            "intValue" | "int_value" => optional_scalar::<I64, M>(map)?.map(Value::IntValue),
            "doubleValue" | "double_value" => optional_scalar::<Double, M>(map)?.map(Value::DoubleValue),
            "arrayValue" | "array_value" => optional(map)?.map(Value::ArrayValue),
            "kvlistValue" | "kvlist_value" => optional(map)?.map(Value::KvlistValue),
            "bytesValue" | "bytes_value" => optional_scalar::<Base64, M>(map)?.map(Value::BytesValue),
            "stringValueStrindex" | "string_value_strindex" => {
                optional_scalar::<I32, M>(map)?.map(Value::StringValueStrindex)
            }
            _ => return Ok(false),
        };
        // Null takes no part in a oneof: it must not unset what another field said.
        if value.is_some() {
            self.value = value;
        }
        Ok(true)
    }
}

impl Message for ArrayValue {
    const NAME: &'static str = "ArrayValue";

    fn read<'de, M: MapAccess<'de>>(&mut self, field: &str, map: &mut M) -> Result<bool, M::Error> {
        match field {
            "values" => self.values = repeated(map)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Message for KeyValueList {
    const NAME: &'static str = "KeyValueList";

    fn read<'de, M: MapAccess<'de>>(&mut self, field: &str, map: &mut M) -> Result<bool, M::Error> {
        match field {
            "values" => self.values = repeated(map)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Message for KeyValue {
    const NAME: &'static str = "KeyValue";

    fn read<'de, M: MapAccess<'de>>(&mut self, field: &str, map: &mut M) -> Result<bool, M::Error> {
        match field {
            "key" => self.key = scalar::<Text, M>(map)?,
            "value" => self.value = optional(map)?,
            "keyStrindex" | "key_strindex" => self.key_strindex = scalar::<I32, M>(map)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Message for InstrumentationScope {
    const NAME: &'static str = "InstrumentationScope";

    fn read<'de, M: MapAccess<'de>>(&mut self, field: &str, map: &mut M) -> Result<bool, M::Error> {
        match field {
            "name" => self.name = scalar::<Text, M>(map)?,
            "version" => self.version = scalar::<Text, M>(map)?,
            "attributes" => self.attributes = repeated(map)?,
            "droppedAttributesCount" | "dropped_attributes_count" => {
                self.dropped_attributes_count = scalar::<U32, M>(map)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Message for Resource {
    const NAME: &'static str = "Resource";

    fn read<'de, M: MapAccess<'de>>(&mut self, field: &str, map: &mut M) -> Result<bool, M::Error> {
        match field {
            "attributes" => self.attributes = repeated(map)?,
            "droppedAttributesCount" | "dropped_attributes_count" => {
                self.dropped_attributes_count = scalar::<U32, M>(map)?;
            }
            "entityRefs" | "entity_refs" => self.entity_refs = repeated(map)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Message for EntityRef {
    const NAME: &'static str = "EntityRef";

    fn read<'de, M: MapAccess<'de>>(&mut self, field: &str, map: &mut M) -> Result<bool, M::Error> {
        match field {
            "schemaUrl" | "schema_url" => self.schema_url = scalar::<Text, M>(map)?,
            "type" => self.r#type = scalar::<Text, M>(map)?,
            "idKeys" | "id_keys" => self.id_keys = scalars::<Text, M>(map)?,
            "descriptionKeys" | "description_keys" => self.description_keys = scalars::<Text, M>(map)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}
