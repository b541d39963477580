//! Messages made from the contracts, for tests that must not forget a field.

use std::collections::HashMap;
use std::sync::LazyLock;

use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor, Value,
};

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(quartet_proto::DESCRIPTORS).expect("the contracts can't be read"));

/// The rpc of a path, `/quartet.identity.v1.SessionService/SignIn`.
pub fn method(path: &str) -> MethodDescriptor {
    let (service, name) = path.trim_start_matches('/').split_once('/').unwrap();
    let service = POOL.get_service_by_name(service).unwrap();
    service.methods().find(|method| method.name() == name).unwrap()
}

/// Messages with every field set, one for each choice of their oneofs. `text` says what stands in a field of text.
pub fn filled(message: &MessageDescriptor, text: &dyn Fn(&FieldDescriptor) -> String) -> Vec<DynamicMessage> {
    let is_choice = |field: &FieldDescriptor| field.containing_oneof().is_some_and(|oneof| !oneof.is_synthetic());
    let mut plain = DynamicMessage::new(message.clone());
    for field in message.fields().filter(|field| !is_choice(field)) {
        plain.set_field(&field, value(&field, text));
    }
    let mut messages = Vec::new();
    for field in message.fields().filter(is_choice) {
        let mut chosen = plain.clone();
        chosen.set_field(&field, value(&field, text));
        messages.push(chosen);
    }
    if messages.is_empty() {
        messages.push(plain);
    }
    messages
}

/// A value that is not the field's default.
pub fn value(field: &FieldDescriptor, text: &dyn Fn(&FieldDescriptor) -> String) -> Value {
    if field.is_map() {
        return Value::Map(HashMap::new());
    }
    let one = match field.kind() {
        Kind::String => Value::String(text(field)),
        Kind::Bytes => Value::Bytes(text(field).into_bytes().into()),
        Kind::Bool => Value::Bool(true),
        Kind::Double => Value::F64(1.0),
        Kind::Float => Value::F32(1.0),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(1),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(1),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(1),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(1),
        Kind::Enum(_) => Value::EnumNumber(1),
        Kind::Message(message) => Value::Message(filled(&message, text).remove(0)),
    };
    if field.is_list() { Value::List(vec![one]) } else { one }
}
