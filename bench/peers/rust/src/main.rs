// Rust: rust_peer WORKLOAD int|heap ITEMS tokio|achan ct|mt2. tokio: tokio::sync::mpsc; its receiver
// is not Clone, so several consumers share it behind tokio::sync::Mutex, the documented way. achan:
// async-channel. ct: the runtime of one thread, mt2: of two.
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, Mutex, Notify};

fn cpu() -> f64 {
    // /proc/self/schedstat: ns on CPU, summed over the threads
    let mut s = 0f64;
    for t in std::fs::read_dir("/proc/self/task").unwrap() {
        if let Ok(x) = std::fs::read_to_string(t.unwrap().path().join("schedstat")) {
            s += x.split(' ').next().unwrap().parse::<f64>().unwrap();
        }
    }
    s
}
struct Sw(Instant, f64);
fn sw() -> Sw {
    Sw(Instant::now(), cpu())
}
impl Sw {
    fn per(&self, n: u64) -> (f64, f64) {
        (
            self.0.elapsed().as_nanos() as f64 / n as f64,
            (cpu() - self.1) / n as f64,
        )
    }
}
fn rss() -> f64 {
    std::fs::read_to_string("/proc/self/statm")
        .unwrap()
        .split(' ')
        .nth(1)
        .unwrap()
        .parse::<f64>()
        .unwrap()
        * 4096.0
}
fn tri(n: u64) -> u64 {
    n * (n - 1) / 2
}
trait Item: Send + 'static {
    fn mk(i: u64) -> Self;
    fn val(&self) -> u64;
}
impl Item for u64 {
    fn mk(i: u64) -> u64 {
        i
    }
    fn val(&self) -> u64 {
        *self
    }
}
impl Item for Box<[u64; 8]> {
    fn mk(i: u64) -> Self {
        let mut b = Box::new([0; 8]);
        b[0] = i;
        b
    }
    fn val(&self) -> u64 {
        self[0]
    }
}

// one face over the two channel types
trait Tx<T>: Clone + Send + Sync + 'static {
    fn put(&self, v: T) -> impl Future<Output = ()> + Send;
}
trait Rx<T>: Clone + Send + Sync + 'static {
    fn get(&self) -> impl Future<Output = Option<T>> + Send;
}
impl<T: Item> Tx<T> for mpsc::Sender<T> {
    async fn put(&self, v: T) {
        let _ = self.send(v).await;
    }
}
type MRx<T> = Arc<Mutex<mpsc::Receiver<T>>>;
impl<T: Item> Rx<T> for MRx<T> {
    async fn get(&self) -> Option<T> {
        self.lock().await.recv().await
    }
}
impl<T: Item> Tx<T> for async_channel::Sender<T> {
    async fn put(&self, v: T) {
        let _ = self.send(v).await;
    }
}
impl<T: Item> Rx<T> for async_channel::Receiver<T> {
    async fn get(&self) -> Option<T> {
        self.recv().await.ok()
    }
}
trait Chan<T: Item> {
    type T: Tx<T>;
    type R: Rx<T>;
    fn make(cap: usize) -> (Self::T, Self::R);
}
struct Tok;
struct Ach;
impl<T: Item> Chan<T> for Tok {
    type T = mpsc::Sender<T>;
    type R = MRx<T>;
    fn make(c: usize) -> (Self::T, Self::R) {
        let (a, b) = mpsc::channel(c);
        (a, Arc::new(Mutex::new(b)))
    }
}
impl<T: Item> Chan<T> for Ach {
    type T = async_channel::Sender<T>;
    type R = async_channel::Receiver<T>;
    fn make(c: usize) -> (Self::T, Self::R) {
        async_channel::bounded(c)
    }
}

