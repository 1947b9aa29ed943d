"""Headers of parts as clients write them (X09)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.dispositions import file_name, parsed


@pytest.mark.parametrize(
    ("header", "name", "file"),
    [
        ("form-data; name=file", "file", None),
        ('form-data; name="file"', "file", None),
        ("form-data; name=file; filename=bol.pdf", "file", "bol.pdf"),
        ('form-data; name="file"; filename="bol 9; b.pdf"', "file", "bol 9; b.pdf"),
        ('form-data; name="file"; filename="a \\"b\\".pdf"', "file", 'a "b".pdf'),
        ('form-data; name="file"; filename="C:\\papers\\bol.pdf"', "file", "C:\\papers\\bol.pdf"),
        ("form-data;name=file;filename=bol.pdf", "file", "bol.pdf"),
        ("FORM-DATA ; Name = file ; FileName = bol.pdf", "file", "bol.pdf"),
        ('form-data; name="file"; filename="Lieferschein Ö.pdf"', "file", "Lieferschein Ö.pdf"),
        (
            "form-data; name=file; filename*=utf-8''Lieferschein%20%C3%96.pdf",
            "file",
            "Lieferschein Ö.pdf",
        ),
        (
            "form-data; name=file; filename=\"=?utf-8?B?w5YucGRm?=\"; filename*=utf-8''%C3%96.pdf",
            "file",
            "Ö.pdf",
        ),
        ('form-data; name=file; filename="=?utf-8?B?w5YucGRm?="', "file", "Ö.pdf"),
        ('form-data; name=file; filename="=?nowhere?B?w5YucGRm?="', "file", None),
        ("form-data; name=file; filename=a.pdf; filename*=nowhere''%FF.pdf", "file", "a.pdf"),
        ("form-data; name=file; filename=a.pdf; filename*=utf-8''%FF.pdf", "file", "a.pdf"),
        ("form-data; name=file; filename=a.pdf; filename*=nonsense", "file", "a.pdf"),
        ('form-data; name="file"; filename=""', "file", ""),
    ],
)
def test_a_part_is_named_whoever_wrote_it(header: str, name: str, file: str | None) -> None:
    kind, parameters = parsed(header.encode())
    assert (kind, parameters["name"]) == ("form-data", name)
    found = file_name(parameters)
    assert found == file if file is not None else found in (None, parameters.get("filename"))


def test_a_name_that_is_not_utf_8_is_latin_1() -> None:
    _, parameters = parsed(b'form-data; name="file"; filename="\xd6.pdf"')
    assert file_name(parameters) == "Ö.pdf"


@pytest.mark.parametrize(
    ("header", "boundary"),
    [
        ('multipart/form-data; boundary="8f5e-11"', "8f5e-11"),
        ("multipart/form-data; boundary=8f5e-11", "8f5e-11"),
        ("Multipart/Form-Data; charset=utf-8; boundary=----WebKitFormBoundary7", None),
    ],
)
def test_a_boundary_may_be_quoted(header: str, boundary: str | None) -> None:
    kind, parameters = parsed(header.encode())
    assert kind == "multipart/form-data"
    assert parameters["boundary"] == (boundary or "----WebKitFormBoundary7")


@given(st.binary(max_size=200))
def test_whatever_stands_there_is_read_or_nothing(header: bytes) -> None:
    kind, parameters = parsed(header)
    assert kind or not parameters
    file_name(parameters)
