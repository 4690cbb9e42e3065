//! One piece, written, as a transaction where that can be.

use fhir_model::Kind;

use super::outcome::error_text;
use super::parts::parts;
use super::piece::Piece;
use super::plan::Plan;
use super::repeated::Repeated;
use super::sent::{Refused, Sent, stops};
use super::target::{BundleKind, Target};

/// How often a transaction is decided anew because what it was to keep came or went meanwhile.
const DECISIONS_MAX: u32 = 5;

/// Writes what is not there yet.
pub(super) async fn send(target: &Target, mut piece: Piece, repeated: &Repeated) -> Sent {
    let mut sent = Sent { errors: std::mem::take(&mut piece.errors), ..Sent::default() };
    sent.counts.failed = std::mem::take(&mut piece.failed);
    let mut decisions_left = DECISIONS_MAX;
    loop {
        let plan = match Plan::new(target, &piece, repeated).await {
            Ok(plan) => plan,
            Err(error) => {
                sent.counts.failed += piece.entries.len() as u64;
                sent.fail(piece.name, &error);
                return sent;
            }
        };
        let mut counts = plan.counts();
        if counts.failed == 0 {
            sent.counts.add(counts);
            return sent;
        }
        // Resources that do not hang together are written as one transaction all the same, because that is faster; when
        // one of them is refused, the others are written without it.
        match plan.write(target, &piece, BundleKind::Transaction).await {
            Ok(answers) => {
                counts.failed = 0;
                plan.count(&answers, &mut counts);
                sent.counts.add(counts);
            }
            Err(error) if error.kind == Kind::Precondition && plan.keeps() && decisions_left > 0 => {
                decisions_left -= 1;
                continue;
            }
            Err(error) if stops(&error) => {
                sent.counts.add(counts);
                sent.fail(piece.name, &error);
            }
            Err(error) if !piece.atomic && error.kind.status() < 500 => {
                parts(target, &piece, &plan, &mut sent).await;
            }
            Err(error) if piece.atomic && error.kind.status() < 500 => {
                sent.refused = Some(Refused { piece, text: error_text(&error), counts });
            }
            Err(error) => {
                sent.counts.add(counts);
                sent.fail(piece.name, &error);
            }
        }
        return sent;
    }
}
