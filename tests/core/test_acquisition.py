"""The day a scene was taken: from tags, from the names that satellites' products have, and as the backend reads it."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusar_gpt.contract.dates import acquisition_date
from fusar_qgis.core.acquisition import Acquisition, acquisition


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("S1A_IW_GRDH_1SDV_20180305T054235_20180305T054300_020877_023D34_1E1A", date(2018, 3, 5)),
        ("s1a-iw-grd-vv-20141003t054235-20141003t054300-002660-002f6b-001", date(2014, 10, 3)),
        ("2023-05-31-15-01-42_UMBRA-05_GEC", date(2023, 5, 31)),
        ("ICEYE_X7_GRD_SM_12345_20200101T123456", date(2020, 1, 1)),
        ("CAPELLA_C02_SP_GEO_HH_20201209213329_20201209213332", date(2020, 12, 9)),
        ("TSX1_SAR__MGD_SE___SM_S_SRA_20110101T054242_20110101T054250", date(2011, 1, 1)),
        ("OPERA_L2_RTC-S1_T137-292318-IW1_20211119T015854Z_20250830T120333Z_S1A", date(2021, 11, 19)),
        ("GF3_MYN_UFS_000574_E113.4_N22.1_20160918_L1A", date(2016, 9, 18)),
        ("orbit_123456789_99999999", None),
        ("", None),
    ],
)
def test_names_of_products(name, day):
    found = acquisition({}, name)
    assert (found and found.day) == day
    assert found is None or found.certain


def test_tags_rule_and_the_files_own_date_comes_last():
    tags = {"TIFFTAG_DATETIME": "2025:01:02 03:04:05", "ACQUISITION_START_TIME": "2021-06-07T08:09:10Z"}
    assert acquisition(tags, "x_20190101") == Acquisition(date(2021, 6, 7))
    del tags["ACQUISITION_START_TIME"]
    assert acquisition(tags, "x_20190101") == Acquisition(date(2019, 1, 1))
    assert acquisition(tags, "x") == Acquisition(date(2025, 1, 2), certain=False)


_TAGS = st.dictionaries(
    st.sampled_from(["START_TIME", "Acquired", "SENSING_START", "AREA_OR_POINT"]),
    st.text("0123456789-:TZ ", max_size=20) | st.dates().map(str),
)
_NAMES = st.text("0123456789-_T.", max_size=24) | st.dates().map("{:%Y%m%d}".format)


@given(_TAGS, _NAMES)
def test_the_backend_reads_the_same_day(tags, name):
    found = acquisition(tags, name)
    assert (found and found.day) == acquisition_date(tags, name)


@given(
    st.dates(date(1978, 1, 1), date(2099, 12, 31)),
    st.sampled_from(["{:%Y%m%d}", "{:%Y-%m-%d}", "{:%Y%m%d}T010203"]),
)
def test_any_day_is_found_wherever_it_stands(day, form):
    found = acquisition({}, f"ab_{form.format(day)}_cd")
    assert found is not None
    assert found.day == day
