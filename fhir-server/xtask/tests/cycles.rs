//! Circles of modules, in a crate made for it.

use std::fs;

use fhir_xtask::cycles;

/// (file, text). `a`, `b::c` and `d` need each other; all else only looks like it.
const FILES: [(&str, &str); 8] = [
    ("lib.rs", "mod a; mod b; mod d; mod e; mod f; pub use a::A; pub struct Root; fn root() { e::e(Root); }"),
    // By a name that the root passes on, and by one that `b` passes on.
    ("a.rs", "use crate::b::C; pub struct A(C); #[cfg(test)] mod tests { use crate::e::e; }"),
    ("b.rs", "mod c; pub(crate) use c::C; pub(crate) struct B;"),
    ("b/c.rs", "use super::super::d; pub(crate) struct C; fn c() { format!(\"{}\", d::d()); }"),
    ("d.rs", "pub(crate) fn d(_: crate::A) {}"),
    // The root needs `e`, and `e` the root: a circle of its own.
    ("e.rs", "use super::*; pub(crate) fn e(root: Root) {}"),
    ("f.rs", "use crate::Root; fn f(a: Root, d: u8) { let e = d; }"),
    ("unused.rs", "this is no Rust"),
];

#[test]
fn modules_that_need_each_other_are_found() {
    let folder = std::env::temp_dir().join(format!("fhir-cycles-{}", std::process::id()));
    for (name, text) in FILES {
        let file = folder.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    let mut circles = cycles::of_crate("it", &folder.join("lib.rs")).unwrap();
    circles.sort();
    assert_eq!(circles, ["it: a b::c d", "it: crate e"]);
    fs::remove_dir_all(&folder).unwrap();
}
