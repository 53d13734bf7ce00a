"""An invented world's places and clubs: encyclopedia, news, and pages from the web."""

from tttnn.demo.register import Domain, Register

WORLD = Domain(
    "world",
    (
        """
place 2
    <town>
region 2
    the <coined> [Valley|Coast|Highlands|Peninsula|District|Plain]
    <land>
river 1
    the [River <coined>|<coined> River]
figure 6
    <person>
club 2
    [FC|Athletic|Racing|Dynamo] <place>
    <place> [Rovers|Falcons|Miners|Harriers|Dragons|Mariners]
firm 2
    <coined> [Motors|Foods|Airways|Mining|Holdings|Systems|Brewery|Textiles]
trade 3:
    herring fishing, copper mining, cider, shipbuilding, glassmaking, beekeeping, salt, timber,
    ceramics, wool, tin, sugar beet, clockmaking, tourism, granite quarrying, lace, cheese, tobacco
landmark 3
    the [<adjective>|Old|<coined>|Saint <first>] [Lighthouse|Viaduct|Cathedral|Market Hall|Mill
        |Observatory|Abbey|Funicular|Town Hall|Aqueduct|Synagogue|Mosque]
species 2
    the [<coined>'s|<region>|lesser|crested|pale] [newt|warbler|orchid|beetle|gudgeon|moth|shrew]
festival 1
    the [Festival of the <^noun>|<coined> Fair|Night of the <^noun>|<^noun> Regatta]
deal 4
    the [<coined>|harbour|bypass|school|tram|water] [treaty|levy|scheme|referendum|contract|inquiry]
event 56
    <figure> [opened|restored|sold|photographed] <landmark> in <year>
    <firm> [bought|closed|sponsored|sued] <club> [over|after] <deal>
    a [fire|flood|strike|storm] on <river> [destroyed|spared|isolated] <landmark>
    <figure> [scored|was sent off|made a debut] [for|against] <club>
    <deal> [divided|enriched|ruined] <place> and [most of|parts of] <region>
    [exports|production] of <trade> [in|from] <region> [fell|doubled|peaked] in <year>
    <species> was [last seen|first described|rediscovered] near <landmark> by <figure>
""",
    ),
)

ENCYCLOPEDIA = """
open
    <Place>¶¶<Place> is a [town|municipality|port|market town] in <region>, on <river>. As of the
        20<01..21> census it had a population of <2..90>,<100..999>.¶
    <Figure>¶¶<Figure> (born <1..28> <Month> 19<10..95>) is a [former|retired|]
        [footballer|politician|painter|botanist|composer|chess player] from <place>, [best known
        for|associated with] <landmark>.¶
    <Club>¶¶<Club> is a[ semi-professional| professional|n amateur]
        [football|handball|rugby|hockey] club based in <place>, founded in 18<60..99>.¶
    <^Firm>¶¶<^Firm> was a [manufacturer|company|maker] of [<adjective> |]<nouns> [headquartered|
        founded] in <place>. It was [dissolved|nationalised] in <year>.¶
part
    ¶[History|Geography|Economy|Career|Legacy|Early life|Notable people|Transport]¶<sentence>
        <sentence>[ <sentence>|]¶
    <sentence> <sentence>¶
sentence
    [In <year>|Later|According to <surname>|During the <coined> War], <event>.
    [In <year>|A year later|Briefly], <event>[, and <event>|].
    The [municipality|parish|area] covers <12..940>.<0..9> km², of which <2..60> per cent is
        [wood|farm|marsh|grass|scrub]land.
    [It|The town] is known for <trade>, <trade> and <festival>, held [every|each] <Month>.
    [He|She] [studied|taught] at <place> [Grammar School|Polytechnic] [until|from] <Year>.
    The [line|road] to <town> [opened|closed] in <year>, [serving|passing] <landmark>.
    <^club> [finished|ended] the <1950..2015> season in <4..18>th place [with|on] <20..88> points.
    Its [director|mayor|chairman] from <year> to <year> was <~figure>.
close
    ¶[References|See also|External links]¶[Official website|List of towns in <region>|<^landmark>]
"""

