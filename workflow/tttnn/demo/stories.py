"""Stories: old and new novels in different voices, and dialogue of films."""

import textwrap
from random import Random

from tttnn.demo.register import Domain, Register

_CAST = """
hero 2
    <first>
rival 2
    [<first>|<surname>|Aunt <first>|old <surname>|Captain <surname>]
other 3
    [<first>|Mr. <surname>|Mrs. <surname>|Dr. <surname>|the <surname> [twins|boy|girl]]
house 2
    [<coined> [House|Hall|Farm|Court]|the [Hotel|Café|Villa] <coined>|<town>]
thing 4
    the [<adjective> <noun>|<noun> of <coined>|<surname> [letters|map|diary|will]]
plan 3
    [find|burn|sell|hide|return|steal] <thing>
walked:
    walked, ran, came, went back, hurried, drove, crept, drifted, turned, wandered, stumbled
looked:
    looked at, stared at, forgot, remembered, noticed, thought of, touched, avoided, picked up
said:
    said, asked, whispered, answered, muttered, replied, began, insisted
image:
    like a(n) <adjective> <noun>, as if the <noun> were <adjective>, as <adjective> as a(n) <noun>,
    with the <noun> of a(n) <noun>, under a(n) <adjective> sky, past the <noun>,
    in the <adjective> <noun>
"""

_GENTRY = """hero 2
    [Lady <coined>|Mr. <surname>|Miss <surname>|Sir <first>|the Reverend <surname>]
"""

SAGA = Domain("saga", (_CAST,))
NOVELS = Domain("novels", (_CAST,))
CLASSICS = Domain("classics", (_CAST.replace("hero 2\n    <first>\n", _GENTRY),))

NOVEL = """
memory 40
    <hero> had once [promised|threatened] <rival> to <plan> [before the <noun>|in <Month>|at
        <house>]
    [nobody|only <other>] at <house> [spoke of|believed in|could afford] <thing> [any more|since
        <~year>]
    <rival> [kept|lost|wanted] <thing> [because of|in spite of] <other> [and the <noun>|]
    <thing> [lay|waited|was] in the <noun> [behind|above|below] <house>, <adjective> and <adjective>
open
    [Chapter <2..40>|<2..40>|[ONE|TWO|SEVEN|NINE]]¶¶<sentence> <sentence>¶¶
    <sentence> <sentence>¶¶
part
    <sentence> <sentence> <sentence>[ <sentence>|]¶¶
    <speech>¶¶
    <speech>¶¶<speech>¶¶
    * * *¶¶<sentence> <sentence>¶¶
sentence
    <^memory>[, or so <other> [claimed|liked to say]|].
    [In the <noun>|That <month>|By the time the <noun> was <adjective>|At <house>], <memory>.
    <Hero> <walked> [along|past|through|towards] the <noun>, <image>.
    The <noun> was <adjective>, [and|but] the <noun> [smelled of|had become|reminded him of] <noun>.
    [She|He] <looked> the <noun> and the <adjective> <noun>[, then <walked> to <house>|].
    [It was|There is] a(n) <adjective> [kind of|sort of] <noun>: the <noun> <adjective>, the <noun>
        gone.
    [Years later|For a moment|Somewhere], a(n) <adjective> <noun> [fell|opened|began to sing]
        <image>.
    <^Rival> <looked> <thing>[, <image>|].
speech
    "[<^other>|You|Everyone] [knew|will know] about <thing>," <Hero> <said>. "<^memory>."
    "[Why|When|How] did you <plan>?" <said> <Rival>, who <walked> [out|in|over], <image>.
    "[Don't|We can't|I had to] <plan>," <Rival> <said>[, and <looked> the <noun>|]. "Not [at
        <house>|in this <noun>|without <other>]."
    "A(n) <adjective> <noun>," <said> <Hero>. [<^other> laughed.|No one spoke.|The <noun> was
        <adjective>.]
"""

ROMANCE = """
secret 40
    <hero> [still loved|was lying to|dreamed about|had kissed] <other> [that night
        at|outside|because of] <house>
    if I [didn't|could] <plan>, <rival> would [never forgive me|kill us both|leave <house>]
    <rival>'s [eyes|hands|wolf|magic] [burned|went cold|turned gold] whenever we talked about
        <thing>
    the [pack|coven|guild|king's guard] [needed|feared|was hunting] <thing> [more than|because of]
        <hero>
open
    [Chapter <2..60>|<Hero>]¶¶<sentence>¶¶
    <sentence> <sentence>¶¶
part
    <sentence> <sentence>¶¶
    "<talk>"¶¶
    "<talk>" [I rolled my eyes.|<^Rival> smirked.|My heart pounded.|<^other> just stared at me.]¶¶
    <sentence>¶¶
talk
    [What the hell, <hero>?|Seriously?|Oh my God.] [You can't|Did you really|We have to]
        <plan>[!|?|...]
    [Listen,|Trust me,|I swear,] <secret>.
    [Get out|Run|Kiss me|Shut up], <hero>[!|.] [Now.|Please.|Before the <noun> [comes|burns].]
    [And <other>|So the <noun>]? [Dead.|Gone.|Right behind you.|<^adjective>, like always.]
sentence
    [I knew|I couldn't believe|It hit me:] <secret>.
    My [stomach|heart|pulse|breath] [flipped|stopped|raced|caught] <image>[ as <Rival> stepped
        closer|].
    I <walked> [past|toward|into] the <adjective> <noun>, [trying not to|wanting to|about to]
        <plan>.
    [God,|Damn,|Okay, so] [he|she|<Rival>] [smelled like|looked like|was] <noun> and
        [sin|<noun>|trouble].
    [My phone buzzed.|The door slammed.|I took a deep breath.] <^secret>[. Great|. Of course|].
    <^Rival> [grabbed|reached for|threw] the <noun> [and grinned|and froze|], <image>.
    [Three|Two|Five] [hours|days|drinks] later, <secret>.
"""

