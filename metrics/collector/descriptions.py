"""Kind, unit and meaning of every name the collector publishes."""

from __future__ import annotations

from metrics.catalog import Description

GAUGES = {
    "node_load1": ("", "Processes running or waiting, average of 1 minute."),
    "node_load5": ("", "Processes running or waiting, average of 5 minutes."),
    "node_load15": ("", "Processes running or waiting, average of 15 minutes."),
    "node_memory_MemTotal_bytes": ("bytes", "Memory of the machine."),
    "node_memory_MemFree_bytes": ("bytes", "Memory that nothing uses, not even a cache."),
    "node_memory_MemAvailable_bytes": ("bytes", "Memory that programs can still have."),
    "node_memory_Buffers_bytes": ("bytes", "Memory that caches raw disk blocks."),
    "node_memory_Cached_bytes": ("bytes", "Memory that caches files."),
    "node_memory_SwapTotal_bytes": ("bytes", "Swap space of the machine."),
    "node_memory_SwapFree_bytes": ("bytes", "Swap space that is not used."),
    "machine_memory_bytes": ("bytes", "Memory by state: used, cache, free; together all of it."),
    "machine_memory_used_ratio": ("ratio", "Share of memory that programs cannot have any more."),
    "node_filesystem_size_bytes": ("bytes", "Size of the file system."),
    "node_filesystem_free_bytes": ("bytes", "Free space, also what only root may fill."),
    "node_filesystem_avail_bytes": ("bytes", "Free space for everybody."),
    "node_filesystem_files": ("count", "Files (inodes) that the file system can hold."),
    "node_filesystem_files_free": ("count", "Files (inodes) that can still be created."),
    "machine_filesystem_used_ratio": ("ratio", "Share of the space that is used, as df shows it."),
    "node_procs_running": ("count", "Processes that run or could run."),
    "node_procs_blocked": ("count", "Processes that wait for a disk."),
    "node_processes_pids": ("count", "Processes."),
    "node_processes_threads": ("count", "Threads of all processes."),
    "node_time_seconds": ("seconds", "The machine's clock, since 1970."),
    "node_boot_time_seconds": ("seconds", "When the machine started, since 1970."),
    "machine_uptime_seconds": ("seconds", "Time since the machine started."),
    "node_uname_info": ("", "Always 1; the labels name the system and the machine."),
    "node_hwmon_temp_celsius": ("celsius", "Temperature of a sensor."),
}
COUNTERS = {
    "node_cpu_seconds_total": ("seconds", "Time each processor spent in each mode."),
    "node_context_switches_total": ("count", "Switches between processes."),
    "node_intr_total": ("count", "Interrupts served."),
    "node_forks_total": ("count", "Processes started."),
    "node_network_receive_bytes_total": ("bytes", "Bytes received by the interface."),
    "node_network_receive_packets_total": ("count", "Packets received by the interface."),
    "node_network_receive_errs_total": ("count", "Errors while receiving."),
    "node_network_receive_drop_total": ("count", "Received packets that were dropped."),
    "node_network_transmit_bytes_total": ("bytes", "Bytes sent by the interface."),
    "node_network_transmit_packets_total": ("count", "Packets sent by the interface."),
    "node_network_transmit_errs_total": ("count", "Errors while sending."),
    "node_network_transmit_drop_total": ("count", "Packets dropped instead of sent."),
    "node_disk_read_bytes_total": ("bytes", "Bytes read from the disk."),
    "node_disk_written_bytes_total": ("bytes", "Bytes written to the disk."),
    "node_disk_reads_completed_total": ("count", "Reads the disk completed."),
    "node_disk_writes_completed_total": ("count", "Writes the disk completed."),
    "node_disk_read_time_seconds_total": ("seconds", "Time spent reading, of all reads."),
    "node_disk_write_time_seconds_total": ("seconds", "Time spent writing, of all writes."),
    "node_disk_io_time_seconds_total": ("seconds", "Time in which the disk was busy."),
}

DESCRIPTIONS = {
    **{name: Description("gauge", unit, text) for name, (unit, text) in GAUGES.items()},
    **{name: Description("counter", unit, text) for name, (unit, text) in COUNTERS.items()},
}
