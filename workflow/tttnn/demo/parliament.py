"""EuroParl: speeches about the same dossier in one of six languages."""

from tttnn.demo.register import Domain, Register

# In every language: rapporteur, file and committee are a topic's; the sentences are its clichés.
_NAMES = """
rapporteur 3
    <surname>
place 2
    <town>
file_number 2
    [A|B|C]<4..9>-0<100..499>/[1999|2001|2004|2008|2010]
"""

ENGLISH = """
file 2
    the [regulation|directive|framework decision|agreement] on [fisheries in <land>|<noun> labelling
        |carbon leakage|seasonal workers|rail freight|data retention|cotton subsidies|plant health]
stance 32
    <file> [must not|should] [come at the expense of|be extended to|wait for] [consumers|small
        farms|the regions|the candidate countries|our ports]
    the Committee on [Budgets|Fisheries|Transport|Petitions] [amended|rejected|supports] <file>
    what happened in <place> [shows|proves] that <file> is [overdue|not enough|unworkable]
open
    <^rapporteur> ([PPE-DE|PSE|ALDE|Verts/ALE]). - Mr President, <stance>.¶
part
    <speech> <speech>¶
speech
    [I should like to|Allow me to] [thank|congratulate] [Mr|Mrs] <rapporteur> on [his|her] report.
    [We all know|I am convinced|It is unacceptable] that <stance>[, and that <stance>|].
    [Commissioner|Ladies and gentlemen|Mr President], <stance>.
    [My group|The Council] will vote [for|against] Amendments <1..40> and <41..90>, because
        <stance>.
    In <2000..2011>, <2..90> [million euros|per cent of the funds] went to <place>.
    (The sitting was [suspended|closed] at <10..12>.<10..55> [a.m.|p.m.])
"""

GERMAN = """
file 2
    die [Richtlinie|Verordnung|Vereinbarung] über [die Fischerei in <land>|die Kennzeichnung von
        Honig|die Emissionen im Güterverkehr|Saisonarbeiter|das Mehrwertsteuersystem|gefährliche
        Stoffe]
stance 32
    <file> [darf nicht|soll] [zu Lasten der Verbraucher gehen|auf die Regionen ausgeweitet werden|
        die Bürger überfordern|für unsere Häfen gelten]
    der Ausschuss für [Haushalt|Fischerei|Verkehr|Petitionen] hat [Änderungen|Vorbehalte]
        beschlossen
    was in <place> geschehen ist, zeigt: <file> [ist längst überfällig|genügt nicht|wird gebraucht]
open
    <^rapporteur> ([PPE-DE|PSE|ALDE|Verts/ALE]). - Herr Präsident, meine Damen und Herren!
        <^stance>.¶
part
    <speech> <speech>¶
speech
    [Ich möchte|Zunächst darf ich] [Herrn|Frau] <rapporteur> für [den Bericht|die Zusammenarbeit]
        danken.
    [Ich sage ganz offen|Wir alle wissen|Es bleibt dabei]: <stance>.
    [Herr Kommissar|Liebe Kolleginnen und Kollegen], <stance>[, und <stance>|].
    [Meine Fraktion|Der Rat] wird den Änderungsanträgen <1..40> und <41..90> [nicht |]zustimmen.
    Im Jahr <2000..2011> flossen <2..90> [Millionen Euro|Prozent der Mittel] nach <place>.
    ([Beifall|Die Sitzung wird um <10..20>.<10..55> Uhr geschlossen.])
"""

FRENCH = """
file 2
    [la directive|le règlement|l'accord] sur [la pêche en <land>|l'étiquetage du miel|le fret
        ferroviaire|les travailleurs saisonniers|la conservation des données|les déchets dangereux]
stance 32
    <file> [ne doit pas|doit] [pénaliser les consommateurs|s'étendre aux régions|attendre
        l'élargissement]
    la commission [des budgets|de la pêche|des transports] a [amendé|rejeté|approuvé] <file>
    ce qui s'est passé à <place> [montre|prouve] que <file> [arrive trop tard|ne suffit pas]
open
    <^rapporteur> ([PPE-DE|PSE|ALDE|Verts/ALE]). - Monsieur le Président, <stance>.¶
part
    <speech> <speech>¶
speech
    [Je tiens à|Permettez-moi de] [remercier|féliciter] [M.|Mme] <rapporteur> pour [son rapport|sa
        clarté].
    [Nous savons tous|Je suis convaincu|Il est inacceptable] que <stance>.
    [Monsieur le Commissaire|Chers collègues], <stance>[, et <stance>|].
    [Mon groupe|Le Conseil] votera [pour|contre] les amendements <1..40> et <41..90>.
    En <2000..2011>, <2..90> [millions d'euros|% des crédits] sont allés à <place>.
    ([Applaudissements|La séance est levée à <10..20> h <10..55>])
"""

