"""Identifiers in free text: found, masked once and for all, and clinical numbers left alone."""

from __future__ import annotations

import itertools
from collections import Counter
from re import _constants, _parser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted import SENTENCES, planted
from pydantic import ValidationError

from primum.characters import visible
from primum.config import PrivacyConfig
from primum.privacy.forms import FORMS
from primum.privacy.identifiers import KINDS, find, mask
from primum.privacy.soundness import is_iban, is_kvnr, is_nhs
from primum.prompts import Masking, RenderedFeature, Renderer

CLINICAL = """\
BP 120/80 mmHg, HR 72/min, SpO2 96 %, temperature 37.2 °C.
RR 140/90, P 88, 3/4 of the dose was given; strength 4/5 in the left arm.
Metoprolol 47.5 mg 1-0-1, ramipril 2.5 mg 1-0-0, ASS 100 mg 0-1-0.
Enoxaparin 12500 IU s.c., heparin 5000 IU twice daily, insulin 10-10-12.
EKG: Sinusrhythmus, 72/min, PQ 160 ms, QRS 98 ms, QTc 420/440 ms.
Hb 12.3 g/dl, Leuko 10.200/µl, Thrombozyten 250.000, CRP 123,4 mg/l.
Na 140, K 4.1, Cl 102, HCO3 24, glucose 95-110 mg/dL.
NT-proBNP 12345 pg/ml, troponin 0.034 ng/ml, ferritin 1234567 ng/ml.
since 3 days, for 2-3 weeks, over 10 years, at 14:30, 2 h later, 4 x 2 cm
95% CI 0.97-1.23, p < 0.001, n = 1234567, OR 2.31 (1.20-4.45).
Between 1991 and 1995, 14461 patients were randomised (PMID 12345678).
GCS 3/4/5, ASA 2, NYHA III, CHA2DS2-VASc 4, APACHE II 23, ICD-10 I48.0
Ankle brachial index 0.9/1.1, EF 55-60 %, PASP 35+5 mmHg.
May 5 mg be given? She may 2 times a day. March test negative.
Pat. in Rückenlage, Atemweg 3 frei, Vorhof 4, Arbeitsplatz 2.
Herz: HT rein, Frau mit Atemnot, Herr der Lage, der Herr klagt.
MR angiography of the brain; MRI shows MS plaques; Dr said he is fine.
Patients aged 60-95 years; patients aged over 90 years; ≥ 90 years; 90 years of follow-up
92 kg, 95 bpm, 99 mg/dl, 120 mmHg, 100 m walk, 110 beats
Factor V 1691 G>A, HLA-B27, BRCA1 c.5266dup, rs12345678, NM_007294.3
Case 3 of 12 and group 2, fall 3, record 5, id 7, member of group 1234
Vitamin B12 500 µg, T4 1.2, L4/L5, S1 2 mg, B12 5 mg
pH 7.35/45/80/24, FiO2 0.4, PEEP 8, ratio 10:20:30:40
time 12:30:45 and 08:15:00, run 12:34, a::b, std::vector
Parkinson's disease, Alzheimer, Crohn, Hodgkin lymphoma, Wolff-Parkinson-White.
Patient: Yes, I am. Doctor: Good Morning. Patient: Two Persian cats. Doctor: Okay.
Diagnose: Vorhofflimmern. Patient: Atemnot seit 3 Tagen. Vater: Diabetes Mellitus Typ 2
Mother: Breast Cancer at 45, Father: Coronary Artery Disease
Geb. komplikationslos, seit geb. bekannt, Name: unbekannt
Calcium 2.45, 3.1, 2.2.; Score 1.2.3; section 4.4.1; version 2.10.4.1
CT 10.1016/j.jacc.2019.01.002 doi; NCT01234567; ISRCTN12345678
1000-2000 ml/24 h, 2000-3000, 250-300-350, 0.5-1.0, 10 000 steps, 150 000 units
Blood type A Rh+, 2 Street drugs, Way better, 5 Close contacts, 3 Drive pressure
Lot 12345, 5 x 10^9/L, 10e6, 1,234,567 cells, 12.345.678 Zellen
QT/QTc 380/410, axis -30/45/60, 25 mm/s, 10 mm/mV
02 2-4 l, O2 at 2 l, 0.9 % NaCl, 00 12, 007, 0123
Stage pT2 pN0 (0/12) L0 V0 R0, Gleason 3+4=7, BI-RADS 4
Dear colleague, dear colleagues, Liebe Kollegin, Sehr geehrte Damen und Herren,
on 4/5 motor, on 2/6 murmur, since 3/4 of patients, until 120/80
1. Aspirin 2. Statin 3. Beta blocker; am 3. Tag; bis zu 5. Woche; der 2. 3. Zehe
tachykardes vorhofflimmern lagetyp normal 4.46 unbestätigter bericht
""".splitlines()

