use super::*;
use crate::core::document::parse_file;

const DESIGN: &str = include_str!("../../../tests/data/design.yaml");

fn assembled(text: &str) -> Assembled {
    let files = vec![(FLEET_FILE.to_owned(), parse_file(FLEET_FILE, text))];
    assemble(files, &|_| Some(text.to_owned()))
}

#[test]
fn the_design_assembles() {
    let result = assembled(DESIGN);
    assert_eq!(result.diagnostics, []);
    let desired = result.desired.expect("no errors");
    let env = &desired.environments[&("acme".to_owned(), "staging".to_owned())];
    assert_eq!(
        env.value.safety.mail,
        crate::core::document::environment::Mail::Capture
    );
}
