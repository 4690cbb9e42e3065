//! Pages: Markdown whose fenced blocks are the tests. What each block means is written in the README.

use anyhow::{Context, Result, bail};

/// A page of the suite, read but not yet run.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    /// The path below `conformance/` without `.md`: `r4/http/create`.
    pub(crate) name: String,
    pub(crate) cases: Vec<Case>,
}

/// What stands under one `##` heading. What stands before the first one is the page's set-up.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// The heading, as a link to it is written: `create-without-a-body`.
    pub(crate) slug: String,
    pub(crate) steps: Vec<Step>,
}

/// One fenced block; an `http` or `walk` block with its `expect` block.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// Where the block begins in the file, counted from 1.
    pub(crate) line: usize,
    pub(crate) kind: Kind,
}

/// What a block asks for.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// Resources the page needs, one JSON object after another.
    Given(String),
    Http {
        request: String,
        expect: String,
        waits: Waits,
    },
    /// A search walked through all its pages.
    Walk {
        request: String,
        expect: String,
    },
    /// A table of queries and what they find.
    Search {
        head: String,
        rows: Vec<Row>,
    },
}

/// A line of a `search` block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) line: usize,
    pub(crate) query: String,
    pub(crate) in_order: bool,
    pub(crate) expected: String,
}

/// How long a request waits, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Waits {
    /// Before it is sent.
    pub(crate) before_ms: u64,
    /// At most, for the answer that is expected; meanwhile it is sent again and again.
    pub(crate) until_ms: u64,
}

impl Page {
    /// Reads a page. A block that cannot be run is an error with its line.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Page> {
        let mut cases = vec![Case { slug: "set-up".into(), steps: Vec::new() }];
        let mut awaiting: Option<(usize, String, String, Waits)> = None;
        let mut lines = text.lines().enumerate();
        while let Some((at, line)) = lines.next() {
            let number = at + 1;
            if let Some(heading) = line.strip_prefix("## ") {
                cases.push(Case { slug: slug(heading), steps: Vec::new() });
            }
            let Some(info) = line.strip_prefix("```") else { continue };
            let mut body = String::new();
            loop {
                let (_, line) =
                    lines.next().with_context(|| format!("{name}.md:{number}: the block is not closed"))?;
                if line.starts_with("```") {
                    break;
                }
                body.push_str(line);
                body.push('\n');
            }
            let (word, options) = info.trim().split_once(' ').unwrap_or((info.trim(), ""));
            if let (Some((line, ..)), true) = (&awaiting, word != "expect") {
                bail!("{name}.md:{line}: an `expect` block must follow the request");
            }
            let step = match word {
                "given" => Kind::Given(body),
                "search" => search(body, number).with_context(|| format!("{name}.md:{number}"))?,
                "http" | "walk" => {
                    awaiting = Some((number, word.to_owned(), body, waits(options)?));
                    continue;
                }
                "expect" => match awaiting.take() {
                    Some((_, word, request, waits)) if word == "http" => {
                        Kind::Http { request, expect: body, waits }
                    }
                    Some((_, _, request, _)) => Kind::Walk { request, expect: body },
                    None => bail!("{name}.md:{number}: an `expect` block without a request before it"),
                },
                // Any other block is illustration.
                _ => continue,
            };
            if let Some(case) = cases.last_mut() {
                case.steps.push(Step { line: number, kind: step });
            }
        }
        if let Some((line, ..)) = awaiting {
            bail!("{name}.md:{line}: an `expect` block must follow the request");
        }
        cases.retain(|case| !case.steps.is_empty());
        Ok(Page { name: name.to_owned(), cases })
    }
}

