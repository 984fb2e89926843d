# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Records of the C library as dictionaries, and which there are of the
database."""

from ._library import C, ffi, text

QUERIES = {
    "partitions": (C.ULV_QUERY_PARTITIONS, "struct ulv_partition_record"),
    "channels": (C.ULV_QUERY_CHANNELS, "struct ulv_channel_record"),
    "devices": (C.ULV_QUERY_DEVICES, "struct ulv_device_record"),
    "processors": (C.ULV_QUERY_PROCESSORS, "struct ulv_processor_record"),
    "memory": (C.ULV_QUERY_MEMORY, "struct ulv_memory_record"),
    "usage": (C.ULV_QUERY_USAGE, "struct ulv_usage_record"),
    "extents": (C.ULV_QUERY_EXTENTS, "struct ulv_extent_record"),
    "log": (C.ULV_QUERY_LOG, "struct ulv_log_record"),
    "zones": (C.ULV_QUERY_ZONES, "struct ulv_zone_record"),
    "labels": (C.ULV_QUERY_LABELS, "struct ulv_label_record"),
    "quotas": (C.ULV_QUERY_QUOTAS, "struct ulv_quota_record"),
    "ranges": (C.ULV_QUERY_RANGES, "struct ulv_range_record"),
    "hardware": (C.ULV_QUERY_HARDWARE, "struct ulv_hardware_record"),
    "retired": (C.ULV_QUERY_RETIRED, "struct ulv_retired_record"),
    "shares": (C.ULV_QUERY_SHARES, "struct ulv_share_record"),
}
KINDS = {number: name for name, (number, _) in QUERIES.items()}


def as_dictionaries(kind, buf, count):
    fields = [n for n, _ in ffi.typeof(kind).fields if n != "rsvd_"]
    return [{n: _plain(getattr(buf[i], n)) for n in fields}
            for i in range(count)]


def _plain(value):
    if not isinstance(value, ffi.CData):
        return value
    if ffi.typeof(value).item.cname == "char":
        return text(value)
    return list(value)
