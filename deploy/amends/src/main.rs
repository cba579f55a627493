//! The one binary: every service, the demo, and the command line for operators.

fn main() {}
