//! What parses, how tightly it binds, and what is refused where.

use super::*;

/// With all brackets shown.
fn shape(expr: &Expr) -> String {
    let before = |on: &Option<Box<Expr>>| on.as_ref().map_or(String::new(), |on| shape(on) + ".");
    match expr {
        Expr::Literal(Literal::Integer(value)) => value.to_string(),
        Expr::Literal(Literal::String(text)) => format!("'{text}'"),
        Expr::Literal(other) => format!("{other:?}"),
        Expr::This => "$this".to_owned(),
        Expr::Index => "$index".to_owned(),
        Expr::Total => "$total".to_owned(),
        Expr::Variable { name, .. } => format!("%{name}"),
        Expr::Member { on, name, .. } => format!("{}{name}", before(on)),
        Expr::Call { on, function, args, .. } => {
            let args: Vec<String> = args.iter().map(shape).collect();
            format!("{}{}({})", before(on), function.name(), args.join(", "))
        }
        Expr::Type { on, op, name, .. } => format!("{}{op:?}<{name}>", before(on)),
        Expr::Indexer { of, index, .. } => format!("{}[{}]", shape(of), shape(index)),
        Expr::Sign { minus, of, .. } => format!("({}{})", if *minus { '-' } else { '+' }, shape(of)),
        Expr::Binary { op, left, right, .. } => format!("({} {} {})", shape(left), op.symbol(), shape(right)),
    }
}

#[test]
fn binding() {
    for (text, expected) in [
        ("1 + 2 * 3 - 4", "((1 + (2 * 3)) - 4)"),
        ("-1.abs()", "(-1.abs())"),
        ("-a[0]", "(-a[0])"),
        ("1 | 2 is Integer", "(1 | 2.Is<Integer>)"),
        ("1 > 2 is Boolean", "(1 > 2.Is<Boolean>)"),
        ("a = b and c or d implies e", "((((a = b) and c) or d) implies e)"),
        ("a | b = c | d", "((a | b) = (c | d))"),
        ("a in b = c", "(a in (b = c))"),
        ("a xor b or c", "((a xor b) or c)"),
        ("a < b = c >= d", "((a < b) = (c >= d))"),
        ("a & b + c", "((a & b) + c)"),
        ("a div b mod c", "((a div b) mod c)"),
        ("(a as FHIR.Quantity).unit", "a.As<FHIR.Quantity>.unit"),
        ("a.ofType(Patient.contact).b", "a.OfType<Patient.contact>.b"),
        ("is(Patient)", "Is<Patient>"),
        ("a.contains('x') contains b", "(a.contains('x') contains b)"),
        ("expansion.contains.is", "expansion.contains.is"),
        ("`div`.`a\\`b`", "div.a`b"),
        ("%'vs-a'.x | %`ext-b` | %c", "((%vs-a.x | %ext-b) | %c)"),
        ("a /* b */ // c\n .d", "a.d"),
        ("iif($this, $index, $total)", "iif($this, $index, $total)"),
        (r"'\'\\\/\n\u0041\.'", "'\u{27}\\/\nA\\.'"),
    ] {
        let parsed = parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(shape(&parsed), expected, "{text}");
    }
}

#[test]
fn refused() {
    for (text, at) in [
        ("", 0),
        ("a.", 2),
        ("a b", 2),
        ("a..b", 2),
        ("(a", 2),
        ("a)", 1),
        ("a[", 2),
        ("{a}", 1),
        ("'a", 0),
        ("`a", 0),
        ("a /* b", 2),
        ("2 + 2 /", 7),
        ("a.nonsense()", 2),
        ("a.first(1)", 2),
        ("a.where()", 2),
        ("a.is()", 5),
        ("a is", 4),
        ("@20", 0),
        ("@2015-13", 0),
        ("@2015-02-30", 0),
        ("@T", 0),
        ("@T25:00", 0),
        ("@T14:34:28+10:00", 13),
        ("$that", 0),
        ("a.$this", 2),
        ("%", 0),
        ("a # b", 2),
        ("'\\u12'", 1),
        ("1 = = 2", 4),
    ] {
        match parse(text) {
            Err(e) => assert_eq!(e.at, at, "{text}: {e}"),
            Ok(_) => panic!("{text} must be refused"),
        }
    }
}

/// Deep and long expressions are refused, and those at the limit are evaluated and dropped without overflow.
#[test]
fn limits() {
    let deep: [fn(usize) -> String; 5] = [
        |n| "(".repeat(n) + "1" + &")".repeat(n),
        |n| "-".repeat(n) + "1",
        |n| "1".to_owned() + &" + 1".repeat(n),
        |n| "$this".to_owned() + &".children()".repeat(n),
        |n| "iif(true,".repeat(n) + "1" + &")".repeat(n),
    ];
    for (row, make) in deep.iter().enumerate() {
        let allowed = (1..=HEIGHT_MAX + 2).rev().find(|n| parse(&make(*n)).is_ok()).unwrap();
        assert!((HEIGHT_MAX - 2..=HEIGHT_MAX).contains(&allowed), "row {row}: {allowed}");
        with(PATIENT, |cx| assert!(!run(&make(allowed), &cx).starts_with("syntax"), "row {row}"));
        assert!(parse(&make(4000)).is_err(), "row {row}");
    }
    assert!(parse(&format!("'{}'", "a".repeat(LENGTH_MAX - 2))).is_ok());
    assert!(parse(&format!("'{}'", "a".repeat(LENGTH_MAX - 1))).is_err());
}
