"""The items of TRIPOD+AI and TRIPOD-LLM by number, each in words of our own.

TRIPOD+AI: Collins et al. 2024, BMJ 385:e078378 (doi 10.1136/bmj-2023-078378), 27 items with 52 entries.
TRIPOD-LLM: Gallifant et al. 2025, Nat Med 31:60 (doi 10.1038/s41591-024-03425-5), 19 items with 49 entries as
its Table 2 prints them; those that ask for what a TRIPOD+AI entry asks for stand beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

ALL = "all that the item asks"


@dataclass(frozen=True)
class Item:
    """One entry: its numbers in both checklists, what it asks, and what no run can establish of it."""

    ai: str
    """Number in TRIPOD+AI; empty where only TRIPOD-LLM asks."""
    llm: str
    """Numbers in TRIPOD-LLM, separated by blanks; may be empty."""
    asks: str
    person: str
    """What a person must write in any case; empty where what the run found can answer the whole."""

    @property
    def key(self) -> str:
        """The name under which it is answered."""
        return self.ai or f"LLM {self.llm}"

    @property
    def label(self) -> str:
        """Its numbers as the table shows them."""
        beside = ", ".join(self.llm.split())
        return self.key if not (self.ai and beside) else f"{self.ai} (LLM {beside})"


SECTIONS: dict[str, tuple[Item, ...]] = {
    "Title, abstract, introduction": (
        Item("1", "1", "Title: development or evaluation, who, which outcome", "the title"),
        Item("2", "2", "Abstract by the checklist for abstracts", "the abstract"),
        Item("3a", "3a", "Clinical context, why a model, earlier models", ALL),
        Item("3b", "3b", "Whom it is for, purpose in the care pathway, its users", ALL),
        Item("3c", "", "Known health inequalities between groups", ALL),
        Item("4", "4", "Objectives; development, evaluation or both", "the clinical objective"),
    ),
    "Methods: data": (
        Item("5a", "5a", "Sources of the data, why these, how representative",
             "kind of study or register, why these data, whom they represent"),
        Item("5b", "5c", "Dates of the data, first to last",
             "first and last date of the records; dates of the texts that the base model was trained on"),
        Item("6a", "", "Setting, number and place of centres", "kind of care and places"),
        Item("6b", "", "Who was eligible", ALL),
        Item("6c", "", "Treatments received and how they were handled", ALL),
        Item("7", "5d", "Preparation and quality checks, alike across groups?",
             "preparation before the file was given to Primum; whether it was alike across groups"),
        Item("8a", "", "The outcome: definition, horizon, how and when assessed, why",
             "definition, time horizon, how and when it was assessed, why this outcome"),
        Item("8b", "7d", "Who assessed the outcome where that takes judgement", ALL),
        Item("8c", "", "Blinding of the assessment of the outcome", ALL),
        Item("9a", "", "How the first predictors were chosen", "why these predictors"),
        Item("9b", "", "Every predictor: definition, how and when measured, blinding",
             "how and when each was measured, blinding"),
        Item("9c", "", "Who assessed predictors where that takes judgement", ALL),
        Item("10", "", "How the sample size came about and whether it suffices",
             "the calculation made before the data were collected (`primum power` makes one)"),
        Item("11", "5e", "Missing data; reasons for leaving data out",
             "why values are missing; what was left out before the file was given to Primum"),
    ),
    "Methods: analysis": (
        Item("12a", "", "How the data were used and divided", ""),
        Item("12b", "", "How predictors were handled: scale, form", ""),
        Item("12c", "6b", "Type of model and why, all steps, tuning, internal validation",
             "why this type of model; how the base model was built and aligned (its developers' account)"),
        Item("12d", "", "Differences between clusters such as hospitals", ""),
        Item("12e", "", "Measures and plots of performance, comparison of models", "why these measures"),
        Item("12f", "", "Updating of the model after the evaluation", ""),
        Item("12g", "7c", "How predictions were calculated", ""),
        Item("13", "", "Class imbalance: method, why, recalibration", "why it was done"),
        Item("14", "", "Approaches to fairness and why", "why these groups; what else was done for fairness"),
        Item("15", "6d 6e", "Output, classification, thresholds and why",
             "why this classification and these thresholds suit the decision"),
        Item("16", "", "Differences between training and evaluation data",
             "whether the parts differ in time, setting or eligibility"),
        Item("17", "13", "Ethics approval, consent or waiver", ALL),
    ),
    "Open science, involvement": (
        Item("18a", "14a", "Funding and the funders' role", ALL),
        Item("18b", "14b", "Conflicts of interest", ALL),
        Item("18c", "14c", "Protocol: where, or that there is none", ALL),
        Item("18d", "14d", "Registration, or that there is none", ALL),
        Item("18e", "14e", "Availability of the data", "whether and how others can have the data"),
        Item("18f", "14f", "Availability of the code", "where the code can be had"),
        Item("19", "15", "Involvement of patients and the public, or that there was none", ALL),
    ),
    "Results": (
        Item("20a", "16a", "Flow of participants, with and without the outcome", "follow-up time, a flow diagram"),
        Item("20b", "16b", "Characteristics, dates, events, missing data, per source and group",
             "characteristics of the patients, key dates, treatments"),
        Item("20c", "16c", "Development and evaluation data compared", "how the main predictors compare"),
        Item("21", "16d", "Participants and events in each analysis", ""),
        Item("22", "", "The full model, so that others can use it; restrictions",
             "who may have the adapter, under which licence"),
        Item("23a", "17", "Performance with intervals, also in key subgroups", ""),
        Item("23b", "", "Performance across clusters", ""),
        Item("24", "18", "Results of updating", ""),
    ),
    "Discussion": (
        Item("25", "19a", "Interpretation, with fairness and earlier studies", "the interpretation"),
        Item("26", "19b", "Limitations and what they do to bias and generalisability", "what the limits mean here"),
        Item("27a", "19e", "Poor or missing input in use: how to notice and handle it", ALL),
        Item("27b", "19f", "What users must do, and how expert they must be", ALL),
        Item("27c", "19g", "Next steps of research", ALL),
    ),
    "Asked by TRIPOD-LLM only": (
        Item("", "5b", "The data points: distribution, source, languages, countries",
             "languages and countries of the records"),
        Item("", "6a", "Name, version and last training date of the language model",
             "last training date of the base model (its developers' account)"),
        Item("", "6c", "How text was generated: prompt, settings, seed, consistency", ""),
        Item("", "7a", "Quality of generated text against a gold standard", ""),
        Item("", "7b", "Relevance of the measures for the use in practice", "their relevance in practice"),
        Item("", "7e", "Comparison with other models, people, benchmarks",
             "whether people or other language models must be compared, and the result"),
        Item("", "8a", "Annotation: how text was labelled, guideline", ALL),
        Item("", "8b", "Annotation: how many annotators, agreement", ALL),
        Item("", "8c", "Annotation: experience of the annotators, or models that labelled", ALL),
        Item("", "9a", "How the prompt was designed and chosen", "how its wording came about"),
        Item("", "9b", "Which data the prompt was developed on", "which records were read while wording it"),
        Item("", "10", "Preparation of data before summarising", ""),
        Item("", "11", "Instruction tuning or alignment: instructions, data, raters", ""),
        Item("", "12", "Compute: machines, time, cost", "machines and cost"),
        Item("", "19c", "Known difficulties of the data for this task",
             "representation, missingness and bias in this field"),
        Item("", "19d", "Intended use: input, user, autonomy, oversight by people", ALL),
    ),
}  # fmt: skip
"""Heading -> its items; every number of both checklists stands once."""
