"""The collector: a background job that measures this machine once a second.

It publishes through `metrics.publish` like every other publisher. Names and labels are
node_exporter's where it has one, so that dashboards made for it fit:

- processors: node_cpu_seconds_total{cpu,mode}, node_load1/5/15, node_context_switches_total,
  node_intr_total
- memory: node_memory_{MemTotal,MemFree,MemAvailable,Buffers,Cached,SwapTotal,SwapFree}_bytes
- network: node_network_{receive,transmit}_{bytes,packets,errs,drop}_total{device}
- disks: node_disk_{read_bytes,written_bytes,reads_completed,writes_completed,...}_total{device}
- file systems: node_filesystem_{size_bytes,free_bytes,avail_bytes,files,files_free}{device,
  fstype,mountpoint}
- processes: node_processes_pids, node_processes_threads, node_procs_running, node_procs_blocked,
  node_forks_total
- machine: node_time_seconds, node_boot_time_seconds, node_uname_info, node_hwmon_temp_celsius

Four names are our own, for what a panel shows as it is and node_exporter leaves to arithmetic:

- machine_memory_used_ratio: 1 - MemAvailable / MemTotal
- machine_memory_bytes{state}: used, cache and free, which add up to MemTotal
- machine_filesystem_used_ratio{mountpoint}: used / (used + available), as df shows it
- machine_uptime_seconds: node_time_seconds - node_boot_time_seconds

What this machine does not tell (a sensor, a permission) is left out and logged once.

    await Collector(Machine(), DESCRIPTIONS).run(stop)     # inside `manage.py serve`
    Collector(Machine(), DESCRIPTIONS).run_alone(stop)     # `manage.py collect`
"""

from metrics.collector.descriptions import DESCRIPTIONS
from metrics.collector.loop import Collector
from metrics.collector.parts import Machine, measure

__all__ = ["DESCRIPTIONS", "Collector", "Machine", "measure"]
