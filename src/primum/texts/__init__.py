"""Judging generated clinical text without another language model: form, overlap with a reference, facts.

Everything here is a pure function of the texts. What it finds is given as positions, never as words: the text of
a record belongs into local example files only, not into a log, an error or an evidence.
"""
