"""Theory: LaTeX papers of mathematics and physics, and papers of philosophy."""

from tttnn.demo.register import Domain, Register

PREPRINTS = Domain(
    "preprints",
    (
        r"""
field:
    math.AG, math.PR, math.DG, hep-th, cond-mat.stat-mech, cs.LG, quant-ph, math.NT, astro-ph.CO
object 4
    [compact|smooth|weighted|random|quantum|tropical|amenable|sparse] <surname> [manifold|graph
        |lattice|operator|algebra|process|measure|category|network|module]
property 5
    [ergodic|semisimple|<surname>-regular|hyperbolic|integrable|separable|exact|tame|coercive]
space 3
    [\mathcal|\mathbb|\mathfrak]{[A|B|C|E|F|H|K|L|M|N|P|Q|S|T|X]}_{[n|k|d|\lambda|\epsilon|g]}
variable 3
    [\alpha|\beta|\gamma|\delta|\theta|\lambda|\mu|\xi|\rho|\sigma|\tau|\phi|\psi|\omega|x|y|z|u|v]
function 3
    [f|g|h|\Phi|\Psi|\Lambda|\Gamma|W|Z|Q|V]_{[0|1|\ast|n|<variable>]}
label 6
    \ref{[eq|thm|lem|sec|prop]:[main|bound|decay|gap|split|flow|kernel|trace|lift|<stem>]}
key 6
    <stem>[88|91|95|03|07|11|14]
operator 2
    [\nabla|\Delta|\partial_t|\mathcal{L}|\mathrm{Tr}|\mathbb{E}|\operatorname{Ric}|\sup|\inf|\det]
term 8
    <operator> <function>(<variable>)
    [\frac{<function>}{<variable>^2}|\int_0^\infty <function>(<variable>)\, d<variable>]
    \sum_{[n|k|j]=[0|1]}^{\infty} <variable>^{[2n|k|j+1]} <function>
    \| <function> \|_{L^[2|p|1](<space>)}
    e^{-<variable> <function>}
formula 48
    <term> [=|\leq|\geq|\simeq|<] <term> + <term>
    <operator> \left( <term> \right) = [-|2|\frac{1}{2}]<term> + O(<variable>^{<2..4>})
    <term> \leq C_{[0|1|2|\ast]} <variable>^{[1/2|3/4|-1|d-1|2]} <term>
claim 56
    every <object> with $<variable> [>|<|=] [0|1|1/2]$ is <property>
    the map $<function> : <space> \to <space>$ is <property> [whenever|if and only if] $<formula>$
    $<formula>$ holds for [all|almost every|any <property>] <object>
    the <object> admits a(n) <property> [extension|deformation|limit|cover] over $<space>$
    there [is|exists] a constant $C > 0$ [such that|with] $<formula>$
""",
    ),
)

ARXIV = r"""
title 3
    [On|A note on|Rigidity of|Fluctuations of|Sharp bounds for|Universality of] <property> <object>s
    The <object> [and|versus|beyond] the <surname> [conjecture|limit|inequality|equation]
open
    \documentclass[11pt]{[article|amsart|revtex4]}¶\title{<title>}¶\author{<person>[ and <person>|]}
        ¶\begin{document}¶\maketitle¶\begin{abstract}¶We [prove|show|establish] that <claim>. [This
        extends|This answers a question of|Our proof simplifies] <surname> \cite{<key>}.
        ¶\end{abstract}¶
    ¶\section{[Introduction|Main results|Preliminaries|Notation]}¶[Recall|It is well known] that
        <claim> \cite{<key>, <key>}. [In this paper|Here] we [study|classify] <object>s.¶
part
    <block>
    [<sentence> <sentence>|<sentence>]¶
    ¶<sentence> <sentence> <sentence>¶
block
    ¶\begin{equation}\label{[eq:<stem>|eq:<1..30>]}¶ <formula>[.|,]¶\end{equation}¶
    ¶\begin{theorem}¶Let $<variable> \in <space>$. Then <claim>.¶\end{theorem}¶
    ¶\begin{lemma}¶[Suppose|Assume] that <claim>. Then $<formula>$.¶\end{lemma}¶
    ¶\begin{proof}¶By \cite{<key>}, <claim>. [Hence|Therefore] $<formula>$, [as required|which
        proves the claim].¶\end{proof}¶
    ¶\[¶ <formula>[, \qquad| \quad \text{and} \quad ] <formula>.¶\]¶
    ¶\section{[The case $<variable> = <0..3>$|Proof of Theorem <label>|Examples|<^object>s]}¶
sentence
    [By|Using|Combining] (<label>) [and|with] (<label>), we [obtain|see|deduce] that <claim>.
    [Note|Observe|Recall] that $<term>$ is <property> [for|when] $<variable> [>|\geq] <1..9>$.
    Let $<function>$ be the <property> part of $<term>$, and [set|write] $<formula>$.
    [It follows|We conclude] that <claim>, [see|cf.] \cite[Theorem <1..7>.<1..20>]{<key>}.
    If $<formula>$, then [the <object>|$<space>$] is <property>[ by (<label>)|, a contradiction].
    In [dimension|rank|genus] $<2..26>$ [this|the bound] was [obtained|conjectured] by <surname>
        [for|in the case of] <object>s.
    Numerically, $<variable> = <0.10..9.99> \pm 0.0<1..9>$ [at|for] $[N|T|L] = <10..4000>$.
    The [first|second|last] term is $<term>$, which [vanishes|diverges|is bounded] as $<variable>
        \to [0|\infty|1]$.
close
    ¶\end{document}
    ¶\subsection*{Acknowledgements}¶We thank <person> for [comments|a careful reading].
"""

