//! The limits of a container, as Linux tells them in the files of control groups.
//!
//! A process is in a group, which is in a group, and so on; each may have limits, and all of them hold. So the tightest
//! of them is the one that matters, and usage is that of the group that has it. Version 1 has a tree for each kind of
//! limit, version 2 one for all.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The control groups around a process, from its own to the outermost one that it can see.
#[derive(Debug)]
pub(super) struct Cgroup {
    processor: Groups<Processor>,
    memory: Groups<Memory>,
}

#[derive(Debug)]
enum Groups<V1> {
    None,
    V1(Vec<V1>),
    V2(Vec<PathBuf>),
}

/// The folders of one group of version 1.
#[derive(Debug)]
struct Processor {
    quota: PathBuf,
    usage: PathBuf,
}

#[derive(Debug)]
struct Memory(PathBuf);

impl Cgroup {
    pub(super) fn of_this_process() -> Self {
        Self::find(Path::new("/"))
    }

    /// As seen from a root folder.
    fn find(root: &Path) -> Self {
        let tree = root.join("sys/fs/cgroup");
        let lines = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
        let path_of = |controller: &str| {
            lines.lines().find_map(|line| {
                let mut parts = line.splitn(3, ':').skip(1);
                let (controllers, path) = (parts.next()?, parts.next()?);
                controllers.split(',').any(|name| name == controller).then_some(path)
            })
        };
        if tree.join("cgroup.controllers").is_file() {
            let folders = around(&tree, path_of("").unwrap_or("/"));
            return Self { processor: Groups::V2(folders.clone()), memory: Groups::V2(folders) };
        }
        let folders = |controller: &str| around(&tree.join(controller), path_of(controller).unwrap_or("/"));
        let processor = folders("cpu").into_iter().zip(folders("cpuacct"));
        Self {
            processor: Groups::v1(processor.map(|(quota, usage)| Processor { quota, usage }).collect()),
            memory: Groups::v1(folders("memory").into_iter().map(Memory).collect()),
        }
    }

    /// How many processors the process may use at most, if that is limited.
    pub(super) fn processors(&self) -> Option<f64> {
        self.tightest_quota().map(|(processors, _)| processors)
    }

    /// How many seconds of a processor were used under the tightest limit, if there is one.
    pub(super) fn processor_seconds(&self) -> Option<f64> {
        self.tightest_quota()?.1
    }

    /// The memory that is used and cannot be taken back, and how much there may be, in bytes, under the tightest limit.
    pub(super) fn memory(&self) -> Option<(u64, u64)> {
        let groups: Vec<(u64, u64)> = match &self.memory {
            Groups::None => Vec::new(),
            Groups::V1(groups) => groups.iter().filter_map(Memory::read).collect(),
            Groups::V2(folders) => folders.iter().filter_map(|folder| memory_of(folder)).collect(),
        };
        groups.into_iter().min_by_key(|(_, limit)| *limit)
    }

    fn tightest_quota(&self) -> Option<(f64, Option<f64>)> {
        let quotas: Vec<(f64, Option<f64>)> = match &self.processor {
            Groups::None => Vec::new(),
            Groups::V1(groups) => groups.iter().filter_map(Processor::read).collect(),
            Groups::V2(folders) => folders.iter().filter_map(|folder| quota_of(folder)).collect(),
        };
        quotas.into_iter().min_by(|(one, _), (other, _)| one.total_cmp(other))
    }
}

impl<V1> Groups<V1> {
    fn v1(groups: Vec<V1>) -> Self {
        if groups.is_empty() { Self::None } else { Self::V1(groups) }
    }
}

/// The folder of a group and those around it; only the outermost where the group's own path means nothing here, as in a
/// container that does not see its own groups.
fn around(tree: &Path, path: &str) -> Vec<PathBuf> {
    let own = tree.join(path.trim_start_matches('/'));
    let inside = if own.is_dir() { own.as_path() } else { tree };
    inside.ancestors().take_while(|folder| folder.starts_with(tree)).map(Path::to_owned).collect()
}

impl Processor {
    fn read(&self) -> Option<(f64, Option<f64>)> {
        let quota = number(&self.quota.join("cpu.cfs_quota_us")).filter(|quota| *quota > 0.0)?;
        let period = number(&self.quota.join("cpu.cfs_period_us")).filter(|period| *period > 0.0)?;
        let used = number(&self.usage.join("cpuacct.usage")).map(|nanos| nanos / 1e9);
        Some((quota / period, used))
    }
}

impl Memory {
    fn read(&self) -> Option<(u64, u64)> {
        let Self(folder) = self;
        let limit = bytes(&folder.join("memory.limit_in_bytes"))?;
        let used = bytes(&folder.join("memory.usage_in_bytes"))?;
        Some((used.saturating_sub(field(&folder.join("memory.stat"), "total_inactive_file").unwrap_or(0)), limit))
    }
}

/// The quota of a group of version 2, and the seconds used in it.
fn quota_of(folder: &Path) -> Option<(f64, Option<f64>)> {
    let text = fs::read_to_string(folder.join("cpu.max")).ok()?;
    let mut words = text.split_whitespace().map(str::parse::<f64>);
    // The word for no quota is not a number.
    let (quota, period) = (words.next()?.ok()?, words.next()?.ok()?);
    let used = field(&folder.join("cpu.stat"), "usage_usec").map(|micros| micros as f64 / 1e6);
    (quota > 0.0 && period > 0.0).then_some((quota / period, used))
}