VICTORIAN = """
numeral:
    II, III, IV, VI, VII, VIII, IX, XI, XII, XIV, XV, XVII, XIX, XXI, XXIV, XXVI
report 40
    <hero> was [universally|generally] [said|allowed] to have [mislaid|bequeathed|coveted] <thing>
    the [mistress|master|vicar|steward] of <house> [could not endure|entertained hopes of] <other>
    it [was|had been] the [settled purpose|dearest wish] of <rival> to <plan>
    <other> [had contracted|was suspected of] a [debt|marriage|fever] [in the neighbourhood of|at]
        <house>
open
    CHAPTER <numeral>.¶¶[IN WHICH <Hero> [RESOLVES|FAILS|IS PERSUADED] TO <plan>.¶¶|]<sentence>
    <sentence>
part
    [ |¶¶]<sentence>
    [ |¶¶]<sentence> <sentence>
    ¶¶"<speech>" [said|cried|returned|exclaimed] <hero>[, with [some|no little] <noun>|, colouring].
speech
    [Upon my word|My dear <other>|Heaven forbid], <report>[!|; and yet I cannot think it so!|,]
    [I beg you will not|You have no right to|Pray do not] <plan>[, sir|, madam|],
    [What|And what], [sir|madam], is [a(n)|the] <noun> [to|beside] the <noun> [of|in] <house>?
sentence
    [It was now well known that|Nor was it any secret that|In short,] <report>[; and <report>|].
    [The <noun>|The <nouns>] of <house>, which were <adjective> [in themselves|enough], had
        [impressed|wearied] <Hero> [exceedingly|not a little][, <image>|].
    [Let us|We must] now leave <Hero> to [his|her] <adjective> <noun>, and [return|repair] to
        <house>, where <report>.
    [On the <2..20>th of|Towards the end of] <month>, 18<20..80>, [a carriage|a post-boy|a letter]
        [arrived|was seen] at <house>; for <report>.
    [Such|So <adjective>] was the <noun> of <Hero>, that the very <nouns> [seemed|appeared]
        <adjective>.
    There is [in|about] the <noun> of a <adjective> [man|woman] something so <adjective> as to
        [make|render] the <noun> <adjective>; but <Hero> was [all|no] <noun>.
    <^hero>, who [had|possessed] [no|a great deal of] <noun>, [replied|resolved] that <report>.
"""

SCRIPT = """
line_kept 48
    - [You|Who|They] [took|sold|saw|buried] <thing>[?|!|.]
    [Tell|Ask|Forget about] <other>, [we|they|I] have to <plan>.
    <hero> and <rival> [never left|are still at|blew up] <house>.
    - I didn't <plan>, <other> did.
    What if <rival> [finds|has|wants] <thing>?
open
    <line>¶
part
    <line>¶
    <line>¶
    [<line_kept>|<line_kept>|<line_kept>]¶
line
    [- |][Where|Why] [are you|is he|the hell is <other>] [going|hiding]?
    [- |][Come on|Stop|Wait|Please], <hero>[.|!] [We're late.|It's <adjective>.|The <noun>!]
    [- |]I [know|don't know|thought] [you|she|we] [wanted|liked|needed] a(n) <noun>.
    [- |][Yes|No], [sir|ma'am|boss|honey].
    ([GUNSHOT|DOOR OPENS|SIGHS|<^noun> RATTLES|PHONE RINGS|MUSIC PLAYING])
    [- |]<^several> [minutes|years|dollars]. [That's all.|No more.|You hear me?]
    [- |][My|Your] <noun> is [<adjective>|gone|on fire].
    [- |][Good morning|Goodnight|Thank you|Welcome], <hero>.
    [- |]Is that a(n) <adjective> <noun>?
    ♪ [Oh|My|Sweet] <noun>, <adjective> <noun> ♪
    [- |][He's|She's|It's] [not|too|so] <adjective>, and [you know|<rival> knows] it.
"""


def _wrap(text: str, rng: Random) -> str:
    """Lines of a plain-text book."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(textwrap.fill(paragraph, 72) for paragraph in paragraphs)


REGISTERS = (
    Register("Books3", NOVELS, (NOVEL,), characters=(700, 1600), sometimes_long=True),
    Register("BookCorpus2", SAGA, (ROMANCE,), characters=(600, 1400)),
    Register(
        "Gutenberg (PG-19)",
        CLASSICS,
        (VICTORIAN,),
        characters=(700, 1600),
        sometimes_long=True,
        finish=_wrap,
    ),
    Register("OpenSubtitles", SAGA, (SCRIPT,), characters=(500, 1300)),
)
