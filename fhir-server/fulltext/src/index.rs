//! The index: one document for each current resource.

use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use fhir_model::{Error, Kind, Result};
use fhir_search::TenantId;
use fhir_search::query::{TextQuery, TextSource};
use fhir_store::{FeedPosition, FullText, TextHits, Version};
use tantivy::collector::{Count, TopDocs};
use tantivy::directory::MmapDirectory;
use tantivy::query::{BooleanQuery, Occur, Query, TermQuery};
use tantivy::schema::{
    FAST, Field, INDEXED, IndexRecordOption, STRING, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::{IndexReader, IndexWriter, ReloadPolicy, TantivyDocument, TantivyError, Term};

use crate::expression::TextExpression;
use crate::texts::Texts;
use crate::words::{NAME, analyzer, words};

/// Changes when the fields, the words or tantivy's own format do: an index of another one is made anew.
const FORMAT: &str = "2-tantivy-0.27";
/// Memory of the writer before it flushes a segment.
const WRITER_BYTES: usize = 15_000_000;
/// Most resources that one search may name to the database.
const FOUND_MAX: usize = 50_000;
/// Processes that may share a folder.
const PROCESSES_MAX: usize = 16;

#[derive(Debug, Clone, Copy)]
struct Fields {
    handle: Field,
    type_name: Field,
    narrative: Field,
    content: Field,
}

/// A full text index in a folder.
pub struct Index {
    fields: Fields,
    reader: IndexReader,
    writer: Mutex<IndexWriter>,
    /// What the index has, up to here: as searches see it.
    position: Mutex<FeedPosition>,
    /// When it last had everything.
    complete_at: Mutex<Option<Instant>>,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Index({:?})", self.position())
    }
}

impl Index {
    /// Opens an index of a database below a folder. One that another process has open is left to it, one that cannot be
    /// opened is made anew.
    ///
    /// # Errors
    ///
    /// When the folder cannot be written, or as many processes as are allowed have their index in it.
    pub fn open(folder: &Path, database: u64) -> Result<Index> {
        remove_old_formats(folder);
        for n in 0..PROCESSES_MAX {
            let own = folder.join(format!("{FORMAT}-{database:016x}-{n}"));
            match Index::open_in(&own) {
                Err(TantivyError::LockFailure(..)) => {}
                Err(error) => {
                    tracing::warn!("the full text index is made anew: {error}");
                    std::fs::remove_dir_all(&own).map_err(Error::internal)?;
                    return Index::open_in(&own).map_err(Error::internal);
                }
                Ok(index) => return Ok(index),
            }
        }
        Err(Error::internal("too many processes keep their full text index in the same folder"))
    }

    fn open_in(folder: &Path) -> tantivy::Result<Index> {
        std::fs::create_dir_all(folder)?;
        let (schema, fields) = schema();
        let index = tantivy::Index::open_or_create(MmapDirectory::open(folder)?, schema)?;
        index.tokenizers().register(NAME, analyzer());
        // The lock comes first: what it has reached is only sure when nobody else goes on.
        let writer = index.writer_with_num_threads(1, WRITER_BYTES)?;
        let position = match index.load_metas()?.payload {
            None => FeedPosition::default(),
            Some(text) => text.parse().map_err(|e: Error| TantivyError::InvalidArgument(e.text))?,
        };
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        Ok(Index {
            fields,
            reader,
            writer: Mutex::new(writer),
            position: Mutex::new(position),
            complete_at: Mutex::new(None),
        })
    }

    /// Says that there was nothing more in the feed just now.
    pub fn is_complete(&self) {
        *self.complete_at.lock().unwrap_or_else(|e| e.into_inner()) = Some(Instant::now());
    }

    /// Takes changes in the order of the feed. They are seen after [`Index::commit`].
    ///
    /// # Errors
    ///
    /// When a body is not JSON, or the index cannot be written.
    pub fn apply(&self, changes: &[(TenantId, Version)]) -> Result<()> {
        let writer = self.writer.lock().unwrap_or_else(|e| e.into_inner());
        let fields = self.fields;
        for (tenant, version) in changes {
            writer.delete_term(Term::from_field_i64(fields.handle, version.handle));
            let Some(body) = &version.body else { continue };
            let texts = Texts::from_body(body)?;
            let mut document = TantivyDocument::default();
            document.add_i64(fields.handle, version.handle);
            document.add_text(fields.type_name, type_term(*tenant, &version.key.type_name));
            document.add_text(fields.narrative, texts.narrative);
            document.add_text(fields.content, texts.content);
            writer.add_document(document).map_err(Error::internal)?;
        }
        Ok(())
    }