_REPEATS = (_constants.MAX_REPEAT, _constants.MIN_REPEAT)
PLANTED = planted(1300, seed=11)


def test_every_kind_and_more_than_500_are_planted_in_both_languages() -> None:
    assert {one.kind for one in PLANTED} == set(KINDS)
    assert len({one.text for one in PLANTED}) >= 500
    assert {one.text for one in planted(50, seed=1)} != {one.text for one in planted(50, seed=2)}


@pytest.mark.parametrize("kind", KINDS)
def test_planted_identifiers_are_found_whole(kind: str) -> None:
    texts = [one for one in PLANTED if one.kind == kind]
    missed = [
        one.text[one.start : one.end]
        for one in texts
        if not any(f.start <= one.start and one.end <= f.end for f in find(one.text))
    ]
    assert len(missed) <= 0.02 * len(texts), missed


def test_nothing_of_a_planted_identifier_is_left_and_the_rest_of_the_sentence_is() -> None:
    for one in PLANTED:
        masked = mask(one.text)
        assert one.text[one.start : one.end] not in masked
        assert masked.startswith(one.text[: one.start])


@pytest.mark.parametrize("sentence", CLINICAL)
def test_clinical_numbers_and_words_are_no_identifiers(sentence: str) -> None:
    assert find(sentence) == ()
    assert mask(sentence) == sentence


def test_the_text_around_an_identifier_stays() -> None:
    text = "Dr. Meyer saw her on 14.03.2019 at 14:30, BP 120/80, tel. 030 23125123."
    assert mask(text) == "Dr. [NAME] saw her on [DATE] at 14:30, BP 120/80, tel. [PHONE]."


def test_a_name_that_was_announced_once_is_found_everywhere() -> None:
    assert mask("Ms. Anna Lund is well. Anna denies pain. Lund's son") == (
        "Ms. [NAME] is well. [NAME] denies pain. [NAME]'s son"
    )


def test_a_placeholder_is_no_name() -> None:
    assert mask("Mr. NAME saw [NAME] and [DATE], Dr. Date") == "Mr. [NAME] saw [NAME] and [DATE], Dr. Date"


def test_only_the_kinds_that_are_asked_for() -> None:
    text = "Dr. Meyer, 14.03.2019"
    assert [f.kind for f in find(text)] == ["name", "date"]
    assert mask(text, ["date"]) == "Dr. Meyer, [DATE]"
    assert mask(text, []) == text


def test_findings_are_in_order_do_not_overlap_and_stand_where_they_say() -> None:
    text = "Patient:\t John  Doe \n MRN: 1234567\u00a0, seen 3/14/2019 by Dr.  Lee"
    found = find(text)
    assert [text[f.start : f.end] for f in found] == ["John  Doe", "1234567", "3/14/2019", "Lee"]
    assert all(one.end <= other.start for one, other in itertools.pairwise(found))


def test_invisible_characters_do_not_hide_an_identifier() -> None:
    assert (
        mask("Dr. M\u200bey\u00ader, 14.\u20600\u206003.2019".replace("\u20600\u2060", ""))
        == "Dr. [NAME], [DATE]"
    )


