//! What an inventory finds wrong with a request, said so that the next one can be right.
//!
//! It is the cause inside an [`InventoryError`] that asks not to try again.

use std::fmt;

use crate::shelf::PageKey;
use crate::{Currency, ErrorKind, GpuId, InventoryError, Money, ProviderId};

/// Why an inventory refuses a request as such.
///
/// ```
/// use marketplace::inventory::InventoryFault;
/// use marketplace::{ErrorKind, GpuId, InventoryError};
/// let error = InventoryError::from(InventoryFault::UnknownGpu(GpuId::new("gpu-9")?));
/// assert_eq!(error.kind(), ErrorKind::Rejected);
/// assert_eq!(error.to_string(), "inventory: there is no GPU gpu-9");
/// # Ok::<(), marketplace::NameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InventoryFault {
    /// No GPU of that name is listed.
    UnknownGpu(GpuId),
    /// No provider of that name ever offered a GPU.
    UnknownProvider(ProviderId),
    /// A GPU of that name is listed already.
    ListedAlready {
        /// The name.
        gpu: GpuId,
        /// Where it is listed.
        page: PageKey,
    },
    /// A price is below zero.
    NegativePrice(Money),
    /// A price is in a currency that the market does not use.
    WrongCurrency {
        /// The price.
        given: Money,
        /// The market's currency.
        market: Currency,
    },
}

impl fmt::Display for InventoryFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownGpu(gpu) => write!(f, "there is no GPU {gpu}"),
            Self::UnknownProvider(provider) => write!(f, "there is no provider {provider}"),
            Self::ListedAlready { gpu, page } => write!(
                f,
                "GPU {gpu} is listed already, on page {page}; every GPU needs a name of its own"
            ),
            Self::NegativePrice(price) => write!(f, "the price is {price}; it must not be below zero"),
            Self::WrongCurrency { given, market } => {
                write!(f, "the price is {given}; prices of this market are in {market}")
            }
        }
    }
}

impl std::error::Error for InventoryFault {}

impl From<InventoryFault> for InventoryError {
    fn from(fault: InventoryFault) -> Self {
        Self::new(ErrorKind::Rejected, fault.to_string()).caused_by(fault)
    }
}