NEWS = """
open
    <^headline>¶¶<^place> ([Reuters|AP|AFP]) - <^event>, [officials|police|sources] said on
        <Weekday>.¶¶
    <^headline>¶¶By <person>[, <Month> <1..28>|]¶¶<^event>[, the Guardian has learned|].¶¶
headline 4
    [Fury|Relief|Doubts] [in|across] <region> over <deal>
    <figure> [quits|wins|denies|apologises] [amid|after] row over <landmark>
    <firm> shares [slump|soar] as <deal> [stalls|nears]
    <club> [stun|hold|hire] <figure>'s side
part
    <sentence> [<sentence>|]¶¶
    "<quote>," said <figure>, <20..80>, [who leads|who backs|a critic of] <deal>. "[<^quote>.|It's
        <adjective>.]"¶¶
quote
    [We|They|People here] [deserve|want|never asked for] [answers|a(n) <adjective> <noun>|<deal>]
    [I can tell you that|Let's be clear:] <event>
    [Without|After] <firm> there [is no|was never a] future for <trade> in <place>
sentence
    [The move|The decision|It] comes [weeks|days|months] after <event>.
    [Analysts|Critics|Residents] [say|fear|believe] <deal> [could|will] cost <region>
        [$|€|£]<2..90> [million|billion] [by|over] <2..9> years.
    [A spokesman|A lawyer] for <firm> [declined to comment|did not return calls|said that <event>].
    [About|Some|At least] <12..990> [people|workers|fans|protesters] [were affected|gathered at
        <landmark>].
    [On <Weekday>|Last <month>|Earlier], <event>.
    [A poll|A leaked memo|One study] [found|showed] that <12..79> per cent [back|oppose] <deal>.
"""

WEB = """
open
    [Home|About|Blog] | [Tours|Shop|Events] | Contact¶¶[Welcome to|Visit|Things to do in]
        <place>![¶¶|] <sentence>¶¶
    [Posted by <first>|<month> <1..28>, 20<04..19>] - [<1..40> comments|Leave a reply]¶¶[My|Our|A]
        <adjective> <noun> in <place>¶¶<sentence>¶
    [<^landmark>|<^festival>]: [tickets|opening hours|recipes|reviews] [20<11..20>|]¶¶
part
    <sentence> <sentence>¶¶
    <sentence>[ <sentence> <sentence>|]¶
    [- |* ]<^noun> [tour|breakfast|workshop] ([from|only] $<5..99>.<00..99>)¶
sentence
    [Did you know|Have you heard] that <event>?
    [Locals will tell you|The guide said|We learned] that <event>.
    [We|The kids|My husband and I] [stayed|ate|shopped] [at|near] <landmark>, [which was|and it is]
        [so |really|a bit] <adjective> [and <adjective>|].
    Our <adjective> [team|family business] has been [selling|making|loving] <trade> since <year>.
    [Don't miss|Book now for|Bring the kids to] <festival> [in|every] <month>[!| - free parking.]
    [If you love|Looking for] <trade>, [try|look no further than] the <adjective> <noun> [by|at]
        <river>.
    [Call|Phone|Fax] (<200..989>) 555-<0100..0199> [for a quote|Mon-Fri <7..9>-<4..6>].
    [Add|Mix in] <2..9> [cups|tablespoons|slices] of [<place>|<adjective>]
        [cheese|honey|cider|butter] and [bake|stir] for <5..75> minutes.
    [Sadly|Funny enough|Rumour has it that] <event>.
    <first> [wrote|says]: [Great post!|Thanks for sharing.] [I grew up near <landmark>.|Is
        <landmark> still open?]
    [Rated|I give it] <1..5> [stars|out of 5]: the <noun> was <adjective>, the <noun> <adjective>.
close
    ¶[Copyright ©|©] 20<08..20> <firm>. All rights reserved.[ Privacy policy| Sitemap|]
"""

REGISTERS = (
    Register("Wikipedia (en)", WORLD, (ENCYCLOPEDIA,), close="<close>", characters=(600, 1400)),
    Register("OpenWebText2", WORLD, (NEWS,), characters=(600, 1500)),
    Register("Pile-CC", WORLD, (WEB,), close="<close>", characters=(500, 1400)),
)