WORDS = st.sampled_from(
    ["Dr.", "Mr.", "Frau", "Patient:", "John", "Doe", "MRN", "1234567", "12.03.2019", "3/14/2019", "[NAME]", "[DATE]",
     "120/80", "May", "5", "geb.", "Tel.", "", "030 23125123", ",", ".", "\n", "\u200b", "95", "years old",
     "Maple Street", "12", "Boston, MA 02139"]
)  # fmt: skip


@given(st.lists(WORDS, max_size=14).map(" ".join))
def test_what_was_masked_stays_as_it_is(text: str) -> None:
    masked = mask(text)
    assert mask(masked) == masked
    assert find(masked) == ()


@given(st.text(max_size=60))
def test_any_text_is_masked_once(text: str) -> None:
    assert mask(mask(text)) == mask(text)
    assert visible(visible(text)) == visible(text)


def test_masked_at_ingest_and_rendered_is_what_serving_renders() -> None:
    feature = RenderedFeature(column="note", name="note", kind="text")
    renderer = Renderer(
        question="?", numbers="raw", features=(feature,), verbalizers={"a": "a"}, masking=Masking(kinds=KINDS)
    )
    for one in PLANTED:
        raw = f"{one.text}\n\n{one.text}"
        assert renderer.message({"note": mask(raw)}) == renderer.message({"note": raw})
        assert one.text[one.start : one.end] not in renderer.message({"note": raw})


def test_a_renderer_without_masking_keeps_the_hash_that_it_had_before_there_was_any() -> None:
    feature = RenderedFeature(column="note", name="note", kind="text")
    old = Renderer(question="?", numbers="raw", features=(feature,), verbalizers={"a": "a"})
    assert "masking" not in old.model_dump(mode="json")
    assert Renderer.model_validate(old.model_dump()) == old
    masked = old.model_copy(update={"masking": Masking(kinds=KINDS)})
    assert masked.content_hash() != old.content_hash()
    fewer = old.model_copy(update={"masking": Masking(kinds=("date",))})
    assert fewer.content_hash() != masked.content_hash()


def test_check_digits() -> None:
    assert is_nhs("943 476 5919")  # the example of the NHS Data Dictionary
    assert not is_nhs("943 476 5918")
    assert is_iban("DE89 3704 0044 0532 0130 00")  # the example of the IBAN registry
    assert not is_iban("DE88 3704 0044 0532 0130 00")
    assert is_kvnr("A123456780")
    assert not is_kvnr("A123456789")


def test_every_repetition_is_bounded_so_that_no_text_stalls_the_search() -> None:
    unbounded = [f.regex.pattern for f in FORMS if _most_repeats(_parser.parse(f.regex.pattern)) > 1000]
    assert unbounded == []


def _most_repeats(parsed: object) -> int:
    """The highest repetition anywhere in a parsed expression."""
    if isinstance(parsed, _parser.SubPattern | list | tuple):
        own = [parsed[1][1]] if len(parsed) == 2 and parsed[0] in _REPEATS else []
        return max([*own, *map(_most_repeats, parsed)], default=0)
    return 0


def test_allow_needs_a_reason_and_kinds_are_known() -> None:
    with pytest.raises(ValidationError, match=r"allow needs `privacy\.why`"):
        PrivacyConfig(identifiers="allow")
    with pytest.raises(ValidationError, match="name at least one"):
        PrivacyConfig(kinds=())
    with pytest.raises(ValidationError, match="one stands twice"):
        PrivacyConfig(kinds=("date", "date"))
    assert PrivacyConfig().identifiers == "block"
    assert PrivacyConfig(identifiers="allow", why="public").masked == ()


@pytest.mark.parametrize("seed", range(3))
def test_false_alarms_on_real_text_are_rare(shared_data: object, seed: int) -> None:
    """ECG reports are de-identified: they must hold nothing."""
    import pandas as pd

    reports = pd.read_csv(f"{shared_data}/ecg-reports/ptbxl_afib.csv")["report"]
    found = Counter(f.kind for report in reports.sample(300, random_state=seed) for f in find(report))
    assert not found


def test_sentences_are_in_both_languages() -> None:
    assert all(len(sentences) >= 3 for sentences in SENTENCES.values())
