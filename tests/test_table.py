"""Reading and writing .mot and .sto tables."""

import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from gaitdynamics.errors import InputFileError
from gaitdynamics.io.table import format_table, read_table

SAMPLES = (
    "samples/camargo/grf.mot",
    "samples/camargo/ik.mot",
    "samples/gait2354/grf.mot",
    "samples/gait2354/ik.mot",
    "samples/hamner/grf.mot",
    "samples/hamner/ik.mot",
    "samples/moco_walk/coordinates.sto",
    "samples/moco_walk/grf_walk.mot",
    "samples/moco_walk/id_walk.sto",
    "samples/opencap/grf.mot",
    "samples/opencap/ik.mot",
    "parity/walk_treadmill_50hz.mot",
    "parity/walk_treadmill_50hz_grf_pred___.mot",
)

PLAIN = """\
Coordinates
version=1
nRows=3
nColumns=3
inDegrees=yes
endheader
time\tknee\thip
0.0\t1.0\t-2.5
0.1\t1.5\t2e-3
0.2\t2.0\t-inf
"""


def write(tmp_path: Path, text: str | bytes, name: str = "walk.mot") -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.fixture
def plain(tmp_path: Path) -> np.ndarray:
    return read_table(write(tmp_path, PLAIN)).values


def test_a_plain_file_is_read(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, PLAIN))
    assert table.labels == ("knee", "hip")
    assert table.header["indegrees"] == "yes"
    assert table.source == tmp_path / "walk.mot"
    np.testing.assert_array_equal(table.time_s, [0, 0.1, 0.2])
    np.testing.assert_array_equal(table.column("hip"), [-2.5, 2e-3, -np.inf])


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(PLAIN.replace("\n", "\r\n").encode(), id="Windows line ends"),
        pytest.param(PLAIN.replace("\n", "\r").encode(), id="old Mac line ends"),
        pytest.param(b"\xef\xbb\xbf" + PLAIN.encode(), id="byte order mark"),
        pytest.param(PLAIN.replace("Coordinates", "Größe: für Ä").encode("latin-1"), id="Latin-1"),
        pytest.param(PLAIN.replace("Coordinates", "Größe: für Ä").encode("utf-8"), id="UTF-8"),
        pytest.param(PLAIN.replace("\t", "   ").encode(), id="blanks between columns"),
        pytest.param(PLAIN.replace("\t", " \t ").encode(), id="blanks and tabs between columns"),
        pytest.param(PLAIN.replace("0\t1.0", "0 1.0").encode(), id="a blank for a tab in one row"),
        pytest.param(PLAIN.replace("time\tknee", "time knee").encode(), id="a blank for a tab in the labels"),
        pytest.param(PLAIN.replace("\n0.", "\n   0.").encode(), id="indented rows"),
        pytest.param(PLAIN.replace("\n0.", "\n\t0.").encode(), id="rows that begin with a tab"),
        pytest.param(PLAIN.replace("\n", "\t\n").encode(), id="trailing tabs"),
        pytest.param(PLAIN.replace("2.5\n", "2.5\t\t\t\n").encode(), id="trailing tabs in one row"),
        pytest.param(PLAIN.replace("\n", "\n\n").encode(), id="blank lines everywhere"),
        pytest.param((PLAIN + "\n \t \n\n").encode(), id="blank lines at the end"),
        pytest.param(PLAIN.rstrip().encode(), id="no line end at the end"),
        pytest.param(PLAIN.replace("endheader", "EndHeader  \t").encode(), id="EndHeader with blanks"),
        pytest.param(PLAIN.replace("nRows=3", "nRows=77").encode(), id="wrong number of rows"),
        pytest.param(PLAIN.replace("nColumns=3", "nColumns=9").encode(), id="wrong number of columns"),
        pytest.param(PLAIN.replace("time", "Time").encode(), id="Time"),
        pytest.param(PLAIN.replace("time", "t").encode(), id="t"),
        pytest.param(PLAIN.replace("-inf", "-1.#INF").encode(), id="infinity of Visual C"),
    ],
)
def test_a_file_of_any_laboratory_reads_like_the_plain_one(tmp_path: Path, plain: np.ndarray, text: bytes) -> None:
    table = read_table(write(tmp_path, text))
    assert table.labels == ("knee", "hip")
    assert table.header["indegrees"] == "yes"
    np.testing.assert_array_equal(table.time_s, [0, 0.1, 0.2])
    np.testing.assert_array_equal(table.values, plain)