    /// Makes what was applied durable and seen; `position` is where the last change stands.
    ///
    /// # Errors
    ///
    /// When the index cannot be written; nothing that was applied since the last commit counts then.
    pub fn commit(&self, position: FeedPosition) -> Result<()> {
        let mut writer = self.writer.lock().unwrap_or_else(|e| e.into_inner());
        let mut commit = writer.prepare_commit().map_err(Error::internal)?;
        commit.set_payload(&position.to_string());
        commit.commit().map_err(Error::internal)?;
        // Between these two a search may see more than the position says, which does no harm: the store asks the
        // database for all that came after the position.
        self.reader.reload().map_err(Error::internal)?;
        *self.position.lock().unwrap_or_else(|e| e.into_inner()) = position;
        Ok(())
    }

    fn field(&self, of: TextSource) -> Field {
        match of {
            TextSource::Narrative => self.fields.narrative,
            TextSource::Content => self.fields.content,
        }
    }
}

impl FullText for Index {
    fn position(&self) -> FeedPosition {
        *self.position.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn lag(&self) -> Option<Duration> {
        self.complete_at.lock().unwrap_or_else(|e| e.into_inner()).map(|at| at.elapsed())
    }

    fn find(&self, tenant: TenantId, type_name: &str, ask: &TextQuery) -> Result<TextHits> {
        let position = self.position();
        let of_type = Term::from_field_text(self.fields.type_name, &type_term(tenant, type_name));
        let query: Box<dyn Query> = Box::new(BooleanQuery::new(vec![
            (Occur::Must, TextExpression::parse(&ask.text)?.query(self.field(ask.source))),
            (Occur::Must, without_score(TermQuery::new(of_type, IndexRecordOption::Basic))),
        ]));
        let searcher = self.reader.searcher();
        let count = searcher.search(&query, &Count).map_err(Error::internal)?;
        if count > FOUND_MAX {
            // Their number would tell of those that the caller does not see.
            let text = format!("more than {FOUND_MAX} resources have these words: add words");
            return Err(Error::new(Kind::TooCostly, text));
        }
        let top = TopDocs::with_limit(count.max(1)).order_by_score();
        let mut hits = Vec::with_capacity(count);
        for (score, address) in searcher.search(&query, &top).map_err(Error::internal)? {
            let handles = searcher.segment_reader(address.segment_ord).fast_fields().i64("handle");
            let handle = handles.map_err(Error::internal)?.first(address.doc_id);
            hits.push((handle.ok_or_else(|| Error::internal("a document without a handle"))?, score));
        }
        Ok(TextHits { hits, position })
    }

    fn matches(&self, ask: &TextQuery, body: &[u8]) -> Result<bool> {
        let texts = Texts::from_body(body)?;
        let text = match ask.source {
            TextSource::Narrative => &texts.narrative,
            TextSource::Content => &texts.content,
        };
        Ok(TextExpression::parse(&ask.text)?.matches(&words(text)))
    }
}

/// What the type field holds: `16:Patient` for an organisation of its own.
fn type_term(tenant: TenantId, type_name: &str) -> String {
    format!("{}:{type_name}", tenant.number())
}

fn without_score(query: TermQuery) -> Box<dyn Query> {
    Box::new(tantivy::query::ConstScoreQuery::new(Box::new(query), 0.0))
}

fn schema() -> (Schema, Fields) {
    let mut builder = Schema::builder();
    let indexing = TextFieldIndexing::default()
        .set_tokenizer(NAME)
        .set_index_option(IndexRecordOption::WithFreqsAndPositions);
    let text = TextOptions::default().set_indexing_options(indexing);
    let fields = Fields {
        handle: builder.add_i64_field("handle", INDEXED | FAST),
        type_name: builder.add_text_field("type", STRING),
        narrative: builder.add_text_field("narrative", text.clone()),
        content: builder.add_text_field("content", text),
    };
    (builder.build(), fields)
}

/// Indexes of other formats have no use any more.
fn remove_old_formats(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let of_this = entry.file_name().to_str().is_some_and(|name| name.starts_with(FORMAT));
        if !of_this && let Err(error) = std::fs::remove_dir_all(entry.path()) {
            tracing::warn!("an old full text index could not be removed: {error}");
        }
    }
}
