//! What it costs to check that a value comes back, beside what encoding and sealing it cost: `cargo run --release -p cache-core
//! --example check_cost`.
//!
//! One thread, the best of several rounds. It measures no store.

use std::hint::black_box;
use std::time::Duration;

use cache_core::{
    BincodeCodec, Clock as _, Codec, CodecError, JsonCodec, SystemClock, encode_value, estimated_weight,
    verify_value,
};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Clone)]
struct Offer {
    id: u64,
    model: String,
    region: String,
    cents: u32,
    discount: Option<u8>,
    tags: Vec<String>,
}

fn main() -> Result<(), CodecError> {
    let offer = |id: u64| Offer {
        id,
        model: "RTX 4090".to_owned(),
        region: "us-east".to_owned(),
        cents: 300,
        discount: None,
        tags: vec!["spot".to_owned(), "verified".to_owned()],
    };
    println!("codec    offers   bytes   encode    check   weigh");
    for codec in [&BincodeCodec as &dyn Codec, &JsonCodec] {
        for count in [1, 20, 1_000] {
            let value: Vec<Offer> = (0..count).map(offer).collect();
            let bytes = encode_value(codec, &value)?;
            let encoding = best(|| encode_value(codec, black_box(&value)).map(drop))?;
            let checking = best(|| verify_value(codec, black_box(&value), &bytes))?;
            let weighing = best(|| {
                black_box(estimated_weight(black_box(&value)));
                Ok(())
            })?;
            println!(
                "{:7} {count:7} {:7} {encoding:8.2?} {checking:8.2?} {weighing:8.2?}",
                codec.id().to_string(),
                bytes.len()
            );
        }
    }
    Ok(())
}

fn best(act: impl Fn() -> Result<(), CodecError>) -> Result<Duration, CodecError> {
    let (clock, mut best) = (SystemClock::new(), Duration::MAX);
    for _round in 0..20 {
        let started = clock.now();
        for _call in 0..50 {
            act()?;
        }
        best = best.min(clock.now().since(started) / 50);
    }
    Ok(best)
}
