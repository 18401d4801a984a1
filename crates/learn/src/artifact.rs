//! The artifact: a classifier as bytes. Versioned, checksummed, loaded in milliseconds.
//!
//! Layout, little-endian: magic `HONEMODL`, format version (u32), length of the header (u32), header (JSON), then the
//! sections that the header names one after the other, then the BLAKE3 hash of everything before it (32 bytes).
//! Weights are stored as 16-bit integers with one scale per label, bytes of equal significance together, compressed.

use crate::calibration::Calibration;
use crate::classifier::TextClassifier;
use crate::features::{Block, BlockSettings, LONGEST_NGRAM, Vectoriser};
use crate::svm::LabelWeights;

const MAGIC: &[u8; 8] = b"HONEMODL";
/// The format that is written; every earlier one is still read.
pub const FORMAT_VERSION: u32 = 1;
const PREFIX_BYTES: usize = 16;
const HASH_BYTES: usize = 32;
/// No artifact may ask for more than this when unpacked: a guard against files made to exhaust memory.
const MAX_SECTION_BYTES: u64 = 8 << 30;

/// Why bytes are no artifact.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// Not written by Hone.
    #[error(
        "not a model artifact: it does not begin with {}",
        String::from_utf8_lossy(MAGIC)
    )]
    NotAnArtifact,
    /// Written by a later Hone.
    #[error("artifact format {0} is newer than this program's {FORMAT_VERSION}; update hone")]
    Newer(u32),
    /// Damaged: cut short or changed.
    #[error("artifact is damaged: {0}; restore it from a backup, or train again")]
    Damaged(&'static str),
    /// Cannot be written.
    #[error("artifact cannot be written: {0}")]
    Unwritable(String),
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Header {
    trainer: String,
    settings: serde_json::Value,
    labels: Vec<String>,
    blocks: Vec<BlockHeader>,
    calibration: Calibration,
    weights: SectionHeader,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct BlockHeader {
    settings: BlockSettings,
    term_count: usize,
    terms: SectionHeader,
}

/// Packed and unpacked size of a zstd-compressed section.
#[derive(serde::Serialize, serde::Deserialize, Clone, Copy)]
struct SectionHeader {
    packed_bytes: u64,
    bytes: u64,
}

/// Writes a classifier as bytes.
pub fn encode(classifier: &TextClassifier) -> Result<Vec<u8>, ArtifactError> {
    let mut sections = Vec::new();
    let mut blocks = Vec::new();
    for block in classifier.vectoriser.blocks() {
        let (terms, section) = pack(&encode_block(block))?;
        blocks.push(BlockHeader {
            settings: block.settings().clone(),
            term_count: block.idf().len(),
            terms: section,
        });
        sections.push(terms);
    }
    let (weights, section) = pack(&encode_weights(&classifier.weights))?;
    sections.push(weights);
    let header = Header {
        trainer: classifier.trainer.clone(),
        settings: classifier.settings.clone(),
        labels: classifier.labels.clone(),
        blocks,
        calibration: classifier.calibration.clone(),
        weights: section,
    };
    let header = serde_json::to_vec(&header).map_err(|error| ArtifactError::Unwritable(error.to_string()))?;
    let mut bytes =
        Vec::with_capacity(PREFIX_BYTES + header.len() + sections.iter().map(Vec::len).sum::<usize>());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    bytes.extend_from_slice(&(header.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&header);
    for section in sections {
        bytes.extend_from_slice(&section);
    }
    let hash = blake3::hash(&bytes);
    bytes.extend_from_slice(hash.as_bytes());
    Ok(bytes)
}

/// Reads a classifier; any damage is refused before anything of it is used.
pub fn decode(bytes: &[u8]) -> Result<TextClassifier, ArtifactError> {
    if bytes.len() < PREFIX_BYTES + HASH_BYTES || &bytes[..8] != MAGIC {
        return Err(ArtifactError::NotAnArtifact);
    }
    let (body, hash) = bytes.split_at(bytes.len() - HASH_BYTES);
    if blake3::hash(body).as_bytes() != hash {
        return Err(ArtifactError::Damaged("its checksum does not match"));
    }
    let mut reader = Reader(&body[8..]);
    let format = reader.u32()?;
    if format > FORMAT_VERSION {
        return Err(ArtifactError::Newer(format));
    }
    let header_length = reader.u32()?;
    let header: Header = serde_json::from_slice(reader.take(header_length as usize)?)
        .map_err(|_| ArtifactError::Damaged("its header is unreadable"))?;
    if header.labels.len() < 2 {
        return Err(ArtifactError::Damaged("it has fewer than two labels"));
    }
    let mut blocks = Vec::new();
    for block in header.blocks {
        let unpacked = reader.unpack(block.terms)?;
        blocks.push(decode_block(block.settings, block.term_count, &unpacked)?);
    }
    let vectoriser = Vectoriser::from_blocks(blocks);
    let unpacked = reader.unpack(header.weights)?;
    let weights = decode_weights(header.labels.len(), vectoriser.feature_count(), &unpacked)?;
    check_calibration(&header.calibration, header.labels.len())?;
    Ok(TextClassifier {
        trainer: header.trainer,
        settings: header.settings,
        labels: header.labels,
        vectoriser,
        weights,
        calibration: header.calibration,
    })
}

/// Hash by which an artifact is named and verified, in hexadecimal.
pub fn content_hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

fn check_calibration(calibration: &Calibration, label_count: usize) -> Result<(), ArtifactError> {
    let expected = if label_count == 2 { 1 } else { label_count };
    let fits = match calibration {
        Calibration::Temperature { beta } => beta.is_finite(),
        Calibration::PiecewiseTemperature(slopes) => slopes.below >= 0.0 && slopes.above >= 0.0,
        Calibration::Sigmoid { labels } => labels.len() == expected,
        Calibration::Isotonic { labels } => {
            labels.len() == expected && labels.iter().all(|label| label.x.len() == label.y.len())
        }
    };
    if fits {
        Ok(())
    } else {
        Err(ArtifactError::Damaged("its calibration does not fit its labels"))
    }
}

fn check_finite(values: &[f32]) -> Result<(), ArtifactError> {
    if values.iter().all(|value| value.is_finite()) {
        Ok(())
    } else {
        Err(ArtifactError::Damaged("a value in it is not a number"))
    }
}

/// idf values (f32), then each term's length (u16) and bytes.
fn encode_block(block: &Block) -> Vec<u8> {
    let mut bytes = Vec::new();
    for idf in block.idf() {
        bytes.extend_from_slice(&idf.to_le_bytes());
    }
    for term in block.terms() {
        bytes.extend_from_slice(&(term.len() as u16).to_le_bytes());
        bytes.extend_from_slice(term);
    }
    bytes
}

fn decode_block(settings: BlockSettings, term_count: usize, bytes: &[u8]) -> Result<Block, ArtifactError> {
    let sizes = 1..=LONGEST_NGRAM;
    if term_count > bytes.len() / 6 || !sizes.contains(&settings.min_n) || !sizes.contains(&settings.max_n) {
        return Err(ArtifactError::Damaged("its vocabulary does not fit its header"));
    }
    let mut reader = Reader(bytes);
    let idf: Vec<f32> = reader
        .take(term_count * 4)?
        .as_chunks::<4>()
        .0
        .iter()
        .map(|b| f32::from_le_bytes(*b))
        .collect();
    check_finite(&idf)?;
    let mut terms = Vec::with_capacity(term_count);
    for _ in 0..term_count {
        let length = reader.u16()?;
        terms.push(reader.take(usize::from(length))?.to_vec());
    }
    let block = Block::from_parts(settings, terms, idf);
    if block.terms().count() != term_count {
        return Err(ArtifactError::Damaged("a term stands twice in its vocabulary"));
    }
    Ok(block)
}

/// Scale per label (f32), intercept per label (f32), then 16-bit weights feature by feature: all low bytes, all high
/// bytes.
fn encode_weights(weights: &LabelWeights) -> Vec<u8> {
    let (labels, stride) = (weights.label_count, weights.stride);
    let mut largest = vec![0.0f32; labels];
    for row in weights.weights.chunks_exact(stride) {
        for (largest, weight) in largest.iter_mut().zip(row) {
            *largest = largest.max(weight.abs());
        }
    }
    let scales: Vec<f32> = largest
        .iter()
        .map(|largest| largest / f32::from(i16::MAX))
        .collect();
    let mut bytes = Vec::new();
    for value in scales.iter().chain(&weights.bias[..labels]) {
        bytes.extend_from_slice(&value.to_le_bytes());
    }
    let quantised: Vec<i16> = weights
        .weights
        .chunks_exact(stride)
        .flat_map(|row| row.iter().zip(&scales))
        .map(|(weight, scale)| {
            if *scale > 0.0 {
                (weight / scale).round() as i16
            } else {
                0
            }
        })
        .collect();
    bytes.extend(quantised.iter().map(|weight| weight.to_le_bytes()[0]));
    bytes.extend(quantised.iter().map(|weight| weight.to_le_bytes()[1]));
    bytes
}

fn decode_weights(labels: usize, features: usize, bytes: &[u8]) -> Result<LabelWeights, ArtifactError> {
    let count = labels
        .checked_mul(features)
        .ok_or(ArtifactError::Damaged("its sizes overflow"))?;
    if bytes.len() as u64 != labels as u64 * 8 + count as u64 * 2 {
        return Err(ArtifactError::Damaged("its weights do not fit its header"));
    }
    let mut reader = Reader(bytes);
    let mut floats = || -> Result<Vec<f32>, ArtifactError> {
        Ok(reader
            .take(labels * 4)?
            .as_chunks::<4>()
            .0
            .iter()
            .map(|b| f32::from_le_bytes(*b))
            .collect())
    };
    let (scales, bias) = (floats()?, floats()?);
    check_finite(&scales)?;
    check_finite(&bias)?;
    let (low, high) = (reader.take(count)?, reader.take(count)?);
    let mut weights = LabelWeights::zeroed(labels, features);
    weights.bias[..labels].copy_from_slice(&bias);
    let rows = low.chunks_exact(labels).zip(high.chunks_exact(labels));
    for (row, (low, high)) in weights.weights.chunks_exact_mut(weights.stride).zip(rows) {
        for (((weight, low), high), scale) in row.iter_mut().zip(low).zip(high).zip(&scales) {
            *weight = f32::from(i16::from_le_bytes([*low, *high])) * scale;
        }
    }
    Ok(weights)
}

fn pack(bytes: &[u8]) -> Result<(Vec<u8>, SectionHeader), ArtifactError> {
    let packed =
        zstd::bulk::compress(bytes, 3).map_err(|error| ArtifactError::Unwritable(error.to_string()))?;
    let section = SectionHeader {
        packed_bytes: packed.len() as u64,
        bytes: bytes.len() as u64,
    };
    Ok((packed, section))
}

/// Reads from the front of a slice; never past its end.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], ArtifactError> {
        let (front, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(ArtifactError::Damaged("it ends too early"))?;
        self.0 = rest;
        Ok(front)
    }

    fn u16(&mut self) -> Result<u16, ArtifactError> {
        let bytes = self.take(2)?;
        Ok(u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    fn u32(&mut self) -> Result<u32, ArtifactError> {
        let bytes = self.take(4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn unpack(&mut self, section: SectionHeader) -> Result<Vec<u8>, ArtifactError> {
        // No useful section packs a thousandfold; one that claims to is made to exhaust memory.
        let plausible = section.bytes <= MAX_SECTION_BYTES
            && section.bytes / 1_000 <= section.packed_bytes.saturating_add(1_000);
        if !plausible {
            return Err(ArtifactError::Damaged("a section claims an impossible size"));
        }
        let packed = self.take(usize::try_from(section.packed_bytes).unwrap_or(usize::MAX))?;
        let bytes = zstd::bulk::decompress(packed, section.bytes as usize)
            .map_err(|_| ArtifactError::Damaged("a section cannot be unpacked"))?;
        if bytes.len() as u64 == section.bytes {
            Ok(bytes)
        } else {
            Err(ArtifactError::Damaged(
                "a section has another size than its header says",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FitContext, LinearTrainer, Scratch, Trainer, TrainingSet};
    use proptest::prelude::*;

    fn small() -> TextClassifier {
        let mut set = TrainingSet::default();
        for round in 0..10 {
            set.push(format!("where is my card {round}"), "card", 1.0);
            set.push(format!("refund my money {round}"), "refund", 1.0);
            set.push(format!("open an account {round}"), "account", 1.0);
        }
        LinearTrainer
            .fit(&set, &serde_json::json!({}), &FitContext::silent(1))
            .unwrap()
            .classifier
    }

    #[test]
    fn what_is_written_reads_back_and_predicts_the_same() {
        let original = small();
        let loaded = decode(&encode(&original).unwrap()).unwrap();
        assert_eq!(loaded.labels, original.labels);
        let mut scratch = Scratch::default();
        for text in ["where is it", "my refund please", "unknown", ""] {
            let (a, b) = (
                original.predict(text, 3, &mut scratch),
                loaded.predict(text, 3, &mut scratch),
            );
            assert_eq!(a.label, b.label);
            assert!((a.probability - b.probability).abs() < 1e-3, "{a:?} {b:?}");
        }
    }

    #[test]
    fn any_changed_or_missing_byte_is_refused() {
        let bytes = encode(&small()).unwrap();
        for position in (0..bytes.len()).step_by(7) {
            let mut damaged = bytes.clone();
            damaged[position] ^= 0x40;
            assert!(decode(&damaged).is_err(), "byte {position}");
            assert!(decode(&bytes[..position]).is_err(), "cut at {position}");
        }
    }

    proptest! {
        /// With a right checksum, so that the parser behind it is reached.
        #[test]
        fn arbitrary_bodies_are_refused_without_panic(body in proptest::collection::vec(any::<u8>(), 0..300), header in any::<bool>()) {
            let mut bytes = MAGIC.to_vec();
            bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
            bytes.extend_from_slice(&(if header { 2u32 } else { body.len() as u32 }).to_le_bytes());
            if header { bytes.extend_from_slice(b"{}"); }
            bytes.extend_from_slice(&body);
            let hash = blake3::hash(&bytes);
            bytes.extend_from_slice(hash.as_bytes());
            prop_assert!(decode(&bytes).is_err());
        }
    }
}