/// The memory in use in a group of version 2, and its limit.
fn memory_of(folder: &Path) -> Option<(u64, u64)> {
    let limit = bytes(&folder.join("memory.max"))?;
    let used = bytes(&folder.join("memory.current"))?;
    Some((used.saturating_sub(field(&folder.join("memory.stat"), "inactive_file").unwrap_or(0)), limit))
}

fn number(file: &Path) -> Option<f64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

fn bytes(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// The number behind a name in a table.
fn field(file: &Path, name: &str) -> Option<u64> {
    let table = fs::read_to_string(file).ok()?;
    table.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root folder with these files.
    struct Root(tempfile::TempDir);

    impl Root {
        fn with(files: &[(&str, &str)]) -> Self {
            let root = Self(tempfile::tempdir().expect("a folder for a while"));
            root.write(files);
            root
        }

        fn write(&self, files: &[(&str, &str)]) {
            for (path, text) in files {
                let file = self.0.path().join(path);
                fs::create_dir_all(file.parent().expect("a path has a folder")).expect("made");
                fs::write(file, text).expect("written");
            }
        }

        fn cgroup(&self) -> Cgroup {
            Cgroup::find(self.0.path())
        }
    }

    #[test]
    fn a_container_of_version_2_has_its_quota_and_its_memory() {
        let root = Root::with(&[
            ("proc/self/cgroup", "0::/\n"),
            ("sys/fs/cgroup/cgroup.controllers", "cpu memory\n"),
            ("sys/fs/cgroup/cpu.max", "50000 100000\n"),
            ("sys/fs/cgroup/cpu.stat", "usage_usec 2500000\nuser_usec 2000000\n"),
            ("sys/fs/cgroup/memory.max", "1000\n"),
            ("sys/fs/cgroup/memory.current", "700\n"),
            ("sys/fs/cgroup/memory.stat", "anon 400\ninactive_file 200\n"),
        ]);
        let cgroup = root.cgroup();
        assert_eq!((cgroup.processors(), cgroup.processor_seconds()), (Some(0.5), Some(2.5)));
        assert_eq!(cgroup.memory(), Some((500, 1_000)), "the cache that can be dropped is free");
    }

    #[test]
    fn the_tightest_of_the_groups_around_a_process_counts() {
        let root = Root::with(&[
            ("proc/self/cgroup", "0::/pod/container\n"),
            ("sys/fs/cgroup/cgroup.controllers", "cpu memory\n"),
            ("sys/fs/cgroup/pod/cpu.max", "100000 100000\n"),
            ("sys/fs/cgroup/pod/cpu.stat", "usage_usec 9000000\n"),
            ("sys/fs/cgroup/pod/memory.max", "max\n"),
            ("sys/fs/cgroup/pod/container/cpu.max", "max 100000\n"),
            ("sys/fs/cgroup/pod/container/cpu.stat", "usage_usec 1000000\n"),
            ("sys/fs/cgroup/pod/container/memory.max", "2000\n"),
            ("sys/fs/cgroup/pod/container/memory.current", "300\n"),
        ]);
        let cgroup = root.cgroup();
        assert_eq!((cgroup.processors(), cgroup.processor_seconds()), (Some(1.0), Some(9.0)));
        assert_eq!(cgroup.memory(), Some((300, 2_000)));
    }

    #[test]
    fn a_container_of_version_1_has_its_quota_and_its_memory() {
        let root = Root::with(&[
            ("proc/self/cgroup", "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "150000\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/cpuacct/cpuacct.usage", "3000000000\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "4096\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "1024\n"),
            ("sys/fs/cgroup/memory/memory.stat", "inactive_file 1\ntotal_inactive_file 24\n"),
        ]);
        let cgroup = root.cgroup();
        assert_eq!((cgroup.processors(), cgroup.processor_seconds()), (Some(1.5), Some(3.0)));
        assert_eq!(cgroup.memory(), Some((1_000, 4_096)));
    }

    #[test]
    fn a_process_without_limits_has_none() {
        let unlimited = Root::with(&[
            ("proc/self/cgroup", "4:cpu:/\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
        ]);
        for root in [unlimited, Root::with(&[])] {
            let cgroup = root.cgroup();
            assert_eq!((cgroup.processors(), cgroup.processor_seconds(), cgroup.memory()), (None, None, None));
        }
    }

    #[test]
    fn a_quota_that_changes_is_seen() {
        let root = Root::with(&[
            ("proc/self/cgroup", "0::/\n"),
            ("sys/fs/cgroup/cgroup.controllers", "cpu\n"),
            ("sys/fs/cgroup/cpu.max", "50000 100000\n"),
        ]);
        let cgroup = root.cgroup();
        root.write(&[("sys/fs/cgroup/cpu.max", "200000 100000\n")]);
        assert_eq!(cgroup.processors(), Some(2.0));
    }

    #[test]
    fn nonsense_in_the_files_is_no_limit() {
        let root = Root::with(&[
            ("proc/self/cgroup", "nonsense\n0::\n"),
            ("sys/fs/cgroup/cgroup.controllers", ""),
            ("sys/fs/cgroup/cpu.max", "0 0\n"),
            ("sys/fs/cgroup/memory.max", "-5\n"),
        ]);
        let cgroup = root.cgroup();
        assert_eq!((cgroup.processors(), cgroup.memory()), (None, None));
    }
}
