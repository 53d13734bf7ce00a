"""Software: a support channel, questions with answers, and a news site's threads."""

import re
from random import Random

from tttnn.demo.register import Domain, Register

SOFTWARE = Domain(
    "software",
    (
        """
tool 3
    <stem>[d|ctl|fs|sh|-cli|db|mq|py|.js|]
    [lib|py|k|g|x|open]<stem>
package 3
    [lib|python3-|gstreamer-|linux-|fonts-|]<stem>[-dev|-common|<2..6>|-utils|]
language 2:
    Python, Rust, Go, C++, Java, Haskell, Perl, Ruby, JavaScript, Bash, Lua, Scala, Erlang
function 4
    [get|set|load|parse|open|flush|bind|merge|fetch|init]_<stem>[_all|_async|]
    <stem>.[open|connect|render|apply|commit|each|wait|decode]
option 3
    --[no-|with-|]<stem>[=1|=auto|-size|]
path 3
    /[etc|usr/lib|var/log|opt|home/<stem>]/<stem>[.conf|.log|.so.<1..6>|/config.yaml|]
error 5
    [Segmentation fault|Permission denied|undefined symbol: <function>|broken pipe|stack overflow
        |NullPointerException|unmet dependencies: <package>|401 Unauthorized|type mismatch]
    <^stem>[Error|Exception|Warning]: [cannot|could not|failed to] [open|parse|lock|map] <path>
    E[NOENT|BUSY|ACCES|PIPE]: <path>
part_name 3:
    scheduler, cache, kernel module, event loop, garbage collector, parser, mutex, thread pool,
    socket, index, container, daemon, compiler, display driver, type checker, message queue
deed 36
    [run|start|kill|restart] <tool> [with <option>|as root|from cron|in a container]
    [upgrade|purge|reinstall|pin] <package>
    [call|wrap|avoid|mock] <function>
    [edit|delete|chmod 644|symlink] <path>
trouble 56
    <tool> [fails|dies|hangs] with "<error>" [after|when] you <deed>
    the <part_name> in <tool> [leaks|deadlocks|starves] [when|because] you <deed>
    <function> [returns|raises] [None|nothing|the wrong type|"<error>"] [once|if] <path> [is
        missing|is empty|has a BOM]
    <package> [conflicts with|shadows|needs a newer] <package>
""",
    ),
)

CHANNEL = """
nick
    <stem>[<1..99>|_|bot|away|]
    [a|dr|mr|the|x]<stem>
user
    [<Nick>|<Helper>|<Helper>|<Third>|<~nick>]
helper
    <nick>
third
    <nick>
open
    [=== <nick> is now known as <nick>¶|][..:..] <<Nick>> hi[ all|, anyone here using <tool>?|]¶
part
    [..:..] <<Nick>> <asked>¶[..:..] <<Helper>> [<Nick>: |]<told>¶
    [..:..] <<user>> <chat>¶
    [..:..] <<user>> [<Nick>: |<third>: |]<told>¶
    === <nick> [is now known as <nick>|[n=<stem>@<2..220>.<2..220>.<2..220>.<2..220>] has joined
        #ubuntu]¶
asked
    <trouble>, [any ideas|known bug|what now]?
    [how do I|what's the way to] <deed> [on <Release>|without rebooting|]?
    it [says|prints] "<error>" [on <Release>|again|every time]
    [ok|hm|nope], [I did|that was] <deed> and [same thing|now <trouble>]
release:
    hardy, jaunty, lucid, precise, trusty, xenial, breezy, dapper
told
    try to <deed>[ first|, then <deed>|]
    [that's because|looks like] <trouble>
    [pastebin|what does] <path>[ please| say? line <2..190>]
    did you <deed>?
    /msg ubottu <package>
    <trouble>, see bug <10000..990000>
    no, <function> is [deprecated|fine], just <deed>
chat
    [lol|brb|heh|thx|ah|:)][ <noun>|, bbl|]
    [my|the] <adjective> <noun> [works better|is older|needs coffee]
    anyone tried <tool> <0..4>.<1..19>[ on amd64| on a usb <noun>|]?
"""

