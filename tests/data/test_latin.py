"""The encodings that are named for a text in the Latin script are those that give its letters."""

from __future__ import annotations

import re

import pytest

from playground.data.encoding import guess_encoding

CODECS = {
    "Latin-1": "latin-1", "Windows-1252": "cp1252", "ISO 8859-15": "iso8859-15", "Windows-1250": "cp1250",
    "ISO 8859-2": "iso8859-2", "Windows-1254": "cp1254", "ISO 8859-9": "iso8859-9",
    "Windows-1257": "cp1257", "ISO 8859-13": "iso8859-13",
    "code page 850": "cp850", "code page 852": "cp852", "Mac Roman": "mac-roman",
}  # fmt: skip
WESTERN, CENTRAL = ("Latin-1", "Windows-1252"), ("Windows-1250", "ISO 8859-2", "code page 852")
TEXTS = [
    ("Zażółć gęślą jaźń. Książka leży na stole, a żółw śpi pod krzesłem.", CENTRAL),
    ("Pójdźże, kiń tę chmurność w głąb flaszy!", CENTRAL),
    ("Příliš žluťoučký kůň úpěl ďábelské ódy. Dnes večer půjdeme do města.", CENTRAL),
    ("Nechť již hříšné saxofony ďáblů rozezvučí síň úděsnými tóny waltzu.", CENTRAL),
    ("Kŕdeľ šťastných ďatľov učí pri ústí Váhu mĺkveho koňa obhrýzať kôru.", CENTRAL),
    ("Árvíztűrő tükörfúrógép. A kisfiú az erdőben sétált és énekelt.", CENTRAL),
    ("Pijamalı hasta yağız şoföre çabucak güvendi. İyi günler!", ("Windows-1254", "ISO 8859-9")),
    ("Fahiş bluz güvencesi yıkıldı; öğleden sonra çay içtik.", ("Windows-1254", "ISO 8859-9")),
    ("Portez ce vieux whisky au juge blond qui fume, déjà ; l'été où il fut reçu à Noël.", (*WESTERN, "Mac Roman")),
    ("Voix ambiguë d’un cœur qui, au zéphyr, préfère les jattes de kiwis…", ("Windows-1252",)),
    (
        "Voix ambiguë d'un cœur qui, au zéphyr, préfère les jattes de kiwis.",
        ("ISO 8859-15", "Windows-1252", "Mac Roman"),
    ),
    ("Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.", (*WESTERN, "Mac Roman", "code page 850")),
    ("„Schöne Grüße“ – für 5 € aus München.", ("Windows-1252",)),
    ("Flygande bäckasiner söka hwila på mjuka tuvor.", (*WESTERN, "Mac Roman", "code page 850")),
    ("He said “hello”—and then ‘goodbye’…", ("Windows-1252",)),
    ("Įlinkdama fechtuotojo špaga sublykčiojusi pragręžė apvalų arbūzą.", ("Windows-1257", "ISO 8859-13")),
]


def named(data: bytes) -> list[str]:
    return re.split(", | or ", guess_encoding(data).removeprefix("one of "))


@pytest.mark.parametrize(("text", "usual"), TEXTS)
def test_the_right_encoding_is_named_and_only_such_as_give_the_same_text(text: str, usual: tuple[str, ...]) -> None:
    for encoding in usual:
        data = text.encode(CODECS[encoding])
        assert encoding in named(data)
        assert {data.decode(CODECS[other]) for other in named(data)} == {text}


def test_all_are_named_that_give_text_of_some_language() -> None:
    """The letter "õ" is Portuguese; in the encodings of Central Europe the same byte is the Hungarian "ő"."""
    data = "Ele p\u00f5e a mesa e ela disp\u00f5e os pratos.".encode("latin-1")
    assert guess_encoding(data).startswith("one of Latin-1, Windows-1252, ")
    assert {"Windows-1250", "ISO 8859-2"} < set(named(data))
    assert "Windows-1254" not in named(data), "Turkish has no such letter"