def test_time_may_stand_in_any_column(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "x\nendheader\nknee\tTIME\thip\n5\t0\t6\n7\t1\t8\n"))
    assert table.labels == ("knee", "hip")
    np.testing.assert_array_equal(table.time_s, [0, 1])
    np.testing.assert_array_equal(table.values, [[5, 6], [7, 8]])


def test_labels_between_tabs_may_contain_blanks(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "x\nendheader\ntime\tleft knee\n0\t1\n"))
    assert table.labels == ("left knee",)


@pytest.mark.parametrize("missing", ["", "nan", "NaN", "-nan", "-nan(ind)", "1.#QNAN", "-1.#IND00", "N/A"])
def test_whatever_says_missing_becomes_nan(tmp_path: Path, missing: str) -> None:
    text = f"x\nendheader\ntime\tknee\thip\n0\t{missing}\t1\n1\t2\t{missing}\n"
    np.testing.assert_array_equal(read_table(write(tmp_path, text)).values, [[np.nan, 1], [2, np.nan]])


def test_a_column_that_is_empty_throughout_does_not_shift_the_others(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "x\nendheader\ntime\tknee\thip\n0\t\t1\n1\t\t2\n"))
    np.testing.assert_array_equal(table.column("hip"), [1, 2])
    assert np.isnan(table.column("knee")).all()


def test_a_header_is_read_with_keys_values_and_free_text(tmp_path: Path) -> None:
    header = (
        "name Run 02.mot\ndatacolumns 2\nUnits are S.I. units (second, meters, Newtons, ...)\n"
        "inDegrees tells whether rotations are in degrees.\n inDegrees = no \nDataType=double\n\n"
        "OpenSimVersion=4.5\n"
    )
    found = read_table(write(tmp_path, header + "endheader\ntime\tknee\n0\t1\n")).header
    assert found["name"] == "Run 02.mot"
    assert found["datacolumns"] == "2"
    assert found["indegrees"] == "no"
    assert found["opensimversion"] == "4.5"


def test_an_unknown_column_is_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"no column 'kne'. Did you mean 'knee'\?"):
        read_table(write(tmp_path, PLAIN)).column("kne")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "empty, not an OpenSim file", id="empty"),
        pytest.param(" \n\t\n", "empty, not an OpenSim file", id="blank"),
        pytest.param(b"\x02PK\0\x03\0", "binary", id="binary"),
        pytest.param(PLAIN.encode("utf-16"), "binary file .or UTF-16", id="UTF-16"),
        pytest.param("Coordinates\nversion=1\nnRows=3\n", "no line 'endheader' in 4 lines", id="cut header"),
        pytest.param("time,knee\n0,1\n", "no line 'endheader'", id="comma-separated"),
        pytest.param("x\nendheader", "nothing follows 'endheader'", id="ends at the header"),
        pytest.param("x\nendheader\n\n\n", "nothing follows 'endheader'", id="nothing but blank lines"),
        pytest.param("x\nendheader\ntime\tknee\n", "no rows of numbers after the labels in line 3", id="no rows"),
        pytest.param("x\nendheader\nframe\tknee\n0\t1\n", "line 3: no column 'time' among 'frame'", id="no time"),
        pytest.param("x\nendheader\n0\t1\n1\t2\n", "line 3: no column 'time'", id="no labels"),
        pytest.param(
            "x\nendheader\ntime\tknee\tknee\n0\t1\t2\n",
            "line 3: more than one .* 'knee'",
            id="repeated label",
        ),
        pytest.param(
            "x\nendheader\n\ntime\tknee\n0\t1\n\n0.5\t1\n0.5\t2\n",
            r"line 8: time goes from 0.5 s in row 2 to 0.5 s in row 3",
            id="repeated time",
        ),
        pytest.param("x\nendheader\ntime\tknee\n1\t1\n0.5\t1\n", "time goes from 1 s", id="time goes back"),
        pytest.param("x\nendheader\ntime\tknee\n0\t1\nnan\t1\n", "line 5: the time of row 2 is nan", id="time nan"),
        pytest.param("x\nendheader\ntime\tknee\n0\t1\n\t1\n", "line 5: .* 1 values for 2|time .* nan", id="no cell"),
        pytest.param("x\nendheader\ntime\tknee\n0\t1\n1\n", "line 5: 1 values for 2 columns", id="short row"),
        pytest.param("x\nendheader\ntime\tknee\n0\t1\t7\n1\t2\n", "line 4: 3 values for 2", id="long row"),
        pytest.param(
            "x\nendheader\ntime\tknee\n0\t1\n1\tabc\n",
            "line 5, column 'knee': 'abc' is not a number",
            id="word",
        ),
        pytest.param("x\nendheader\ntime\tknee\n0\t1,5\n", "'1,5' is not a number. .* decimal point", id="comma"),
        pytest.param("x\nDataType=Vec3\nendheader\ntime\ta\n0\t1,2,3\n", "DataType=Vec3", id="vectors"),
    ],
)
def test_a_file_that_is_no_table_says_where_and_why(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(InputFileError, match=message) as raised:
        read_table(write(tmp_path, text))
    assert "walk.mot" in str(raised.value)


def test_rows_that_lack_and_exceed_by_one_do_not_make_up_for_each_other(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="line 4: 2 values for 3 columns"):
        read_table(write(tmp_path, "x\nendheader\ntime\ta\tb\n0\t1\n1\t2\t3\t4\n"))


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="no such file"):
        read_table(tmp_path / "absent.mot")
    with pytest.raises(InputFileError, match="a folder"):
        read_table(tmp_path)