QUESTIONS = """
title 3
    [How to|Is it possible to|Best way to] <deed> in <language>?
    <error> when I <deed>
    <^function> [vs.|or] <function> in <language>
open
    Q:¶¶<title>¶¶[I have|I'm writing|I inherited] a(n) [<adjective>|small|legacy] <language>
        [script|service|app] that [uses|wraps|talks to] <tool> [<0..5>.<1..12>|]. <^trouble>.¶
asking
    ¶<^trouble>.
    <^trouble>, and the docs only say to <deed>.
    I [already |]tried to <deed>, but [got <error>|nothing changed].
    ¶¶[result|data|<noun>] = <function>([<noun>|<2..99>|"<path>"])¶if not <noun>:¶    <call>¶¶
    [Is|Why is] the <part_name> [needed|involved|slow] here?
    ¶¶$ <tool> <option> <path>¶<error> (<noun>, line <3..800>)¶¶
call
    <function>(<noun>, [<option>|<2..64>|"<noun>"])
answering
    [You should|You need to|Just|I would] <deed>[ and then <deed>|, since <trouble>|].
    ¶¶[The reason is simple|From the manual|Short answer]: <trouble>.
    ¶¶    <noun> = <function>(<noun>)¶    [return|print] <noun>[.<stem>|[<0..9>]]¶¶
    [Since|As of] version <1..7>.<0..15> the <part_name> [accepts|ignores|requires] <option>.
    [EDIT|Note]: <function> is [not thread-safe|O(n^2)|lazy] [for|with] <2..900>+ <nouns>.
close
    [¶¶A:¶¶<^deed>. <^trouble>.|]
"""

THREADS = """
nick
    <stem>[<1..99>||x|_]
link
    http[s|]://[www.|blog.|]<stem>.[com|io|org]/[<2005..2017>/|]<noun>-<noun>-<stem>
open
    ¶[Show HN: |Ask HN: |][<^tool> - a(n) <adjective> <part_name> in <language>|Why we moved from
        <tool> to <tool>|<^tool> <1..5>.<0..9> released|The <adjective> <part_name>] -
        <nick>¶<link>¶======¶<nick>¶<remark> <remark>¶
part
    ¶~~~¶<nick>¶<remark>[ <remark>|]¶
    ¶------¶<nick>¶<remark>[ <remark>|¶¶<remark>]¶
    ¶> [<^trouble>|<^trouble>|<^tool> is <adjective>]¶¶<remark>¶
remark
    [I|We] [used|ran|shipped] <tool> [for <several> years|at <coined>|in production] and <trouble>.
    [Honestly|To be fair|IMO], <trouble>[, but it's a(n) <adjective> <noun>|].
    [The real|My] problem with <language> is that <trouble>.
    [Isn't this|How is this different from|Why not] just <tool> with a(n) <adjective> <part_name>?
    [Nice work!|Author here.|Nit:] [You may want to|We still have to] <deed>.
    [Latency|Memory|Build time] [went|dropped] from <20..990>[ms|MB|s] to <2..19>[ms|MB|s] once we
        [found out how to|decided to] <deed>.
    [It's|This is] the <adjective> <noun> [problem|fallacy] all over again, [1] and [nobody|hardly
        anyone] [wants to|will] <deed>.¶¶[1] <link>
    [If you care about|For] <nouns>, [pay for|write] your own <part_name>.
"""

_CLOCK = re.compile(r"\.\.:\.\.")


def _tell_time(text: str, rng: Random) -> str:
    """Replace each `..:..` by a time of day, later ones by later times."""
    minute = int(rng.random() * 1000)

    def later(match: re.Match[str]) -> str:
        nonlocal minute
        minute += int(rng.random() * 3)
        return f"{minute // 60:02d}:{minute % 60:02d}"

    return _CLOCK.sub(later, text)


REGISTERS = (
    Register("Ubuntu IRC", SOFTWARE, (CHANNEL,), characters=(500, 1400), finish=_tell_time),
    Register(
        "StackExchange",
        SOFTWARE,
        (QUESTIONS,),
        sections=(("<open>", " <asking>"), ("¶¶A:¶¶<answering>", " <answering>")),
        close="<close>",
        characters=(600, 1400),
    ),
    Register("HackerNews", SOFTWARE, (THREADS,), characters=(600, 1400)),
)
