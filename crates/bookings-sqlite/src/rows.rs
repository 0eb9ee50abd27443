//! How a booking stands in a row, both ways.
//!
//! It judges no booking: a row that cannot be one is reported as unreadable, not mended.

use marketplace::{
    Booking, BookingId, BookingState, Currency, Fence, GpuId, Interval, Money, PriceVersion, Quote,
    StoreTime, UserId,
};
use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use crate::fault::Fault;

/// The columns [`booking`] reads, in its order.
pub(crate) const COLUMNS: &str =
    "id, gpu, holder, starts, ends, state, until, price, currency, version, cost, created, fence";

/// The bookings a query finds, which selects [`COLUMNS`].
pub(crate) fn bookings(db: &Connection, query: &str, of: impl Params) -> Result<Vec<Booking>, Fault> {
    let mut statement = db.prepare_cached(query)?;
    let mut rows = statement.query(of)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(booking(row)?);
    }
    Ok(found)
}

/// The booking of that name.
pub(crate) fn named(db: &Connection, id: &BookingId) -> Result<Option<Booking>, Fault> {
    let query = format!("select {COLUMNS} from bookings where id = ?1");
    let mut statement = db.prepare_cached(&query)?;
    let found = statement
        .query_row([id.as_str()], |row| Ok(booking(row)))
        .optional()?;
    found.transpose()
}

/// Writes a booking as it now stands, whether it is new or not.
pub(crate) fn write(db: &Connection, booking: &Booking) -> Result<(), Fault> {
    let (state, until) = match booking.state {
        BookingState::Held { until } => ("held", Some(until.as_millis())),
        // That a confirmed booking runs or is over follows from the clock; only a release is written.
        BookingState::Confirmed | BookingState::Active => ("confirmed", None),
        BookingState::Done => ("done", None),
        BookingState::Cancelled => ("cancelled", None),
        BookingState::Expired => ("expired", None),
    };
    let mut statement = db.prepare_cached(
        "insert into bookings values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
         on conflict (id) do update set ends = excluded.ends, state = excluded.state, until = excluded.until,
             cost = excluded.cost",
    )?;
    statement.execute(params![
        booking.id.as_str(),
        booking.gpu.as_str(),
        booking.user.as_str(),
        booking.interval.start().as_millis(),
        booking.interval.end().as_millis(),
        state,
        until,
        booking.quote.price_per_hour.micros,
        booking.quote.price_per_hour.currency.to_string(),
        booking.quote.version.0.cast_signed(),
        booking.total_cost.micros,
        booking.created.as_millis(),
        booking.fence.0.cast_signed(),
    ])?;
    Ok(())
}

fn booking(row: &Row<'_>) -> Result<Booking, Fault> {
    let id: String = row.get(0)?;
    let unreadable =
        |what: &dyn std::fmt::Display| Fault::unreadable(format!("booking {id} cannot be read: {what}"));
    let text = |column: usize| row.get::<_, String>(column).map_err(Fault::from);
    let time = |column: usize| row.get(column).map(StoreTime::from_millis).map_err(Fault::from);
    let currency: Currency = text(8)?.parse().map_err(|error| unreadable(&error))?;
    let state = match (text(5)?.as_str(), row.get::<_, Option<i64>>(6)?) {
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
        id: BookingId::new(&id).map_err(|error| unreadable(&error))?,
        gpu: GpuId::new(text(1)?).map_err(|error| unreadable(&error))?,
        user: UserId::new(text(2)?).map_err(|error| unreadable(&error))?,
        interval: Interval::new(time(3)?, time(4)?).map_err(|error| unreadable(&error))?,
        state,
        quote: Quote {
            price_per_hour: Money::from_micros(row.get(7)?, currency),
            version: PriceVersion(row.get::<_, i64>(9)?.cast_unsigned()),
        },
        total_cost: Money::from_micros(row.get(10)?, currency),
        created: time(11)?,
        fence: Fence(row.get::<_, i64>(12)?.cast_unsigned()),
    })
}
