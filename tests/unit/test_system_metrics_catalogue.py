"""The one table of system metrics."""

import re

import pytest

from mlfoundry.errors import InvalidInput
from mlfoundry.system_metrics.catalogue import SERIES, describe, find

UNIT_ENDINGS = {
    "%": ("percent",),
    "B": ("_bytes",),
    "B/s": ("_bytes_per_s",),
    "°C": ("_celsius",),
    "W": ("_watts",),
    "MHz": ("_mhz",),
    "cores": ("_cores",),
    "s/s": ("_s_per_s",),
    "": ("load_1min", "threads", "count", "open_files"),
}


@pytest.mark.parametrize("series", SERIES, ids=lambda series: series.pattern)
def test_an_entry_has_a_name_that_ends_in_its_unit_and_says_what_it_is(series):
    assert series.pattern.startswith("system/")
    assert series.pattern.endswith(UNIT_ENDINGS[series.unit])
    assert series.group
    assert series.source in ("host", "process", "container", "gpu")
    assert re.fullmatch(r"[A-Z].*\.", series.description)
    assert series.axis in (None, (0.0, 100.0))


def test_every_name_means_one_thing():
    for series in SERIES:
        name = re.sub(r"\{\w+\}", "12", series.pattern)
        assert [other for other in SERIES if other.matches(name)] == [series]


def test_percentages_of_something_whole_have_a_fixed_axis_and_those_of_one_core_do_not():
    assert describe("system/cpu/core/31/percent").axis == (0.0, 100.0)
    assert describe("system/process/cpu_percent").axis is None


@pytest.mark.parametrize("name", ["loss", "system/cpu", "system/cpu/core/x/percent", "system/gpu/0/power_watts2", ""])
def test_a_name_that_is_no_system_metric_is_refused_by_name(name):
    assert find(name) is None
    with pytest.raises(InvalidInput, match=re.escape(repr(name))):
        describe(name)


def test_one_chart_has_one_unit_and_one_source():
    charts = {}
    for series in SERIES:
        charts.setdefault(series.group, set()).add((series.unit, series.source, series.axis))
    assert {group: kinds for group, kinds in charts.items() if len(kinds) > 1} == {}
