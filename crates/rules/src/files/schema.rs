//! JSON Schemas of the files, for editors.

/// Schema of rule files.
pub const RULES_SCHEMA: &str = include_str!("../../../../docs/schema/rules.json");
/// Schema of rule tests.
pub const TESTS_SCHEMA: &str = include_str!("../../../../docs/schema/tests.json");

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::files::{alerting_rule, case_file, rule_file};

    fn keys(schema: &Value) -> Vec<&str> {
        let mut keys: Vec<&str> =
            schema["properties"].as_object().expect("properties").keys().map(String::as_str).collect();
        keys.sort_unstable();
        keys
    }

    fn sorted(keys: &'static [&'static str]) -> Vec<&'static str> {
        let mut keys = keys.to_vec();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn the_schemas_know_the_keys_that_the_files_may_have() {
        let rules: Value = serde_json::from_str(RULES_SCHEMA).unwrap();
        let group = &rules["properties"]["groups"]["items"];
        assert_eq!(keys(group), sorted(&rule_file::GROUP_KEYS));
        let rule = &group["properties"]["rules"]["items"];
        assert_eq!(keys(rule), sorted(&alerting_rule::RULE_KEYS));
        assert_eq!(keys(&rule["properties"]["condition"]), ["fire", "op", "recover"]);

        let tests: Value = serde_json::from_str(TESTS_SCHEMA).unwrap();
        assert_eq!(keys(&tests), sorted(&case_file::FILE_KEYS));
        let case = &tests["properties"]["tests"]["items"];
        assert_eq!(keys(case), sorted(&case_file::CASE_KEYS));
        assert_eq!(keys(&case["properties"]["expect"]["items"]), sorted(&case_file::EXPECT_KEYS));
    }
}