def test_without_a_number_of_decimals_the_very_same_numbers_are_read_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(size=(50, 3)) * 10.0 ** rng.integers(-30, 30, size=(50, 3))
    values[0] = 0.1 + 0.2, 5e-324, np.nan
    time_s = 0.1 + np.arange(50) / 3.0
    text = format_table("walk", ["a", "b", "c"], values, time_s=time_s, in_degrees=True, decimals=None)
    table = read_table(write(tmp_path, text))
    np.testing.assert_array_equal(table.values, values)
    np.testing.assert_array_equal(table.time_s, time_s)
    assert "\t0.30000000000000004\t5e-324\tnan\n" in text


def test_reading_undoes_formatting(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    values = generator.normal(scale=300, size=(500, 3))
    values[3, 1] = np.nan
    time_s = 1234.5 + np.arange(500) / 2000
    text = format_table("walk", ["a", "b", "c"], values, time_s=time_s, in_degrees=True, decimals=6)
    table = read_table(write(tmp_path, text))
    assert table.labels == ("a", "b", "c")
    assert (table.header["nrows"], table.header["ncolumns"], table.header["indegrees"]) == ("500", "4", "yes")
    np.testing.assert_allclose(table.time_s, time_s, atol=1e-8, rtol=0)
    np.testing.assert_allclose(table.values, values, atol=5.1e-7, rtol=0)


def test_no_number_is_written_as_negative_zero() -> None:
    text = format_table("x", ["a"], np.array([[-1e-9]]), time_s=np.zeros(1), in_degrees=None, decimals=6)
    assert "-0.0" not in text
    assert "inDegrees" not in text


def test_opensim_reads_what_is_written(tmp_path: Path, opensim: ModuleType) -> None:
    values = np.random.default_rng(1).normal(size=(20, 2))
    time_s = np.arange(20) / 1500
    text = format_table("two\nlines", ["knee", "hip"], values, time_s=time_s, in_degrees=True, decimals=10)
    path = write(tmp_path, text)
    table = opensim.TimeSeriesTable(str(path))
    assert table.getTableMetaDataAsString("inDegrees") == "yes"
    np.testing.assert_allclose(table.getIndependentColumn(), time_s, atol=1e-8)
    np.testing.assert_allclose(table.getDependentColumn("hip").to_numpy(), values[:, 1], atol=1e-9)
    storage = opensim.Storage(str(path))
    assert storage.getSize() == 20
    assert storage.isInDegrees()


@pytest.mark.parametrize("sample", SAMPLES)
def test_every_sample_reads_as_opensim_reads_it(shared: Path, opensim: ModuleType, sample: str) -> None:
    table = read_table(shared / sample)
    storage = opensim.Storage(str(shared / sample))
    assert len(table.time_s) == storage.getSize()
    column = opensim.ArrayDouble()
    storage.getDataColumn(table.labels[-1], column)
    expected = np.array([column.get(index) for index in range(column.getSize())])
    np.testing.assert_array_equal(table.values[:, -1], expected)


def test_a_long_file_is_read_fast(tmp_path: Path) -> None:
    values = np.random.default_rng(2).normal(size=(6000, 40))
    labels = [f"c{index}" for index in range(40)]
    path = write(
        tmp_path,
        format_table("x", labels, values, time_s=np.arange(6000) / 100, in_degrees=False, decimals=8),
    )
    start = time.perf_counter()
    read_table(path)
    assert time.perf_counter() - start < 1.0  # a tenth of that where nothing else runs
