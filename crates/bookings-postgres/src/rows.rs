//! How a booking stands in a row, both ways.
//!
//! It judges no booking: a row that cannot be one is reported as unreadable, not mended.

use deadpool_postgres::Transaction;
use marketplace::{
    Booking, BookingId, BookingState, Currency, Fence, GpuId, Interval, Money, PriceVersion, Quote,
    StoreTime, UserId,
};
use tokio_postgres::{Row, Statement};

use crate::fault::Fault;

/// The columns [`booking`] reads, in its order.
pub(crate) const COLUMNS: &str =
    "id, gpu, holder, starts, ends, state, until, price, currency, version, cost, created, fence";

/// What takes its interval, as the schema's indices have it.
pub(crate) const STANDING: &str = "state in ('held', 'confirmed', 'done')";

/// The statements that write bookings.
pub(crate) struct Writing {
    insert: Statement,
    update: Statement,
}

impl Writing {
    pub(crate) async fn prepare(transaction: &Transaction<'_>) -> Result<Self, Fault> {
        let insert = "insert into bookings values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
        let update = "update bookings set ends = $2, state = $3, until = $4, cost = $5 where id = $1";
        Ok(Self {
            insert: transaction.prepare_cached(insert).await?,
            update: transaction.prepare_cached(update).await?,
        })
    }

    /// Writes a booking as it now stands, whether it is new or not.
    pub(crate) async fn write(&self, transaction: &Transaction<'_>, booking: &Booking) -> Result<(), Fault> {
        let (state, until) = match booking.state {
            BookingState::Held { until } => ("held", Some(until.as_millis())),
            // That a confirmed booking runs or is over follows from the clock; only a release is written.
            BookingState::Confirmed | BookingState::Active => ("confirmed", None),
            BookingState::Done => ("done", None),
            BookingState::Cancelled => ("cancelled", None),
            BookingState::Expired => ("expired", None),
        };
        let (id, ends) = (booking.id.as_str(), booking.interval.end().as_millis());
        // Only a grant is a hold, and only a hold is new: no other decision writes one.
        if until.is_none() {
            transaction
                .execute(
                    &self.update,
                    &[&id, &ends, &state, &until, &booking.total_cost.micros],
                )
                .await?;
            return Ok(());
        }
        transaction
            .execute(
                &self.insert,
                &[
                    &id,
                    &booking.gpu.as_str(),
                    &booking.user.as_str(),
                    &booking.interval.start().as_millis(),
                    &ends,
                    &state,
                    &until,
                    &booking.quote.price_per_hour.micros,
                    &booking.quote.price_per_hour.currency.to_string(),
                    &booking.quote.version.0.cast_signed(),
                    &booking.total_cost.micros,
                    &booking.created.as_millis(),
                    &booking.fence.0.cast_signed(),
                ],
            )
            .await?;
        Ok(())
    }
}

/// The booking in a row of [`COLUMNS`].
pub(crate) fn booking(row: &Row) -> Result<Booking, Fault> {
    let id: &str = row.try_get(0)?;
    let unreadable =
        |what: &dyn std::fmt::Display| Fault::Unreadable(format!("booking {id} cannot be read: {what}"));
    let text = |column: usize| row.try_get::<_, &str>(column).map_err(Fault::from);
    let number = |column: usize| row.try_get::<_, i64>(column).map_err(Fault::from);
    let time = |column: usize| number(column).map(StoreTime::from_millis);
    let currency: Currency = text(8)?.parse().map_err(|error| unreadable(&error))?;
    let state = match (text(5)?, row.try_get::<_, Option<i64>>(6)?) {
        ("held", Some(until)) => BookingState::Held {
            until: StoreTime::from_millis(until),
        },
        ("confirmed", None) => BookingState::Confirmed,
        ("done", None) => BookingState::Done,
        ("cancelled", None) => BookingState::Cancelled,
        ("expired", None) => BookingState::Expired,
        (other, _) => return Err(unreadable(&format!("its state is {other}"))),
    };
    Ok(Booking {
        id: BookingId::new(id).map_err(|error| unreadable(&error))?,
        gpu: GpuId::new(text(1)?).map_err(|error| unreadable(&error))?,
        user: UserId::new(text(2)?).map_err(|error| unreadable(&error))?,
        interval: Interval::new(time(3)?, time(4)?).map_err(|error| unreadable(&error))?,
        state,
        quote: Quote {
            price_per_hour: Money::from_micros(number(7)?, currency),
            version: PriceVersion(number(9)?.cast_unsigned()),
        },
        total_cost: Money::from_micros(number(10)?, currency),
        created: time(11)?,
        fence: Fence(number(12)?.cast_unsigned()),
    })
}
