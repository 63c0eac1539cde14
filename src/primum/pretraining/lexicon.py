"""The words of the synthetic worlds: general and clinical English, and made-up names.

They are a vocabulary, not knowledge: the generator pairs them at random, so no word of it tells the base
anything about a disease. Words that are common in record headings stand here so that they cost one token.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

NOUNS = tuple(
    dict.fromkeys(
        """age sex weight height pulse pressure rate count volume area radius perimeter texture
        smoothness compactness concavity symmetry dimension thickness diameter length width depth
        density size shape score grade stage level index ratio time delay duration onset interval
        dose drug aspirin heparin insulin treatment therapy surgery stent catheter tube device
        implant transfusion infusion oxygen saturation ventilation breathing cough wheeze fever
        temperature chills sweat rash itch pain angina ache headache dizziness nausea vomiting
        diarrhoea constipation bleeding bruising swelling oedema fatigue weakness deficit numbness
        tremor seizure stroke infarct tumour mass lesion nodule cyst polyp node metastasis biopsy
        margin cell nucleus platelet haemoglobin haematocrit leukocyte lymphocyte neutrophil glucose
        sugar cholesterol triglyceride lipid protein albumin bilirubin creatinine urea sodium
        potassium calcium magnesium phosphate chloride iron ferritin vitamin enzyme amylase lipase
        troponin lactate hormone thyroid cortisol antibody antigen virus bacteria culture infection
        sepsis wound ulcer fracture bone joint muscle nerve skin hair eye ear nose throat mouth
        tooth tongue neck chest breast lung heart valve artery vein vessel aorta ventricle atrium
        rhythm fibrillation tachycardia slope peak segment wave interval axis scan image contrast
        opacity shadow effusion kidney bladder urine prostate uterus ovary pregnancy birth infant
        mother father family history smoking alcohol diet exercise sleep work income education
        marriage region country hospital ward clinic visit referral admission discharge day night
        month year season diabetes hypertension asthma anaemia cancer disease syndrome disorder
        injury allergy risk outcome status type class group code source method test result finding
        response reaction tolerance consciousness memory mood anxiety depression stress energy
        appetite thirst vision hearing speech gait balance strength flexion point error fraction
        clearance output input flow resistance compliance gradient width tone reflex pupil duct
        sphincter pancreas liver spleen stomach bowel colon rectum gallbladder hernia access side
        site position""".split()  # noqa: SIM905 - a word list
    )
)
MODIFIERS = tuple(
    """mean worst best total resting maximal minimal systolic diastolic serum plasma fasting random left
    right upper lower anterior posterior acute chronic recent prior early late initial final daily
    weekly median average standard relative absolute free bound direct indirect primary secondary
    major minor mild severe visible suspected known new old difficult fractal concave clinical
    atrial cardiac renal hepatic pulmonary cerebral arterial venous peripheral central body blood
    white red exercise family prophylactic baseline induced""".split()  # noqa: SIM905 - a word list
)
CATEGORY_VALUES: tuple[tuple[str, ...], ...] = (
    ("yes", "no"),
    ("present", "absent"),
    ("male", "female"),
    ("none", "mild", "moderate", "severe"),
    ("low", "normal", "high"),
    ("never", "former", "current"),
    ("left", "right", "both"),
    ("typical", "atypical", "other", "none"),
    ("up", "flat", "down"),
    ("normal", "abnormal"),
    ("fixed", "reversible", "normal"),
    ("drowsy", "alert", "unconscious"),
    ("small", "medium", "large"),
    ("inpatient", "outpatient"),
    ("placebo", "active"),
    ("red", "green", "blue", "white"),
    ("one", "two", "three", "four"),
)
BINARY_ANSWERS: tuple[tuple[str, str], ...] = (
    ("no", "yes"),
    ("no", "yes"),
    ("negative", "positive"),
    ("benign", "malignant"),
    ("low", "high"),
    ("alive", "dead"),
    ("absent", "present"),
    ("healthy", "ill"),
    ("normal", "abnormal"),
    ("stable", "critical"),
    ("false", "true"),
    ("independent", "dependent"),
    ("survived", "died"),
    ("discharge", "admit"),
)
ORDERED_ANSWERS: tuple[tuple[str, ...], ...] = (
    ("low", "medium", "high"),
    ("mild", "moderate", "severe"),
    ("none", "mild", "moderate", "severe"),
    ("no", "maybe", "yes"),
    ("green", "yellow", "red"),
)
SUBJECTS = ("patient", "case", "person", "mass", "lesion", "woman", "man", "child", "record")
_ONSETS = (*"bcdfgklmnprstvz", "br", "cl", "dr", "fl", "gr", "pl", "st", "tr")
_VOWELS = "aeiou"
_ENDS = "nrslxm"


T = TypeVar("T")


def pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    """One of `options`, all equally likely."""
    return options[int(rng.integers(len(options)))]


def made_up(rng: np.random.Generator) -> str:
    """A pronounceable word of two or three syllables that means nothing, such as `velorin`."""
    syllables = [pick(rng, _ONSETS) + pick(rng, _VOWELS) for _ in range(int(rng.integers(2, 4)))]
    return "".join(syllables) + pick(rng, _ENDS)


def answer_pair(rng: np.random.Generator) -> tuple[str, str]:
    """Two opposite answers; but for no/yes either may come first, so that no word means a high value."""
    pair = pick(rng, BINARY_ANSWERS)
    return pair if pair[1] == "yes" or rng.random() < 0.5 else (pair[1], pair[0])


def feature_name(rng: np.random.Generator, hardness: float = 1.0) -> str:
    """A name of one to three words; fully hard, one in eight is made up, one in ten a code."""
    if rng.random() > hardness:
        return pick(rng, NOUNS)
    roll = rng.random()
    if roll < 0.10:
        return pick(rng, NOUNS)[:4] + str(rng.integers(1, 10))
    if roll < 0.22:
        return made_up(rng)
    words = [pick(rng, NOUNS)]
    if rng.random() < 0.5:
        words.insert(0, pick(rng, MODIFIERS))
    if rng.random() < 0.25:
        words.append(pick(rng, NOUNS))
    return " ".join(words)


def feature_names(rng: np.random.Generator, count: int, hardness: float = 1.0) -> tuple[str, ...]:
    """`count` different names; half of the long lists combine few nouns with few modifiers, as records do."""
    names: dict[str, None] = {}
    grid = count >= 6 and rng.random() < 0.5 * hardness
    nouns = [pick(rng, NOUNS) for _ in range(max(3, count // 2))]
    modifiers = [pick(rng, MODIFIERS) for _ in range(4)]
    while len(names) < count:
        combined = grid and rng.random() < 0.85
        names[f"{pick(rng, modifiers)} {pick(rng, nouns)}" if combined else feature_name(rng, hardness)] = (
            None
        )
    return tuple(names)
