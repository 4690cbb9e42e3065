//! Backups of a running cluster, and what is restored from them.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fhir_postgres::backup::{self, Key, Plan, Recipients, Restore, Restored, Site, Target, Worker};
use fhir_postgres::{Connection, Embedded, Error, Options};

use crate::{ask, home, start, until};

/// A prepared target and a key.
struct Place {
    dir: tempfile::TempDir,
    public: String,
}

impl Place {
    fn new() -> Place {
        let dir = home();
        std::fs::create_dir(dir.path().join("usb")).unwrap();
        Target::prepare(&dir.path().join("usb")).unwrap();
        let public = Key::make(&dir.path().join("key"), &[&dir.path().join("usb")]).unwrap();
        Place { dir, public }
    }

    fn usb(&self) -> PathBuf {
        self.dir.path().join("usb")
    }

    fn key(&self) -> Key {
        Key::read(&self.dir.path().join("key")).unwrap()
    }

    fn plan(&self) -> Plan {
        Plan {
            target: self.usb(),
            recipients: Recipients::parse([self.public.as_str()]).unwrap(),
            interval: Duration::from_secs(3600),
            keep: Duration::from_secs(3600),
            keep_min: 1,
            wal_interval: Some(Duration::from_millis(200)),
        }
    }

    fn restore(&self, data_dir: &Path, to: Option<i64>) -> Restore {
        Restore { target: self.usb(), archive: None, base: None, to, options: Options::new(data_dir) }
    }

    async fn restored(&self, data_dir: &Path, to: Option<i64>) -> Result<Restored, Error> {
        self.restore(data_dir, to).run(self.key(), async |_| Ok(())).await
    }
}

fn micros() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as i64
}

/// Waits until everything that is committed now is archived.
async fn archived(worker: &Worker) {
    let now = micros() / 1_000_000 + 1;
    until("WAL is archived", || worker.status().wal_at.load(Relaxed) > now).await;
}

async fn count(connection: &Connection) -> String {
    ask(connection, "select count(*) || ' ' || coalesce(max(n), 0) from t").await
}