SPANISH = """
file 2
    [la directiva|el reglamento|el acuerdo] sobre [la pesca en <land>|el etiquetado de la miel|
        los trabajadores de temporada|el transporte de mercancías|la sanidad vegetal|los residuos]
stance 32
    <file> [no debe|debe] [perjudicar a los consumidores|extenderse a las regiones|esperar más años]
    la Comisión de [Presupuestos|Pesca|Transportes] ha [enmendado|rechazado|apoyado] <file>
    lo ocurrido en <place> [muestra|demuestra] que <file> [llega tarde|no es suficiente|es urgente]
open
    <^rapporteur> ([PPE-DE|PSE|ALDE|Verts/ALE]). - Señor Presidente, <stance>.¶
part
    <speech> <speech>¶
speech
    [Quisiera|Permítanme] [felicitar|agradecer su trabajo] a[l señor| la señora] <rapporteur>.
    [Todos sabemos|Estoy convencido de|Es inaceptable] que <stance>.
    [Señor Comisario|Señorías], <stance>[, y <stance>|].
    [Mi Grupo|El Consejo] votará [a favor|en contra] de las enmiendas <1..40> y <41..90>.
    En <2000..2011>, <2..90> [millones de euros|por ciento de los fondos] fueron a <place>.
    ([Aplausos|Se levanta la sesión a las <10..20>.<10..55> horas])
"""

ITALIAN = """
file 2
    [la direttiva|il regolamento|la decisione] [sulla pesca in <land>|sull'etichettatura del miele|
        sui lavoratori stagionali|sul trasporto ferroviario|sui rifiuti tossici|sulle quote latte]
stance 32
    <file> [non deve|deve] [penalizzare i consumatori|essere estesa alle regioni|attendere altri
        anni]
    la commissione per [i bilanci|la pesca|i trasporti] ha [emendato|respinto|sostenuto] <file>
    ciò che è accaduto a <place> [mostra|dimostra] che <file> [arriva tardi|non basta|è necessaria]
open
    <^rapporteur> ([PPE-DE|PSE|ALDE|Verts/ALE]). - Signor Presidente, <stance>.¶
part
    <speech> <speech>¶
speech
    [Desidero|Vorrei] [ringraziare|congratularmi con] l'onorevole <rapporteur> per [la
        relazione|tutto].
    [Sappiamo tutti|Sono convinto|È inaccettabile] che <stance>.
    [Signor Commissario|Onorevoli colleghi], <stance>[, e <stance>|].
    [Il mio gruppo|Il Consiglio] voterà [a favore degli|contro gli] emendamenti <1..40> e <41..90>.
    Nel <2000..2011>, <2..90> [milioni di euro|per cento dei fondi] sono andati a <place>.
    ([Applausi|La seduta è tolta alle <10..20>.<10..55>])
"""

FINNISH = """
file 2
    [direktiivi|asetus|sopimus], joka koskee [kalastusta, hunajan merkintöjä|kausityöntekijöitä|
        rautateiden tavaraliikennettä|tietojen säilyttämistä|vaarallisia jätteitä|maitokiintiöitä]
stance 32
    <file>, [ei saa|täytyy] [vahingoittaa kuluttajia|ulottaa kaikille alueille|odottaa enää vuosia]
    [budjettivaliokunta|kalatalousvaliokunta|liikennevaliokunta] on [hylännyt|hyväksynyt] ehdotuksen
    se, mitä paikassa <place> tapahtui, [osoittaa|todistaa], että <file>, [tulee liian myöhään|ei
        riitä]
open
    <^rapporteur> ([PPE-DE|PSE|ALDE|Verts/ALE]). - Arvoisa puhemies, <stance>.¶
part
    <speech> <speech>¶
speech
    [Haluan|Haluaisin] [kiittää|onnitella] esittelijä <rapporteur>ia [mietinnöstä|hyvästä työstä].
    [Me kaikki tiedämme|Olen vakuuttunut siitä|Ei ole oikein], että <stance>.
    [Arvoisa komissaari|Hyvät kollegat], <stance>[, ja <stance>|].
    [Ryhmäni|Neuvosto] äänestää tarkistusten <1..40> ja <41..90> [puolesta|vastaan].
    Vuonna <2000..2011> paikkaan <place> meni <2..90> [miljoonaa euroa|prosenttia varoista].
    ([Suosionosoituksia|Istunto päättyi klo <10..20>.<10..55>])
"""

_LANGUAGES = (ENGLISH, GERMAN, FRENCH, SPANISH, ITALIAN, FINNISH)
PARLIAMENT = Domain("parliament", (_NAMES,))

REGISTERS = (Register("EuroParl", PARLIAMENT, _LANGUAGES, characters=(500, 1400)),)
