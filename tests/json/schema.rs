//! The JSON Schema of the records, as far as packaging/run.schema.json uses the language (draft
//! 2020-12). A keyword that is not known here fails the test.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

/// The schema of the records.
pub struct Schema(Value);

impl Schema {
    pub fn load() -> Schema {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/run.schema.json");
        Schema(serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap())
    }

    /// Asserts that a record is valid.
    pub fn check(&self, record: &Value) {
        let alternatives: Vec<_> = self.0["oneOf"].as_array().unwrap().iter().collect();
        let of_type = |schema: &&&Value| self.errors(&schema["properties"]["type"], &record["type"]).is_empty();
        let [schema] = alternatives.iter().filter(of_type).collect::<Vec<_>>()[..] else {
            panic!("no such type of record: {record}");
        };
        let errors = self.errors(schema, record);
        assert!(errors.is_empty(), "{errors:?}: {record}");
        // Beside those of a type, records have no keys.
        let known = schema["properties"].as_object().unwrap();
        let is_percentile = |key: &str| key.starts_with("rtt_p") && key.ends_with("_ns");
        for key in record.as_object().unwrap().keys() {
            assert!(known.contains_key(key) || is_percentile(key), "{key} is not in the schema: {record}");
        }
    }

    /// The keys of a type of record that are always there, in the order of the schema.
    pub fn required(&self, record_type: &str) -> Vec<&str> {
        let schema = self.0["oneOf"].as_array().unwrap().iter();
        let mut schema = schema.filter(|schema| schema["properties"]["type"]["const"] == record_type);
        schema.next().unwrap()["required"].as_array().unwrap().iter().map(|key| key.as_str().unwrap()).collect()
    }

    fn errors(&self, schema: &Value, value: &Value) -> Vec<String> {
        let mut errors = Vec::new();
        for (keyword, operand) in schema.as_object().unwrap() {
            errors.extend(self.error(keyword, operand, value));
        }
        errors
    }

    /// What a keyword finds wrong.
    fn error(&self, keyword: &str, operand: &Value, value: &Value) -> Vec<String> {
        let holds = match keyword {
            "title" => true,
            "$ref" => {
                let name = operand.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
                return self.errors(&self.0["$defs"][name], value);
            }
            "type" => match operand {
                Value::Array(types) => types.iter().any(|name| is_of_type(name, value)),
                name => is_of_type(name, value),
            },
            "const" => operand == value,
            "enum" => operand.as_array().unwrap().contains(value),
            "minimum" => value.is_null() || value.as_f64() >= operand.as_f64(),
            "maximum" => value.is_null() || value.as_f64() <= operand.as_f64(),
            "exclusiveMinimum" => value.is_null() || value.as_f64() > operand.as_f64(),
            // The only pattern is that of times.
            "pattern" => is_time(value.as_str().unwrap()),
            "properties" => return self.each_property(operand.as_object().unwrap(), value),
            "patternProperties" => return self.each_percentile(operand, value),
            "required" => operand.as_array().unwrap().iter().all(|key| value.get(key.as_str().unwrap()).is_some()),
            "items" => return self.each_item(operand, value),
            "prefixItems" => {
                let pairs = operand.as_array().unwrap().iter().zip(value.as_array().unwrap());
                return pairs.flat_map(|(schema, item)| self.errors(schema, item)).collect();
            }
            "minItems" => value.as_array().unwrap().len() as u64 >= operand.as_u64().unwrap(),
            "maxItems" => value.as_array().unwrap().len() as u64 <= operand.as_u64().unwrap(),
            _ => panic!("the schema has the unknown keyword {keyword}"),
        };
        if holds { Vec::new() } else { vec![format!("{keyword} {operand}: {value}")] }
    }

    fn each_property(&self, schemas: &Map<String, Value>, record: &Value) -> Vec<String> {
        let known = schemas.iter().filter_map(|(key, schema)| Some((schema, record.get(key)?)));
        known.flat_map(|(schema, value)| self.errors(schema, value)).collect()
    }

    fn each_percentile(&self, schemas: &Value, record: &Value) -> Vec<String> {
        let schema = &schemas["^rtt_p[0-9]+(_[0-9]+)?_ns$"];
        let percentiles = record.as_object().unwrap().iter().filter(|(key, _)| key.starts_with("rtt_p"));
        percentiles.flat_map(|(_, value)| self.errors(schema, value)).collect()
    }

    fn each_item(&self, schema: &Value, array: &Value) -> Vec<String> {
        array.as_array().unwrap().iter().flat_map(|item| self.errors(schema, item)).collect()
    }
}

fn is_of_type(name: &Value, value: &Value) -> bool {
    match name.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        name => panic!("the schema has the unknown type {name}"),
    }
}

/// Whether it has the form `2026-11-26T10:36:00.000123Z`.
fn is_time(text: &str) -> bool {
    let form = "0000-00-00T00:00:00.000000Z";
    let fits = |(is, expected): (char, char)| if expected == '0' { is.is_ascii_digit() } else { is == expected };
    text.len() == form.len() && text.chars().zip(form.chars()).all(fits)
}
