//! Compiled schemas of entity types, by revision.

use crate::admission::Entity;
use crate::registry::{EntityTypeRecord, SchemaFault, compile_schema};
use crate::vocabulary::{Code, EntityType, Reason, Remedy, RemedyKind, Source};
use jsonschema::Validator;
use parking_lot::RwLock;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// More types than this are compiled anew when they are needed again.
const KEPT: usize = 1_000;

/// The compiled schemas.
#[derive(Debug, Default)]
pub struct Schemas {
    compiled: RwLock<HashMap<EntityType, (u64, Option<Arc<Validator>>)>>,
}

impl Schemas {
    /// Why the entity does not fit its type's schema. A schema that cannot be compiled any more denies.
    pub fn reasons(&self, record: &EntityTypeRecord, entity: &Entity) -> Vec<Reason> {
        let Some(schema) = &record.spec.schema else { return Vec::new() };
        if let Some(validator) = self.validator(record, schema) {
            let properties = Value::Object(entity.properties.clone());
            SchemaFault::all(&validator, &properties).into_iter().map(|fault| reason(record, fault)).collect()
        } else {
            let message = format!("The schema of entity type {} cannot be used.", record.name);
            vec![Reason::of(Code::PolicyError, message, format!("entity_type:{}", record.name))]
        }
    }

    fn validator(&self, record: &EntityTypeRecord, schema: &Value) -> Option<Arc<Validator>> {
        if let Some((revision, validator)) = self.compiled.read().get(&record.name)
            && *revision == record.revision
        {
            return validator.clone();
        }
        let validator = compile_schema(schema).ok().map(Arc::new);
        let mut compiled = self.compiled.write();
        if compiled.len() >= KEPT {
            compiled.clear();
        }
        compiled.insert(record.name.clone(), (record.revision, validator.clone()));
        validator
    }
}

fn reason(record: &EntityTypeRecord, fault: SchemaFault) -> Reason {
    let field = format!("field:/entity/properties{}", fault.pointer);
    let (code, kind) = if fault.missing {
        (Code::MissingData, RemedyKind::SupplyData)
    } else {
        (Code::MalformedInput, RemedyKind::CorrectInput)
    };
    let message = format!("By the schema of {}, {} {}.", record.name, display(&fault.pointer), fault.message);
    Reason { source: Source::Registry, remedy: Remedy::on(kind, field.clone()), ..Reason::of(code, message, field) }
}

fn display(pointer: &str) -> &str {
    if pointer.is_empty() { "the properties" } else { pointer.trim_start_matches('/') }
}
