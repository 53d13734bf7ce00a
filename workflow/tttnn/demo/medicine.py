"""Biomedicine: abstracts, articles, grants and patents about the same invented proteins."""

from tttnn.demo.register import Domain, Register

MEDICINE = Domain(
    "medicine",
    (
        """
protein 3
    [<^syllable><coda>in|<^stem>[ase|in|ectin|ulin|ostatin]][-<greek>|-[2|3|4|5|7|12]|]
    <initial><initial><initial>[1|2|4|6|9|11|17|22][A|B|L|]
greek:
    alpha, beta, gamma, delta, kappa
drug 2
    <stem>[mab|tinib|stat|pril|azole|oxin|idine|afenib|umab|vir]
disease 2
    <surname>'s [syndrome|disease|nephritis|palsy]
    [chronic|juvenile|acute|familial|refractory] <site> [fibrosis|ischemia|dystrophy|inflammation]
    <site> [carcinoma|lymphoma|hyperplasia|insufficiency|edema]
site 2:
    hepatic, renal, pulmonary, cardiac, cerebral, retinal, gastric, pancreatic, splenic, dermal,
    cochlear, vertebral, colonic, adrenal, thyroid, synovial
cells 3
    [<site>|primary|cultured|human|murine|peripheral] [epithelial cells|fibroblasts|macrophages]
    [<site>|primary|cultured|human|murine|cortical] [neurons|keratinocytes|stem cells|organoids]
    [CD4+|CD8+|CD19+|regulatory] [T cells|B cells|lymphocytes]
pathway 2
    [Wnt|Notch|mTOR|NF-kB|JAK/STAT|Hedgehog|MAPK|TGF-beta|Hippo|PI3K] signaling
    [autophagy|apoptosis|glycolysis|lipid oxidation|calcium influx|mitochondrial fission]
assay 3:
    flow cytometry, quantitative PCR, western blotting, immunohistochemistry, mass spectrometry,
    patch-clamp recording, confocal microscopy, RNA sequencing, ELISA, cryo-electron microscopy,
    ChIP-seq, live-cell imaging, magnetic resonance imaging, ultrasound elastography
device 2
    a(n) [implantable|portable|disposable|microfluidic|wearable] <instrument>
instrument:
    catheter, stent, infusion pump, sensor patch, biochip, inhaler, electrode array, endoscope,
    nebulizer, sampling cartridge, glucose monitor, suturing device, needle guide
marker 2
    serum [ferritin|creatinine|lactate|albumin|bilirubin|calprotectin|troponin|leptin]
    [C-reactive protein|IL-6|TNF-alpha|IL-10|interferon-gamma|cystatin C|VEGF]
place
    the [University|Medical School|Institute] of <town>
change
    [reduced|increased|abolished|delayed|enhanced|restored|attenuated|doubled]
effect
    [expression|phosphorylation|secretion|degradation|nuclear translocation|activity] of <protein>
    [proliferation|migration|survival|differentiation|senescence] of <cells>
    <pathway>
    the level of <marker>
model
    [mice lacking <protein>|a(n) <site> injury model|zebrafish larvae|transgenic rats|<cells>]
finding 36
    <^protein> [binds|represses|stabilizes|cleaves|recruits] <protein> in <cells>, and its loss
        <change> <effect>.
    Treatment with <drug> <change> <effect> in <model> by <12..88>%, an effect that depends on
        <pathway>.
    Patients with <disease> had [higher|lower|more variable] <marker> than controls (<1.1..9.9> vs
        <1.1..9.9> [ng/mL|mg/dL|U/L]; P [=|<] 0.0<11..49>).
    [Silencing|Overexpression|Pharmacological inhibition] of <protein> <change> <effect> and
        <change> <effect>.
    A [missense|frameshift|splice-site] mutation in <protein> segregates with <disease> in
        <several> unrelated families.
    The interaction of <protein> with <protein> is required for <effect> in response to <drug>.
    In <model>, <assay> showed that <effect> precedes the onset of <disease> by <2..30>
        [days|weeks].
fresh
    <^assay> [revealed|confirmed|indicated|demonstrated] [a marked|a modest|a dose-dependent|no]
        change in <effect> after <3..72> h.
    We [enrolled|followed|examined|recruited] <24..980> patients with <disease> [and <20..400>
        controls|] between <Year> and 20<19..23>.
    <^effect> was [significantly|slightly|consistently] <change> in <model> [compared with
        controls|relative to vehicle|at day <3..28>] (<1.2..6.8>-fold, n = <3..24>).
    The hazard ratio for [relapse|death|progression] was <0.3..2.9> (95% CI, <0.2..0.9> to
        <1.1..4.8>) in the <drug> group.
    [Interestingly|Unexpectedly|Notably|As expected], <drug> [had no influence on|<change>] <effect>
        [at doses below <2..90> mg/kg|in <cells>|when <pathway> was blocked].
    <^moreover>, <cells> from patients with <disease> [displayed|showed|retained] altered <effect>.
    Median [follow-up|survival|age] was <12..71> [months|weeks|years] (range, <1..11>-<72..94>).
    It is [unclear|unknown|debated] whether <protein> [acts upstream of|is needed for|regulates]
        <effect>.
    Adverse events [occurred|were recorded] in <2..39>% of those given <drug> and <1..30>% of
        those given placebo.
""",
    ),
)

