//! Hits in the shared tier, one by one and by the hundred, beside GET and MGET of as many bytes.
//!
//! Every key is read once by a node that has never seen it: its memory answers nothing.

use tokio::time::Instant;

use crate::arguments::Arguments;
use crate::nodes::{key, node, plain, value};
use crate::table::{Table, percentiles};

const BATCH: usize = 100;

pub(crate) async fn measure(arguments: &Arguments, table: &mut Table) {
    let (writer, mut plain) = (node(&arguments.settings).await, plain(&arguments.settings).await);
    let single = arguments.rounds;
    let count = single + BATCH * single.min(200);
    for id in 0..count {
        writer.cache.put(&key(id), value(id)).await.expect("put");
        let name = plain_key(arguments, id);
        let set = redis::cmd("SET")
            .arg(name)
            .arg(value(id))
            .arg("PX")
            .arg(600_000)
            .exec_async(&mut plain)
            .await;
        set.expect("set");
    }
    let reader = node(&arguments.settings).await;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    // In turns, so that whatever the machine does meanwhile happens to both.
    for id in 0..single {
        let began = Instant::now();
        let page = reader.cache.get(&key(id)).await.expect("answered");
        ours.push(began.elapsed());
        assert!(page.is_some());
        let began = Instant::now();
        let page: Vec<u8> = redis::cmd("GET")
            .arg(plain_key(arguments, id))
            .query_async(&mut plain)
            .await
            .expect("get");
        theirs.push(began.elapsed());
        assert_eq!(page.len(), 300);
    }
    let ([p50, p99], [plain50, plain99]) = (percentiles(ours), percentiles(theirs));
    table.compare("hit in the shared tier, p50", "us", p50, plain50);
    table.compare("hit in the shared tier, p99", "us", p99, plain99);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for first in (single..count).step_by(BATCH) {
        let keys: Vec<_> = (first..first + BATCH).map(key).collect();
        let began = Instant::now();
        let pages = reader.cache.get_many(&keys).await.expect("answered");
        ours.push(began.elapsed());
        assert_eq!(pages.len(), BATCH);
        let mut command = redis::cmd("MGET");
        for id in first..first + BATCH {
            command.arg(plain_key(arguments, id));
        }
        let began = Instant::now();
        let pages: Vec<Vec<u8>> = command.query_async(&mut plain).await.expect("mget");
        theirs.push(began.elapsed());
        assert_eq!(pages.len(), BATCH);
    }
    table.compare(
        "100 hits at once, p50",
        "us",
        percentiles(ours)[0],
        percentiles(theirs)[0],
    );
    writer.cache.shutdown().await;
    reader.cache.shutdown().await;
}

pub(crate) fn plain_key(arguments: &Arguments, id: usize) -> String {
    format!("{}:plain:{id}", arguments.settings.prefix)
}