/// ` ```http wait=1100 ` waits so many milliseconds before the request; ` ```http until=20000 ` sends it again and again,
/// for so many at most, until what is expected is answered.
fn waits(options: &str) -> Result<Waits> {
    let mut waits = Waits::default();
    for option in options.split_whitespace() {
        let (name, ms) = option.split_once('=').unwrap_or((option, ""));
        let place = match name {
            "wait" => &mut waits.before_ms,
            "until" => &mut waits.until_ms,
            _ => bail!("`{option}` is no option of an http block"),
        };
        *place = ms.parse().with_context(|| format!("`{option}` is no number of milliseconds"))?;
    }
    Ok(waits)
}

/// The first lines (request line and headers) are the head; each line with an arrow is a row.
fn search(body: String, number: usize) -> Result<Kind> {
    let (mut head, mut rows) = (String::new(), Vec::new());
    for (at, line) in body.lines().enumerate() {
        // A comment needs white space around its mark: `#` alone may be part of a URI.
        let line = line.split(" # ").next().unwrap_or_default().trim();
        let arrow = [("->", false), ("=>", true)].into_iter().find(|(arrow, _)| line.contains(arrow));
        match arrow.and_then(|(arrow, in_order)| Some((line.rsplit_once(arrow)?, in_order))) {
            Some(((query, expected), in_order)) => rows.push(Row {
                line: number + at + 1,
                query: query.trim().to_owned(),
                in_order,
                expected: expected.trim().to_owned(),
            }),
            None if line.is_empty() => {}
            None if rows.is_empty() => {
                head.push_str(line);
                head.push('\n');
            }
            None => bail!("`{line}`: a row is `query -> what it finds`"),
        }
    }
    if rows.is_empty() || head.is_empty() {
        bail!("a search block is a request line and rows `query -> what it finds`");
    }
    Ok(Kind::Search { head, rows })
}

fn slug(heading: &str) -> String {
    let mut slug = String::new();
    for c in heading.trim().to_lowercase().chars() {
        match c {
            c if c.is_alphanumeric() || c == '_' => slug.push(c),
            ' ' | '-' => slug.push('-'),
            _ => {}
        }
    }
    slug
}

#[cfg(test)]
mod tests {
    use super::{Kind, Page, Row};

    const PAGE: &str = "# Title\n\n```given\n{}\n```\n\n## A case, `quoted`\n\n```http wait=20\nGET /x\n```\n\
        ```expect\n200\n```\n```json\n{}\n```\n## Rows\n```search\nGET /Patient?_tag=1\n\
        family=a,b   -> a b   # two\nurl=http://x#y => b a\n-> none\n```\n";

    #[test]
    fn a_page_has_cases_and_steps() {
        let page = Page::parse("p", PAGE).unwrap();
        let slugs: Vec<&str> = page.cases.iter().map(|case| case.slug.as_str()).collect();
        assert_eq!(slugs, ["set-up", "a-case-quoted", "rows"]);
        assert!(matches!(
            &page.cases[1].steps[0].kind,
            Kind::Http { waits: super::Waits { before_ms: 20, until_ms: 0 }, .. }
        ));
        let Kind::Search { head, rows } = &page.cases[2].steps[0].kind else { panic!("not a table") };
        assert_eq!(head, "GET /Patient?_tag=1\n");
        let row = |line, query: &str, in_order, expected: &str| Row {
            line,
            query: query.into(),
            in_order,
            expected: expected.into(),
        };
        assert_eq!(
            *rows,
            [
                row(21, "family=a,b", false, "a b"),
                row(22, "url=http://x#y", true, "b a"),
                row(23, "", false, "none")
            ]
        );
    }

    #[test]
    fn a_block_that_cannot_run_is_refused() {
        for text in [
            "```http\nGET /x\n```\n",
            "```expect\n200\n```\n",
            "```http\nGET /x\n```\n```http\nGET /x\n```\n```expect\n200\n```\n",
            "```http\nGET /x\n",
            "```search\nGET /x\n```\n",
            "```http soon\nGET /x\n```\n```expect\n200\n```\n",
        ] {
            assert!(Page::parse("p", text).is_err(), "{text}");
        }
    }
}