IDEAS = Domain(
    "ideas",
    (
        """
thinker 3:
    Aristotle, Kant, Hume, Leibniz, Spinoza, Frege, Husserl, Hegel, Mill, Aquinas, Quine, Anscombe,
    Wittgenstein, Sellars, Parfit, Kripke, Avicenna, Zhuangzi, Arendt, Peirce, Brentano, Ryle
modern 3
    <surname>
quality:
    moral, modal, epistemic, phenomenal, causal, semantic, temporal, practical, collective,
    aesthetic, normative, perceptual, counterfactual, personal, intentional, logical
thing:
    responsibility, necessity, testimony, identity, grounding, vagueness, desert, representation,
    obligation, truthmaking, attention, disagreement, reference, blame, supervenience, agency
notion 5
    <quality> <thing>
view 4
    [neo-|anti-|quasi-|weak |strong |minimal |]<quality> [realism|contextualism|fictionalism|
        internalism|nihilism|pluralism|deflationism|dualism|reductionism|constructivism]
principle 2
    the Principle of <^quality> [Closure|Parity|Plenitude|Symmetry|Charity|Sufficiency]
    the <modern> [thesis|condition|dilemma|schema|constraint]
case 3
    the [forgetful|careless|blindfolded|sleeping|reluctant] [archivist|surgeon|twin|juror|gardener|
        violinist|cartographer]
thesis 56
    <notion> [presupposes|does not require|cannot be reduced to|is prior to] <notion>
    [if|unless] <principle> is [true|rejected], <view> [collapses into|is no rival to] <view>
    <case> [shows|does not show] that <notion> [comes in degrees|is fragile|is extrinsic]
    what <thinker> calls [judgment|the will|experience|form] is a species of <notion>
    <view> gives [the wrong verdict|no verdict|the right verdict] about <case>
    the appeal to <principle> [begs the question|proves too much|is idle] against <view>
""",
    ),
)

PHILOSOPHY = """
open
    <^view> and [the Limits of|the Problem of|] <^notion>¶¶<person>, University of <town>¶¶Abstract.
        I [argue|defend the claim] that <thesis>. [It follows that|If so,] <thesis>.¶¶1.
        Introduction¶¶
    [Review of|Reply to|Comments on] <Modern>, [Against|Understanding|Beyond] <^notion>¶¶
    <thinker> on <^notion>¶¶[Keywords: <notion>, <view>, <thinker>.¶¶|]
part
    <sentence> <sentence> <sentence>¶¶
    <sentence> <sentence>¶¶
    [<1..6>. |<1..5>.<1..4> ][<^notion>|<^view>|An Objection|The Argument from <^quality>
        <^thing>]¶¶
sentence
    [To see this, consider|Recall|Take] <case>, who [believes|denies|promises] that [p|the bridge is
        safe|no one is watching] [out of|without] [love|malice|fear|habit], [in a|on a] <adjective>
        <noun>.
    <modern> (20<00..19>, p. <2..290>) [rightly|wrongly|also] [holds|argues] that <thesis>.
    [My claim|The thought|The worry] is that <thesis>.
    [One might object|It may be replied|A critic will insist] that <thesis>; but [this is too quick|
        that reply misses its target|nothing in <thinker> licenses it].
    [Yet|Still|But] it is not [obvious|clear] that <thesis>[, or so <modern> argues|].
    (<1..9>) [Necessarily, |If S knows that p, then |For all x, ]<thesis>.
    <thinker> [famously|sometimes|nowhere] [writes|says] that "<thesis>" ([A|B|T|Ak.] <20..800>).
    [Suppose|Grant] for the sake of argument that <thesis>. Then <view> [inherits|escapes] the
        [regress|problem|dilemma] [facing|of] <view>.
    Here I [set aside|bracket] [questions|worries] about <notion>, [on which|for which] see <modern>
        (<1970..2015>: <3..250>-<251..400>).
"""

REGISTERS = (
    Register("ArXiv", PREPRINTS, (ARXIV,), close="<close>", characters=(700, 1600)),
    Register("PhilPapers", IDEAS, (PHILOSOPHY,), characters=(700, 1600)),
)
