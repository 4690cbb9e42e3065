//! The suite: finds the pages, runs them side by side, and weighs what failed against what is known to fail.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

use crate::client::Subject;
use crate::page::Page;
use crate::run::{self, Outcome};

/// Pages run at the same time.
const PAGES_AT_ONCE: usize = 4;

/// Which pages are run, and how.
#[derive(Debug, Clone)]
pub struct Pages {
    /// Only those whose name has one of these in it; all, when there are none.
    pub filters: Vec<String>,
    /// Names every case that passed.
    pub verbose: bool,
    /// The file that lists the cases which fail: these must.
    pub known_failures: PathBuf,
    /// What `{{run}}` begins with: small letters and digits, unlike those of every other run against the server.
    pub run: String,
}

impl Default for Pages {
    /// All pages, against what is known of any server, as a run that there was never before.
    fn default() -> Pages {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Pages {
            filters: Vec::new(),
            verbose: false,
            known_failures: folder().join("known-failures.txt"),
            run: base36(now.as_millis()),
        }
    }
}

/// What came of it all.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Cases that passed.
    pub passed: usize,
    /// Cases that failed, and those that passed or are gone although they are listed as failing.
    pub failed: usize,
    /// Cases that failed, as is known.
    pub known: usize,
}

/// The folder of the pages: this crate's own, wherever the command is started.
pub(crate) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Runs pages against the server whose base url is `base`, and prints as it goes.
///
/// # Errors
///
/// When there is no such page, or one cannot be read; when the list of known failures cannot be read, or names a page that
/// there is not.
pub fn run_pages(base: &str, options: &Pages) -> Result<Tally> {
    let Pages { filters, verbose, run, .. } = options;
    let subject = Subject::new(base);
    let wanted = |page: &Page| filters.is_empty() || filters.iter().any(|filter| page.name.contains(filter));
    let pages: Vec<Page> = read_pages(&folder())?.into_iter().filter(wanted).collect();
    if pages.is_empty() {
        bail!("no page has a name with {}", filters.join(" or "));
    }
    let known = known_failures(&options.known_failures)?;
    let is_known_page = |id: &String| pages.iter().any(|page| id.split('#').next() == Some(&page.name));
    if let (true, Some(id)) = (filters.is_empty(), known.keys().find(|id| !is_known_page(id))) {
        bail!("{}: there is no page of `{id}`", options.known_failures.display());
    }
    let next = AtomicUsize::new(0);
    let total = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for _ in 0..PAGES_AT_ONCE {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(page) = pages.get(at) else { break };
                    let outcomes = run::run(&subject, page, &format!("{run}{at:02}"));
                    let (tally, text) = weigh(&page.name, &outcomes, &known, *verbose);
                    if let Ok(mut total) = total.lock() {
                        total.passed += tally.passed;
                        total.failed += tally.failed;
                        total.known += tally.known;
                        print!("{text}");
                    }
                }
            });
        }
    });
    total.into_inner().map_err(|_| anyhow::anyhow!("a page brought the runner down"))
}

/// All pages below the folder, by name.
pub(crate) fn read_pages(folder: &Path) -> Result<Vec<Page>> {
    let mut files = Vec::new();
    collect(&folder.join("r4"), &mut files)?;
    files.sort();
    let mut pages = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let name = file.strip_prefix(folder)?.with_extension("").display().to_string();
        pages.push(Page::parse(&name, &text)?);
    }
    Ok(pages)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "md") {
            files.push(path);
        }
    }
    Ok(())
}

/// `page#case  reason`, one a line. Two spaces end the case, because a query may hold single ones.
fn known_failures(file: &Path) -> Result<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let mut known = BTreeMap::new();
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        let (case, reason) = line
            .split_once("  ")
            .with_context(|| format!("`{line}`: two spaces and a reason follow the case"))?;
        known.insert(case.trim().to_owned(), reason.trim().to_owned());
    }
    Ok(known)
}

/// Counts the outcomes of a page. A known failure must fail; one that passes is a failure of the list.
fn weigh(
    page: &str,
    outcomes: &[Outcome],
    known: &BTreeMap<String, String>,
    verbose: bool,
) -> (Tally, String) {
    let mut tally = Tally::default();
    let mut details = String::new();
    for outcome in outcomes {
        match (&outcome.failure, known.get(&outcome.id)) {
            (None, None) => {
                tally.passed += 1;
                if verbose {
                    details.push_str(&format!("    {}\n", outcome.id));
                }
            }
            (Some(_), Some(reason)) => {
                tally.known += 1;
                details.push_str(&format!("  known failure: {}: {reason}\n", outcome.id));
            }
            (Some(failure), None) => {
                tally.failed += 1;
                let failure = failure.replace('\n', "\n    ");
                details.push_str(&format!("  FAILED {}\n    {failure}\n", outcome.id));
            }
            (None, Some(_)) => {
                tally.failed += 1;
                details.push_str(&format!("  PASSED {}, but is listed as a known failure\n", outcome.id));
            }
        }
    }
    // An entry for a case that is gone would hide the next one of that name.
    for id in known.keys().filter(|id| id.split('#').next() == Some(page)) {
        if !outcomes.iter().any(|outcome| outcome.id == *id) {
            tally.failed += 1;
            details.push_str(&format!("  UNKNOWN {id}: known-failures.txt lists a case that there is not\n"));
        }
    }
    let word = if tally.failed == 0 { "ok    " } else { "FAILED" };
    (
        tally,
        format!("{word} {page}: {} of {} as expected\n{details}", tally.passed + tally.known, outcomes.len()),
    )
}

