use std::collections::HashMap;

use super::element::XHTML;
use super::*;
use crate::json::Doc;
use crate::types::Element;

/// Enough of R4 to read a Patient: `type: element[x]*/type|type ...`; `[x]` marks a choice, `*` a repeating element.
const TYPES: &str = "
Element: id/System.String extension*/Extension
Extension: id/System.String extension*/Extension url/System.String value[x]/string|boolean|decimal|Period
Narrative: id/System.String extension*/Extension status/code div/xhtml
HumanName: id/System.String extension*/Extension text/string family/string given*/string period/Period
Period: id/System.String extension*/Extension start/dateTime end/dateTime
Patient: id/System.String text/Narrative contained*/Resource extension*/Extension active/boolean name*/HumanName \
birthDate/date deceased[x]/boolean|dateTime multipleBirth[x]/boolean|integer contact*/Patient.contact
Patient.contact: id/System.String extension*/Extension name/HumanName
Observation: id/System.String value[x]/decimal|string";

struct Tiny(HashMap<&'static str, Vec<Element>>);

impl Tiny {
    fn new() -> Tiny {
        let element = |text: &str| {
            let (name, types) = text.split_once('/').unwrap();
            Element {
                name: name.trim_end_matches('*').trim_end_matches("[x]").into(),
                types: types.split('|').map(Into::into).collect(),
                choice: name.contains("[x]"),
                many: name.ends_with('*'),
                min: 0,
                targets: vec![],
                value_set: None,
                strength: None,
                summary: false,
                modifier: false,
            }
        };
        let row = |line: &'static str| {
            let (name, elements) = line.split_once(": ").unwrap();
            (name, elements.split_whitespace().map(element).collect())
        };
        Tiny(TYPES.trim().lines().map(row).collect())
    }
}

impl Types for Tiny {
    fn element(&self, type_name: &str, name: &str) -> Option<&Element> {
        self.elements(type_name).iter().find(|e| &*e.name == name)
    }
    fn elements(&self, type_name: &str) -> &[Element] {
        self.0.get(type_name).map_or(&[], Vec::as_slice)
    }
    fn base(&self, _: &str) -> Option<&str> {
        None
    }
    fn is_resource(&self, type_name: &str) -> bool {
        ["Patient", "Observation"].contains(&type_name)
    }
    fn is_primitive(&self, type_name: &str) -> bool {
        type_name.starts_with(|c: char| c.is_ascii_lowercase()) && type_name != "xhtml"
    }
}

/// Reads `{}`, put inside a Patient's tags.
fn read(inside: &str) -> Result<String> {
    whole(&format!("<Patient xmlns=\"http://hl7.org/fhir\">{inside}</Patient>"))
}

fn whole(xml: &str) -> Result<String> {
    to_json(
        xml.as_bytes(),
        &Tiny::new(),
        JsonLimits { depth_max: 20, bytes_max: 10_000, ..JsonLimits::default() },
    )
}

fn write(json: &str) -> Result<String> {
    from_json(Doc::parse(json, JsonLimits::default()).unwrap().root(), &Tiny::new())
}

