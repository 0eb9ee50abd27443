//! The spelling of a GPU model: `RTX 4090`, `RTX_4090` and `rtx4090` are one model.
//!
//! It does not know which models there are.

use crate::{GpuModel, NameError};

/// The model that `text` spells: in capitals, without blanks, underscores and hyphens. The rule needs no table, so that
/// files read on different days agree.
///
/// # Errors
/// When nothing is left, or it is no name.
///
/// ```
/// use marketplace::ingest::model_name;
/// assert_eq!(model_name("RTX 4090")?, model_name("rtx_4090")?);
/// assert_eq!(model_name("A100-SXM4")?.as_str(), "A100SXM4");
/// assert_ne!(model_name("V100")?, model_name("V100M32")?);
/// # Ok::<(), marketplace::NameError>(())
/// ```
pub fn model_name(text: &str) -> Result<GpuModel, NameError> {
    let kept = text
        .chars()
        .filter(|letter| !letter.is_whitespace() && !matches!(letter, '_' | '-'));
    GpuModel::new(kept.flat_map(char::to_uppercase).collect::<String>())
}
