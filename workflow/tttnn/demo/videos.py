"""YouTube: captions in one of five languages and four scripts."""

from tttnn.demo.register import Domain, Register

CHANNELS = Domain(
    "channels",
    (
        """
host 2
    <first>
channel 1
    <coined>
model 3
    [<coined>|<stem>] [<100..990>|Pro|Mini|X<1..9>|One]
""",
    ),
)

ENGLISH = """
step 40
    [screw|glue|plug|fold] the <adjective> <noun> [onto|into|under] the <model>
    the <model> is [way|kind of|a little] [too <adjective>|more <adjective>] [than the <model>|for
        me]
    [let it|you want to] [rest|cool|charge] for like <several> [minutes|hours] [before the <noun>|]
open
    [hey|hi|what's up] [guys|everybody|folks] it's <Host> [here |]and welcome [back |]to <channel>¶
part
    [so|and|okay so|um|now|right so] [today|first|what we do is] <step>¶
    [you can see|as you see|look at that] [right here|] the <noun> [is|gets] [really|super]
        <adjective>¶
    [and then|but] <step> [and <step>|]¶
    [don't forget to|go ahead and] [like and subscribe|hit the bell|leave a comment] [below|about
        the <noun>]¶
    [[Music|Applause|Laughter]]¶
    [I got this|you can get the] <model> for [about|] <5..900> [bucks|dollars] [at the <noun>
        store|]¶
    <~step> [I guess|you know|actually]¶
"""

SPANISH = """
thing:
    motor, tornillo, cable, horno, arroz, ajo, pincel, bote, cajón, filtro, pan, limón, vidrio,
    barniz, papel, cuchillo, vaso, suelo, hilo, cristal
trait:
    pequeño, rojo, caliente, viejo, suave, seco, fresco, duro, blanco, limpio, largo, fino
step 40
    [ponemos|cortamos|pegamos|giramos] el <thing> [<trait>|] [encima del|dentro del|con el] <thing>
    el <model> [sale|queda|está] [más|muy|un poco] <trait> [que el <model>|]
    [lo dejamos|hay que esperar] <2..50> [minutos|horas] [hasta que el <thing> esté <trait>|]
open
    hola [amigos|a todos], soy <Host> y [bienvenidos a|esto es] <channel>¶
part
    [bueno|entonces|y|vale] [primero|ahora|después] <step>¶
    [como ven|miren|fíjense] [aquí|] el <thing> [está|queda] <trait>¶
    [no olviden|recuerden] [suscribirse|dejar un comentario|darle a la campanita]¶
    [cuesta|vale|pagué] <5..900> [pesos|euros] por el <thing> <trait>¶
    [y así|pero] <step> [y <step>|]¶
"""

RUSSIAN = """
thing:
    мотор, винт, провод, рис, чеснок, нож, ящик, фильтр, хлеб, лимон, стакан, пол, лак, клей, суп,
    шкаф, руль, кран, насос, замок
trait:
    маленький, красный, горячий, старый, мягкий, сухой, свежий, белый, чистый, длинный, новый
step 40
    [берём|режем|клеим|ставим] <thing> [и <trait> <thing>|] [на стол|под воду|в духовку|на место]
    этот <model> [совсем|очень|немного] <trait> [а вот <model> нет|]
    [ждём|оставляем на] <2..50> [минут|часов] [пока <thing> не станет сухой|]
open
    всем привет, [с вами|это] <Host> и [канал|программа] <channel>¶
part
    [ну|так|итак|и] [сначала|теперь|потом] <step>¶
    [смотрите|как видите] [вот здесь|] <thing> [уже|ещё|совсем] <trait>¶
    [не забудьте|обязательно] [поставить лайк|подписаться на канал|написать комментарий]¶
    [стоит|заплатил] <50..9000> рублей за <trait> <thing>¶
    [а потом|но] <step> [и <step>|]¶
"""

KOREAN = """
thing:
    모터, 나사, 전선, 쌀, 마늘, 칼, 상자, 필터, 빵, 레몬, 컵, 바닥, 종이, 냄비, 문, 창문, 거울, 의자
trait:
    작은, 빨간, 뜨거운, 오래된, 부드러운, 마른, 신선한, 하얀, 깨끗한, 긴, 새로운
step 40
    <trait> <thing> [위에|옆에|안에] <thing> [놓고|붙이고|넣고] [기다립니다|돌립니다|섞습니다]
    <model> [제품이|모델은] [아주|조금|훨씬] <trait> [편이에요|느낌입니다]
    <thing> [하나를|두 개를] <2..50>분 [정도|동안] [말립니다|끓입니다|충전합니다]
open
    [안녕하세요|여러분 안녕] <Host> 입니다 <channel> 채널에 오신 것을 환영합니다¶
part
    [자|그럼|그리고|네] [먼저|이제|다음] <step>¶
    [여기 보시면|보세요] <trait> <thing> [있죠|보이시죠|나왔어요]¶
    [구독|좋아요|댓글] [꼭|한번] [부탁드립니다|눌러 주세요]¶
    <trait> <thing> [가격은|값은] <2..90>만 원 [입니다|이에요]¶
    [그래서|하지만] <step>¶
"""

ARABIC = """
thing:
    المحرك, البرغي, السلك, الأرز, الثوم, السكين, الصندوق, الخبز, الليمون, الكأس, الورق, الباب,
    الزيت,
    الطبق, المفتاح, الفرن, الماء, الكرسي
trait:
    صغير, أحمر, ساخن, قديم, ناعم, جاف, طازج, أبيض, نظيف, طويل, جديد
step 40
    [نضع|نقطع|نأخذ|نحرك] <thing> [فوق|تحت|مع|داخل] <thing> [بهدوء|جيدا|مرة أخرى|]
    جهاز <model> [جدا|قليلا|أكثر] <trait> [من <model>|]
    ننتظر <2..50> [دقيقة|ساعة] [حتى يصبح <thing> <trait>|]
open
    [مرحبا|أهلا] بكم أنا <Host> [وهذه|في] قناة <channel>¶
part
    [طيب|إذن|حسنا|و] [أولا|الآن|بعد ذلك] <step>¶
    [كما ترون|انظروا] [هنا|] <thing> [لونه|شكله] <trait>¶
    [لا تنسوا|أرجو] [الاشتراك في القناة|ترك تعليق|الضغط على الجرس]¶
    [السعر|دفعت] <5..900> [دينار|ريال] مقابل <thing>¶
    [ولكن|ثم] <step>¶
"""

REGISTERS = (
    Register(
        "YoutubeSubtitles",
        CHANNELS,
        (ENGLISH, SPANISH, RUSSIAN, KOREAN, ARABIC),
        characters=(500, 1300),
    ),
)