async fn prod<T: Item>(tx: impl Tx<T>, a: u64, n: u64, st: u64) {
    let mut i = a;
    while i < n {
        tx.put(T::mk(i)).await;
        i += st;
    }
}
async fn cons<T: Item>(rx: impl Rx<T>, sum: Arc<AtomicU64>) {
    let mut s = 0;
    while let Some(v) = rx.get().await {
        s += v.val();
    }
    sum.fetch_add(s, Relaxed);
}
async fn multi<T: Item, C: Chan<T>>(n: u64, cap: usize, p: u64, c: u64) -> (f64, f64) {
    let (tx, rx) = C::make(cap);
    let sum = Arc::new(AtomicU64::new(0));
    let t = sw();
    let mut h = vec![];
    for i in 0..p {
        h.push(tokio::spawn(prod::<T>(tx.clone(), i, n, p)));
    }
    drop(tx);
    for _ in 0..c {
        h.push(tokio::spawn(cons::<T>(rx.clone(), sum.clone())));
    }
    for x in h {
        x.await.unwrap();
    }
    let r = t.per(n);
    assert_eq!(sum.load(Relaxed), tri(n));
    r
}
// tokio mpsc with its receiver used directly (no Mutex): 1P1C only
async fn single<T: Item>(n: u64, cap: usize) -> (f64, f64) {
    let (tx, mut rx) = mpsc::channel::<T>(cap);
    let t = sw();
    let p = tokio::spawn(async move {
        for i in 0..n {
            let _ = tx.send(T::mk(i)).await;
        }
    });
    let c = tokio::spawn(async move {
        let mut s = 0;
        while let Some(v) = rx.recv().await {
            s += v.val();
        }
        s
    });
    p.await.unwrap();
    assert_eq!(c.await.unwrap(), tri(n));
    t.per(n)
}
struct Wg {
    n: AtomicU64,
    nt: Notify,
}
impl Wg {
    fn done(&self) {
        if self.n.fetch_sub(1, std::sync::atomic::Ordering::AcqRel) == 1 {
            self.nt.notify_one();
        }
    }
}
async fn fan<T: Item, C: Chan<T>>(n: u64) -> (f64, f64) {
    let (tx, rx) = C::make(64);
    let wg = Arc::new(Wg {
        n: AtomicU64::new(1),
        nt: Notify::new(),
    });
    let sum = Arc::new(AtomicU64::new(0));
    let t = sw();
    let mut h = vec![];
    for _ in 0..8 {
        let (rx, wg, sum) = (rx.clone(), wg.clone(), sum.clone());
        h.push(tokio::spawn(async move {
            let mut s = 0;
            while let Some(v) = rx.get().await {
                s += v.val();
                wg.done();
            }
            sum.fetch_add(s, Relaxed);
        }));
    }
    let w2 = wg.clone();
    h.push(tokio::spawn(async move {
        for i in 0..n {
            w2.n.fetch_add(1, Relaxed);
            tx.put(T::mk(i)).await;
        }
        w2.done();
        w2.nt.notified().await;
        drop(tx);
    }));
    for x in h {
        x.await.unwrap();
    }
    let r = t.per(n);
    assert_eq!(sum.load(Relaxed), tri(n));
    r
}
async fn pipe<T: Item, C: Chan<T>>(n: u64) -> (f64, f64) {
    let (ta, ra) = C::make(64);
    let (tb, rb) = C::make(64);
    let (tc, rc) = C::make(64);
    let sum = Arc::new(AtomicU64::new(0));
    let t = sw();
    let mut h = vec![tokio::spawn(prod::<T>(ta, 0, n, 1))];
    for (r, x) in [(ra, tb), (rb, tc)] {
        for _ in 0..4 {
            let (r, x) = (r.clone(), x.clone());
            h.push(tokio::spawn(async move {
                while let Some(v) = r.get().await {
                    x.put(v).await;
                }
            }));
        }
    }
    for _ in 0..4 {
        h.push(tokio::spawn(cons::<T>(rc.clone(), sum.clone())));
    }
    for x in h {
        x.await.unwrap();
    }
    let r = t.per(n);
    assert_eq!(sum.load(Relaxed), tri(n));
    r
}
struct Rng(u64);
impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 32
    }
}
struct Cl(Arc<AtomicU64>);
impl Drop for Cl {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

async fn go(w: String, heap: bool, n: u64, ach: bool) -> (f64, f64) {
    let d = |x: u64| if n > 0 { n } else { x };
    macro_rules! pick { ($f:ident, $($a:expr),*) => { match (heap, ach) {
        (false, false) => $f::<u64, Tok>($($a),*).await, (false, true) => $f::<u64, Ach>($($a),*).await,
        (true, false) => $f::<Box<[u64; 8]>, Tok>($($a),*).await, (true, true) => $f::<Box<[u64; 8]>, Ach>($($a),*).await } } }
    match w.as_str() {
        "W1" if !ach => {
            if heap {
                single::<Box<[u64; 8]>>(d(2000000), 1).await
            } else {
                single::<u64>(d(2000000), 1).await
            }
        }
        "W2" if !ach => {
            if heap {
                single::<Box<[u64; 8]>>(d(5000000), 1024).await
            } else {
                single::<u64>(d(5000000), 1024).await
            }
        }
        "W1" => pick!(multi, d(1000000), 1, 1, 1),
        "W2" => pick!(multi, d(3000000), 1024, 1, 1),
        "W3" => pick!(fan, d(1000000)),
        "W4" => pick!(multi, d(1000000), 64, 4, 4),
        "W5" => pick!(pipe, d(400000)),
        "W6a" | "W6aj" => {
            let n = d(1000000);
            let t = sw();
            let mut v = Vec::with_capacity(n as usize);
            for _ in 0..n {
                v.push(tokio::spawn(async {}));
            }
            for x in v {
                x.await.unwrap();
            }
            t.per(n)
        }
        "W6b" | "W6bj" => {
            let n = d(1000000);
            let t = sw();
            let mut v = Vec::with_capacity(n as usize);
            for _ in 0..n {
                v.push(tokio::spawn(tokio::task::yield_now()));
            }
            for x in v {
                x.await.unwrap();
            }
            t.per(n)
        }
        "W6m" => {
            let n = d(1000000);
            let (_tx, rx) = async_channel::bounded::<u64>(1);
            let r = rss();
            for _ in 0..n {
                let rx = rx.clone();
                tokio::spawn(async move {
                    let _ = rx.recv().await;
                });
            }
            for _ in 0..100000 {
                tokio::task::yield_now().await;
            }
            let b = (rss() - r) / n as f64;
            println!("{:.2} {:.2}", b, b);
            std::process::exit(0)
        }
        "W7" => {
            let n = d(1000000);
            let mut r = Rng(0x9E3779B97F4A7C15);
            let t = sw();
            let mut v = Vec::with_capacity(n as usize);
            for _ in 0..n {
                let x = Duration::from_micros(r.next() % 100000);
                v.push(tokio::spawn(async move { tokio::time::sleep(x).await }));
            }
            for x in v {
                x.await.unwrap();
            }
            t.per(n)
        }
        "W7b" | "W7bto" => {
            let n = d(1000000);
            let t = sw();
            for i in 0..n {
                let _ =
                    tokio::time::timeout(Duration::from_millis(1 + i % 1000), Once(false)).await;
            }
            t.per(n)
        }
        "W8" | "W8x" => {
            let n = d(100000);
            let (_tx, rx) = async_channel::bounded::<u64>(1);
            let cl = Arc::new(AtomicU64::new(0));
            let mut v = vec![];
            for _ in 0..n {
                let (rx, c) = (rx.clone(), cl.clone());
                v.push(tokio::spawn(async move {
                    let _c = Cl(c);
                    let _ = rx.recv().await;
                }));
            }
            for _ in 0..10000 {
                tokio::task::yield_now().await;
            }
            let t = sw();
            for x in &v {
                x.abort();
            }
            for x in v {
                let _ = x.await;
            }
            let r = t.per(n);
            assert_eq!(cl.load(Relaxed), n);
            r
        }
        _ => {
            eprintln!("unsupported");
            std::process::exit(2)
        }
    }
}
// pending once (so the timer is really registered), then ready
struct Once(bool);
impl Future for Once {
    type Output = ();
    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<()> {
        if self.0 {
            std::task::Poll::Ready(())
        } else {
            self.0 = true;
            cx.waker().wake_by_ref();
            std::task::Poll::Pending
        }
    }
}
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let g = |i: usize| a.get(i).cloned().unwrap_or_default();
    let rt = if g(5) == "mt2" {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_time()
            .build()
            .unwrap()
    } else {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
    };
    let (w, heap, n, ach) = (
        g(1),
        g(2) == "heap",
        g(3).parse().unwrap_or(0),
        g(4) == "achan",
    );
    let r = rt.block_on(async move { tokio::spawn(go(w, heap, n, ach)).await.unwrap() });
    println!("{:.2} {:.2}", r.0, r.1);
}