#[tokio::test]
async fn a_cluster_is_restored_to_its_latest_state_and_to_instants() {
    let (place, source) = (Place::new(), home());
    let postgres = start(source.path()).await;
    let db = postgres.connection().clone();
    ask(&db, "create table t as select g as n, repeat('x', 500) as filler from generate_series(1, 20000) g")
        .await;
    let worker = Worker::start(postgres.site().clone(), place.plan());
    // Writes go on while the base backup is made.
    until("there is a base backup", || worker.status().base_at.load(Relaxed) > 0).await;
    archived(&worker).await;
    ask(&db, "insert into t values (20001, '')").await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    let first = micros();
    tokio::time::sleep(Duration::from_millis(20)).await;
    ask(&db, "delete from t where n <= 10000").await;
    archived(&worker).await;
    let second = micros() - 1_500_000;
    ask(&db.superuser(), "select pg_switch_wal()").await;
    ask(&db, "insert into t values (20002, '')").await;
    worker.stop().await;
    postgres.stop().await;

    for (to, expected) in [(Some(first), "20001 20001"), (Some(second), "10001 20001"), (None, "10002 20002")]
    {
        let dir = home();
        let restored = place.restored(dir.path(), to).await.unwrap();
        assert!(restored.at >= restored.base.finished_at);
        let postgres = start(dir.path()).await;
        assert_eq!(count(postgres.connection()).await, expected, "{to:?}");
        let system = ask(&postgres.connection().superuser(), "select pg_is_in_recovery()").await;
        assert_eq!(system, "f");
        assert!(backup::read_everything(postgres.connection()).await.unwrap() > 10_000);
        postgres.stop().await;
        let error = place.restored(dir.path(), to).await.unwrap_err().to_string();
        assert!(error.contains("is not empty (`pg`)"), "{error}");
    }
    let dir = home();
    for (to, why) in [(1, "no base backup that was complete by then"), (micros() + 9_000_000, "reaches 20")] {
        let error = place.restored(dir.path(), Some(to)).await.unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    let other = Place::new();
    let error = place.restore(dir.path(), None).run(other.key(), async |_| Ok(())).await.unwrap_err();
    assert!(error.to_string().contains("does not fit"), "{error}");
    let error = place.restore(dir.path(), None).run(place.key(), async |_| Err("no".to_owned())).await;
    assert!(error.unwrap_err().to_string().contains("not usable: no"));
    assert!(!dir.path().join("pg").exists(), "what failed leaves nothing");
}

/// A cluster, a target, and one base backup on it.
async fn backed_up(source: &Path) -> (Place, Embedded) {
    let place = Place::new();
    let postgres = start(source).await;
    ask(postgres.connection(), "create table t as select g as n from generate_series(1, 1000) g").await;
    postgres.site().back_up(&place.plan()).await.unwrap();
    (place, postgres)
}

#[tokio::test]
async fn a_base_backup_alone_is_enough_and_damage_is_found() {
    let source = home();
    let (place, postgres) = backed_up(source.path()).await;
    // As another process finds it.
    let site = Site::from_running(source.path()).unwrap().unwrap();
    postgres.stop().await;
    assert!(Site::from_running(source.path()).unwrap().is_none());
    assert!(site.back_up(&place.plan()).await.is_err(), "it has stopped");

    let target = Target::open(&place.usb()).unwrap();
    let found = backup::verify(&target, Some(&place.key())).unwrap();
    assert_eq!(found.len(), 1);
    let dir = home();
    place.restored(dir.path(), None).await.unwrap();
    let postgres = start(dir.path()).await;
    assert_eq!(count(postgres.connection()).await, "1000 1000");
    postgres.stop().await;

    let base = place.usb().join(&found[0].archive).join("base").join(&found[0].base.name);
    let part = base.join("base.tar.zst.age.0000");
    let good = std::fs::read(&part).unwrap();
    assert!(!good.windows(13).any(|bytes| bytes == b"PG_VERSION\0\0\0"), "it is encrypted");
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    std::fs::write(&part, bad).unwrap();
    assert!(backup::verify(&target, None).unwrap_err().to_string().contains("not what was written"));
    let dir = home();
    assert!(place.restored(dir.path(), None).await.is_err());
    assert!(!dir.path().join("pg").exists());
    std::fs::write(&part, &good).unwrap();
    std::fs::rename(base.join("manifest.json"), base.join("manifest")).unwrap();
    assert!(backup::list(&target).unwrap().is_empty(), "what is not complete is not listed");
}

#[tokio::test]
async fn an_absent_target_is_counted_and_a_gap_makes_a_new_base_backup() {
    let (place, source) = (Place::new(), home());
    let options = Options {
        settings: vec![("max_slot_wal_keep_size".to_owned(), "16MB".to_owned())],
        ..Options::new(source.path())
    };
    let postgres = Embedded::start(options).await.unwrap();
    let db = postgres.connection().clone();
    ask(&db, "create table t (n int, filler text)").await;
    let worker = Worker::start(postgres.site().clone(), place.plan());
    let status = worker.status().clone();
    until("there is a base backup", || status.base_at.load(Relaxed) > 0).await;
    archived(&worker).await;
    assert!(status.target.load(Relaxed) && status.failures.load(Relaxed) == 0);
    let bases = || backup::list(&Target::open(&place.usb()).unwrap()).unwrap().len();
    assert_eq!(bases(), 1);
    // The disk is unplugged: an empty mount point is left.
    let away = place.dir.path().join("away");
    std::fs::rename(place.usb(), &away).unwrap();
    std::fs::create_dir(place.usb()).unwrap();
    until("the failure is counted", || status.failures.load(Relaxed) > 1).await;
    assert!(!status.target.load(Relaxed));
    for _ in 0..4 {
        ask(&db, "insert into t select g, repeat('x', 100) from generate_series(1, 50000) g").await;
        ask(&db.superuser(), "select pg_switch_wal()").await;
    }
    until("WAL waits", || status.wal_bytes.load(Relaxed) > 0).await;
    ask(&db.superuser(), "checkpoint").await;
    let lost = "select wal_status from pg_replication_slots where slot_name = 'cari_backup'";
    assert_eq!(ask(&db.superuser(), lost).await, "lost", "but not beyond its bound");
    assert_eq!(std::fs::read_dir(place.usb()).unwrap().count(), 0, "nothing is written to the system's disk");
    std::fs::remove_dir(place.usb()).unwrap();
    std::fs::rename(&away, place.usb()).unwrap();
    until("a new base backup is made", || bases() == 2).await;
    archived(&worker).await;
    worker.stop().await;
    postgres.site().keep_no_wal().await.unwrap();
    assert_eq!(ask(&db.superuser(), "select count(*) from pg_replication_slots").await, "0");
    postgres.stop().await;
    let dir = home();
    place.restored(dir.path(), None).await.unwrap();
    let postgres = start(dir.path()).await;
    assert_eq!(count(postgres.connection()).await, "200000 50000");
    postgres.stop().await;
}

#[tokio::test]
async fn old_backups_go_and_the_kept_ones_can_be_restored() {
    let source = home();
    let (place, postgres) = backed_up(source.path()).await;
    let plan = Plan { keep: Duration::ZERO, keep_min: 1, ..place.plan() };
    let worker = Worker::start(postgres.site().clone(), plan.clone());
    archived(&worker).await;
    let target = Target::open(&place.usb()).unwrap();
    let before = backup::list(&target).unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    ask(postgres.connection(), "insert into t values (1001)").await;
    postgres.site().back_up(&plan).await.unwrap();
    let after = backup::list(&target).unwrap();
    assert_eq!(after.len(), 1);
    assert_ne!(before.last().unwrap().base.name, after[0].base.name);
    worker.stop().await;
    postgres.stop().await;
    backup::verify(&target, Some(&place.key())).unwrap();
    let dir = home();
    place.restored(dir.path(), None).await.unwrap();
    let postgres = start(dir.path()).await;
    assert_eq!(count(postgres.connection()).await, "1001 1001");
    postgres.stop().await;
}
