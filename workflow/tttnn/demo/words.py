"""Rules that every English grammar of the demo builds on: invented names, plain words."""

COMMON = """
onset:
    b, br, c, ch, d, dr, f, fl, g, gr, h, j, k, kl, l, m, n, p, pr, qu, r, s, sh, sk, st, t, th,
    tr, v, w, y, z
vowel:
    a, e, i, o, u, a, e, i, o, ai, ea, ou, ie, ar, or, er, en, an, in
middle:
    b, ck, d, dd, g, l, ll, m, mm, n, nd, nt, p, r, rr, rn, s, ss, st, t, th, v, x, z, lm, sk
coda:
    n, ck, d, l, m, nd, ng, r, rd, s, ss, st, t, th, x, lt, ff, sh, ve, ne, re
syllable
    <onset><vowel>
stem
    <onset><vowel><middle>
    <onset><vowel><middle><vowel><middle>
coined
    <^stem><vowel><coda>
    <^onset><vowel><coda>
surname
    <^stem>[er|man|well|son|ley|ham|by|ton|sen|ski|ez|ou|i|a|elli|ov|ström|mann|ard|ich]
    <coined>
first
    [Ada|Alma|Anton|Beatriz|Bram|Carla|Cecil|Clara|Dario|Dina|Edith|Elias|Emil|Farah|Felix|Flora]
    [Gita|Greta|Hana|Harold|Hugo|Ida|Imran|Inga|Ivo|Jana|Jonas|Judith|Karim|Katya|Lars|Leila|Lena]
    [Luca|Magda|Malik|Marta|Milo|Mina|Nadia|Nils|Noor|Olga|Omar|Otto|Paula|Petra|Quentin|Rafael]
    [Renata|Rosa|Ruben|Samir|Selma|Sonja|Tariq|Tessa|Theo|Tomas|Ulla|Vera|Viktor|Wanda|Yara|Zoe]
person
    <first> <surname>
initial:
    A, B, C, D, E, F, G, H, J, K, L, M, N, P, R, S, T, V, W
town
    <^stem>[ton|ville|burg|ford|haven|field|mouth|stad|wick|borough|dale|port|bridge|ow|nitz]
    [Port|Lake|Saint|Upper|New|Old|East|Mount] <coined>
land
    <^stem>[ia|land|ania|or|mark|istan|esia]
month:
    January, February, March, April, May, June, July, August, September, October, November, December
weekday:
    Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday
year
    [19<70..99>|20<00..19>|20<10..19>]
several:
    two, three, four, five, six, seven, eight, nine, ten, twelve, a dozen, several, a handful of
hedge:
    apparently, probably, perhaps, in part, at least partly, as far as we know, it seems,
    to some extent, by most accounts, arguably, at first sight, on balance
however:
    however, in contrast, still, nevertheless, by comparison, on the other hand, even so
moreover:
    moreover, in addition, furthermore, likewise, at the same time, similarly, besides
adjective:
    bright, broad, brief, bitter, calm, careful, cheap, clear, clever, cold, common, complex, crude,
    dark, deep, dense, distant, dry, dull, eager, early, easy, empty, exact, fair, famous, faint,
    firm, flat, formal, fragile, fresh, gentle, grand, great, harsh, heavy, hidden, hollow, honest,
    large, late, light, little, local, long, loose, loud, lucky, mild, minor, modern, modest,
    narrow, new, obscure, odd, old, open, pale, plain, polite, poor, private, proper, proud, quick,
    quiet, rare, raw, remote, rich, rough, sharp, short, shy, silent, simple, slow, small, smooth,
    soft, solid, sour, steady, steep, stiff, strange, strict, strong, sudden, sweet, tall, tender,
    thick, thin, tight, tiny, tough, vague, vast, warm, weak, wet, wide, wild, wise, young
nouns:
    accounts, answers, bells, bills, boats, bottles, bridges, candles, canals, chairs, clouds,
    coins,
    copies, crowds, curtains, debts, doors, doubts, dreams, engines, fences, fires, flags, gardens,
    gates, gifts, habits, hills, hopes, horses, keys, lamps, lessons, letters, lies, maps, markets,
    memories, mirrors, mistakes, needles, noises, oceans, papers, paths, pictures, pillows, plans,
    plates, pockets, promises, questions, roads, rooms, ropes, rumours, schools, secrets, shadows,
    ships, shoes, songs, storms, stories, tables, tickets, towers, trains, trees, walls, wheels
noun:
    account, afternoon, angle, answer, argument, arrival, basket, bell, bench, bill, blanket, board,
    boat, border, bottle, box, branch, bridge, building, button, candle, canal, ceiling, chain,
    chair, chapter, choice, circle, cloud, coat, coin, colour, copy, corner, corridor, courage,
    crowd, cup, curtain, danger, debt, desk, door, doubt, dream, drawer, dust, edge, effort, engine,
    evening, fence, field, fire, flag, floor, fog, forest, garden, gate, gift, glass, grass, habit,
    hammer, harbour, hill, hope, horse, hour, island, journey, key, kitchen, ladder, lamp, lantern,
    law, leaf, lesson, letter, lie, map, market, memory, message, mirror, mistake, mountain, name,
    needle, night, noise, notebook, ocean, paper, path, pattern, picture, pillow, plan, plate,
    pocket,
    price, promise, question, railway, rain, reason, river, road, roof, room, rope, rumour, school,
    secret, shadow, ship, shoe, silence, smoke, song, staircase, stone, storm, story, street,
    summer,
    table, ticket, tower, town, train, tree, truth, tunnel, valley, village, wall, water, weather,
    wheel, whistle, wind, window, winter, word, yard
"""