/// Short and sortable, and fit for an id.
fn base36(mut number: u128) -> String {
    let mut digits = Vec::new();
    while number > 0 {
        let digit = u32::try_from(number % 36).ok().and_then(|digit| char::from_digit(digit, 36));
        digits.extend(digit);
        number /= 36;
    }
    digits.iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::{Tally, base36, folder, known_failures, read_pages, weigh};
    use crate::client::Answer;
    use crate::expect;
    use crate::found::ExpectedMatches;
    use crate::page::Kind;
    use crate::run::Outcome;
    use crate::template::Variables;

    #[test]
    fn every_page_reads_and_names_its_part_of_the_specification() {
        let pages = read_pages(&folder()).unwrap();
        assert!(pages.len() > 40, "{} pages", pages.len());
        for page in pages {
            let text = std::fs::read_to_string(folder().join(format!("{}.md", page.name))).unwrap();
            assert!(text.starts_with("# "), "{}: a title first", page.name);
            let links = text.contains("https://hl7.org/fhir/R4/") || page.name.ends_with("health");
            assert!(links, "{}: a link to the specification", page.name);
            assert!(page.cases.iter().any(|case| case.slug != "set-up"), "{}: no cases", page.name);
        }
        known_failures(&folder().join("known-failures.txt")).unwrap();
    }

    /// Every statement of every page is one the runner can read; whether it holds is the server's matter.
    #[test]
    fn every_expectation_reads() {
        let answer = Answer { status: 200, body: b"{}".to_vec(), ..Answer::default() };
        let not_met = ["expected ", "no header ", "the body is not JSON", "`x` is not JSON"];
        for page in read_pages(&folder()).unwrap() {
            for step in page.cases.iter().flat_map(|case| &case.steps) {
                let (Kind::Http { expect, .. } | Kind::Walk { expect, .. }) = &step.kind else { continue };
                for statement in expect::statements(expect).unwrap() {
                    let text = regex_lite::Regex::new(r"\{\{[^}]*\}\}").unwrap().replace_all(&statement, "x");
                    let Err(error) =
                        expect::check(&format!("200\n{text}"), &answer, &mut Variables::default())
                    else {
                        continue;
                    };
                    let error = format!("{error:#}");
                    let read = not_met.iter().any(|word| error.starts_with(word))
                        || error.contains("has 0 values to capture");
                    assert!(read, "{}.md:{}: {statement}: {error}", page.name, step.line);
                }
            }
        }
    }

    /// So is every resource of every `given` block, and every row's right side.
    #[test]
    fn every_given_block_and_row_reads() {
        for page in read_pages(&folder()).unwrap() {
            for step in page.cases.iter().flat_map(|case| &case.steps) {
                let place = format!("{}.md:{}", page.name, step.line);
                match &step.kind {
                    Kind::Given(text) => {
                        for resource in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
                            assert!(resource.expect(&place)["resourceType"].is_string(), "{place}");
                        }
                    }
                    Kind::Search { rows, .. } => {
                        for row in rows {
                            ExpectedMatches::parse(&row.expected).expect(&place);
                        }
                    }
                    Kind::Http { .. } | Kind::Walk { .. } => {}
                }
            }
        }
    }

    #[test]
    fn no_two_cases_of_a_page_have_one_name() {
        for page in read_pages(&folder()).unwrap() {
            let mut slugs: Vec<&str> = page.cases.iter().map(|case| case.slug.as_str()).collect();
            slugs.sort_unstable();
            let all = slugs.len();
            slugs.dedup();
            assert_eq!(slugs.len(), all, "{}", page.name);
        }
    }

    #[test]
    fn a_known_failure_must_fail() {
        let outcome =
            |id: &str, failure: Option<&str>| Outcome { id: id.into(), failure: failure.map(Into::into) };
        let outcomes = [
            outcome("p#a", None),
            outcome("p#b", Some("x")),
            outcome("p#c", Some("x")),
            outcome("p#d", None),
        ];
        let known = BTreeMap::from([
            ("p#c".to_owned(), "reason".to_owned()),
            ("p#d".to_owned(), "reason".to_owned()),
            ("p#gone".to_owned(), "reason".to_owned()),
            ("other#a".to_owned(), "reason".to_owned()),
        ]);
        let (tally, text) = weigh("p", &outcomes, &known, false);
        // b fails unasked, d passes although listed, and the case `gone` is not there.
        assert_eq!(tally, Tally { passed: 1, failed: 3, known: 1 }, "{text}");
    }

    #[test]
    fn base36_is_short() {
        assert_eq!(base36(36 * 36 + 35), "10z");
    }
}