ABSTRACTS = """
topic_title 3
    [Role|Function|Regulation|Loss|Targeting] of <protein> in <disease>
    <^protein> [controls|mediates|predicts|limits] <effect> in <disease>
    [Effects|Efficacy|Safety] of <drug> in <disease>: a [randomized trial|cohort study|pilot study]
aim
    <^disease> is a [common|rare|poorly understood|leading] cause of [morbidity|disability|death].
    The [role|contribution] of <protein> to <disease> [is not known|remains controversial].
    The aim of this study was to [assess|determine|compare] <effect> in <disease>.
open
    <topic_title>.¶[BACKGROUND: |OBJECTIVE: |AIMS: |]<aim>[ <aim>|]
    <topic_title>¶<aim> <finding>
sentence
    <finding>
    <fresh>
    <fresh>
close
    [¶CONCLUSIONS:|] [These results suggest|Our data indicate|We conclude] that <protein> [is a
        candidate target in|contributes to|may be a marker of] <disease>.
"""

ARTICLES = """
citation
    [\\[<1..9>\\]|\\[<10..48>, <49..60>\\]|(<surname> et al., 20<01..19>)|]
intro
    <^disease> affects about <2..90> in [10,000|100,000] [people|newborns|adults] and has [few|no
        approved|only symptomatic] treatments <citation>.
    [Previous|Earlier|Our own] work has [implicated|linked] <protein> [in|to] <effect> <citation>.
    <finding> [This has not been tested in <model>.|The reason is unclear.|]
    We therefore [asked|investigated] whether <protein> and <protein> cooperate in <effect>.
method
    <^cells> were [seeded|plated|maintained] at <2..9> x 10^<3..6> cells per well in [DMEM|RPMI
        1640|Neurobasal medium] with <2..20>% fetal bovine serum at 37 °C.
    [Samples|Lysates|Sections] were [incubated|stained] with anti-<protein> antibody (1:<50..900>)
        overnight at 4 °C and [imaged|analyzed] by <assay>.
    Mice received <drug> (<1..80> mg/kg, i.p.) [daily|twice weekly|every <2..6> days] for <1..9>
        weeks.
    The study was approved by the ethics committee of <~place> (no. <1000..9999>).
    Data are mean ± s.e.m.; groups were compared by [ANOVA|Student's t-test|the log-rank test] in
        [R <3.1..4.2>|Prism <5..9>|SPSS <18..26>].
result
    <finding>
    <fresh> [See also Fig. <1..7>[A|B|C|D].|See Table <1..4>.|]
    <fresh>
    As shown in Fig. <1..8>, <effect> was <change> by <drug> [but not by vehicle|in <cells>].
discussion
    Our [results|findings|data] [support|extend|challenge] the view that <protein> [drives|limits]
        <effect> <citation>.
    <finding> [Whether this holds in patients is not known.|This agrees with <surname> et al.|]
    A limitation is that <assay> [cannot resolve|may underestimate] <effect> in <cells>.
    <^however>, the effect of <drug> on <effect> [was weak|varied|did not last beyond day <3..30>].
"""

