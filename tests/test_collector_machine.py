"""What the collector measures of this very machine; what cannot be measured comes first."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import psutil
import pytest

from metrics.collector import DESCRIPTIONS, Machine, machine, storage
from metrics.collector.readings import Ratchet, gauge
from metrics.collector.storage import FileSystems, Mount
from metrics.names import check_labels, check_metric
from metrics.samples import Sample

NOON_MS = 1_790_000_000_000


def test_a_psutil_that_refuses_one_subject_costs_only_that(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**options: bool) -> None:
        raise psutil.AccessDenied()

    monkeypatch.setattr(psutil, "net_io_counters", refuse)
    names = {sample.metric for sample in Machine()(NOON_MS)}
    assert not any(name.startswith("node_network") for name in names)
    assert "node_cpu_seconds_total" in names


def test_a_kernel_file_without_the_expected_line_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:  1000 kB\nMemFree: 400 kB\n")
    monkeypatch.setattr(machine, "PROC_MEMINFO", meminfo)
    assert Machine(parts={"memory": machine.memory})(NOON_MS) == []
    assert "meminfo has no line 'MemAvailable:'" in caplog.text


def test_a_file_system_that_vanished_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = Mount("/dev/gone", "ext4", str(tmp_path / "gone"))
    there = Mount("/dev/there", "ext4", str(tmp_path))
    monkeypatch.setattr(storage, "mounts", lambda folders: [gone, there])
    shown = {sample.labels["mountpoint"] for sample in FileSystems([])(NOON_MS)}
    assert shown == {str(tmp_path)}


def test_a_strange_mount_point_does_not_cost_the_other_samples() -> None:
    # As psutil gives bytes that are not UTF-8, and a line break.
    sample = gauge("node_filesystem_files", 1, NOON_MS, mountpoint="/mnt/\udcff\n" + "x" * 2000)
    check_labels(sample.labels)
    assert sample.labels["mountpoint"].startswith("/mnt/\\udcff\\nxxx")


def test_every_sample_of_this_machine_can_be_stored_and_is_described() -> None:
    samples = Machine(folders=["/"])(NOON_MS)
    assert len(samples) > 30
    for sample in samples:
        check_metric(sample.metric)
        check_labels(sample.labels)
        assert sample.time == NOON_MS
        assert DESCRIPTIONS[sample.metric].kind == sample.kind
    keys = [(sample.metric, *sorted(sample.labels.items())) for sample in samples]
    assert len(set(keys)) == len(keys)


def test_descriptions_have_a_name_that_says_the_unit() -> None:
    for name, said in DESCRIPTIONS.items():
        check_metric(name)
        assert said.help.endswith(".")
        assert name.endswith("_total") == (said.kind == "counter")
        if said.unit in ("bytes", "seconds", "ratio", "celsius"):
            assert said.unit in name


def values(samples: Iterable[Sample], metric: str) -> list[float]:
    return [sample.value for sample in samples if sample.metric == metric]


def test_processors_are_node_exporters() -> None:
    samples = list(machine.cpu(NOON_MS))
    cpus = {sample.labels["cpu"] for sample in samples}
    assert cpus == {str(number) for number in range(psutil.cpu_count() or 0)}
    modes = {sample.labels["mode"] for sample in samples}
    assert {"user", "nice", "system", "idle"} <= modes <= set(machine.CPU_MODES)
    assert all(sample.kind == "counter" for sample in samples)


def test_memory_by_state_adds_up_to_all_of_it() -> None:
    samples = list(machine.memory(NOON_MS))
    (total,) = values(samples, "node_memory_MemTotal_bytes")
    assert sum(values(samples, "machine_memory_bytes")) == total
    assert total == psutil.virtual_memory().total
    assert 0 < values(samples, "machine_memory_used_ratio")[0] < 1


def test_memory_is_measured_without_a_kernel_file_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "PROC_MEMINFO", tmp_path / "as-on-macos")
    samples = list(machine.memory(NOON_MS))
    (total,) = values(samples, "node_memory_MemTotal_bytes")
    assert sum(values(samples, "machine_memory_bytes")) == total


def test_counters_of_the_machine_only_grow() -> None:
    first, second = (
        {(s.metric, *s.labels.items()): s.value for s in Machine()(NOON_MS) if s.kind == "counter"}
        for _ in range(2)
    )
    assert all(second[key] >= value for key, value in first.items())


def test_a_step_back_of_idle_seconds_is_held_but_a_restart_is_believed() -> None:
    ratchet = Ratchet(largest_step=3)
    idle = ("0", "idle")
    assert [ratchet.held(idle, value) for value in (50, 49.5, 50.5, 2)] == [50, 50, 50.5, 2]
    assert ratchet.held(("1", "idle"), 1) == 1


def test_interfaces_of_passing_containers_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    read = psutil.net_io_counters()
    busy = read._replace(packets_recv=1)
    never_used = read._replace(packets_recv=0, packets_sent=0)
    found = {"eth0": busy, "veth1a2b3c": busy, "wg0": busy, "dummy0": never_used}
    monkeypatch.setattr(psutil, "net_io_counters", lambda **options: found)
    assert {sample.labels["device"] for sample in machine.network(NOON_MS)} == {"eth0", "wg0"}


@pytest.mark.parametrize("name", ["loop0", "sda1", "nvme0n1p2", "zram0", "sr0", "mmcblk0p1"])
def test_what_is_not_a_disk_is_left_out(name: str) -> None:
    assert storage.NOT_A_DISK.fullmatch(name)


@pytest.mark.parametrize("name", ["sda", "nvme0n1", "vda", "mmcblk0", "dm-0", "md127", "disk0"])
def test_what_is_a_disk_is_shown(name: str) -> None:
    assert not storage.NOT_A_DISK.fullmatch(name)


def test_the_root_and_the_data_folder_are_shown_also_in_a_container(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = tmp_path.resolve() / "data"
    (data / "deep").mkdir(parents=True)
    hosts = tmp_path / "hosts"
    hosts.touch()
    overlay = Mount("overlay", "overlay", "/")
    volume = Mount("overlay", "overlay", str(data))
    file_mount = Mount("/dev/sda1", "ext4", str(hosts))
    image = Mount("/dev/loop3", "squashfs", str(tmp_path))
    real = Mount("/dev/sdb1", "xfs", str(tmp_path))
    again = Mount("/dev/sdb1", "xfs", str(data.parent / "data"))

    def partitions(every: bool) -> list[Mount]:
        return [overlay, again, volume, file_mount, image, real] if every else [real, image, again]

    monkeypatch.setattr(storage, "_partitions", partitions)
    assert storage.mounts([str(data / "deep")]) == [overlay, real, volume]


def test_uptime_is_the_time_since_boot() -> None:
    now_ms = round((psutil.boot_time() + 90) * 1000)
    assert values(machine.uptime(now_ms), "machine_uptime_seconds") == [pytest.approx(90)]


def test_a_second_costs_less_than_15_ms_of_processor_time() -> None:
    measure = Machine()
    measure(NOON_MS)
    rounds = 10
    began_s = time.thread_time()
    for second in range(rounds):
        measure(NOON_MS + second * 1000)
    assert (time.thread_time() - began_s) / rounds < 0.015
