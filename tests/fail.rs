//! Programs that must not compile: what the consent types forbid, each with the compiler's message beside it.

#[test]
fn what_the_types_forbid_does_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/fail/*.rs");
}