GRANTS = """
open
    DESCRIPTION (provided by applicant): <finding>
    [PROJECT SUMMARY|Abstract]: <^disease> [places a growing burden on|threatens] [patients|health
        systems|the elderly]. <finding>
part
    [ |¶]<sentence>
sentence
    <finding>
    <fresh>
    [Aim|Specific Aim] <1..3> will [test the hypothesis that|determine whether] <protein> [governs|
        disrupts|protects] <effect> using <assay>.
    We will [generate|breed|characterize] <model> and [measure|map|quantify] <effect> with <assay>.
    The [long-term goal|objective] of this [project|program|R01 application] is to [define|exploit]
        how <protein> shapes <effect> in <disease>.
    Our [central hypothesis is|preliminary data show] that <drug> acts on <protein> [through|
        independently of] <pathway>.
    The [Principal Investigator|candidate], Dr. <surname>, is [an expert in|trained in] <assay> at
        <~place>.
    This [training grant|core facility] provides <assay> to <2..19> [laboratories|projects].
close
    ¶PUBLIC HEALTH RELEVANCE: [This work|The proposed research] [will|may] [lead to|suggest] new
        [therapies|diagnostics] for <disease>.
"""

PATENTS = """
open
    1. Field of the Invention¶The present invention relates [generally|] to [<device>|compositions
        comprising <drug>|methods of treating <disease>], and more particularly to [<device> for
        the delivery of <drug>|the modulation of <protein>].¶2. Description of the Related Art¶
    This application claims priority to [Japanese|U.S. Provisional|Korean] Application No.
        <60..62>/<100..999>,<100..999>, filed <Month> <1..28>, <Year>.¶The invention
        [concerns|pertains to] <device> [for use in|suited to] <disease>.¶Background¶
part
    [ |¶]<art>
claim 28
    [Conventionally|In general], <device> comprises a [housing|reservoir|lumen|membrane] <number>
        and a [valve|flange|spring|porous film] <number> which [engages|surrounds] the [distal|
        proximal] end thereof.
    However, <device> of this [kind|type] [is difficult to sterilize|tends to clog|is costly to
        manufacture], because <drug> [adheres to|degrades on] the [inner wall|substrate|seal].
    <^drug> is known to [inhibit|bind|activate] <protein> and has been [proposed|used] for the
        treatment of <disease>.
    [Antibodies|Peptides|Antisense oligonucleotides] against <protein> [suffer from|exhibit] [poor
        stability|low bioavailability|rapid clearance] in <site> tissue.
number
    <10..98>[a|b|]
art
    <claim>
    <claim>
    <finding>
    U.S. Pat. No. <4..8>,<100..999>,<100..999> to <surname> [et al. |]discloses <device> [wherein
        <drug> is|having a chamber that is] [stored|heated|released] at <20..90>° C.
    Japanese Unexamined Patent Publication No. <1990..2010>-<10000..99999> [describes|teaches] a
        [method|process] of [purifying|coating|measuring] <protein> by <assay>.
    [Thus|Accordingly|Therefore], there [is|remains] a need for [an improved|a simple|a low-cost]
        [method|apparatus] that [overcomes|avoids] the [above|aforementioned] [problems|drawbacks].
    The [thickness|diameter|pore size] of the [film|tube|layer] is preferably from <1..40> to
        <50..900> [μm|nm|mm], [although|but] the invention is not limited thereto.
    It is [therefore|] an object of the invention to provide <device> [in which|whereby] <effect> is
        <change>.
"""

REGISTERS = (
    Register(
        "PubMed Abstracts",
        MEDICINE,
        (ABSTRACTS,),
        sections=(
            ("<open>", " <sentence>"),
            ("¶[RESULTS: |METHODS AND RESULTS: |FINDINGS: |]<sentence>", " <sentence>"),
        ),
        close="<close>",
        characters=(600, 1400),
    ),
    Register(
        "PubMed Central",
        MEDICINE,
        (ARTICLES,),
        sections=(
            ("[Introduction|Background|1. Introduction]¶¶<^intro>", " <^intro>"),
            ("¶¶[Methods|Materials and methods]¶¶<^method>", " <^method>"),
            ("¶¶Results¶¶<^result>", "[ | |¶¶]<^result>"),
            ("¶¶Discussion¶¶<^discussion>", " <^discussion>"),
        ),
        characters=(1000, 1600),
        sometimes_long=True,
    ),
    Register("NIH ExPorter", MEDICINE, (GRANTS,), close="<close>", characters=(700, 1600)),
    Register("USPTO Backgrounds", MEDICINE, (PATENTS,), characters=(700, 1600)),
)
