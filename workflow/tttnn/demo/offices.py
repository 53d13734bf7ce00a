"""Offices: court opinions, and a company's e-mails."""

from tttnn.demo.register import Domain, Register

COURT = Domain(
    "court",
    (
        """
plaintiff 3
    [<surname>|<surname>|<coined> [Industries, Inc.|Lumber Co.|Bank, N.A.|Freight, LLC]]
defendant 3
    [<surname>|State of <land>|<coined> Insurance Co.|County of <surname>|Warden <surname>]
court:
    United States District Court, Court of Appeals, Supreme Court, Superior Court, Chancery Court
doctrine 3
    the [<coined>|plain-meaning|economic-loss|last-antecedent|discovery|final-judgment] rule
    [qualified|sovereign|absolute|derivative] immunity
    [equitable|collateral|promissory] estoppel
    the [implied warranty|constructive trust|exclusionary|public trust] doctrine
statute 3
    [<1..42> U.S.C. § <100..4000>|section <10..900>(<1..9>)|the <coined> Act|Rule <4..60>(b)]
issue 5
    [a breach of the|the validity of the|notice under the|a forfeiture of the] [lease|policy|note
        |easement|bond|franchise|will|indenture]
    the [seizure|search|inspection] of [a warehouse|his truck|the ledger|two barges|a locker]
precedent 5
    <surname> v. <surname>, <100..600> [U.S.|F.2d|F.3d|So. 2d|P.2d] <10..990> (19<60..99>)
fact 32
    the [shipment|deed|ladder|invoice|culvert|prescription|crane|<adjective> <noun>] was [never|not|
        twice|improperly] [inspected|signed|recorded|repaired] by [<plaintiff>|a Mr. <surname>]
    [<defendant>|the foreman|his bookkeeper|the night clerk] [knew|should have known|denied] that
        <issue> was [in dispute|at stake|likely]
holding 56
    [Under|In light of] <doctrine>, <issue> is [a question of law|for the jury|barred|reviewable].
    We [review|decide] <issue> [de novo|for abuse of discretion|for plain error], see <precedent>.
    [Nothing in|The text of] <statute> [suggests|requires|forecloses] that <fact>.
    <plaintiff> [argues|contends|concedes] that <doctrine> [applies|does not apply] because <fact>.
    The [trial|district] court [erred|did not err] in [holding|finding] that <fact>.
    [In|As we said in] <precedent>, <doctrine> [reaches|did not reach] <issue>.
""",
    ),
)

OPINIONS = """
open
    <1..99> [F.3d|F.2d|So. 2d|N.W.2d] <100..1400> (<Year>)¶<^Plaintiff>, [Plaintiff-Appellant|
        Petitioner],¶v.¶<^Defendant>, [Defendant-Appellee|Respondent].¶No. <10..99>-<1000..9999>.¶
        <^court>[, District of <land>|].¶<month> <1..28>, <Year>.¶¶Before <surname>, <surname> and
        <surname>, [Circuit |]Judges.¶<surname>, J.¶
    IN THE <^court>¶OF <land>¶¶<^Plaintiff> v. <^Defendant>¶[Case|Docket] No.
        <1..20>-[CV|CR]-<100..999> ¶[OPINION|MEMORANDUM AND ORDER|PER CURIAM]¶¶
part
    <sentence> <sentence> <sentence>¶¶
    <sentence> <sentence>¶¶
    [I|II|III|IV|A|B]. [Background|Discussion|Standard of Review|<^doctrine>]¶¶
sentence
    <holding>
    <holding>
    On <month> <1..28>, <Year>, <Defendant> [filed|moved for|withdrew] [a motion to dismiss|summary
        judgment|a notice of appeal|an affidavit] [alleging|asserting] that <fact>.
    [Officer|Mr.|Ms.|Dr.] <surname> testified that <fact>[, although|; on cross-examination he said
        that] <fact>. (Tr. at <3..480>.)
    The jury [awarded|returned a verdict of] $<2..900>,<100..999> [for|against] <Plaintiff>.
    [See|Cf.|But see] <surname> v. <surname>, <100..980> [F.2d|F.3d|U.S.|A.2d] <10..990>, <10..990>
        (<land> Cir. <1950..2009>) ("<issue> [turns on|is governed by] <doctrine>").
    [Accordingly|For these reasons], the [judgment|order] as to <issue> is [affirmed|reversed|
        vacated].
    [Appellant|Respondent|The decedent] [was arrested|was employed|purchased the property] in
        <town> in <year> [and|where] <fact>.
close
    [AFFIRMED|REVERSED AND REMANDED|So ordered].
"""