#[test]
fn both_ways() {
    let rows = [
        (r#""id":"a""#, r#"<id value="a"/>"#),
        (
            r#""active":true,"deceasedBoolean":false"#,
            r#"<active value="true"/><deceasedBoolean value="false"/>"#,
        ),
        (r#""deceasedDateTime":"2001""#, r#"<deceasedDateTime value="2001"/>"#),
        (r#""multipleBirthInteger":2"#, r#"<multipleBirthInteger value="2"/>"#),
        (
            r#""name":[{"id":"n","family":"A&<\"\n\t\r>'é😀","given":["b","c"]}]"#,
            "<name id=\"n\"><family value=\"A&amp;&lt;&quot;&#10;&#9;&#13;&gt;'é😀\"/><given value=\"b\"/><given value=\"c\"/></name>",
        ),
        (
            r#""_birthDate":{"id":"x","extension":[{"url":"u","valueDecimal":1.50E-10}]}"#,
            r#"<birthDate id="x"><extension url="u"><valueDecimal value="1.50E-10"/></extension></birthDate>"#,
        ),
        (
            r#""name":[{"given":["a",null,"c"],"_given":[null,{"id":"2"},{"id":"3"}]}]"#,
            r#"<name><given value="a"/><given id="2"/><given id="3" value="c"/></name>"#,
        ),
        (
            r#""contained":[{"resourceType":"Observation","valueString":"v"},{"resourceType":"Patient","id":"p"}]"#,
            r#"<contained><Observation><valueString value="v"/></Observation></contained><contained><Patient><id value="p"/></Patient></contained>"#,
        ),
        (
            r#""text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\" class='a'> a <br /><!-- c -->&amp;&#160;<b\n>x</b > </div>"}"#,
            "<text><status value=\"generated\"/><div xmlns=\"http://www.w3.org/1999/xhtml\" class='a'> a <br /><!-- c -->&amp;&#160;<b\n>x</b > </div></text>",
        ),
        (r#""contact":[{"name":{"text":"t"}}]"#, r#"<contact><name><text value="t"/></name></contact>"#),
    ];
    for (json, xml) in rows {
        let json = format!(r#"{{"resourceType":"Patient",{json}}}"#);
        let xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Patient xmlns=\"http://hl7.org/fhir\">{xml}</Patient>"
        );
        assert_eq!(write(&json).unwrap(), xml);
        assert_eq!(whole(&xml).unwrap(), json);
    }
}

#[test]
fn indentation_keeps_the_narrative() {
    let json = r#"{"resourceType":"Patient","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"> <b>a</b> <i>b</i>\n</div>"},"contained":[{"resourceType":"Patient","id":"p"}],"name":[{"id":"n","given":["b","c"]}]}"#;
    let xml = r#"<?xml version="1.0" encoding="UTF-8"?>
<Patient xmlns="http://hl7.org/fhir">
  <text>
    <status value="generated"/>
    <div xmlns="http://www.w3.org/1999/xhtml"> <b>a</b> <i>b</i>
</div>
  </text>
  <contained>
    <Patient>
      <id value="p"/>
    </Patient>
  </contained>
  <name id="n">
    <given value="b"/>
    <given value="c"/>
  </name>
</Patient>
"#;
    let doc = Doc::parse(json, JsonLimits::default()).unwrap();
    assert_eq!(indented(doc.root(), &Tiny::new()).unwrap(), xml);
    assert_eq!(whole(xml).unwrap(), json);
}

#[test]
fn other_ways_to_say_it_are_read() {
    let rows = [
        ("<f:Patient xmlns:f='http://hl7.org/fhir'><f:active value='true'/></f:Patient>", r#""active":true"#),
        (
            "\u{feff}<?xml version='1.0'?>\n<!-- a --><Patient xmlns='http://hl7.org/fhir'> <id value='1' ></id>\n</Patient>\n<!-- b -->",
            r#""id":"1""#,
        ),
        // Repetitions apart from each other, elements out of order.
        (
            "<Patient xmlns='http://hl7.org/fhir'><name><text value='a'/></name><active value=' true '/><name><text value='b'/></name></Patient>",
            r#""name":[{"text":"a"},{"text":"b"}],"active":true"#,
        ),
        (
            "<Patient xmlns='http://hl7.org/fhir' xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' xsi:schemaLocation='a b'><multipleBirthInteger value='+2'/></Patient>",
            r#""multipleBirthInteger":2"#,
        ),
        // A narrative whose names are bound outside of it is written anew, with its own declaration.
        (
            "<f:Patient xmlns:f='http://hl7.org/fhir' xmlns:h='http://www.w3.org/1999/xhtml'><f:text><h:div title='\"'>a<h:br/>&lt;</h:div></f:text></f:Patient>",
            r#""text":{"div":"<div xmlns=\"http://www.w3.org/1999/xhtml\" title=\"&quot;\">a<br></br>&lt;</div>"}"#,
        ),
    ];
    for (xml, json) in rows {
        assert_eq!(whole(xml).unwrap(), format!(r#"{{"resourceType":"Patient",{json}}}"#), "{xml}");
    }
}

#[test]
fn hostile_documents_are_refused() {
    let nested = "<extension url='u'>".repeat(20) + &"</extension>".repeat(20);
    let deep_div =
        format!("<text><div xmlns='{XHTML}'>{}{}</div></text>", "<b>".repeat(20), "</b>".repeat(20));
    let long = format!("<id value='{}'/>", "a".repeat(10_000));
    let div = |inside: &str| format!("<text><div xmlns='{XHTML}'>{inside}</div></text>");
    let rows = [
        // text inside Patient, words of the answer
        ("<?php exit; ?>", "processing instructions"),
        ("<?xml version='1.0'?>", "processing instructions"),
        (
            "<xi:include xmlns:xi='http://www.w3.org/2001/XInclude' href='file:///etc/passwd'/>",
            "not in the namespace",
        ),
        ("<id xmlns='http://example.org' value='1'/>", "not in the namespace"),
        ("<f:id value='1'/>", "not in the namespace"),
        (&nested, "deeper than allowed"),
        (&deep_div, "deeper than allowed"),
        (&long, "longer than allowed"),
        ("<id value='1' value='2'/>", "duplicate"),
        ("<id value='1'></active>", "not valid XML"),
        ("<id value='1'>", "not valid XML"),
        ("<id value='&xxe;'/>", "entity that XML does not define"),
        ("<id value='&#0;'/>", "entity that XML does not define"),
        ("<id value='a & b'/>", "begins no reference"),
        ("<id value='<'/>", "in an attribute"),
        ("<id value=''/>", "empty attribute"),
        ("<id value='\u{1}'/>", "not allowed"),
        ("&amp;", "holds text"),
        ("&xxe;", "holds text"),
        ("words", "holds text"),
        ("<![CDATA[words]]>", "holds text"),
        ("<id value='1'>words</id>", "Patient.id holds text"),
        ("<id/>", "Patient.id is empty"),
        ("<name/>", "Patient.name[0] is empty"),
        ("<nom/>", "unknown element `nom`"),
        ("<Id value='1'/>", "unknown element `Id`"),
        ("<resourceType value='Patient'/>", "unknown element"),
        ("<deceased value='1'/>", "unknown element"),
        ("<deceasedboolean value='true'/>", "unknown element"),
        ("<deceasedQuantity value='true'/>", "unknown element"),
        ("<name><id value='1'/></name>", "unknown element `id`"),
        ("<name use='official'/>", "unknown attribute `use`"),
        ("<name value='1'/>", "unknown attribute `value`"),
        ("<id value='1' xml:lang='en'/>", "unknown attribute `xml:lang`"),
        ("<id value='1'><family value='x'/></id>", "unknown element `family`"),
        ("<id value='1'/><id value='2'/>", "Patient.id stands more than once"),
        ("<active value='yes'/>", "Patient.active is not a valid boolean"),
        ("<active value='1'/>", "not a valid boolean"),
        ("<multipleBirthInteger value='1.5'/>", "not a valid integer"),
        ("<multipleBirthInteger value='0x1'/>", "not a valid integer"),
        ("<contained/>", "Patient.contained[0] is empty"),
        ("<contained><Patient/></contained>", "is empty"),
        ("<contained><Hacker/></contained>", "not a resource type"),
        ("<contained><Patient><id value='1'/></Patient><Patient/></contained>", "more than one resource"),
        ("<contained><div xmlns='http://www.w3.org/1999/xhtml'/></contained>", "not a resource type"),
        ("<text><div>a</div></text>", "unknown element `div`"),
        ("<text><p xmlns='http://www.w3.org/1999/xhtml'/></text>", "unknown element `p`"),
        (&div("&nbsp;"), "entity that XML does not define"),
        (&div("<a href='&xxe;'/>"), "entity that XML does not define"),
        (&div("<svg xmlns='http://www.w3.org/2000/svg'/>"), "not in the XHTML namespace"),
        (&div("<xi:include xmlns:xi='http://www.w3.org/2001/XInclude'/>"), "not in the XHTML namespace"),
        (&div("<a xmlns:x='u' x:href='1'/>"), "not XHTML's"),
        (&div("<a b='1' b='2'/>"), "duplicate"),
        (&div("<?x y?>"), "processing instructions"),
        (&div("<!DOCTYPE div>"), "DOCTYPE"),
        (&div("]]>"), "`]]>`"),
    ];
    for (inside, why) in rows {
        let error = read(inside).map(|json| panic!("{inside} became {json}")).unwrap_err();
        assert!(error.text.contains(why), "{inside}: {error}");
        assert_eq!(error.kind.status(), 400, "{inside}");
    }
}

#[test]
fn hostile_prologues_are_refused() {
    let bomb = "<!DOCTYPE lolz [<!ENTITY lol \"lol\"><!ENTITY lol2 \"&lol;&lol;&lol;&lol;&lol;\">]>\
                <Patient xmlns='http://hl7.org/fhir'><id value='&lol2;'/></Patient>";
    let xxe = "<?xml version=\"1.0\"?><!DOCTYPE r [<!ENTITY xxe SYSTEM \"file:///etc/passwd\">]>\
               <Patient xmlns='http://hl7.org/fhir'><id value='&xxe;'/></Patient>";
    let rows = [
        (bomb, "DOCTYPE"),
        (xxe, "DOCTYPE"),
        (
            "<!DOCTYPE Patient SYSTEM 'http://example.org/x.dtd'><Patient xmlns='http://hl7.org/fhir'/>",
            "DOCTYPE",
        ),
        ("<?xml-stylesheet href='x'?><Patient xmlns='http://hl7.org/fhir'/>", "processing instructions"),
        ("<?xml version='1.0' encoding='UTF-16'?><Patient xmlns='http://hl7.org/fhir'/>", "UTF-8 only"),
        ("<Patient/>", "not in the namespace"),
        ("<Patient xmlns='http://hl7.org/fhir/'/>", "not in the namespace"),
        ("<Nobody xmlns='http://hl7.org/fhir'/>", "`Nobody` is not a resource type"),
        ("<Patient xmlns='http://hl7.org/fhir' id='1'/>", "unknown attribute `id`"),
        ("<Patient xmlns='http://hl7.org/fhir'/><Patient xmlns='http://hl7.org/fhir'/>", "more than one"),
        ("<Patient xmlns='http://hl7.org/fhir'/>words", "holds text"),
        ("<Patient xmlns='http://hl7.org/fhir'>", "is not closed"),
        ("{\"resourceType\":\"Patient\"}", "holds text"),
        ("", "holds no resource"),
        ("<", "not valid XML"),
    ];
    for (xml, why) in rows {
        let error = whole(xml).map(|json| panic!("{xml} became {json}")).unwrap_err();
        assert!(error.text.contains(why), "{xml}: {error}");
    }
    let bad = to_json(
        b"<Patient xmlns='http://hl7.org/fhir'><id value='\xff'/></Patient>",
        &Tiny::new(),
        JsonLimits::default(),
    );
    assert!(bad.unwrap_err().text.contains("not UTF-8"));
}

#[test]
fn limits_hold_at_the_limit_and_past_it() {
    // Patient, the extensions and the value are open at once.
    let at =
        |n: usize| "<extension url='u'>".repeat(n) + "<valueString value='v'/>" + &"</extension>".repeat(n);
    assert!(read(&at(18)).is_ok());
    assert!(read(&at(19)).is_err());
}

#[test]
fn values_and_extensions_keep_their_places() {
    let name = |given: &str| read(&format!("<name>{given}</name>")).unwrap();
    let (plain, extra) = ("<given value='a'/>", "<given id='x'/>");
    for (given, wanted) in [
        (plain.to_owned() + plain, r#""given":["a","a"]"#),
        (plain.to_owned() + extra + plain, r#""given":["a",null,"a"],"_given":[null,{"id":"x"},null]"#),
        (extra.to_owned() + plain, r#""given":[null,"a"],"_given":[{"id":"x"},null]"#),
        (extra.to_owned() + extra, r#""_given":[{"id":"x"},{"id":"x"}]"#),
        (
            "<given value='a' id='x'/><family id='f'/>".to_owned() + plain,
            r#""given":["a","a"],"_given":[{"id":"x"},null],"_family":{"id":"f"}"#,
        ),
    ] {
        let json = name(&given);
        assert!(json.contains(&format!("[{{{wanted}}}]")), "{json}");
    }
}

#[test]
fn what_xml_cannot_carry_is_said() {
    let rows = [
        (r#""nom":1"#, "Patient has an element `nom`"),
        (r#""name":[{"family":{"a":1}}]"#, "Patient.name[0].family is not a primitive"),
        (r#""name":["x"]"#, "Patient.name[0] is not an object"),
        (r#""id":"a\u0001""#, "holds the character"),
        (r#""id":null"#, "Patient.id is empty"),
        (r#""contained":[{"resourceType":"Nobody"}]"#, "Patient.contained[0] is not a resource"),
        (r#""text":{"div":"</text></Patient>"}"#, "not well-formed"),
        (r#""text":{"div":"<div>a</div><b/>"}"#, "it is not one `div`"),
        (r#""text":{"div":"words"}"#, "it is not one `div`"),
        (r#""text":{"div":""}"#, "it has no `div`"),
        (r#""text":{"div":"<div>a"}"#, "not well-formed"),
        (r#""text":{"div":"<div>&xxe;</div>"}"#, "not well-formed"),
        (r#""text":{"div":"<div xmlns='u'/>"}"#, "not in the XHTML namespace"),
        (r#""extension":[{"url":"u","_url":{"id":"1"}}]"#, "no plain string"),
    ];
    for (json, why) in rows {
        let error = write(&format!(r#"{{"resourceType":"Patient",{json}}}"#)).unwrap_err();
        assert!(error.text.contains(why), "{json}: {error}");
        assert_eq!(error.kind.status(), 406, "{json}");
    }
}

#[test]
fn narrative_that_only_html_understands_is_mended() {
    let json = r#"{"resourceType":"Patient","text":{"div":" <div title='a&nbsp;b&amp;'>&nbsp;&eacute;<p>a</p></div> "}}"#;
    let xml = write(json).unwrap();
    let div = "<div xmlns=\"http://www.w3.org/1999/xhtml\" title=\"a\u{a0}b&amp;\">\u{a0}é<p>a</p></div>";
    assert!(xml.contains(div), "{xml}");
}
