"""Names of people in English and German text: capitalised words that a title, a role, a label or an age announces.

No list of names is used: a name that nothing announces ("John came in with a cough") is not found.
"""

from __future__ import annotations

_NOT = (  # capitalised words that follow a title or a label without being a name
    r"(?!(?:The|He|She|It|They|We|You|And|Or|Is|Was|Has|Had|Did|Does|Denies|Reports|States|Presents|Patient\w{0,6}|Pat|"
    r"Yes|No|Not|None|Yeah|Yep|Okay|Ok|Well|Good|Thanks?|Hi|Hello|Sure|So|But|My|Um|Uh|Oh|Hmm|What|When|Where|"
    r"How|Why|Do|Are|Can|Could|Would|Will|That|This|There|These|If|In|On|At|For|With|From|As|An|Of|Unknown|"
    r"Der|Die|Das|Ein\w{0,3}|Er|Sie|Es|Wir|Und|Ist|War|Hat|Hatte|Mit|Im|Am|Bei|Nach|Seit|Kein\w{0,3}|Ja|Nein|Kolleg\w{0,6}|"
    r"Colleagues?|Doctors?|Doktor\w{0,5}|Sir|Madam|Team|Damen|Herren|Unbekannt|Mr|Mrs|Ms|Dr|Prof|Herrn?|Frau|"
    r"Diagnos\w{0,4}|Anamnese|Befund|Therapie|Date|Name|Age|Sex|DOB|MRN|Address|Phone|Tel|Geb|Born|Geburts\w{0,9})\b)"
)
_CAPITAL = r"[A-ZÀ-ÖØ-ÞĀĆČĐĞŁŃŘŚŞŠŻŽ]"
_PARTICLES = (  # "van der Berg", but not "Herr der Lage"
    r"(?!(?:der|den|dem|des) )"
    r"(?:(?:[Vv]on|[Vv]an|[Dd]en?|[Dd]er|[Zz]u[mr]?|[Ll]a|[Ee]l|[Aa]l|bin|ibn|[Dd]el|[Dd]i|[Dd]a|[Tt]en) ){0,2}"
)
_WORD = (
    rf"{_PARTICLES}{_NOT}(?:O['’]|Mc|Mac|D['’])?{_CAPITAL}[^\W\d_]{{1,40}}(?:['’-][^\W\d_]{{1,40}}){{0,3}}"
)
_INITIAL = rf"{_CAPITAL}\. ?"
_NEXT = rf"(?:(?: {_INITIAL}){{1,2}} ?| ){_WORD}"
_NAME = rf"(?:{_INITIAL}){{0,3}}{_WORD}(?:{_NEXT}){{0,2}}"
_FULL_NAME = rf"(?:(?:{_INITIAL}){{1,3}}{_WORD}|{_WORD}(?:,? {_CAPITAL}\.|, {_WORD}|{_NEXT}))(?:{_NEXT})?"
_ENDS = r"(?= ?(?:$|[\n,;.()|/*]|DOB|geb|born|MRN|aged|is |was |ist |war |wurde |\d\d?[./-]\d))"
"""What follows a name that only a role announces: "Patient: Two Persian cats" is talk."""

_TITLE = (
    r"\b(?:(?:Dr|DR|Dres|Prof|PROF|Hr|Fr|Mx|MRS?|M[rs]s?)\.|"
    r"(?:Dr|Mr|Mrs|Ms|Miss|Mx|Herrn?|HERRN?|Frau|FRAU|Professor(?:in)?|Doctor|Ober[aä]rzt(?:in)?|Chef[aä]rzt(?:in)?)\b)"
    r"(?: ?(?:med|phil|rer|nat|habil|dent|h\. ?c)\.| ?(?:Dr|Prof|Priv|Doz)\.| (?:Dr|Prof|Doktor|Professor)\b){0,5}"
)
_LABEL = (
    r"\b(?i:(?:(?:patient(?:'s|in|en)?|full|last|first|family|maiden|given|mother's|father's)[ -]?)?name|surname|"
    r"(?:nach|vor|familien|patienten)name|next of kin|emergency contact|angehörige[rn]?|ansprechpartner(?:in)?)"
    r"(?: ?(?::|=) ?| is | ist )"
)
_ROLE = (
    r"\b(?i:patient(?:in)?|pt|physician|attending|provider|surgeon|nurse|radiologist|cardiologist|gp|pcp|author|"
    r"contact|arzt|ärztin|hausarzt|hausärztin|einweiser|zuweiser|untersucher(?:in)?|befunder|operateur(?:in)?|"
    r"kontakt|anästhesist(?:in)?) ?: ?"
)
_SIGNED = (
    r"\b(?i:(?:electronically )?signed(?: by)?|dictated by|transcribed by|reviewed by|referred by|accompanied by|"
    r"unterschrift|gez\.|überwiesen von|diktiert von|begleitet von)[: ] ?"
)
_SO_OLD = r"(?=(?: is|,) an? (?:[\w-]{1,30},? ){0,3}\d{1,3}[ -](?:year|month)s?[ -]old)"
_NOBODY = r"(?<!man)(?<!male)(?<!lady)(?<!patient)(?<!girl)(?<!boy)"
_BORN = rf"{_NOBODY}(?= ?[,.] (?i:date of birth|dob|mrn|medical record number)\b)"

FORMS = (
    rf"{_TITLE} ?(?P<x>{_NAME})",
    rf"{_LABEL}(?P<x>{_FULL_NAME}|{_NAME})",
    rf"{_SIGNED}(?P<x>{_FULL_NAME})",
    rf"\bgez\.:? ?(?P<x>{_NAME})",
    rf"{_ROLE}(?P<x>{_FULL_NAME}){_ENDS}",
    rf"\b(?:Dear|Lieber?) (?P<x>{_NAME})(?=,|!)",
    rf"\b(?:geb\.|[Gg]eborene|n[ée]e) (?P<x>{_WORD})",
    rf"\b(?P<x>{_FULL_NAME}){_SO_OLD}",
    rf"\b(?<!-)(?P<x>[^\W\d_]{{2,40}} [^\W\d_]{{2,40}}){_BORN}",
    rf"\b(?i:my name is|mein name ist|ich heiße) (?P<x>{_NAME})",
)
"""Group `x` is the name; the title before it stays."""