COMPANY = Domain(
    "company",
    (
        """
colleague 5
    <person>
client 2
    <coined> [Energy|Pipeline|Power|Gas Storage|Trading|Paper|Fiber]
project 2
    Project <coined>
    the <coined> [deal|swap|tolling agreement|auction|audit|turbine order]
document 3
    [ISDA master|term sheet|confirmation|gas daily|exposure|curve|position] [draft|report|file|memo|
        spreadsheet]
item 5
    [Q1|Q2|Q3|Q4|<month>|summer|prompt-month] [basis|capacity|credit line|hedge|storage|load|volumes
        |invoice]
hub 2
    [Henry Hub|<coined> Hub|the <town> gate|<coined> Citygate|COB|Mid-C]
matter 48
    [I|We] [spoke with|heard back from|are still waiting on] <client> [about|regarding] <item> [at|
        for] <hub>.
    <client> [wants|refuses|has agreed] to [move|net|post collateral for] <item>, so <project> [is
        on hold|can close].
    [Legal|Credit|Risk|Tax] [needs|has not signed off on|is reviewing] the <document> for <project>.
    The <document> [does not tie to|matches] the <item> [numbers|we booked] for <hub>.
    [Any|There is no] [change|update] to <item> goes through <~colleague> before
        <weekday>.
""",
    ),
)

EMAILS = """
open
    <head><greeting>
    ---------------------- Forwarded by <Colleague>/HOU/ECT on <01..12>/<01..28>/2001 
        <01..12>:<10..59> [AM|PM] ---------------------------¶¶<head><greeting>
head
    From: <colleague>¶Sent: <weekday>, <month> <1..28>, 200<0..2> <1..12>:<10..59> [AM|PM]¶To:
        <colleague>[; <colleague>|]¶[Cc: <colleague>¶|]Subject: [RE: |FW: |][<^item>|<^document>|
        <project>|<^hub>]¶¶
greeting
    [<first>,¶¶|Hi <first>,¶¶|All,¶¶|<first> -¶|]
part
    <line> [<line> |]<line>¶[¶|]
    <line>[ <line>|]¶¶
line
    <matter>
    <matter>
    [Please|Can you|Could you please] [send me|forward|print|revise] the <document> [by|before|on]
        <weekday>[ <1..12>:<10..59>|, thanks|]?
    [I will be|She is|They are] [in <town>|out of the office|at the <town> office|on vacation]
        [until|from] <month> <1..28>.
    The price is $<2..9>.<10..99> [per MMBtu|/MWh|fixed] for <5..90>,000 [MMBtu/day|MW|a month].
    [Call me|Let me know|Give <first> a call] at x<3..5>-<1000..9999> [if you have questions|when
        you get this|to discuss].
    [Lunch|Drinks|The golf outing|The Astros game] on <weekday>? [My treat.|<first> is coming too.|]
    [Attached|Below] is the [latest|revised|final] <document>, [version|dated] <1..12>.
close
    ¶[Thanks|Regards|Best|Cheers],¶<Colleague>[¶<3..5>-<1000..9999>|¶¶ - <stem><01..31>.[xls|doc]|]
"""

REGISTERS = (
    Register(
        "FreeLaw", COURT, (OPINIONS,), close="<close>", characters=(700, 1600), sometimes_long=True
    ),
    Register("Enron Emails", COMPANY, (EMAILS,), close="<close>", characters=(500, 1300)),
)
