"""Symptoms, signs and habits that notes affirm or deny, in the words of notes and of patients.

An own list of common terms: what it does not name is not checked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_TERMS = """
chest pain; chest pains; chest discomfort; chest tightness; chest pressure
shortness of breath; short of breath; dyspnea; trouble breathing; difficulty breathing; breathlessness; sob
palpitation; palpitations; heart racing; racing heart
edema; swelling; swollen
syncope; fainting; passed out; passing out; loss of consciousness; blacking out; fainted
dizziness; dizzy; lightheadedness; lightheaded; light-headed; light-headedness; vertigo
fever; fevers; febrile
chills; chill
night sweats; sweats; sweating; diaphoresis
cough; coughing; coughs
hemoptysis; coughing up blood; coughing blood
wheezing; wheeze; wheezes
rhonchi
rales; crackles
sputum; phlegm
sore throat; throat pain
congestion; nasal congestion; congested; stuffy nose; stuffiness
rhinorrhea; runny nose
headache; headaches; migraine; migraines
nausea; nauseous; nauseated
vomiting; vomit; throwing up; vomited; emesis
diarrhea; loose stools
constipation; constipated
abdominal pain; belly pain; stomach pain; pain in your belly; pain in my belly
heartburn; acid reflux; reflux; gerd
jaundice; jaundiced
melena; black stools; black stool; tarry stools
hematochezia; blood in stool; blood in stools; blood in the stool; blood in your stool; bloody stools; rectal bleeding
dysuria; burning with urination; burning when you urinate; painful urination; pain with urination
hematuria; blood in urine; blood in the urine; blood in your urine; blood in my urine
incontinence; leakage
urgency
frequency
rash; rashes; skin rash
itching; itchiness; pruritus; itchy
hives; urticaria
bruising; bruises; bruise; ecchymosis
bleeding
erythema; redness
warmth
drainage; discharge
ulcer; ulcers; ulceration
lesion; lesions
infection; infections
back pain
neck pain
knee pain
shoulder pain
hip pain
ankle pain
joint pain; joint pains; arthralgia; arthralgias
muscle pain; myalgia; myalgias; muscle aches; body aches
leg pain
pain; painful; hurt; hurts; hurting
tenderness; tender
stiffness; stiff
weakness; weak
numbness; numb
tingling; pins and needles; paresthesia; paresthesias
tremor; tremors; shaking
seizure; seizures; convulsions
fatigue; fatigued; tired; tiredness; exhaustion
weight loss; losing weight; lost weight
weight gain; gained weight; gaining weight
appetite
insomnia; trouble sleeping; difficulty sleeping
anxiety; anxious
depression; depressed
suicidal; suicidal ideation; suicidal ideations; hurting yourself; harming yourself
homicidal; homicidal ideation; homicidal ideations; hurting others; harm others
hallucinations; hallucination
confusion; confused
vision changes; visual changes; change in vision; changes in vision; blurry vision; blurred vision; vision problems
hearing loss
tinnitus; ringing in your ears; ringing in my ears
murmur; murmurs
gallop; gallops
rub; rubs
bruit; bruits
lymphadenopathy; swollen lymph nodes; swollen glands; enlarged lymph nodes
mass; masses
nodule; nodules
lump; lumps
fracture; fractures; fractured; broken bone; broken bones
dislocation; dislocated
effusion; effusions
pneumonia
pneumothorax
instability; unstable
deformity; deformities
crepitus
cyanosis
clubbing
distress
guarding
rebound
hernia; hernias
hepatosplenomegaly; splenomegaly; hepatomegaly; organomegaly
thyromegaly; goiter
stroke; strokes; cva
heart attack; myocardial infarction; heart attacks
heart disease; cardiac disease; coronary artery disease; heart problems
heart failure; chf
hypertension; high blood pressure
diabetes; diabetic
high cholesterol; hypercholesterolemia; hyperlipidemia
asthma; asthmatic
copd; emphysema
tuberculosis; tb
cancer; cancers; malignancy; malignancies
kidney disease; kidney problems; renal disease
liver disease; hepatitis
thyroid disease; thyroid problems; hypothyroidism
anemia; anemic
arthritis; osteoarthritis
blood clot; blood clots; dvt; thrombosis; pulmonary embolism
allergies; allergy; allergic; known drug allergies; drug allergies
smoke; smokes; smoking; smoker; tobacco; cigarettes; cigarette
alcohol; drink; drinks; drinking
illicit drugs; illicit drug; recreational drugs; recreational drug; drug use; street drugs; drugs
caffeine; coffee
surgery; surgeries; operations; operation; surgical
injury; injuries; injured; trauma
accident; accidents
fall; falls; fell; fallen
pregnant; pregnancy; pregnancies
menopause; menopausal
immunizations; vaccinations; vaccine; vaccines; vaccinated
dysphagia; difficulty swallowing; trouble swallowing
abnormality; abnormalities
metastasis; metastases; metastatic
obstruction; blockage
hemorrhage
hypoglycemia; low blood sugar
inflammation; inflamed
infiltrate; infiltrates; consolidation
hydronephrosis
kidney stones; kidney stone; nephrolithiasis
gout
"""
FINDINGS = {
    variant.strip(): line.split(";")[0].strip()
    for line in _TERMS.strip().splitlines()
    for variant in line.split(";")
}
"""How a finding is written, in lower case -> the name by which it is compared."""

_ANY = re.compile(
    r"(?<![\w-])(?:"
    + "|".join(re.escape(v).replace(r"\ ", r"\s+") for v in sorted(FINDINGS, key=len, reverse=True))
    + r")(?!\w)",
    re.IGNORECASE,
)


def mentions(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield the findings that a text names, longest name first: name for comparison, start, end."""
    for found in _ANY.finditer(text):
        yield FINDINGS[" ".join(found[0].casefold().split())], found.start(), found.end()
